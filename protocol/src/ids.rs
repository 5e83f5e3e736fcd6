//! The names of things: sessions, peers, links and the three kinds of number.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(#[serde(with = "uuid::serde::compact")] Uuid);

        impl $name {
            /// Wraps a UUID; where it comes from (entropy, a store, a user) is the caller's business.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID itself.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

uuid_newtype! {
    /// One numbering of one sending socket. A sequence number means something only inside its session.
    Session
}

uuid_newtype! {
    /// One life of one socket. It survives a reconnect, so that a receiver which comes back is known
    /// again; it does not survive the process.
    PeerId
}

/// A message's number in its session. Numbers rise; none is ever used twice.
///
/// Plain `u64` arithmetic on them happens in ranges (`first..end`), so this is an alias and not a newtype.
pub type Seq = u64;

/// The position of a message on one link since that link was attached, from 0. It dies with the link.
pub type Delivery = u64;

/// Names one link inside one engine. Never used again by that engine after the link has closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct LinkId(pub(crate) u64);

impl LinkId {
    /// The bare number, for logs and statistics.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {}", self.0)
    }
}

/// The type of a socket, as it says of itself in the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum SocketType {
    /// Hands out jobs.
    Push,
    /// Takes jobs.
    Pull,
}

impl SocketType {
    /// Whether these two may talk to each other.
    #[must_use]
    pub const fn accepts(self, peer: SocketType) -> bool {
        matches!(
            (self, peer),
            (SocketType::Push, SocketType::Pull) | (SocketType::Pull, SocketType::Push)
        )
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SocketType::Push => "PUSH",
            SocketType::Pull => "PULL",
        })
    }
}

/// How many numbers a half-open range holds.
pub(crate) const fn span(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}
