//! That a link lives, and why it ends.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{Delivery, Seq};
use crate::wire::reason::Reason;

/// Still here. A receiver sends its grant again beside it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Heartbeat {
    /// A sender's next sequence number; 0 from a receiver.
    pub head: Seq,
    /// Messages dispatched (by a sender) or received (by a receiver) on this link so far.
    pub deliveries: Delivery,
    /// SETTLE frames that a sender has handled on this link; 0 from a receiver.
    pub settles: u64,
}

/// Why a link ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum CloseCode {
    /// The socket is being closed, all in order.
    Done,
    /// Bytes that are not Drawdown, or break its rules.
    ProtocolViolation,
    /// No version that both speak.
    VersionMismatch,
    /// Socket types that do not fit.
    SocketTypeMismatch,
    /// More than the granted credit.
    CreditExceeded,
    /// A frame or message over the limit.
    TooLarge,
    /// Nothing was heard for too long.
    HeartbeatTimeout,
    /// The handshake took too long.
    HandshakeTimeout,
    /// The peer's identity may not do this.
    NotAuthorized,
    /// More links, or more state, than this side allows.
    TooMany,
    /// Something went wrong on this side.
    Internal,
    /// A newer incarnation of this publisher exists.
    Fenced,
    /// The same session, with other contents.
    Conflict,
    /// A streamer that stands behind itself.
    Loop,
    /// One that this version has no name for: a later one may. The link ends all the same.
    Other(u32),
}

/// Those with names, in the order of their numbers.
const CODES: [CloseCode; 14] = [
    CloseCode::Done,
    CloseCode::ProtocolViolation,
    CloseCode::VersionMismatch,
    CloseCode::SocketTypeMismatch,
    CloseCode::CreditExceeded,
    CloseCode::TooLarge,
    CloseCode::HeartbeatTimeout,
    CloseCode::HandshakeTimeout,
    CloseCode::NotAuthorized,
    CloseCode::TooMany,
    CloseCode::Internal,
    CloseCode::Fenced,
    CloseCode::Conflict,
    CloseCode::Loop,
];

impl From<u32> for CloseCode {
    fn from(number: u32) -> Self {
        CODES.get(number as usize).copied().unwrap_or(CloseCode::Other(number))
    }
}

impl From<CloseCode> for u32 {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Other(number) => number,
            // All others are in the list.
            named => {
                (0..).zip(CODES).find(|(_, code)| *code == named).map_or(Self::MAX, |(n, _)| n)
            }
        }
    }
}

/// The end of a link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Close {
    /// Why, for programs.
    pub code: CloseCode,
    /// Why, for people.
    pub reason: Reason,
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}
