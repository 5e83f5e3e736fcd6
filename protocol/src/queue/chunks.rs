//! All chunks of one session, the open one at their end.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::ids::{Seq, span};
use crate::limits::{BY_REFERENCE_BYTES, CHUNK_BYTES};
use crate::message::{self, Attributes, Message};
use crate::time::Time;

use super::chunk::{Chunk, Mark, Slice};

/// The messages that are not done, in their encoding.
#[derive(Debug)]
pub(crate) struct Chunks {
    sealed: BTreeMap<Seq, Chunk>,
    open: Open,
    /// All records held, done ones in a live chunk included, and their bytes.
    messages: u64,
    bytes: u64,
    mark: Mark,
    /// Buffers of chunks that are done, for new ones: fresh memory costs more than what is written into it.
    spare: Vec<BytesMut>,
}

const SPARE_BUFFERS_MAX: usize = 32;

/// A chunk of less is copied when it is closed. It would keep its whole buffer otherwise, for as long as one message of it
/// stays: many times what it counts as.
const SMALL_BYTES: usize = CHUNK_BYTES / 8;

/// What a message takes of a buffer: its head, and its payload unless that is only referred to.
#[inline]
const fn copied_bytes(attributes: &Attributes<'_>, payload_bytes: usize) -> usize {
    let head_bytes = attributes.head_bytes();
    if payload_bytes < BY_REFERENCE_BYTES { head_bytes + payload_bytes } else { head_bytes }
}

/// The chunk that grows.
#[derive(Debug)]
struct Open {
    first: Seq,
    next: Seq,
    records: BytesMut,
    born: Time,
}

impl Open {
    /// Bytes that its buffer still has room for.
    fn left(&self) -> usize {
        self.records.capacity() - self.records.len()
    }
}

impl Chunks {
    pub(crate) fn new(next_seq: Seq) -> Self {
        let open =
            Open { first: next_seq, next: next_seq, records: BytesMut::new(), born: Time::ZERO };
        Self {
            sealed: BTreeMap::new(),
            open,
            messages: 0,
            bytes: 0,
            mark: Mark::default(),
            spare: Vec::new(),
        }
    }

    /// The number of the next message.
    pub(crate) const fn next_seq(&self) -> Seq {
        self.open.next
    }

    /// Messages in the open chunk.
    pub(crate) const fn open_len(&self) -> u64 {
        self.open.next - self.open.first
    }

    /// When the open chunk's first message was sent; `None` if there is none.
    pub(crate) fn open_born(&self) -> Option<Time> {
        (self.open_len() > 0).then_some(self.open.born)
    }

    /// Bytes of all records held.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many messages so much byte credit is enough for, if they cost what those held do in the mean.
    #[inline]
    pub(crate) fn within_cost(&self, credit: u64) -> u64 {
        let cost = message::cost_bytes(self.messages, self.bytes);
        match credit >= cost {
            true => u64::MAX,
            // A part of the messages held, which are fewer than fit memory.
            false => (u128::from(self.messages) * u128::from(credit) / u128::from(cost)) as u64,
        }
    }

    /// Whether the open chunk has room for another message; if not, it has to be sealed first.
    #[inline]
    pub(crate) fn fits(&self, attributes: &Attributes<'_>, payload_bytes: usize) -> bool {
        self.open_len() == 0 || self.open.left() >= copied_bytes(attributes, payload_bytes)
    }

    /// Appends a message to the open chunk, which [fits](Self::fits) it. Gives the numbers of the chunk if a payload that
    /// is not copied has ended it. `clock` is asked only when a chunk opens.
    #[inline]
    pub(crate) fn append(
        &mut self,
        message: Message<'_>,
        attributes: &Attributes<'_>,
        clock: impl FnOnce() -> Time,
    ) -> Option<Range<Seq>> {
        let payload_bytes = message.payload().len();
        if self.open_len() == 0 {
            self.open(clock(), copied_bytes(attributes, payload_bytes));
        }
        let before = self.open.records.len();
        message::write_head(&mut self.open.records, payload_bytes, attributes);
        self.open.next += 1;
        self.messages += 1;
        if payload_bytes >= BY_REFERENCE_BYTES {
            self.bytes += (self.open.records.len() - before + payload_bytes) as u64;
            return self.seal_with(Some(message.into_bytes()));
        }
        self.open.records.put_slice(message.payload());
        self.bytes += (self.open.records.len() - before) as u64;
        None
    }

    /// Begins a chunk that will hold so many bytes at least.
    fn open(&mut self, born: Time, bytes: usize) {
        self.open.born = born;
        if self.open.left() < bytes {
            let spare = self.spare.pop().filter(|buffer| buffer.capacity() >= bytes);
            self.open.records =
                spare.unwrap_or_else(|| BytesMut::with_capacity(CHUNK_BYTES.max(bytes)));
        }
    }

    /// Whether the open chunk has room for a record as it is; if not, it has to be sealed first.
    pub(crate) fn fits_record(&self, record_bytes: usize) -> bool {
        self.open_len() == 0 || self.open.left() >= record_bytes
    }

