//! Answers that are remembered for those who ask again.

use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut, BytesMut};

use crate::collections::{RangeSet, Rising};
use crate::ids::{CallId, LinkId};
use crate::limits::BY_REFERENCE_BYTES;
use crate::message::{
    Attributes, Message, cost_bytes, write_bare_head, write_call_head, write_head,
};
use crate::time::Time;

use super::block::{BLOCK_ANSWERS, Block, Kept};
use super::standing::{Awaited, Confirmed};
use super::{AnswerMemory, ClientKey};

/// Answers by the order in which they were given.
pub(super) type AnswerKey = u64;

/// Small answers stand in buffers of this size. One must not keep all in memory that it was cut from: perhaps what was read
/// together with its call.
const BUFFER_BYTES: usize = 16 << 10;

/// An answer stands in the block of the one before only if it is given so soon after the first.
const BLOCK_TIME: Duration = Duration::from_micros(500);

/// A block is at most this part of all that is remembered: it is forgotten, or not, when it is complete.
const BLOCKS_MIN: u64 = 16;

/// The longest head of the record of an answer.
const HEAD_BYTES: usize = 32;

/// What an answer takes of a buffer at the most: its head, and its payload unless that is only referred to.
pub(super) const fn answer_bytes(payload_bytes: usize) -> usize {
    HEAD_BYTES + if payload_bytes < BY_REFERENCE_BYTES { payload_bytes } else { 0 }
}

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Those too that are forgotten, as long as their block is there.
    pub(super) answers: Rising<Place>,
    /// By the order in which they were begun.
    pub(super) blocks: Rising<Block>,
    /// The block that grows, its records in the buffer; it is empty if there is none.
    pub(super) open: Option<Block>,
    pub(super) next_block: u64,
    pub(super) buffer: BytesMut,
    pub(super) next: AnswerKey,
    /// How many whoever asks again gets.
    pub(super) known: u64,
    /// Those that their clients have not confirmed, but for those of the block that grows.
    pub(super) unconfirmed: RangeSet,
    pub(super) unconfirmed_bytes: u64,
    /// The others.
    pub(super) confirmed: Confirmed,
    pub(super) confirmed_bytes: u64,
    /// Those that are not confirmed, and that must be known until some moment.
    pub(super) awaited: Awaited,
    pub(super) awaited_bytes: u64,
    /// No answer that is kept was given before this. Found anew once that is too long ago: to look at the oldest one each time
    /// would be to wait for memory that nothing else touches.
    pub(super) none_before: Option<Time>,
}

/// An answer that is given.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) client: ClientKey,
    pub(super) id: CallId,
    pub(super) rejected: bool,
    pub(super) given: Time,
    /// Its call must not run twice: until this moment it is known however old it is, unless its client confirms it.
    pub(super) awaited: Option<Time>,
    /// The link that is to send it, if there is one.
    pub(super) to: Option<LinkId>,
}

/// Answers of a block that grows no more.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) keys: Range<AnswerKey>,
    pub(super) client: ClientKey,
    /// The link that is to send them.
    pub(super) to: Option<LinkId>,
    /// What they take, as credit is counted.
    pub(super) bytes: u64,
}

/// Where an answer stands.
#[derive(Debug)]
pub(super) struct Place {
    /// The number that its call has at its client.
    pub(super) number: u64,
    pub(super) block: u64,
    /// Where its record begins.
    pub(super) at: u32,
    pub(super) payload_bytes: u32,
}

impl Memory {
    /// How many are remembered.
    pub(super) fn len(&self) -> u64 {
        self.known
    }

    /// Takes in an answer that was just given: behind the one before, whose block [takes](Self::continues) it, or in a block of
    /// its own, if there is none that grows.
    pub(super) fn keep(&mut self, answer: &Answer, message: &Message<'_>) -> AnswerKey {
        let payload = message.payload();
        let is_large = payload.len() >= BY_REFERENCE_BYTES;
        if self.open.is_none() {
            self.begin(answer, answer_bytes(payload.len()));
        }
        let (key, at) = (self.next, self.buffer.len() as u32);
        let payload_bytes = payload.len() as u32;
        let Some(block) = &mut self.open else {
            return key;
        };
        let (bit, number) = (1 << block.len(), answer.id.halves().1);
        block.row = block.row.filter(|first| first.checked_add(block.len()) == Some(number));
        match answer.rejected {
            // Its name can be told from the one before.
            false if block.row.is_some() && block.len() > 0 => {
                block.has_bare = true;
                write_bare_head(&mut self.buffer, payload.len());
            }
            false => write_call_head(&mut self.buffer, payload.len(), answer.id),
            true => {
                let attributes =
                    Attributes { rejected: true, call: Some(answer.id), ..Attributes::default() };
                write_head(&mut self.buffer, payload.len(), &attributes);
            }
        }
        block.known |= bit;
        block.unsent.bits |= if answer.to.is_some() { bit } else { 0 };
        block.payload_bytes += u64::from(payload_bytes);
        block.given = answer.given;
        block.keys.end += 1;
        match is_large {
            true => block.large = Some(Box::new(message.clone().into_bytes())),
            false => self.buffer.put_slice(payload),
        }
        self.answers.insert(key, Place { number, block: self.next_block, at, payload_bytes });
        self.known += 1;
        self.next += 1;
        key
    }

