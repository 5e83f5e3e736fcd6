//! Copies of messages that their sender still has.

use serde::{Deserialize, Serialize};

use crate::ids::Delivery;

use super::span::{Span, Spans};

/// Room for copies: messages that stay in the sender's queue, so that they are there already if this receiver is the one
/// that gets them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Future {
    /// Copies that may be on this link at a time.
    pub messages: u64,
    /// Bytes of the same, each counted as if it were dispatched.
    pub bytes: u64,
}

/// Copies become messages: they are dispatched, on credit, as if they came in a data frame now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Take {
    /// The copies, by the order in which they were placed on this link; their messages have consecutive numbers.
    pub copies: Span,
    /// The delivery number of the first of them.
    pub first_delivery: Delivery,
    /// What they cost of the credit in bytes.
    pub bytes: u64,
}

/// Copies that are not wanted any more: another receiver has them, or nobody needs to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Recall {
    /// By the order in which they were placed on this link.
    pub copies: Spans,
}

/// Copies that were not kept, since other senders have the room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Forgot {
    /// By the order in which they were placed on this link.
    pub copies: Spans,
}