    /// Appends records as they are, `count` of them, numbered on; the open chunk [has room](Self::fits_record) for them.
    pub(crate) fn append_records(&mut self, records: &[u8], count: u64, born: Time) {
        if self.open_len() == 0 {
            self.open(born, records.len());
        }
        self.open.records.put_slice(records);
        self.open.next += count;
        self.messages += count;
        self.bytes += records.len() as u64;
    }

    /// Goes on with another number, which is above all others; nothing is in the open chunk.
    pub(crate) fn jump(&mut self, next: Seq) {
        debug_assert!(self.open_len() == 0 && next >= self.open.next, "a jump to {next}");
        self.open.first = next;
        self.open.next = next;
    }

    /// Closes the open chunk, if there is anything in it; gives its numbers.
    pub(crate) fn seal(&mut self) -> Option<Range<Seq>> {
        self.seal_with(None)
    }

    fn seal_with(&mut self, tail: Option<Bytes>) -> Option<Range<Seq>> {
        let seqs = self.open.first..self.open.next;
        if seqs.is_empty() {
            return None;
        }
        let body = if self.open.records.len() < SMALL_BYTES {
            let copy = Bytes::copy_from_slice(&self.open.records);
            self.open.records.clear();
            copy
        } else if self.open.left() < CHUNK_BYTES / 2 {
            // A buffer that is nearly used up goes whole, so that it can be used again when the chunk is done.
            std::mem::take(&mut self.open.records).freeze()
        } else {
            self.open.records.split().freeze()
        };
        let chunk = Chunk::new(seqs.clone(), body, tail, self.open.born);
        self.sealed.insert(seqs.start, chunk);
        self.open.first = seqs.end;
        Some(seqs)
    }

    /// Takes a chunk in that was kept by a store; its numbers are below those of the open one.
    pub(crate) fn restore(&mut self, chunk: Chunk) {
        self.messages += span(&chunk.seqs);
        self.bytes += chunk.record_bytes() as u64;
        self.sealed.insert(chunk.seqs.start, chunk);
    }

