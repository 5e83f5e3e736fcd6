//! Why bytes from a peer were refused.

use std::fmt;

use crate::message::RecordError;

/// What was wrong with the bytes of a peer. Each of these ends the link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WireError {
    /// The first bytes are not Drawdown's.
    NotDrawdown,
    /// The frame's kind is unknown.
    UnknownKind(u8),
    /// Bits that must be 0 are set.
    ReservedBits,
    /// The frame is longer than this side allows at this point.
    FrameTooLong {
        /// What its header says.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// Something other than HELLO or CLOSE came before the handshake was done.
    BeforeHello,
    /// The body does not hold what its kind says.
    Malformed(&'static str),
    /// A message is not well formed, or too long.
    Record(RecordError),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::NotDrawdown => f.write_str("the peer does not speak Drawdown"),
            WireError::UnknownKind(kind) => write!(f, "a frame of unknown kind {kind}"),
            WireError::ReservedBits => f.write_str("a frame with reserved bits set"),
            WireError::FrameTooLong { bytes, bytes_max } => {
                write!(f, "a frame of {bytes} bytes is over the limit of {bytes_max}")
            }
            WireError::BeforeHello => f.write_str("a frame came before the handshake was done"),
            WireError::Malformed(what) => write!(f, "{what} is malformed"),
            WireError::Record(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WireError {}

impl From<RecordError> for WireError {
    fn from(error: RecordError) -> Self {
        WireError::Record(error)
    }
}
