//! Control frames. Field order is wire order.

use std::fmt;
use std::ops::Range;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::ids::{Delivery, Lineage, PeerId, RequestId, Seq, Session, SocketType};
use crate::limits::{RANGES_MAX, TOPIC_BYTES_MAX};

use super::reason::Reason;

/// Any control frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Control {
    /// Who this is and what it can do; the first frame of each direction.
    Hello(Hello),
    /// Receiver to sender, after the handshake: what it still holds, and what it has confirmed.
    Attach(Attach),
    /// Receiver to sender: how far the sender may go.
    Grant(Grant),
    /// Sender to receiver: a lowered grant was seen.
    Echo(Echo),
    /// Sender to receiver: how much waits for credit.
    Demand(Demand),
    /// Receiver to sender: what became of messages.
    Settle(Settle),
    /// Receiver to sender: the application has taken these.
    Taken(Taken),
    /// Sender to receiver: give these back if the application has not taken them.
    Retract(Retract),
    /// Still here.
    Heartbeat(Heartbeat),
    /// This link ends, and why.
    Close(Close),
    /// Publisher to subscriber: what it has of a session.
    Ring(Ring),
    /// Subscriber to publisher: which topics it wants.
    Filter(Filter),
    /// Subscriber to publisher: from where, and how much.
    Request(Request),
    /// Subscriber to publisher: go on with a request.
    More(More),
    /// Subscriber to publisher: a request is over.
    End(End),
    /// Publisher to subscriber: nothing in between is for you.
    Skip(Skip),
    /// Receiver to sender: who stands behind it.
    Behind(Behind),
    /// Streamer to receiver: what follows is of this session.
    Origin(Origin),
    /// Router to router: which routers stand behind it.
    Hops(Hops),
    /// Receiver to sender: room for copies of messages that are not dispatched.
    Future(Future),
    /// Sender to receiver: copies that were placed are messages now.
    Take(Take),
    /// Sender to receiver: forget these copies.
    Recall(Recall),
    /// Receiver to sender: these copies found no room.
    Forgot(Forgot),
}

impl Hello {
    /// This side knows streamers: as a sender it takes [`Behind`], as a receiver it takes [`Origin`].
    pub const KNOWS_STREAMERS: u64 = 1;
    /// A sender that passes on messages of others: its session names itself, and each message's session is that of the
    /// last [`Origin`].
    pub const STREAMER: u64 = 1 << 1;
    /// A client that knows routers: a call may come back to it that a server may have begun with.
    pub const KNOWS_ROUTERS: u64 = 1 << 2;
    /// A router, which passes calls on. Its name is what stands as its session.
    pub const ROUTER: u64 = 1 << 3;
    /// As a sender it may place copies, as a receiver it has room for them ([`Future`]).
    pub const FUTURES: u64 = 1 << 4;
    /// A sender that has lost the messages of its session, but not its numbers: it wants back what the receiver has of them.
    pub const REBUILDS: u64 = 1 << 5;
}

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
    /// A sender that wants to know when messages are taken by the application ([`Taken`]).
    pub reports_taken: bool,
}

/// A run of numbers: `first`, and `count` in all. One that a peer says is never empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Span {
    /// The first number.
    pub first: u64,
    /// How many; at least one.
    pub count: u64,
}

impl Span {
    /// As a half-open range; `None` if it is empty or runs over the end of the numbers.
    #[must_use]
    pub fn range(self) -> Option<Range<u64>> {
        let end = self.first.checked_add(self.count)?;
        (self.count > 0).then_some(self.first..end)
    }
}

impl From<Range<u64>> for Span {
    fn from(range: Range<u64>) -> Self {
        Span { first: range.start, count: range.end.saturating_sub(range.start) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, count) = Deserialize::deserialize(deserializer)?;
        let span = Span { first, count };
        match span.range() {
            Some(_) => Ok(span),
            None => Err(serde::de::Error::custom("a span of no numbers, or of too many")),
        }
    }
}

/// Up to [`RANGES_MAX`] spans.
pub type Spans = Bounded<Span>;

/// A list that a peer cannot make long, nor make us reserve memory for, by what it says of its length.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Bounded<T>(Vec<T>);

impl<T> Bounded<T> {
    /// The items.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// How many items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Default for Bounded<T> {
    fn default() -> Self {
        Bounded(Vec::new())
    }
}

impl<T> FromIterator<T> for Bounded<T> {
    /// Keeps the first [`RANGES_MAX`]; those who write such lists cut them before.
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Bounded(items.into_iter().take(RANGES_MAX).collect())
    }
}

impl<T> IntoIterator for Bounded<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Bounded<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {RANGES_MAX} items")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    if items.len() == RANGES_MAX {
                        return Err(serde::de::Error::invalid_length(RANGES_MAX + 1, &self));
                    }
                    items.push(item);
                }
                Ok(items)
            }
        }

        deserializer.deserialize_seq(Items(std::marker::PhantomData)).map(Bounded)
    }
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

/// Absolute limits on this link: the sender may dispatch up to these totals since the link was attached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// Rises with each grant; an older one than the last seen is ignored.
    pub serial: u64,
    /// Messages since attach, those named in ATTACH not counted.
    pub messages: u64,
    /// Bytes since attach, by [`crate::message::cost_bytes`].
    pub bytes: u64,
    /// Other senders compete for the receiver's room: say how much waits ([`Demand`]).
    pub contended: bool,
    /// How many DEMANDs of this link are answered: one that was on its way when this was said is not.
    pub answered: u64,
}