    /// The numbers of each sealed chunk, rising.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = Range<Seq>> {
        self.sealed.values().map(|chunk| chunk.seqs.clone())
    }

    /// The sealed chunk that holds `seq`.
    pub(crate) fn holding(&self, seq: Seq) -> Option<&Chunk> {
        let (_, chunk) = self.sealed.range(..=seq).next_back()?;
        chunk.seqs.contains(&seq).then_some(chunk)
    }

    /// The sealed chunk that begins with `first`.
    pub(crate) fn starting_mut(&mut self, first: Seq) -> Option<&mut Chunk> {
        self.sealed.get_mut(&first)
    }

    /// The sealed chunk that begins with `first`.
    pub(crate) fn starting(&self, first: Seq) -> Option<&Chunk> {
        self.sealed.get(&first)
    }

    /// When the oldest message that is held was sent.
    pub(crate) fn oldest_born(&self) -> Option<Time> {
        self.sealed.first_key_value().map(|(_, chunk)| chunk.born).or(self.open_born())
    }

    /// Messages of `seqs` from its start on, all of one chunk, that cost no more than `cost_max` together.
    pub(crate) fn slice(&mut self, seqs: Range<Seq>, cost_max: u64) -> Option<Slice> {
        let (_, chunk) = self.sealed.range(..=seqs.start).next_back()?;
        if !chunk.seqs.contains(&seqs.start) {
            return None;
        }
        chunk.slice(seqs.start..seqs.end.min(chunk.seqs.end), cost_max, &mut self.mark)
    }

    /// What a message of a sealed chunk costs in byte credit.
    pub(crate) fn cost_bytes(&self, seq: Seq) -> Option<u64> {
        let slice = self.holding(seq)?.slice(seq..seq + 1, u64::MAX, &mut self.mark.clone())?;
        Some(message::cost_bytes(1, slice.record_bytes() as u64))
    }

    /// The first sealed chunk with a number of at least `seq` in it.
    pub(crate) fn next_chunk(&self, seq: Seq) -> Option<&Chunk> {
        self.holding(seq).or_else(|| self.sealed.range(seq..).next().map(|(_, chunk)| chunk))
    }

    /// The sealed chunk of the lowest numbers.
    pub(crate) fn front(&self) -> Option<&Chunk> {
        self.sealed.first_key_value().map(|(_, chunk)| chunk)
    }

    /// Forgets the sealed chunk of the lowest numbers; gives those numbers.
    pub(crate) fn pop_front(&mut self) -> Option<Range<Seq>> {
        let (_, chunk) = self.sealed.pop_first()?;
        let seqs = chunk.seqs.clone();
        self.messages -= span(&seqs);
        self.bytes -= chunk.record_bytes() as u64;
        self.recycle(chunk);
        Some(seqs)
    }

    fn recycle(&mut self, chunk: Chunk) {
        if self.spare.len() < SPARE_BUFFERS_MAX {
            self.spare.extend(chunk.into_buffer());
        }
    }

    /// Counts messages as done, none of which was done before; a chunk goes with its last one.
    pub(crate) fn done(&mut self, seqs: Range<Seq>) {
        let mut next = seqs.start;
        while next < seqs.end {
            let Some((&first, chunk)) = self.sealed.range_mut(..=next).next_back() else {
                return;
            };
            let end = chunk.seqs.end.min(seqs.end);
            if end <= next {
                return;
            }
            chunk.live -= end - next;
            if chunk.live == 0 {
                self.messages -= span(&chunk.seqs);
                self.bytes -= chunk.record_bytes() as u64;
                if let Some(chunk) = self.sealed.remove(&first) {
                    self.recycle(chunk);
                }
            }
            next = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Records;

    fn filled(count: u64, payload: &'static [u8]) -> Chunks {
        let mut chunks = Chunks::new(100);
        for _ in 0..count {
            chunks.append(Message::from(payload), &Attributes::default(), || Time::ZERO);
        }
        chunks
    }

    #[test]
    fn slices_follow_each_other_whatever_their_size() {
        let mut chunks = filled(10, b"payload");
        assert_eq!(chunks.seal(), Some(100..110));
        let one = message::cost_bytes(1, 11);
        let first = chunks.slice(100..110, 3 * one).unwrap();
        assert_eq!((first.seqs.clone(), first.body.len()), (100..103, 33));
        let second = chunks.slice(103..104, u64::MAX).unwrap();
        assert_eq!((second.seqs.clone(), second.body.len()), (103..104, 11));
        let jump = chunks.slice(108..110, u64::MAX).unwrap();
        assert_eq!(Records::new(&jump.body).count(), 2);
        let back = chunks.slice(101..105, u64::MAX).unwrap();
        assert_eq!(Records::new(&back.body).count(), 4);
        assert!(chunks.slice(104..105, one - 1).is_none(), "not even one fits");
    }

    #[test]
    fn a_part_of_the_next_chunk_begins_at_its_own_first_record() {
        let mut chunks = filled(3, b"one");
        chunks.seal();
        for _ in 0..3 {
            chunks.append(Message::from("three"), &Attributes::default(), || Time::ZERO);
        }
        chunks.seal();
        let part = |chunks: &mut Chunks, seqs| chunks.slice(seqs, u64::MAX).map(|slice| slice.body);
        assert_eq!(part(&mut chunks, 101..103).map(|body| body.len()), Some(14));
        assert_eq!(part(&mut chunks, 103..105).map(|body| body.len()), Some(18));
    }

    #[test]
    fn a_chunk_that_begins_in_the_rest_of_a_buffer_keeps_all_its_records() {
        let mut chunks = filled(10, &[0; 2_400]);
        chunks.seal();
        let first = chunks.next_seq();
        let mut count = 0;
        while chunks.fits(&Attributes::default(), 2_400) {
            count += 1;
            chunks.append(Message::from(&[count; 2_400]), &Attributes::default(), || Time::ZERO);
        }
        assert_eq!(chunks.seal(), Some(first..first + u64::from(count)));
        let body = chunks.slice(first..first + u64::from(count), u64::MAX).unwrap().body;
        let firsts: Vec<u8> =
            Records::new(&body).map(|(at, head)| body[at + head.head_bytes]).collect();
        assert_eq!(firsts, (1..=count).collect::<Vec<_>>());
    }

    #[test]
    fn a_small_chunk_does_not_keep_the_buffer_that_it_was_gathered_in() {
        let mut chunks = filled(1, b"one");
        let buffer = chunks.open.records.as_ptr();
        for _ in 0..100 {
            chunks.seal();
            chunks.append(Message::from("another"), &Attributes::default(), || Time::ZERO);
            assert_eq!(chunks.open.records.as_ptr(), buffer, "nothing of it is in use");
        }
        chunks.seal();
        assert_eq!(chunks.slice(100..101, u64::MAX).map(|slice| slice.body.len()), Some(7));
    }

    #[test]
    fn a_large_payload_is_not_copied_and_ends_its_chunk() {
        let mut chunks = filled(2, b"small");
        let large = Bytes::from(vec![7; BY_REFERENCE_BYTES]);
        let sealed = chunks.append(Message::from(&large), &Attributes::default(), || Time::ZERO);
        assert_eq!(sealed, Some(100..103));
        let slice = chunks.slice(102..103, u64::MAX).unwrap();
        assert_eq!(slice.tail.as_ref().map(|t| t.as_ptr()), Some(large.as_ptr()));
        assert_eq!(slice.body.len(), 4);
        let head = chunks.slice(100..102, u64::MAX).unwrap();
        assert_eq!((head.tail, head.body.len()), (None, 18));
    }

    #[test]
    fn a_chunk_goes_with_its_last_message() {
        let mut chunks = filled(4, b"x");
        chunks.seal();
        chunks.append(Message::from("y"), &Attributes::default(), || Time::ZERO);
        chunks.seal();
        chunks.done(101..105);
        assert!(chunks.holding(100).is_some());
        assert!(chunks.holding(104).is_none());
        chunks.done(100..101);
        assert_eq!(chunks.bytes(), 0);
    }
}
