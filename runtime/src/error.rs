//! What can go wrong, in sentences.

use std::fmt;
use std::io;
use std::time::Duration;

use drawdown_protocol::limits::TOPIC_BYTES_MAX;
use drawdown_protocol::{Counted, Message, Refusal, Seq};

use crate::names::ResolveError;
use crate::store::StoreError;
use crate::transport::{EndpointError, TransportError};
use crate::{ConfirmError, ReplyError, RequestError};

/// Debugs errors as the sentences that they are: so they read well where `main` returns one, or `unwrap` meets one.
macro_rules! debug_as_sentences {
    ($($error:ty),+ $(,)?) => {$(
        impl fmt::Debug for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )+};
}

debug_as_sentences!(
    Error,
    SendError,
    TrySendError,
    ConfirmError,
    Closed,
    DrainError,
    EndpointError,
    TransportError,
    StoreError,
    RequestError,
    ReplyError,
    ResolveError,
);

/// Why a socket could not be made, bound or connected.
#[non_exhaustive]
pub enum Error {
    /// The endpoint is not one.
    Endpoint(EndpointError),
    /// The endpoint could not be bound or connected to.
    Transport(TransportError),
    /// The store could not be opened.
    Store(StoreError),
    /// Settings that contradict each other.
    Settings(String),
    /// The machine lacks something that the socket needs, such as room for another thread.
    System {
        /// What could not be done.
        what: String,
        /// Why, as the system says it.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn system(what: &str, source: impl Into<io::Error>) -> Self {
        Error::System { what: what.to_owned(), source: source.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Endpoint(error) => error.fmt(f),
            Error::Transport(error) => error.fmt(f),
            Error::Store(error) => error.fmt(f),
            Error::Settings(what) => f.write_str(what),
            Error::System { what, source } => write!(f, "{what}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Endpoint(error) => Some(error),
            Error::Transport(error) => Some(error),
            Error::Store(error) => Some(error),
            Error::Settings(_) => None,
            Error::System { source, .. } => Some(source),
        }
    }
}

impl From<EndpointError> for Error {
    fn from(error: EndpointError) -> Self {
        Error::Endpoint(error)
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        Error::Transport(error)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Error::Store(error)
    }
}

/// Why a message was not accepted.
#[derive(Clone, PartialEq, Eq)]
pub struct SendError {
    // Boxed: what every send may give is a word, and moved as one.
    kind: Box<SendErrorKind>,
}

/// Kinds of [`SendError`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The payload is over the limit.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The topic is over the limit.
    TopicTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The socket is closed or being closed.
    Closed,
    /// The store has failed, now or before.
    StoreFailed {
        /// The store's last error.
        reason: String,
        /// The message had been taken in: a receiver may still get it, but it does not survive this process.
        taken_in: bool,
    },
}

impl SendError {
    pub(crate) fn new(kind: SendErrorKind) -> Self {
        Self { kind: Box::new(kind) }
    }

    /// The reason of a refusal that waiting does not help; `None` if the queue was full.
    pub(crate) fn from_refusal(why: Refusal) -> Option<Self> {
        Some(Self::new(match why {
            Refusal::Full => return None,
            Refusal::TooLong { bytes, bytes_max } => SendErrorKind::TooLong { bytes, bytes_max },
            Refusal::TopicTooLong { bytes } => {
                SendErrorKind::TopicTooLong { bytes, bytes_max: TOPIC_BYTES_MAX }
            }
            Refusal::Closed => SendErrorKind::Closed,
            Refusal::StoreFailed(reason) => SendErrorKind::StoreFailed { reason, taken_in: false },
        }))
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> &SendErrorKind {
        &self.kind
    }

    /// Whether the message may still be delivered although it was not accepted.
    #[must_use]
    pub fn may_be_delivered(&self) -> bool {
        matches!(*self.kind, SendErrorKind::StoreFailed { taken_in: true, .. })
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.kind {
            SendErrorKind::TooLong { bytes, bytes_max } => write!(
                f,
                "the message has {bytes} bytes and the limit is {bytes_max}; it was not kept; \
                 raise max_message on both sides, or send less"
            ),
            SendErrorKind::TopicTooLong { bytes, bytes_max } => write!(
                f,
                "the topic has {bytes} bytes and the limit is {bytes_max}; the message was not kept; \
                 use a shorter one"
            ),
            SendErrorKind::Closed => f.write_str(
                "the socket is closed; the message was not kept; send it on another socket",
            ),
            SendErrorKind::StoreFailed { reason, taken_in: false } => write!(
                f,
                "the store has failed and nothing more is accepted; the message was not kept; \
                 mend what is wrong and open the store again: {reason}"
            ),
            SendErrorKind::StoreFailed { reason, taken_in: true } => write!(
                f,
                "the store has failed before it had the message, which may still be delivered but does not survive \
                 this process; mend what is wrong, open the store again, and send it again: {reason}"
            ),
        }
    }
}

impl std::error::Error for SendError {}

/// A message that could not be taken in at once, and why.
pub struct TrySendError {
    message: Message<'static>,
    why: Refusal,
}

impl TrySendError {
    pub(crate) fn new(message: Message<'_>, why: Refusal) -> Self {
        Self { message: message.into_owned(), why }
    }

