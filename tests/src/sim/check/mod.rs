//! What must hold at every moment, whatever the faults.

mod calls;
mod calls_memory;
mod chronicle;
mod credit;
mod follower;
mod ledger;
mod left;
mod requests;

use drawdown_protocol::wire::{Close, CloseCode};

pub(crate) use calls::{
    CallBook, CallEntry, CameTo, End, Incarnation, LATE, SIGN_BYTES, Sign, call_id, filled,
    is_too_far,
};
pub(crate) use chronicle::{Chronicle, PREFIXES, Publication, TOPICS};
pub(crate) use credit::{CreditWatch, WindowWatch};
pub(crate) use follower::Follower;
pub(crate) use ledger::{Entry, Ledger, Standing, payload};
pub(crate) use left::LeftBehind;
pub(crate) use requests::RequestsWatch;

/// What a checker finds wrong, as a sentence.
pub(crate) type Verdict = Result<(), String>;

/// A sentence if it is not so.
pub(crate) fn ensure(so: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if so { Ok(()) } else { Err(otherwise()) }
}

/// A link ended with this: our own engines have no other reasons, whatever the faults.
pub(crate) fn check_end(last_word: &Close) -> Verdict {
    use CloseCode::{Done, HandshakeTimeout, HeartbeatTimeout, Internal};
    let Close { code, reason } = last_word;
    ensure(matches!(code, Done | HeartbeatTimeout | HandshakeTimeout | Internal), || {
        format!("a link ended with {code:?}: {reason}")
    })
}
