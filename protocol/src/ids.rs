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

/// One incarnation of a publisher: which session it continues, and from where.
///
/// A publisher that starts again in the same session has a higher epoch. What an older incarnation numbers from `since`
/// on is not of this session any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Lineage {
    /// The session.
    pub session: Session,
    /// Rises from one incarnation to the next.
    pub epoch: u64,
    /// The first number of this incarnation.
    pub since: Seq,
}

/// A message's number in its session. Numbers rise; none is ever used twice.
///
/// Plain `u64` arithmetic on them happens in ranges (`first..end`), so this is an alias and not a newtype.
pub type Seq = u64;

/// Names a subscriber's request on one link.
pub type RequestId = u32;

/// The position of a message on one link since that link was attached, from 0. It dies with the link.
pub type Delivery = u64;

/// Names one call, over all its attempts and all servers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CallId {
    // As numbers, and in the order of the bytes, so that both are moved in registers.
    client: u64,
    number: u64,
}

impl CallId {
    /// The call of a client, by the order of its calls. `client` is made of entropy, and of one life of a socket.
    #[must_use]
    pub const fn new(client: [u8; 8], number: u64) -> Self {
        Self { client: u64::from_be_bytes(client), number }
    }

    /// As it stands in a record.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { client: (both >> 64) as u64, number: both as u64 }
    }

    /// As it stands in a record.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        ((self.client as u128) << 64 | self.number as u128).to_be_bytes()
    }

    /// The number that it has at this client; none if it is another's.
    pub(crate) fn number_of(&self, client: [u8; 8]) -> Option<u64> {
        let (of, number) = self.halves();
        (of == client).then_some(number)
    }

    /// That of its client's next call; none behind the last that there can be.
    pub(crate) const fn next(self) -> Option<Self> {
        match self.number.checked_add(1) {
            Some(number) => Some(Self { client: self.client, number }),
            None => None,
        }
    }

    /// That of the call which its client makes so many calls later.
    pub(crate) const fn later(&self, calls: u64) -> Self {
        Self { client: self.client, number: self.number.wrapping_add(calls) }
    }

    /// Whose call it is, and the number that it has there.
    pub(crate) const fn halves(&self) -> ([u8; 8], u64) {
        (self.client.to_be_bytes(), self.number)
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.to_bytes()).fmt(f)
    }
}

/// How soon an endpoint's turn comes: a worse level is used only while every better one is dead, disconnected or busy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Priority(u8);

impl Priority {
    /// The best of the 16 levels, and what an endpoint has that says nothing.
    pub const BEST: Priority = Priority(1);

    /// The worst of them.
    pub const WORST: Priority = Priority(16);

    /// A level from 1, the best, to 16; none for any other number.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if matches!(level, 1..=16) { Some(Self(level)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::BEST
    }
}

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
    /// Publishes to whoever subscribes.
    Pub,
    /// Subscribes.
    Sub,
    /// Calls.
    Req,
    /// Answers calls.
    Rep,
}

impl SocketType {
    /// Whether these two may talk to each other.
    #[must_use]
    pub const fn accepts(self, peer: SocketType) -> bool {
        matches!(
            (self, peer),
            (SocketType::Push, SocketType::Pull)
                | (SocketType::Pull, SocketType::Push)
                | (SocketType::Pub, SocketType::Sub)
                | (SocketType::Sub, SocketType::Pub)
                | (SocketType::Req, SocketType::Rep)
                | (SocketType::Rep, SocketType::Req)
        )
    }
}

impl fmt::Display for SocketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SocketType::Push => "PUSH",
            SocketType::Pull => "PULL",
            SocketType::Pub => "PUB",
            SocketType::Sub => "SUB",
            SocketType::Req => "REQ",
            SocketType::Rep => "REP",
        })
    }
}

/// How many numbers a half-open range holds.
pub(crate) const fn span(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}
