//! What an engine asks of a store, and what a store gives back when it is opened again.
//!
//! A store is anything that can do [`Commit`]s in order and, after any crash, give back a [`Recovered`] that holds
//! every commit which was answered. The engine decides what is written and when; the store only obeys.

use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::ids::{Lineage, Seq, Session};
use crate::limits::{STORE_SLOW, WRITE_BEHIND};
use crate::message::{Attributes, Message, Records, write_head};
use crate::time::Time;

/// How soon a store has something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreNeed {
    /// Nothing.
    Nothing,
    /// When a message has passed the age gate, which begins at [`crate::limits::AGE_GATE`], or what may be written or synced
    /// behind has waited for [`crate::limits::WRITE_BEHIND`] or [`crate::limits::SYNC_BEHIND`].
    Soon,
    /// At once.
    Now,
}

/// One batch of work for the store: all of it, in this order, then (if `sync`) everything made durable before it is
/// answered.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// What to write and remove.
    pub ops: Vec<StoreOp>,
    /// Whether the answer must wait until all of it is durable. Without it the store may write behind: what is lost
    /// then costs a redelivery, never a message.
    pub sync: bool,
}

/// One change to a store.
#[derive(Clone, Debug)]
pub enum StoreOp {
    /// Before any of the numbers up to `end` is used: note that they may have been. The note is the store's proof
    /// that it held data, kept apart from the data itself. What stands before the first one of a session is durable
    /// before it is.
    Reserve {
        /// The session that the numbers belong to.
        session: Session,
        /// No number below this is ever handed out again after a crash.
        end: Seq,
    },
    /// Keep these messages. `parts` together are the records of `seqs`, in the encoding of
    /// [`crate::message`].
    PutBlock {
        /// The numbers of the messages, without holes.
        seqs: Range<Seq>,
        /// Their records; to be written one after the other.
        parts: Vec<Bytes>,
    },
    /// Of the block that starts at `block`, these numbers are done (the whole list, not only what is new).
    PutDone {
        /// The first number of a block that was put before.
        block: Seq,
        /// Which of its messages are done.
        done: Vec<Range<Seq>>,
    },
    /// All messages of the block that starts here are done: forget it, and what was noted as done in it.
    RemoveBlock {
        /// The first number of a block that was put before.
        block: Seq,
    },
    /// A message has failed so many times.
    PutAttempts {
        /// Which message.
        seq: Seq,
        /// How often it failed, and why the last time.
        attempts: Attempts,
    },
    /// The message is done; its attempts are of no more interest.
    RemoveAttempts {
        /// Which message.
        seq: Seq,
    },
    /// Keep this message among the dead letters.
    PutDead {
        /// Its number.
        seq: Seq,
        /// How often it failed, and why the last time.
        attempts: Attempts,
        /// Its record.
        record: Bytes,
    },
    /// The dead letter was replayed or purged.
    RemoveDead {
        /// Its number.
        seq: Seq,
    },
    /// Which incarnation of a publisher the blocks that follow belong to. Of several the last counts.
    PutLineage {
        /// The incarnation.
        lineage: Lineage,
    },
    /// How far the clock of the blocks' publisher is ahead of this side's, in milliseconds; negative if it is behind. Of
    /// several the last counts.
    PutClock {
        /// The difference.
        ahead: i64,
    },
}

/// How often a message failed, and why the last time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Failed attempts so far.
    pub failed: u32,
    /// The reason of the last one, at most [`crate::limits::REASON_BYTES_MAX`] bytes.
    pub reason: String,
}

/// All that a store holds when it is opened.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The session that was reserved last.
    pub session: Session,
    /// The first number that may be handed out.
    pub next_seq: Seq,
    /// The blocks, by rising number; they do not overlap.
    pub blocks: Vec<RecoveredBlock>,
    /// Messages that failed and are not done, by rising number.
    pub attempts: Vec<(Seq, Attempts)>,
    /// The dead letters, by rising number.
    pub dead: Vec<DeadLetter>,
    /// The last incarnation of a publisher that was noted.
    pub lineage: Option<Lineage>,
    /// How far its clock was ahead of this side's, in milliseconds, if that was noted last.
    pub clock_ahead: Option<i64>,
    /// The last of what a publisher has put may be missing although it was answered: its store was not synced, and the
    /// system went down.
    pub cut_off: bool,
}

impl Recovered {
    /// The length of the largest payload of all messages that are not done; 0 if there are none. Dead letters do not count:
    /// one that is replayed is checked like any message that is sent.
    #[must_use]
    pub fn payload_bytes_max(&self) -> usize {
        self.blocks.iter().map(RecoveredBlock::payload_bytes_max).max().unwrap_or(0)
    }
}

