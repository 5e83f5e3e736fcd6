//! The beginning of a link: who both are, and what the receiver has already.

use serde::{Deserialize, Serialize};

use crate::ids::{PeerId, Session, SocketType};

use super::span::Spans;

/// Who this is and what it can do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The type of the socket.
    pub socket_type: SocketType,
    /// One life of the socket; the same over all its links and reconnects.
    pub peer: PeerId,
    /// The session of what a sending socket sends, or the name of a router; none from all others.
    pub session: Option<Session>,
    /// Features beyond the version's, such as [`Hello::KNOWS_STREAMERS`]; unknown bits are ignored.
    pub features: u64,
    /// The largest payload that this side takes, in bytes.
    pub message_bytes_max: u64,
    /// This side sends something at least this often, in milliseconds; 0: it sends no heartbeats.
    pub heartbeat_ms: u32,
    /// A sender that wants to know when messages are taken by the application ([`Taken`](super::Taken)).
    pub reports_taken: bool,
}

impl Hello {
    /// This side knows streamers: as a sender it takes [`Behind`](super::Behind), as a receiver it takes
    /// [`Origin`](super::Origin).
    pub const KNOWS_STREAMERS: u64 = 1;
    /// A sender that passes on messages of others: its session names itself, and each message's session is that of the
    /// last [`Origin`](super::Origin).
    pub const STREAMER: u64 = 1 << 1;
    /// A client that knows routers: a call may come back to it that a server may have begun with.
    pub const KNOWS_ROUTERS: u64 = 1 << 2;
    /// A router, which passes calls on. Its name is what stands as its session.
    pub const ROUTER: u64 = 1 << 3;
    /// As a sender it may place copies, as a receiver it has room for them ([`Future`](super::Future)).
    pub const FUTURES: u64 = 1 << 4;
    /// A sender that has lost the messages of its session, but not its numbers: it wants back what the receiver has of them.
    pub const REBUILDS: u64 = 1 << 5;
    /// A client or a server that knows what a record means which leaves the name of its call out
    /// ([`Naming`](crate::message::Naming)).
    pub const KNOWS_NAMING: u64 = 1 << 6;
}

/// What a receiver still holds of the sender's session, and what it has confirmed.
///
/// The held messages get the link's first delivery numbers, in the order of the spans, from 0. A receiver that
/// holds more than one frame can say sends several and marks all but the last with `more`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attach {
    /// The session that the numbers belong to.
    pub session: Session,
    /// Messages that it holds and has not settled.
    pub held: Spans,
    /// Of those, what the application has already taken.
    pub taken: Spans,
    /// Messages that it has confirmed and of which the sender may not have heard.
    pub confirmed: Spans,
    /// Another ATTACH follows.
    pub more: bool,
}
