//! Going through a run message by message, and telling the engine in batches how far that has come.

use std::ops::Range;
use std::sync::Arc;

use crate::credit::Amount;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::{RecordHead, cost_bytes};
use crate::time::Time;

use super::run::{Run, RunKey};

/// Messages that the engine has handed out, from its queue to one reader.
#[derive(Clone, Debug)]
pub struct Batch {
    pub(super) run: Arc<Run>,
    pub(super) indices: Range<u32>,
    /// Where the record of the first of them begins.
    pub(super) at: usize,
}

impl Batch {
    /// The run that they belong to.
    #[must_use]
    pub const fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// How many messages.
    #[must_use]
    pub const fn len(&self) -> usize {
        (self.indices.end - self.indices.start) as usize
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.indices.start >= self.indices.end
    }
}

/// One message of a batch; small, because there is one for each message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its index in the run.
    pub index: u32,
    /// Where its record begins, among the run's.
    pub at: u32,
    payload_bytes: u32,
    head_bytes: u16,
    /// Its shelf life is over: it is not for the application.
    pub expired: bool,
}

impl Item {
    /// Its payload, as a part of the run's records.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> Range<usize> {
        let at = self.at as usize + self.head_bytes as usize;
        at..at + self.payload_bytes as usize
    }
}

/// What was taken out of a batch since the last report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Consumed {
    pub(super) key: RunKey,
    pub(super) indices: Range<u32>,
    pub(super) amount: Amount,
    /// How many of them were not for the application, since their shelf lives were over.
    pub(super) expired: u64,
}

/// A reader's place in its batch.
#[derive(Debug)]
pub struct Cursor {
    batch: Batch,
    reported: u32,
    unreported_bytes: u64,
    expired: u64,
}

impl Cursor {
    /// At the start of a batch.
    #[must_use]
    pub const fn new(batch: Batch) -> Self {
        let reported = batch.indices.start;
        Self { batch, reported, unreported_bytes: 0, expired: 0 }
    }

    /// The next message. `now` is asked only for messages with a shelf life.
    #[inline]
    pub fn next(&mut self, now: impl FnOnce() -> Time) -> Option<Item> {
        if self.batch.is_empty() {
            return None;
        }
        let run = &self.batch.run;
        let head =
            RecordHead::read(run.records.get(self.batch.at..)?, MESSAGE_BYTES_MAX).ok()??;
        let end = self.batch.at + head.record_bytes();
        // The records of a run are those of one frame: far less than 4 GiB. And a head is shorter than 64 KiB.
        let item = Item {
            index: self.batch.indices.start,
            at: self.batch.at as u32,
            payload_bytes: head.payload_bytes as u32,
            head_bytes: head.head_bytes as u16,
            expired: head.expires.is_some_and(|expires| run.is_expired(expires, now())),
        };
        self.batch.indices.start += 1;
        self.batch.at = end;
        self.unreported_bytes += head.record_bytes() as u64;
        self.expired += u64::from(item.expired);
        Some(item)
    }

    /// How many messages are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.batch.len()
    }

    /// Messages taken that the engine has not been told of.
    #[must_use]
    pub const fn unreported(&self) -> u64 {
        (self.batch.indices.start - self.reported) as u64
    }

    /// Whether the batch is used up.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// What to tell the engine by [`super::PullEngine::handle_consumed`], if there is anything.
    pub fn report(&mut self) -> Option<Consumed> {
        let indices = self.reported..self.batch.indices.start;
        if indices.is_empty() {
            return None;
        }
        let messages = self.unreported();
        self.reported = indices.end;
        let record_bytes = std::mem::take(&mut self.unreported_bytes);
        Some(Consumed {
            key: self.batch.run.key,
            indices,
            amount: Amount::new(messages, cost_bytes(messages, record_bytes)),
            expired: std::mem::take(&mut self.expired),
        })
    }
}
