//! A run of messages with consecutive numbers, in the one encoding that wire, memory and disk share.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::ids::Seq;
use crate::limits::{CHUNK_BYTES, MESSAGE_BYTES_MAX};
use crate::message::{RecordHead, Records, cost_bytes, skip};
use crate::time::Time;

/// How far a chunk has come on its way to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kept {
    /// In memory only.
    No,
    /// Part of the commit that is under way.
    Writing,
    /// On disk.
    Yes,
}

/// Sealed: its bytes never change.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) seqs: Range<Seq>,
    /// The records; if there is a `tail`, the last of them without its payload.
    body: Bytes,
    /// The payload of the last record, when it was too large to copy.
    tail: Option<Bytes>,
    /// Messages that are not done.
    pub(crate) live: u64,
    /// When the first of its messages was sent.
    pub(crate) born: Time,
    pub(crate) kept: Kept,
}

/// Some consecutive messages of a chunk.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) seqs: Range<Seq>,
    pub(crate) body: Bytes,
    pub(crate) tail: Option<Bytes>,
}

impl Slice {
    pub(crate) fn record_bytes(&self) -> usize {
        self.body.len() + self.tail.as_ref().map_or(0, Bytes::len)
    }

    /// The records in one piece.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self.tail {
            None => self.body,
            Some(tail) => [self.body, tail].concat().into(),
        }
    }
}

/// Where in a chunk the last slice ended, so that the next one need not be searched for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    pub(crate) seq: Seq,
    pub(crate) at: usize,
}

impl Chunk {
    pub(crate) fn new(seqs: Range<Seq>, body: Bytes, tail: Option<Bytes>, born: Time) -> Self {
        let live = seqs.end - seqs.start;
        Self { seqs, body, tail, live, born, kept: Kept::No }
    }

    pub(crate) fn record_bytes(&self) -> usize {
        self.body.len() + self.tail.as_ref().map_or(0, Bytes::len)
    }

    /// Its buffer, empty, if nobody else reads it any more and it is of the full size.
    pub(super) fn into_buffer(self) -> Option<BytesMut> {
        let mut buffer = self.body.try_into_mut().ok()?;
        buffer.clear();
        (buffer.capacity() >= CHUNK_BYTES).then_some(buffer)
    }

    /// The bytes as they go to disk.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Bytes> + '_ {
        std::iter::once(self.body.clone()).chain(self.tail.clone())
    }

    /// The messages of `seqs` from its start on, as many as cost no more than `cost_max` bytes together. `None` if not
    /// even the first fits. `mark` may say where the first one stands, and says afterwards where the next one does.
    pub(crate) fn slice(&self, seqs: Range<Seq>, cost_max: u64, mark: &mut Mark) -> Option<Slice> {
        let whole = seqs == self.seqs;
        if whole
            && cost_bytes(self.seqs.end - self.seqs.start, self.record_bytes() as u64) <= cost_max
        {
            return Some(Slice { seqs, body: self.body.clone(), tail: self.tail.clone() });
        }
        let start = self.find(seqs.start, *mark);
        let mut at = start;
        let mut next = seqs.start;
        let mut cost = 0;
        let mut tail = None;
        while next < seqs.end {
            let last = next + 1 == self.seqs.end;
            let Some((end, record_bytes)) = self.record_at(at, last) else {
                break;
            };
            cost += cost_bytes(1, record_bytes as u64);
            if cost > cost_max {
                break;
            }
            at = end;
            next += 1;
            if last {
                tail.clone_from(&self.tail);
            }
        }
        *mark = Mark { seq: next, at };
        (next > seqs.start).then(|| Slice {
            seqs: seqs.start..next,
            body: self.body.slice(start..at.min(self.body.len())),
            tail,
        })
    }

    /// The record of `seq`: where it begins in the body, and its head. `mark` may say where it stands, and says so
    /// afterwards.
    pub(crate) fn record(&self, seq: Seq, mark: &mut Mark) -> Option<(usize, RecordHead)> {
        let at = self.find(seq, *mark);
        *mark = Mark { seq, at };
        let head = RecordHead::read(self.body.get(at..)?, MESSAGE_BYTES_MAX).ok().flatten()?;
        Some((at, head))
    }

    /// The topic of a record that [`Chunk::record`] has found.
    pub(crate) fn topic(&self, at: usize, head: &RecordHead) -> &[u8] {
        let topic = head.topic();
        self.body.get(at + topic.start..at + topic.end).unwrap_or_default()
    }

    /// The payload of such a record.
    pub(crate) fn payload(&self, at: usize, head: &RecordHead) -> &[u8] {
        let payload = head.payload();
        let copied = self.body.get(at + payload.start..at + payload.end);
        copied.or(self.tail.as_deref()).unwrap_or_default()
    }

    /// Where the record of `seq` begins in the body.
    fn find(&self, seq: Seq, mark: Mark) -> usize {
        // A mark on the first message may be the end of the chunk before.
        let (from, at) = if self.seqs.start < mark.seq && mark.seq <= seq {
            (mark.seq, mark.at)
        } else {
            (self.seqs.start, 0)
        };
        skip(&self.body, at, seq - from)
    }

    /// Where in the body the record at `at` ends, and how long it is with its payload.
    fn record_at(&self, at: usize, last: bool) -> Option<(usize, usize)> {
        if last {
            let record_bytes = self.record_bytes() - at;
            return Some((self.body.len(), record_bytes));
        }
        let (_, head) = Records::new(self.body.get(at..)?).next()?;
        Some((at + head.record_bytes(), head.record_bytes()))
    }
}