    /// Whether the block that grows is one for this answer, too, with a payload of so many bytes.
    pub(super) fn continues(&self, answer: &Answer, payload_bytes: usize) -> bool {
        self.open.as_ref().is_some_and(|block| {
            block.client == answer.client
                && block.unsent.by == answer.to
                && block.keys.end == self.next
                && block.len() < BLOCK_ANSWERS
                && block.large.is_none()
                && payload_bytes < BY_REFERENCE_BYTES
                && block.awaited.is_none()
                && answer.awaited.is_none()
                && answer.given <= block.begun + BLOCK_TIME
                && self.buffer.capacity() - self.buffer.len() >= answer_bytes(payload_bytes)
        })
    }

    /// Begins a block with an answer that takes so much of the buffer.
    fn begin(&mut self, answer: &Answer, needed: usize) {
        self.note_given(answer.given);
        if self.buffer.capacity() < needed {
            self.buffer = BytesMut::with_capacity(needed.max(BUFFER_BYTES));
        }
        let (half, number) = answer.id.halves();
        let mut block = Block::new(self.next, answer.client, half, answer.given);
        block.row = Some(number);
        block.awaited = answer.awaited;
        block.unsent.by = answer.to;
        self.open = Some(block);
    }

    /// Whether the block that grows has become so large that it is to be seen what is remembered too long for it.
    pub(super) fn is_full(&self, limits: AnswerMemory) -> bool {
        let (most, bytes) = Self::full_at(limits);
        self.open.as_ref().is_some_and(|block| block.len() >= most || block.payload_bytes >= bytes)
    }

    /// With how many answers, or bytes of them, a block is full.
    pub(super) fn full_at(limits: AnswerMemory) -> (u64, u64) {
        let most = (limits.messages / BLOCKS_MIN).min(BLOCK_ANSWERS);
        (most, limits.bytes / BLOCKS_MIN)
    }

    /// Whether there is a block that grows.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether that is to be sent.
    pub(super) fn is_open_to_any(&self) -> bool {
        self.open.as_ref().is_some_and(|block| block.unsent.by.is_some())
    }

    /// The block that grows does so no more. Until then its answers can neither be sent nor looked for, and are not counted
    /// among those that there may be too many of.
    pub(super) fn seal(&mut self) -> Option<Sealed> {
        let mut block = self.open.take()?;
        block.records = self.buffer.split().freeze();
        match block.awaited {
            None => {
                self.unconfirmed.insert(block.keys.clone());
                self.unconfirmed_bytes += block.payload_bytes;
            }
            Some(until) => {
                self.awaited.insert(until, block.keys.start);
                self.awaited_bytes += block.payload_bytes;
            }
        }
        let bytes = cost_bytes(block.len(), block.payload_bytes);
        let (keys, client, to) = (block.keys.clone(), block.client, block.unsent.by);
        self.blocks.insert(self.next_block, block);
        self.next_block += 1;
        Some(Sealed { keys, client, to, bytes })
    }

    /// The numbers that the calls of these answers of one block have at their client: the first of each part in which they
    /// stand side by side.
    pub(super) fn numbers(
        &self,
        mut keys: Range<AnswerKey>,
    ) -> impl Iterator<Item = (u64, Range<AnswerKey>)> {
        let row = self.block_of(keys.start).and_then(|block| {
            let first = block.row? + (keys.start - block.keys.start);
            let none = keys.end..keys.end;
            Some((first, std::mem::replace(&mut keys, none)))
        });
        let parts = std::iter::from_fn(move || {
            let mut places = self.answers.range(keys.clone());
            let (start, place) = places.next()?;
            let follows = |(above, (_, next)): &(u64, (u64, &Place))| {
                place.number.checked_add(*above) == Some(next.number)
            };
            let count = 1 + (1..).zip(places).take_while(follows).count() as u64;
            keys.start = start + count;
            Some((place.number, start..keys.start))
        });
        row.into_iter().chain(parts)
    }

    /// Whose an answer is.
    pub(super) fn client(&self, key: AnswerKey) -> Option<ClientKey> {
        self.block_of(key).map(|block| block.client)
    }

    /// The block that an answer stands in.
    pub(super) fn block_of(&self, key: AnswerKey) -> Option<&Block> {
        self.blocks.get(&self.answers.get(&key)?.block)
    }