    /// Whether there was no room: it may be tried again later.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.why == Refusal::Full
    }

    /// Gives the message back.
    #[must_use]
    pub fn into_message(self) -> Message<'static> {
        self.message
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; the message was not kept and is in this error", self.why)
    }
}

impl std::error::Error for TrySendError {}

/// The socket is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the socket is closed; what was not settled goes back to its sender, and what was not acknowledged is received \
             again by who goes on from the position",
        )
    }
}

impl std::error::Error for Closed {}

/// A drain that ran out of time, and what was left.
#[derive(Clone, PartialEq, Eq)]
pub struct DrainError {
    /// What is counted.
    pub what: Undone,
    /// Messages, requests or calls that nobody has taken; subscribers that had not read what they were sent.
    pub waiting: u64,
    /// Messages that receivers have and have not settled; at a receiver: that the application has not settled. Requests
    /// that servers have. Calls that the application has not answered, and replies that their callers have not confirmed.
    pub pending: u64,
    /// The lowest number among them, at a sender.
    pub oldest: Option<Seq>,
    /// Whether they are safe: in the sender's store, or, at a receiver or a server, back with their sender or caller.
    pub kept: bool,
    /// How long was waited.
    pub waited: Duration,
}

/// What a [`DrainError`] counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Undone {
    /// Messages of a socket that sends or receives them.
    Messages,
    /// Requests of a REQ socket.
    Requests,
    /// Calls of a REP socket.
    Calls,
    /// Subscribers that were sent everything, and had not read it.
    Subscribers,
}

impl fmt::Display for DrainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, waiting, pending, oldest, kept, waited } = self;
        match what {
            Undone::Messages => {}
            Undone::Requests => {
                return write!(
                    f,
                    "after {waited:?} {} still without a server and {pending} without a reply; they fail, and those that a \
                     server had may have been worked on",
                    Counted(*waiting, "request"),
                );
            }
            Undone::Subscribers => {
                write!(f, "after {waited:?} {} had not read all", Counted(*waiting, "subscriber"))?;
                return f.write_str(match kept {
                    true => "; the store keeps what they lack",
                    false => "; what they lack is lost to them unless they have another source",
                });
            }
            Undone::Calls => {
                return write!(
                    f,
                    "after {waited:?} {} still waiting, and {pending} not answered or without their replies confirmed; \
                     their callers ask elsewhere",
                    Counted(*waiting, "call"),
                );
            }
        }
        let waiting = Counted(*waiting, "message");
        write!(f, "after {waited:?} {waiting} still waiting and {pending} not settled")?;
        if let Some(oldest) = oldest {
            write!(f, " (the oldest is number {oldest})")?;
        }
        f.write_str(match (kept, oldest) {
            (true, Some(_)) => "; the store keeps what is left",
            (true, None) => "; what is left goes back to its sender",
            (false, _) => "; what is left is lost unless it is settled before this ends",
        })
    }
}

impl std::error::Error for DrainError {}
