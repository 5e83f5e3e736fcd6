//! The bounded queue of a publisher: what is published is appended, and the oldest goes when there is too much.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use crate::ids::Seq;
use crate::limits::{BY_REFERENCE_BYTES, CHUNK_BYTES};
use crate::message::{Attributes, Message, Records};
use crate::queue::{Chunk, Chunks, Mark};
use crate::time::{Now, WallTime};

use super::RingConfig;

/// Into how many parts an age is divided: a chunk is closed when it is as old as one of them.
const AGE_PARTS: u32 = 16;

/// Retained messages. All readers share them: it is read by number, and nothing in it says who has read what.
#[derive(Debug)]
pub(super) struct Ring {
    chunks: Chunks,
    /// The lowest retained number.
    oldest: Seq,
    messages: u64,
    bytes: u64,
    /// Where `oldest` stands in the first chunk.
    front: Mark,
    /// When the first message of the chunk that grows was published.
    opened: WallTime,
    /// When chunks were closed: the number after each, and the moment.
    closed: VecDeque<(Seq, WallTime)>,
    /// The CRCs of large messages that somebody asked for.
    crcs: BTreeMap<Seq, u32>,
}

impl Ring {
    /// An empty one, whose first message gets this number.
    pub(super) fn new(next_seq: Seq) -> Self {
        Self {
            chunks: Chunks::new(next_seq),
            oldest: next_seq,
            messages: 0,
            bytes: 0,
            front: Mark::default(),
            opened: WallTime::default(),
            closed: VecDeque::new(),
            crcs: BTreeMap::new(),
        }
    }

    pub(super) const fn oldest(&self) -> Seq {
        self.oldest
    }

    pub(super) const fn next_seq(&self) -> Seq {
        self.chunks.next_seq()
    }

    /// Retained messages.
    pub(super) const fn len(&self) -> u64 {
        self.messages
    }

