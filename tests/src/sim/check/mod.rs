//! What must hold at every moment, whatever the faults.

mod credit;
mod ledger;
mod left;

pub(crate) use credit::{CreditWatch, WindowWatch};
pub(crate) use ledger::{Entry, Ledger, Standing, payload};
pub(crate) use left::LeftBehind;

/// What a checker finds wrong, as a sentence.
pub(crate) type Verdict = Result<(), String>;

/// A sentence if it is not so.
pub(crate) fn ensure(so: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if so { Ok(()) } else { Err(otherwise()) }
}