/// A sender has seen a grant that was lower than one before, and says how far it had gone by then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Echo {
    /// The serial of the lowered grant.
    pub serial: u64,
    /// Messages dispatched so far.
    pub messages: u64,
    /// Bytes dispatched so far.
    pub bytes: u64,
}

/// How many messages wait at the sender without credit on this link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Demand {
    /// Messages that wait; 0 takes an earlier demand back.
    pub waiting: u64,
    /// It has receivers of worse levels to turn to, and wants a grant for an answer, also if there is no room.
    pub asks: bool,
}

/// What became of messages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settle {
    /// Each for a run of delivery numbers.
    pub settlements: Bounded<Settlement>,
}

/// What became of a run of messages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Settlement {
    /// Their delivery numbers.
    pub deliveries: Span,
    /// What became of them.
    pub outcome: Outcome,
}

/// What became of a message at its receiver.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// Done: the sender may forget it.
    Confirmed,
    /// A failed attempt, and why.
    Rejected(Reason),
    /// Given back untouched; not a failed attempt.
    Released,
    /// Given back, to be tried again after so many milliseconds; not a failed attempt.
    RetryIn(u64),
    /// Not settled yet: the application asks for so many more milliseconds.
    Extended(u64),
    /// Its shelf life ended before the application took it.
    Expired,
}

impl Outcome {
    /// Whether the receiver is done with the message, one way or another.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Outcome::Extended(_))
    }
}

/// The application has taken these messages from the receiver's queue: time to process runs from now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Taken {
    /// Delivery numbers.
    pub deliveries: Spans,
}

/// Give these back (as released) unless the application has taken them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Retract {
    /// Delivery numbers.
    pub deliveries: Spans,
}

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

/// What a publisher, or a proxy, can serve of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ring {
    /// The session, and which incarnation of its publisher this side has heard of last.
    pub lineage: Lineage,
    /// The lowest number that it can serve.
    pub oldest: Seq,
    /// The number after the highest that it can serve.
    pub head: Seq,
    /// Whether it is the publisher, or has a way to it.
    pub live: bool,
}

/// Prefixes of topics, by which a subscriber says what it wants.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Wanted from now on.
    pub add: Bounded<Prefix>,
    /// Not wanted any more.
    pub remove: Bounded<Prefix>,
}

/// The beginning of topics: at most [`TOPIC_BYTES_MAX`] bytes. The empty one is the beginning of all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Bounded<u8>", into = "Bounded<u8>")]
pub struct Prefix(Box<[u8]>);

/// A prefix, or a topic, has too many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixTooLong {
    /// How many it has.
    pub bytes: usize,
}

impl Prefix {
    /// This prefix.
    ///
    /// # Errors
    /// If it is longer than a topic can be.
    pub fn new(bytes: &[u8]) -> Result<Self, PrefixTooLong> {
        if bytes.len() > TOPIC_BYTES_MAX {
            return Err(PrefixTooLong { bytes: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Bounded<u8>> for Prefix {
    type Error = PrefixTooLong;

    fn try_from(bytes: Bounded<u8>) -> Result<Self, PrefixTooLong> {
        Self::new(&bytes.0)
    }
}

impl From<Prefix> for Bounded<u8> {
    fn from(prefix: Prefix) -> Self {
        Bounded(prefix.0.into())
    }
}

impl fmt::Display for PrefixTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a filter of {} bytes is longer than a topic can be, which is {TOPIC_BYTES_MAX}",
            self.bytes
        )
    }
}

impl std::error::Error for PrefixTooLong {}

/// A subscriber asks for a session from some number on. Its credit is counted from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// A name that this link has not had before.
    pub request: RequestId,
    /// Of what.
    pub session: Session,
    /// From where.
    pub start: StartAt,
    /// The newest message before that which the subscriber has had, to find out whether both mean the same one.
    pub last: Option<Fingerprint>,
    /// Messages that may be sent.
    pub messages: u64,
    /// Bytes that they may cost, by [`crate::message::cost_bytes`].
    pub bytes: u64,
}

/// Where a request begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StartAt {
    /// The lowest number that can be served.
    Oldest,
    /// The number that the next new message gets.
    Newest,
    /// This number.
    Next(Seq),
}

/// Tells two messages apart that have the same number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The number.
    pub seq: Seq,
    /// CRC-32 (IEEE) of topic and payload, one after the other.
    pub crc: u32,
}

/// How far a request may go, in all since it was made. Never less than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct More {
    /// Which.
    pub request: RequestId,
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
}

/// A request is over: what still comes of it is of no use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    /// Which.
    pub request: RequestId,
}

/// Who stands behind a receiver: a sender shares its messages out by how many they are.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Behind {
    /// Receivers that take messages by way of this link; 1 where this was never said.
    pub receivers: u32,
    /// The streamers on the way to them, by their peer ids: none may find itself here.
    pub streamers: Bounded<PeerId>,
}

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

/// What the messages that follow on a link are of, until the next of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// Their session.
    pub session: Session,
    /// Whether their sender wants to know when they are taken by the application ([`Taken`]).
    pub reports_taken: bool,
}

/// The routers by way of which a call may go on from a router, itself included.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Hops {
    /// Each once.
    pub routers: Bounded<Hop>,
}

/// A router behind another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hop {
    /// Its name.
    pub router: PeerId,
    /// How many routers a call passes before it at the least, the one that says so included; 0 for that itself.
    pub distance: u32,
}

/// Of the numbers from `from` to `next` the subscriber wants none; what it expected below `from` is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Skip {
    /// The request that this answers.
    pub request: RequestId,
    /// The first of them.
    pub from: Seq,
    /// The number after them: where the request has come to.
    pub next: Seq,
}
