//! How far a sender may go, and who is short of it.

use serde::{Deserialize, Serialize};

/// Absolute limits on this link: the sender may dispatch up to these totals since the link was attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Rises with each grant; an older one than the last seen is ignored.
    pub serial: u64,
    /// Messages since attach, those named in ATTACH not counted.
    pub messages: u64,
    /// Bytes since attach, by [`crate::message::cost_bytes`].
    pub bytes: u64,
    /// Other senders compete for the receiver's room: say how much waits ([`Demand`]).
    pub contended: bool,
    /// How many DEMANDs of this link are answered: one that was on its way when this was said is not.
    pub answered: u64,
}

/// A sender has seen a grant that was lower than one before, and says how far it had gone by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Echo {
    /// The serial of the lowered grant.
    pub serial: u64,
    /// Messages dispatched so far.
    pub messages: u64,
    /// Bytes dispatched so far.
    pub bytes: u64,
}

/// How many messages wait at the sender without credit on this link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Demand {
    /// Messages that wait; 0 takes an earlier demand back.
    pub waiting: u64,
    /// It has receivers of worse levels to turn to, and wants a grant for an answer, also if there is no room.
    pub asks: bool,
}
