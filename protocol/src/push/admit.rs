//! Taking messages in.

use std::fmt;

use bytes::Bytes;

use crate::ids::Seq;
use crate::limits::{EXPIRIES_SPARE, TOPIC_BYTES_MAX};
use crate::message::{Attributes, Message, Records};
use crate::time::{Now, WallTime};

use super::PushEngine;

/// A message that was not taken in, and why.
#[derive(Debug)]
pub struct Refused<'a> {
    /// The message, as it came.
    pub message: Message<'a>,
    /// Why.
    pub why: Refusal,
}

/// Why a message is not taken in. Nothing of it was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The queue is full; there will be room once a message leaves it.
    Full,
    /// The payload is over the limit.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The socket is being closed.
    Closed,
    /// The store has failed; this is its last error.
    StoreFailed(String),
    /// The topic is over the limit of [`crate::limits::TOPIC_BYTES_MAX`].
    TopicTooLong {
        /// Its length.
        bytes: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Full => f.write_str("the queue is full"),
            Refusal::TooLong { bytes, bytes_max } => {
                write!(f, "the message has {bytes} bytes, the limit is {bytes_max}")
            }
            Refusal::Closed => f.write_str("the socket is closed"),
            Refusal::StoreFailed(reason) => write!(f, "the store has failed: {reason}"),
            Refusal::TopicTooLong { bytes } => {
                write!(f, "the topic has {bytes} bytes, the limit is {TOPIC_BYTES_MAX}")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl PushEngine {
    /// How many more messages would be taken in now. Room on links counts: what has credit does not wait.
    #[must_use]
    pub fn room(&self) -> u64 {
        if self.chunks.bytes() >= self.config.retained_bytes {
            return 0;
        }
        self.waiting_max().saturating_sub(self.waiting())
    }

    #[inline]
    fn has_room(&self) -> bool {
        let waiting = self.waiting();
        self.chunks.bytes() < self.config.retained_bytes
            && (waiting < self.config.queue_messages || waiting < self.waiting_max())
    }

    #[inline]
    fn waiting_max(&self) -> u64 {
        self.config.queue_messages.saturating_add(self.usable_credit())
    }

    /// How many messages the credit there is would take. Receivers grant messages and bytes: how far the bytes go is
    /// reckoned by what is here, and while nothing waits the next message is tried.
    #[inline]
    fn usable_credit(&self) -> u64 {
        let left = self.config.pending_messages.saturating_sub(self.pending);
        let by_bytes = self.chunks.within_cost(self.spare_bytes);
        let least = u64::from(self.waiting() == 0);
        self.spare.min(left).min(by_bytes.max(least))
    }

    /// Takes a message in and gives it its number. `clock` is asked only if a moment is needed: for a shelf life, or
    /// for the first message of a chunk.
    ///
    /// # Errors
    /// Gives the message back, with the reason; nothing has changed then.
    #[inline]
    pub fn try_send<'a>(
        &mut self,
        message: Message<'a>,
        clock: impl Fn() -> Now,
    ) -> Result<Seq, Refused<'a>> {
        if let Err(why) = self.admit(message.payload().len()) {
            self.note_refusal(&why);
            return Err(Refused { message, why });
        }
        if std::mem::take(&mut self.refused) {
            // Those who asked for credit for it may have no use for that now.
            self.wakes.extend(self.links.keys());
        }
        let seq = self.chunks.next_seq();
        let ttl = message.ttl().or(self.config.ttl);
        let expires = ttl.map(|ttl| clock().wall + ttl);
        if let Some(expires) = expires {
            self.note_expiry(expires, seq);
        }
        let attributes = Attributes { expires, ..Attributes::default() };
        if !self.chunks.fits(&attributes, message.payload().len()) {
            self.seal();
        }
        let sealed = self.chunks.append(message, &attributes, || clock().time);
        self.counters.taken_in += 1;
        if self.journal.is_none() {
            self.note_progress(seq..seq + 1);
        }
        if let Some(seqs) = sealed {
            self.enqueue_sealed(seqs);
        }
        if self.wants_hands() {
            self.wake_idle();
        }
        self.wake_to_place();
        Ok(seq)
    }

    #[inline]
    fn admit(&self, bytes: usize) -> Result<(), Refusal> {
        let bytes_max = self.config.link.message_bytes_max;
        if bytes > bytes_max {
            return Err(Refusal::TooLong { bytes, bytes_max });
        }
        if self.closed {
            return Err(Refusal::Closed);
        }
        if let Some(reason) = self.store_failure() {
            return Err(Refusal::StoreFailed(reason.to_owned()));
        }
        if self.has_room() { Ok(()) } else { Err(Refusal::Full) }
    }

    /// Without a queue nothing ever waits here, and yet receivers must hear that somebody wants their credit.
    fn note_refusal(&mut self, why: &Refusal) {
        if *why == Refusal::Full && self.config.queue_messages == 0 && !self.refused {
            self.refused = true;
            self.wakes.extend(self.links.keys());
        }
    }

    /// Closes the open chunk, so that what is in it can be dispatched or stored.
    pub(super) fn seal(&mut self) {
        if let Some(seqs) = self.chunks.seal() {
            self.enqueue_sealed(seqs);
        }
    }

    fn enqueue_sealed(&mut self, seqs: std::ops::Range<Seq>) {
        if let Some(journal) = &mut self.journal {
            journal.sealed(seqs.start);
        }
        // A message that expired while the chunk was open is done already.
        if self.done.within(seqs.clone()).next().is_none() {
            self.enqueue(seqs);
        } else {
            self.done.missing(seqs).into_iter().for_each(|part| self.enqueue(part));
        }
    }

    /// Messages wait for credit, from now on or again.
    #[inline]
    pub(super) fn enqueue(&mut self, seqs: std::ops::Range<Seq>) {
        self.placed.note_without_copy(seqs.start);
        self.queued.insert(seqs);
    }

    /// Notes when messages that came from a store expire.
    pub(super) fn note_expiries(&mut self, first: Seq, records: &Bytes) {
        for (seq, (_, head)) in (first..).zip(Records::new(records)) {
            if let Some(expires) = head.expires
                && !self.done.contains(seq)
            {
                self.expiring.insert((expires, seq));
            }
        }
    }

    /// Notes when a message expires. Those that are done before are forgotten in bulk, so that the notes never outnumber
    /// the messages by much.
    fn note_expiry(&mut self, expires: WallTime, seq: Seq) {
        self.expiring.insert((expires, seq));
        if self.expiring.len() as u64 > EXPIRIES_SPARE + 2 * (self.waiting() + self.pending) {
            let done = &self.done;
            self.expiring.retain(|(_, seq)| !done.contains(*seq));
        }
    }

    /// Sends a dead letter again, as a new message with a new number, no attempts, and the shelf life that this socket gives.
    /// `None` if there is no such letter.
    ///
    /// # Errors
    /// If there is no room in the queue, the letter stays.
    pub fn replay_dead(
        &mut self,
        seq: Seq,
        clock: impl Fn() -> Now,
    ) -> Option<Result<Seq, Refusal>> {
        let message = self.dead.get(seq)?.to_message()?;
        // One try: nobody waits for credit if it fails.
        if let Err(why) = self.admit(message.payload().len()) {
            return Some(Err(why));
        }
        Some(match self.try_send(message, clock) {
            Ok(new) => {
                self.dead.remove(seq);
                if let Some(journal) = &mut self.journal {
                    journal.replay(seq, new);
                }
                Ok(new)
            }
            Err(refused) => Err(refused.why),
        })
    }

    /// Forgets a dead letter. False if there is no such letter.
    pub fn purge_dead(&mut self, seq: Seq) -> bool {
        let purged = self.dead.remove(seq);
        if purged && let Some(journal) = &mut self.journal {
            journal.forget_dead(seq);
        }
        purged
    }
}
