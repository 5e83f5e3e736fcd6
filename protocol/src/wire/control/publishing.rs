//! What a publisher has, and what a subscriber asks of it.

use serde::{Deserialize, Serialize};

use crate::ids::{Lineage, RequestId, Seq, Session};

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

impl Ring {
    /// What is said of a session that this side has let go of. No publisher has the epoch 0.
    pub(crate) const fn forgotten(session: Session) -> Self {
        let lineage = Lineage { session, epoch: 0, since: 0 };
        Self { lineage, oldest: 0, head: 0, live: false }
    }

    /// Whether whoever says this has let go of the session.
    #[must_use]
    pub fn is_forgotten(&self) -> bool {
        *self == Self::forgotten(self.lineage.session)
    }
}

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
