//! Published messages that arrived together, and the way through them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::credit::Amount;
use crate::ids::{Seq, Session};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::{RecordHead, Records, cost_bytes, crc, payload_at};
use crate::time::{Now, Time, WallTime};
use crate::wire::{Fingerprint, PublishRun};

/// Messages with consecutive numbers, shared by the engine and the applications that work on them.
#[derive(Debug)]
pub struct SubRun {
    session: Session,
    first: Seq,
    count: u32,
    records: Bytes,
    sent_at: WallTime,
    arrived: Time,
}

impl SubRun {
    pub(super) fn new(session: Session, run: PublishRun, arrived: Time) -> Self {
        let PublishRun { header, records } = run;
        let (first, count, sent_at) = (header.first_seq, header.count, header.sent_at);
        Self { session, first, count, records, sent_at, arrived }
    }

    /// The session that the numbers belong to.
    #[must_use]
    pub const fn session(&self) -> Session {
        self.session
    }

    /// The records of all its messages.
    #[must_use]
    pub const fn records(&self) -> &Bytes {
        &self.records
    }

    /// The number of the message at `index`.
    #[inline]
    #[must_use]
    pub const fn seq(&self, index: u32) -> Seq {
        self.first + index as u64
    }

    /// The topic, among the records, of the message whose record begins at `at`: a [`SubItem`] says where that is.
    #[must_use]
    pub fn topic(&self, at: u32) -> Range<usize> {
        let at = at as usize;
        let record = self.records.get(at..).unwrap_or_default();
        let head = RecordHead::read(record, MESSAGE_BYTES_MAX).ok().flatten();
        head.map_or(0..0, |head| at + head.topic().start..at + head.topic().end)
    }

    /// The payload, likewise.
    #[inline]
    #[must_use]
    pub fn payload(&self, at: u32) -> Range<usize> {
        payload_at(&self.records, at)
    }

    /// What its publisher's clock said as it arrived.
    pub(crate) const fn sent(&self) -> Now {
        Now { time: self.arrived, wall: self.sent_at }
    }

    pub(crate) fn seqs(&self) -> Range<Seq> {
        self.first..self.first + u64::from(self.count)
    }

    pub(super) fn cost(&self) -> Amount {
        let count = u64::from(self.count);
        Amount::new(count, cost_bytes(count, self.records.len() as u64))
    }

    /// What tells its last message from others of the same number.
    pub(super) fn last_fingerprint(&self) -> Option<Fingerprint> {
        let (at, head) = Records::new(&self.records).last()?;
        let part = |range: Range<usize>| self.records.get(at + range.start..at + range.end);
        let crc = crc(part(head.topic())?, part(head.payload())?);
        Some(Fingerprint { seq: self.seqs().end - 1, crc })
    }

    fn is_expired(&self, expires: WallTime, now: Time) -> bool {
        now.since(self.arrived) >= self.sent_at.until(expires)
    }
}

/// Messages of one run that were taken from the queue.
#[derive(Clone, Debug)]
pub struct SubBatch {
    pub(super) run: Arc<SubRun>,
    pub(super) index: u32,
    pub(super) end: u32,
    pub(super) at: usize,
}

impl SubBatch {
    /// How many messages there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        (self.end - self.index) as usize
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.index == self.end
    }

    /// The run that they belong to.
    #[must_use]
    pub const fn run(&self) -> &Arc<SubRun> {
        &self.run
    }

    /// Where the record after `count` more begins.
    pub(super) fn skip(&self, count: u32) -> usize {
        let rest = self.run.records.get(self.at..).unwrap_or_default();
        let last = count.checked_sub(1).and_then(|last| Records::new(rest).nth(last as usize));
        last.map_or(self.at, |(start, head)| self.at + start + head.record_bytes())
    }
}

/// One message: where it stands in the records of its run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubItem {
    /// Its index in the run.
    pub index: u32,
    /// Where its record begins, among the run's.
    pub at: u32,
    /// Its number.
    pub seq: Seq,
    /// Its topic.
    pub topic: Range<usize>,
    /// Its payload.
    pub payload: Range<usize>,
}

/// Goes through a batch, message by message.
#[derive(Debug)]
pub struct SubCursor {
    batch: SubBatch,
    reported: u32,
    unreported_bytes: u64,
    /// How many of those that are not reported were passed over.
    expired: u64,
    /// The number behind the last message that was given out; 0 if there was none.
    given_end: Seq,
}

/// What was taken of a batch: its room is free.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubConsumed {
    pub(super) session: Session,
    /// The number behind the last message that the application was given; 0 if it was given none.
    pub(super) end: Seq,
    pub(super) amount: Amount,
    /// How many messages it was not given, since their shelf life had ended.
    pub(super) expired: u64,
}

impl SubCursor {
    /// At the first message.
    #[must_use]
    pub const fn new(batch: SubBatch) -> Self {
        let reported = batch.index;
        Self { batch, reported, unreported_bytes: 0, expired: 0, given_end: 0 }
    }

    /// The run that the messages belong to.
    #[must_use]
    pub const fn run(&self) -> &Arc<SubRun> {
        &self.batch.run
    }

    /// The next message whose shelf life has not ended.
    #[inline]
    pub fn next(&mut self, now: impl Fn() -> Time) -> Option<SubItem> {
        while !self.batch.is_empty() {
            let run = &self.batch.run;
            let at = self.batch.at;
            // The decoder has checked every record; one that could not be read would end the batch.
            let rest = run.records.get(at..)?;
            let head = RecordHead::read(rest, MESSAGE_BYTES_MAX).ok().flatten()?;
            let index = self.batch.index;
            let seq = run.seq(index);
            let expired = head.expires.is_some_and(|expires| run.is_expired(expires, now()));
            self.batch.index += 1;
            self.batch.at += head.record_bytes();
            self.unreported_bytes += head.record_bytes() as u64;
            if expired {
                self.expired += 1;
            } else {
                self.given_end = seq + 1;
                let place = |range: Range<usize>| at + range.start..at + range.end;
                let (topic, payload) = (place(head.topic()), place(head.payload()));
                // The records of a run are those of one frame: far less than 4 GiB.
                return Some(SubItem { index, at: at as u32, seq, topic, payload });
            }
        }
        None
    }

    /// How many messages are left.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.batch.len()
    }

    /// Whether the batch is used up.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Messages that were given out or passed over and not reported.
    #[inline]
    #[must_use]
    pub const fn unreported(&self) -> u64 {
        (self.batch.index - self.reported) as u64
    }

    /// What to tell the engine by [`super::SubscribeEngine::handle_consumed`], if there is anything.
    pub fn report(&mut self) -> Option<SubConsumed> {
        let messages = self.unreported();
        if messages == 0 {
            return None;
        }
        self.reported = self.batch.index;
        let record_bytes = std::mem::take(&mut self.unreported_bytes);
        let run = &self.batch.run;
        Some(SubConsumed {
            session: run.session,
            end: self.given_end,
            amount: Amount::new(messages, cost_bytes(messages, record_bytes)),
            expired: std::mem::take(&mut self.expired),
        })
    }
}
