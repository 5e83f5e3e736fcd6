//! Messages in the application's hands.

use std::future::{Ready, ready};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use drawdown_protocol::message::crc;
use drawdown_protocol::wire::Fingerprint;
use drawdown_protocol::{Gap, NewSession, Seq, Session, SubItem, SubRun};

use crate::error::Closed;
use crate::socket::place::Place;

use super::shared::SubShared;

/// What a SUB socket gives, in the order in which it is to be known.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message(Publication),
    /// Numbers that are gone for good: they were let go of before this subscriber had them. Its position moves over them once
    /// it takes what comes next; if it ends before that, it hears of them again.
    Gap(Gap),
    /// What follows is of a session that this subscriber has not had before.
    NewSession(NewSession),
}

/// The run that messages came in, and the socket that they came from: one for many messages.
pub(super) struct Source {
    pub(super) run: Arc<SubRun>,
    pub(super) shared: Arc<SubShared>,
}

/// A published message.
///
/// [`ack`](Self::ack) moves the subscriber's position; one that is dropped without it is not lost to this socket, but is
/// received again when another one goes on from the position.
pub struct Publication {
    source: Arc<Source>,
    place: Place,
}

impl Publication {
    #[inline]
    pub(super) fn new(source: Arc<Source>, item: &SubItem) -> Self {
        Self { source, place: Place::new(item.index, item.at) }
    }

    /// The topic; empty if it was published without one.
    #[inline]
    #[must_use]
    pub fn topic(&self) -> &[u8] {
        self.bytes(self.source.run.topic(self.place.at()))
    }

    /// The payload.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.bytes(self.source.run.payload(self.place.at()))
    }

    /// The payload as shared bytes: no copy, but it keeps the buffer alive that it was read into.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.source.run.records().slice(self.source.run.payload(self.place.at()))
    }

    /// The message's number in its publisher's session.
    #[inline]
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.source.run.seq(self.place.index())
    }

    /// Its publisher's session.
    #[inline]
    #[must_use]
    pub fn session(&self) -> Session {
        self.source.run.session()
    }

    /// Done: with this message, and with all before it in its session. It moves the position that
    /// [`SubSocket::position`](super::SubSocket::position) gives and that a
    /// [cursor](super::SubBuilder::cursor) keeps. It takes effect at the call and does not wait for the disk; awaiting it
    /// gives the answer.
    ///
    /// # Errors
    /// If the socket is closed, or was dropped: no position moves any more.
    #[inline]
    pub fn ack(self) -> Ready<Result<(), Closed>> {
        let source = Arc::clone(&self.source);
        ready(source.shared.note(self))
    }

    /// What tells this message from others of the same number.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint { seq: self.seq(), crc: crc(self.topic(), self.payload()) }
    }

    #[inline]
    fn bytes(&self, place: Range<usize>) -> &[u8] {
        // The cursor found the record whole when it made the item.
        self.source.run.records().get(place).unwrap_or_default()
    }
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publication")
            .field("seq", &self.seq())
            .field("bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}
