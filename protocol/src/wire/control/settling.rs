//! What becomes of messages that were dispatched.

use serde::{Deserialize, Serialize};

use crate::wire::reason::Reason;

use super::bounded::Bounded;
use super::span::{Span, Spans};

/// What became of messages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settle {
    /// Each for a run of delivery numbers.
    pub settlements: Bounded<Settlement>,
}

/// What became of a run of messages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settlement {
    /// Their delivery numbers.
    pub deliveries: Span,
    /// What became of them.
    pub outcome: Outcome,
}

/// What became of a message at its receiver.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// Done: the sender may forget it.
    Confirmed,
    /// A failed attempt, and why.
    Rejected(Reason),
    /// Given back untouched; not a failed attempt.
    Released,
    /// Given back, to be tried again after so many milliseconds; not a failed attempt.
    RetryIn(u64),
    /// Not settled yet: the application asks for so many more milliseconds.
    Extended(u64),
    /// Its shelf life ended before the application took it.
    Expired,
}

impl Outcome {
    /// Whether the receiver is done with the message, one way or another.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Outcome::Extended(_))
    }
}

/// The application has taken these messages from the receiver's queue: time to process runs from now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// Delivery numbers.
    pub deliveries: Spans,
}

/// Give these back (as released) unless the application has taken them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retract {
    /// Delivery numbers.
    pub deliveries: Spans,
}
