//! Why nothing more is heard of a message.

use std::fmt;

/// Why it is not known what becomes of a message, and whether the message is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfirmError {
    kind: ConfirmErrorKind,
    kept: bool,
}

/// Kinds of [`ConfirmError`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConfirmErrorKind {
    /// The socket was closed or dropped before the message was done.
    Closed,
    /// The store failed before the message was done.
    StoreFailed {
        /// The store's last error.
        reason: String,
    },
}

impl ConfirmError {
    pub(super) const fn new(kind: ConfirmErrorKind, kept: bool) -> Self {
        Self { kind, kept }
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> &ConfirmErrorKind {
        &self.kind
    }

    /// Whether the message is in the store: who opens that again delivers it. If not, a receiver may have it all the same.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.kept
    }
}

impl fmt::Display for ConfirmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.kept) {
            (ConfirmErrorKind::Closed, true) => f.write_str(
                "the socket was closed before the message was confirmed; the store keeps it; open the store again to \
                 deliver it",
            ),
            (ConfirmErrorKind::Closed, false) => f.write_str(
                "the socket was closed before the message was confirmed; it was not kept, and a receiver may have it; \
                 send it again on another socket if getting it twice does no harm",
            ),
            (ConfirmErrorKind::StoreFailed { reason }, true) => write!(
                f,
                "the store has failed before the message was confirmed, and has it; mend what is wrong and open the \
                 store again to deliver it: {reason}"
            ),
            (ConfirmErrorKind::StoreFailed { reason }, false) => write!(
                f,
                "the store has failed before the message was confirmed, and does not have it; a receiver may get it; \
                 mend what is wrong, open the store again, and send it again if getting it twice does no harm: {reason}"
            ),
        }
    }
}

impl std::error::Error for ConfirmError {}
