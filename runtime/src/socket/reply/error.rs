//! Why a reply is not sent.

use std::fmt;

use drawdown_protocol::AnswerError;

use super::call::Call;

/// Why a reply is not sent.
pub struct ReplyError {
    kind: ReplyErrorKind,
    call: Option<Box<Call>>,
}

/// Kinds of [`ReplyError`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReplyErrorKind {
    /// The reply is over the limit. The call is still to be answered, and is in the error.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The caller has cancelled the call.
    Cancelled,
    /// The caller's deadline has passed.
    Late,
    /// The socket is closed.
    Closed,
    /// The store has failed, and a reply is sent only once it is on disk.
    StoreFailed {
        /// The store's last error.
        reason: String,
    },
}

impl ReplyError {
    pub(super) const fn new(kind: ReplyErrorKind) -> Self {
        Self { kind, call: None }
    }

    pub(super) fn too_long(bytes: usize, bytes_max: usize, call: Call) -> Self {
        let kind = ReplyErrorKind::TooLong { bytes, bytes_max };
        Self { kind, call: Some(Box::new(call)) }
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> &ReplyErrorKind {
        &self.kind
    }

    /// The call, if it is still to be answered.
    #[must_use]
    pub fn into_call(self) -> Option<Call> {
        self.call.map(|call| *call)
    }
}

impl From<AnswerError> for ReplyErrorKind {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::TooLong { bytes, bytes_max } => Self::TooLong { bytes, bytes_max },
            AnswerError::Cancelled => Self::Cancelled,
            AnswerError::Late => Self::Late,
            // A call is answered through its one handle, so only its socket can have forgotten it.
            _ => Self::Closed,
        }
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ReplyErrorKind::TooLong { bytes, bytes_max } => write!(
                f,
                "the reply has {bytes} bytes and the limit is {bytes_max}; it was not sent, and the call is still to be \
                 answered: send less, or raise max_message on both sides"
            ),
            ReplyErrorKind::Cancelled => {
                f.write_str("the caller has cancelled the call; the reply was not sent, and nobody waits for it")
            }
            ReplyErrorKind::Late => f.write_str(
                "the caller's deadline has passed; the reply was not sent, and nobody waits for it",
            ),
            ReplyErrorKind::Closed => {
                f.write_str("the socket is closed; the reply was not sent, and its caller asks elsewhere")
            }
            ReplyErrorKind::StoreFailed { reason } => write!(
                f,
                "the store has failed and the reply could not be kept; it was not sent; mend what is wrong and open \
                 the store again: {reason}"
            ),
        }
    }
}

impl std::error::Error for ReplyError {}
