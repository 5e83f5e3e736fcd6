//! Why a request has no reply.

use std::fmt;

use drawdown_protocol::wire::{Printable, Reason};
use drawdown_protocol::{CallError, Refusal};

/// Why a request has no reply, and whether a server may have worked on it.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestError {
    kind: RequestErrorKind,
    may_have_run: bool,
    reason: Option<Reason>,
}

/// Kinds of [`RequestError`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RequestErrorKind {
    /// No server was there, or none had room, until the request's time was over: nobody has worked on it.
    NoService,
    /// A server had it, and no reply came in time, or as often as it was tried.
    TimedOut,
    /// A server refused it; see [`RequestError::reason`].
    Rejected,
    /// The socket was closed.
    Closed,
    /// The request is over the limit.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

impl RequestError {
    const fn unsent(kind: RequestErrorKind) -> Self {
        Self { kind, may_have_run: false, reason: None }
    }

    /// Its turn did not come in time.
    pub(super) const fn no_turn() -> Self {
        Self::unsent(RequestErrorKind::NoService)
    }

    /// The engine did not take it.
    pub(super) const fn from_refusal(why: &Refusal) -> Self {
        Self::unsent(match *why {
            Refusal::TooLong { bytes, bytes_max } => RequestErrorKind::TooLong { bytes, bytes_max },
            // A request that waits for its turn is not offered before, and the others do not befall a call.
            _ => RequestErrorKind::Closed,
        })
    }

    /// What kind it is.
    #[must_use]
    pub const fn kind(&self) -> RequestErrorKind {
        self.kind
    }

    /// Whether a server may have worked on the request, in whole or in part. If not, it can be made again without any risk
    /// of being done twice.
    #[must_use]
    pub const fn may_have_run(&self) -> bool {
        self.may_have_run
    }

    /// The server's reason, if it rejected the request: up to 512 bytes, as the server wrote them. Where the sentence of
    /// this error repeats it, control characters are escaped.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_ref().map(Reason::as_str)
    }
}

impl From<CallError> for RequestError {
    fn from(error: CallError) -> Self {
        let (kind, may_have_run, reason) = match error {
            CallError::NoService => (RequestErrorKind::NoService, false, None),
            CallError::Rejected(reason) => (RequestErrorKind::Rejected, true, Some(reason)),
            CallError::Closed { may_have_run } => (RequestErrorKind::Closed, may_have_run, None),
            // What may be added to them has begun, as far as can be known.
            _ => (RequestErrorKind::TimedOut, true, None),
        };
        Self { kind, may_have_run, reason }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.may_have_run) {
            (RequestErrorKind::NoService, _) => f.write_str(
                "no service available: no server was there, or none had room, until the request's time was over; \
                 nobody has worked on it; start a server, or try again later",
            ),
            (RequestErrorKind::TimedOut, _) => f.write_str(
                "no reply came in time although a server had the request: it may have been worked on; ask again if \
                 doing it twice does no harm",
            ),
            (RequestErrorKind::Rejected, _) => {
                let reason = Printable(self.reason().unwrap_or_default());
                write!(f, "the server rejected the request: {reason}")
            }
            (RequestErrorKind::Closed, true) => f.write_str(
                "the socket was closed before a reply came: the request may have been worked on; ask again on \
                 another socket if doing it twice does no harm",
            ),
            (RequestErrorKind::Closed, false) => f.write_str(
                "the socket is closed; the request was not sent; make it on another socket",
            ),
            (RequestErrorKind::TooLong { bytes, bytes_max }, _) => write!(
                f,
                "the request has {bytes} bytes and the limit is {bytes_max}; it was not sent; send less, or raise \
                 max_message on both sides"
            ),
        }
    }
}

impl std::error::Error for RequestError {}