    /// An answer that is remembered.
    pub(super) fn get(&self, key: AnswerKey) -> Option<Kept<'_>> {
        let place = self.answers.get(&key)?;
        let block = self.blocks.get(&place.block)?;
        let is_known = block.known & block.bits(&(key..key + 1)) != 0;
        is_known.then(|| block.kept(place.number, place.at)).flatten()
    }

    /// What the payloads of these take.
    pub(super) fn payload_bytes(&self, keys: Range<AnswerKey>) -> u64 {
        let (mut bytes, mut next) = (0, keys.start);
        while next < keys.end {
            let Some(block) = self.block_of(next) else {
                break;
            };
            let part = next..block.keys.end.min(keys.end);
            next = part.end;
            bytes += match part == block.keys {
                true => block.payload_bytes,
                false => {
                    self.answers.range(part).map(|(_, place)| u64::from(place.payload_bytes)).sum()
                }
            };
        }
        bytes
    }

    /// The clients have these, as far as they are still remembered.
    pub(super) fn confirm(&mut self, keys: Range<AnswerKey>) {
        if !self.awaited.is_empty() {
            self.confirm_awaited(keys.clone());
        }
        let parts: Vec<_> = self.unconfirmed.within(keys).collect();
        for keys in parts {
            let bytes = self.payload_bytes(keys.clone());
            self.unconfirmed_bytes -= bytes;
            self.confirmed_bytes += bytes;
            self.unconfirmed.remove(keys.clone());
            self.confirmed.insert(keys);
        }
    }

    /// The same, of those that are awaited.
    fn confirm_awaited(&mut self, keys: Range<AnswerKey>) {
        let came: Vec<_> = self.awaited.within(keys).collect();
        for key in came {
            let block = self.answers.get(&key).and_then(|place| self.blocks.get(&place.block));
            let Some((block, until)) = block.and_then(|block| Some((block, block.awaited?))) else {
                continue;
            };
            let (bytes, given) = (block.payload_bytes, block.given);
            self.awaited.remove(until, key);
            self.awaited_bytes -= bytes;
            self.confirmed_bytes += bytes;
            self.confirmed.insert(key..key + 1);
            // It may be older than what was confirmed before.
            self.note_given(given);
        }
    }

    fn note_given(&mut self, given: Time) {
        self.none_before = Time::first_of([self.none_before, Some(given)]);
    }

    /// Drops a block that nobody needs.
    pub(super) fn drop_over(&mut self, number: u64) {
        if let Some(block) = self.blocks.get(&number).filter(|block| block.is_over()) {
            self.answers.take_range(block.keys.clone(), |_, _| ());
            self.blocks.remove_with(&number, |_| ());
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;

    use super::*;

    pub(in super::super) fn answer() -> Answer {
        let id = CallId::new([0; 8], 0);
        Answer { client: 0, id, rejected: false, given: Time::ZERO, awaited: None, to: None }
    }

    /// Keeps an answer as an engine does, where the block before need not be looked for.
    pub(in super::super) fn put(memory: &mut Memory, answer: &Answer, payload: Bytes) -> AnswerKey {
        if !memory.continues(answer, payload.len()) {
            memory.seal();
        }
        memory.keep(answer, &payload.into())
    }

    #[test]
    fn each_is_forgotten_at_its_age_also_if_older_ones_were_awaited_meanwhile() {
        let mut memory = Memory::default();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let limits = AnswerMemory { messages: 10, bytes: 10, age: Duration::from_secs(60) };
        let older = put(&mut memory, &Answer { awaited: Some(at(500)), ..answer() }, Bytes::new());
        let newer = put(&mut memory, &Answer { given: at(30), ..answer() }, Bytes::new());
        memory.seal();
        assert_eq!(memory.surplus(limits, at(60)), None);
        assert_eq!(memory.due(limits.age), Some(at(90)));
        memory.confirm(older..older + 1);
        assert!(memory.due(limits.age).is_some_and(|due| due <= at(60)));
        for (key, second) in [(older, 60), (newer, 90)] {
            assert_eq!(memory.surplus(limits, at(second)), Some(key..key + 1));
            memory.forget(key..key + 1);
            assert_eq!(memory.surplus(limits, at(second)), None);
        }
        assert_eq!(memory.due(limits.age), None);
    }

    #[test]
    fn a_small_answer_does_not_keep_what_it_was_cut_from() {
        let mut memory = Memory::default();
        let read = Bytes::from(vec![7; 1 << 16]);
        let small = put(&mut memory, &answer(), read.slice(..64));
        assert!(read.is_unique(), "it was copied");
        let large = put(&mut memory, &answer(), read.slice(..BY_REFERENCE_BYTES));
        assert!(!read.is_unique(), "this one was not");
        memory.seal();
        let bytes = |key| memory.get(key).map(|kept| kept.payload.len());
        assert_eq!((bytes(small), bytes(large)), (Some(64), Some(BY_REFERENCE_BYTES)));
    }

    pub(in super::super) fn keep_some(memory: &mut Memory, count: u64) {
        for number in 0..count {
            let id = CallId::new([7; 8], number);
            put(memory, &Answer { id, to: Some(LinkId(1)), ..answer() }, vec![7; 60].into());
        }
    }
}