/// Messages that a store kept.
#[derive(Clone, Debug)]
pub struct RecoveredBlock {
    /// Their numbers, without holes.
    pub seqs: Range<Seq>,
    /// Which of them are done, in rising order.
    pub done: Vec<Range<Seq>>,
    /// Their records, one after the other.
    pub records: Bytes,
}

impl RecoveredBlock {
    fn payload_bytes_max(&self) -> usize {
        let is_done = |seq: Seq| self.done.iter().any(|done| done.contains(&seq));
        let records = self.seqs.clone().zip(Records::new(&self.records));
        let bytes = records.map(|(seq, (_, head))| (seq, head.payload().len()));
        // Most are small, and need not be looked for among those that are done.
        bytes.fold(0, |max, (seq, bytes)| if bytes > max && !is_done(seq) { bytes } else { max })
    }
}

/// A message that failed too often, or that nobody could take.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadLetter {
    /// Its number.
    pub seq: Seq,
    /// How often it failed, and why the last time.
    pub attempts: Attempts,
    /// Its record.
    pub record: Bytes,
}

impl DeadLetter {
    /// The message that is sent when it is replayed: its payload and nothing else. Its attempts, and when it was to expire,
    /// belong to the life that is over. `None` if its record is malformed.
    #[must_use]
    pub fn to_message(&self) -> Option<Message<'static>> {
        let (_, head) = Records::new(&self.record).next()?;
        Some(Message::from(self.record.slice(head.payload())))
    }

    /// The same message as a record.
    #[must_use]
    pub fn to_record(&self) -> Option<Bytes> {
        let message = self.to_message()?;
        let mut record = BytesMut::with_capacity(self.record.len());
        write_head(&mut record, message.payload().len(), &Attributes::default());
        record.put_slice(message.payload());
        Some(record.freeze())
    }
}

/// Looks after a commit that was asked for: a store that takes long is reported, once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CommitWatch {
    since: Time,
    told: bool,
}

impl CommitWatch {
    /// It was asked for now.
    pub(crate) const fn begin(now: Time) -> Self {
        Self { since: now, told: false }
    }

    /// When there will be something to report, if it was not.
    pub(crate) fn slow_at(&self) -> Option<Time> {
        (!self.told).then(|| self.since + STORE_SLOW)
    }

    /// What there is to report.
    pub(crate) fn poll_slow(&mut self, now: Time) -> Option<Event> {
        self.slow_at().filter(|at| *at <= now)?;
        self.told = true;
        Some(Event::StoreSlow { waited: now.since(self.since) })
    }
}

/// When what may be written behind is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteBehind {
    last: Time,
    /// Nothing waits for its time any more.
    hurries: bool,
}

impl WriteBehind {
    /// Whether it is to be written now.
    pub(crate) fn is_due(self, now: Time) -> bool {
        self.due() <= now
    }

    /// When it is.
    pub(crate) fn due(self) -> Time {
        self.end_of(self.last, WRITE_BEHIND)
    }

    /// Something was written.
    pub(crate) const fn note_written(&mut self, now: Time) {
        self.last = now;
    }

    /// When something has waited for so long.
    pub(crate) fn end_of(self, since: Time, wait: Duration) -> Time {
        if self.hurries { Time::ZERO } else { since + wait }
    }

    /// Nothing waits for its time from now on.
    pub(crate) const fn hurry(&mut self) {
        self.hurries = true;
    }

    pub(crate) const fn hurries(self) -> bool {
        self.hurries
    }
}

/// Gives an engine the methods by which it looks after its commits. It needs the fields `events` and `journal`, which has a
/// `behind`, and whose `writing` has a `watch` while a commit is asked for.
macro_rules! store_times {
    ($engine:ident) => {
        impl $engine {
            /// Whatever is not written waits no longer, neither for its age nor for more to go with it: the socket closes.
            pub fn hurry_store(&mut self) {
                if let Some(journal) = &mut self.journal {
                    journal.behind.hurry();
                }
            }

            /// When a store that has not answered is to be reported.
            pub(super) fn store_slow_at(&self) -> Option<$crate::Time> {
                self.journal.as_ref()?.writing.as_ref()?.watch.slow_at()
            }

            /// Reports a store that has not answered, once for each commit.
            pub(super) fn tell_slow_store(&mut self, now: $crate::Time) {
                let writing = self.journal.as_mut().and_then(|journal| journal.writing.as_mut());
                if let Some(event) = writing.and_then(|writing| writing.watch.poll_slow(now)) {
                    self.events.push(event);
                }
            }
        }
    };
}
pub(crate) use store_times;