    /// Bytes of their records.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) const fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    pub(super) fn chunk_mut(&mut self, first: Seq) -> Option<&mut Chunk> {
        self.chunks.starting_mut(first)
    }

    /// The first number that is not in a closed chunk.
    pub(super) const fn closed_end(&self) -> Seq {
        self.chunks.next_seq() - self.chunks.open_len()
    }

    /// Appends a message.
    #[inline]
    pub(super) fn push(
        &mut self,
        topic: &[u8],
        message: Message<'_>,
        clock: impl Fn() -> Now,
    ) -> Seq {
        let seq = self.next_seq();
        let expires = message.ttl().map(|ttl| clock().wall + ttl);
        let mut attributes = Attributes { expires, topic, ..Attributes::default() };
        if !self.chunks.fits(&attributes, message.payload().len()) {
            self.close_chunk(clock().wall);
        }
        if self.chunks.open_len() == 0 {
            self.opened = clock().wall;
            attributes.published = Some(self.opened);
        }
        let before = self.chunks.bytes();
        let closed = self.chunks.append(message, &attributes, || clock().time);
        self.bytes += self.chunks.bytes() - before;
        self.messages += 1;
        if let Some(seqs) = closed {
            self.closed.push_back((seqs.end, clock().wall));
        }
        seq
    }

    /// Appends records that came from elsewhere, `first` being the number of the first of them: what is between is not
    /// here, and never will be.
    pub(super) fn extend(&mut self, first: Seq, records: &[u8], now: Now) {
        if first > self.next_seq() {
            self.jump(first, now.wall);
        }
        let (mut start, mut end, mut count) = (0, 0, 0);
        for (at, head) in Records::new(records) {
            let record_end = at + head.record_bytes();
            if count > 0 && record_end - start > CHUNK_BYTES {
                self.extend_part(records, start..end, count, now);
                (start, count) = (end, 0);
            }
            end = record_end;
            count += 1;
        }
        self.extend_part(records, start..end, count, now);
    }

    fn extend_part(&mut self, records: &[u8], part: Range<usize>, count: u64, now: Now) {
        let part = records.get(part).unwrap_or_default();
        if !self.chunks.fits_record(part.len()) {
            self.close_chunk(now.wall);
        }
        if self.chunks.open_len() == 0 {
            self.opened = now.wall;
        }
        self.chunks.append_records(part, count, now.time);
        self.bytes += part.len() as u64;
        self.messages += count;
    }

    /// Goes on with another number: what is between will never be here.
    pub(super) fn jump(&mut self, next: Seq, wall: WallTime) {
        self.close_chunk(wall);
        self.chunks.jump(next);
        if self.messages == 0 {
            self.oldest = next;
        }
    }

    /// Takes in a chunk that a store kept; its numbers are above all others.
    pub(super) fn restore(&mut self, chunk: Chunk, published: WallTime) {
        let seqs = chunk.seqs.clone();
        if self.messages == 0 {
            self.oldest = seqs.start;
        }
        self.messages += seqs.end - seqs.start;
        self.bytes += chunk.record_bytes() as u64;
        self.chunks.restore(chunk);
        self.chunks.jump(seqs.end);
        self.closed.push_back((seqs.end, published));
    }

    /// Closes the chunk that grows, so that what is in it can be read.
    pub(super) fn close_chunk(&mut self, wall: WallTime) {
        if let Some(seqs) = self.chunks.seal() {
            self.closed.push_back((seqs.end, wall));
        }
    }

    /// The same where no clock is at hand: as if it was closed when it was opened.
    pub(super) fn close_open(&mut self) {
        self.close_chunk(self.opened);
    }

    /// Lets go of what is more than `limits`, but nothing from `below` on, and not of the last message.
    pub(super) fn evict(&mut self, limits: &RingConfig, below: Seq, now: impl Fn() -> WallTime) {
        while (self.messages > limits.messages || self.bytes > limits.bytes)
            && self.messages > 1
            && self.oldest < below
        {
            self.evict_oldest(&now);
        }
    }

    /// Lets go of everything below a number.
    pub(super) fn evict_below(&mut self, end: Seq, now: impl Fn() -> WallTime) {
        while self.messages > 0 && self.oldest < end {
            self.evict_oldest(&now);
        }
    }

    /// Lets go of what is older than `age`, but nothing from `below` on.
    pub(super) fn evict_aged(&mut self, age: Duration, below: Seq, wall: WallTime) {
        if self.chunk_closes_at(age).is_some_and(|closes| closes <= wall) {
            self.close_chunk(wall);
        }
        while let Some(&(end, closed)) = self.closed.front() {
            if closed + age > wall || end > below {
                return;
            }
            self.evict_below(end, || wall);
            if self.closed.front().is_some_and(|(next, _)| *next <= end) {
                self.closed.pop_front();
            }
        }
    }

    /// When [`Ring::evict_aged`] has something to do. What may not go yet has no time.
    pub(super) fn aged_at(&self, age: Duration, below: Seq) -> Option<WallTime> {
        let closes = self.chunk_closes_at(age);
        let evictable = self.closed.front().filter(|(end, _)| *end <= below);
        let gone = evictable.map(|(_, closed)| *closed + age);
        closes.into_iter().chain(gone).min()
    }

    /// When the chunk that grows is old enough to be closed.
    fn chunk_closes_at(&self, age: Duration) -> Option<WallTime> {
        let part = (age / AGE_PARTS).max(Duration::from_millis(1));
        (self.chunks.open_len() > 0).then(|| self.opened + part)
    }

    fn evict_oldest(&mut self, now: &impl Fn() -> WallTime) {
        if self.chunks.front().is_none() {
            self.close_chunk(now());
        }
        let Some(chunk) = self.chunks.front() else {
            return;
        };
        self.oldest = self.oldest.max(chunk.seqs.start);
        let end = chunk.seqs.end;
        let found = chunk.record(self.oldest, &mut self.front);
        let (at, bytes) = found.map_or((0, 0), |(at, head)| (at, head.record_bytes()));
        self.bytes -= bytes as u64;
        self.messages -= 1;
        self.oldest += 1;
        self.front = Mark { seq: self.oldest, at: at + bytes };
        if self.oldest < end {
            return;
        }
        self.chunks.pop_front();
        self.front = Mark::default();
        self.oldest = self.chunks.front().map_or(self.closed_end(), |next| next.seqs.start);
        while self.closed.front().is_some_and(|(end, _)| *end <= self.oldest) {
            self.closed.pop_front();
        }
    }

    /// CRC-32 of topic and payload of a retained message. That of a large one is worked out once, however often a peer asks.
    pub(super) fn crc(&mut self, seq: Seq, wall: WallTime) -> Option<u32> {
        if seq < self.oldest || seq >= self.next_seq() {
            return None;
        }
        if let Some(crc) = self.crcs.get(&seq) {
            return Some(*crc);
        }
        if seq >= self.closed_end() {
            self.close_chunk(wall);
        }
        let chunk = self.chunks.holding(seq)?;
        let (at, head) = chunk.record(seq, &mut Mark::default())?;
        let crc = crate::message::crc(chunk.topic(at, &head), chunk.payload(at, &head));
        if head.payload_bytes >= BY_REFERENCE_BYTES {
            self.note_crc(seq, crc);
        }
        Some(crc)
    }

    fn note_crc(&mut self, seq: Seq, crc: u32) {
        while let Some(entry) = self.crcs.first_entry()
            && *entry.key() < self.oldest
        {
            entry.remove();
        }
        self.crcs.insert(seq, crc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crcs_of_large_messages_are_known_as_long_as_they_are_retained() {
        let mut ring = Ring::new(0);
        for payload in [vec![1; BY_REFERENCE_BYTES], vec![2; 10], vec![3; BY_REFERENCE_BYTES]] {
            ring.push(b"", payload.into(), Now::default);
        }
        let wall = WallTime::default();
        let crcs = [0, 1, 2].map(|seq| ring.crc(seq, wall));
        assert_eq!(crcs[0], Some(crate::message::crc(b"", &[1; BY_REFERENCE_BYTES])));
        assert_eq!([0, 1, 2].map(|seq| ring.crc(seq, wall)), crcs);
        assert_eq!(ring.crcs.keys().copied().collect::<Vec<_>>(), [0, 2]);
        ring.evict_below(2, || wall);
        assert_eq!([0, 1, 2].map(|seq| ring.crc(seq, wall)), [None, None, crcs[2]]);
        ring.note_crc(2, crcs[2].unwrap());
        assert_eq!(ring.crcs.keys().copied().collect::<Vec<_>>(), [2]);
    }
}
