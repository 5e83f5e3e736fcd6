//! Answers right behind the last one: what is the same for all that are put into one block is looked at once.

use crate::limits::BY_REFERENCE_BYTES;
use crate::message::write_bare_head;
use crate::time::Time;

use super::AnswerMemory;
use super::memory::{Memory, Place, answer_bytes};

use bytes::BufMut;

/// Puts answers into the block that grows, which are given together with the last one in it, to calls of the same client right
/// behind that one.
pub(super) struct Filling<'a> {
    memory: &'a mut Memory,
    given: Time,
    /// The number of the next one's call at its client.
    number: u64,
    count: u64,
    payload_bytes: u64,
    /// So many of them, and bytes, leave the block one that it is full with.
    count_max: u64,
    bytes_max: u64,
}

impl Memory {
    /// Begins behind the answer that was given last, at this moment; `None` if nothing can be put behind it in its block.
    pub(super) fn fill(&mut self, limits: AnswerMemory, given: Time) -> Option<Filling<'_>> {
        let (most, bytes_most) = Self::full_at(limits);
        let block = self.open.as_ref()?;
        let is_alone = block.large.is_some() || block.awaited.is_some();
        let number = block.row?.checked_add(block.len())?;
        let count_max = most.checked_sub(block.len() + 1)?;
        let bytes_max = bytes_most.checked_sub(block.payload_bytes)?;
        // Numbers end behind the block at the earliest.
        number.checked_add(count_max)?;
        (!is_alone).then(|| Filling {
            memory: self,
            given,
            number,
            count: 0,
            payload_bytes: 0,
            count_max,
            bytes_max,
        })
    }
}

impl Filling<'_> {
    /// Whether there is room for one more, with a payload of so many bytes.
    #[inline]
    pub(super) fn has_room(&self, payload_bytes: usize) -> bool {
        let buffer = &self.memory.buffer;
        self.count < self.count_max
            && payload_bytes < BY_REFERENCE_BYTES
            && self.payload_bytes + (payload_bytes as u64) < self.bytes_max
            && buffer.capacity() - buffer.len() >= answer_bytes(payload_bytes)
    }

    /// Puts one in that there is room for.
    #[inline]
    pub(super) fn put(&mut self, payload: &[u8]) {
        let Memory { buffer, answers, next, next_block, .. } = &mut *self.memory;
        let (at, payload_bytes) = (buffer.len() as u32, payload.len() as u32);
        write_bare_head(buffer, payload.len());
        buffer.put_slice(payload);
        let number = self.number + self.count;
        let place = Place { number, block: *next_block, at, payload_bytes };
        answers.insert(*next + self.count, place);
        self.count += 1;
        self.payload_bytes += u64::from(payload_bytes);
    }
}

impl Drop for Filling<'_> {
    /// Counts what was put in.
    fn drop(&mut self) {
        let Self { memory, given, count, payload_bytes, .. } = self;
        if let Some(block) = memory.open.as_mut().filter(|_| *count > 0) {
            let keys = block.keys.end..block.keys.end + *count;
            block.keys.end = keys.end;
            let bits = block.bits(&keys);
            block.known |= bits;
            block.unsent.bits |= if block.unsent.by.is_some() { bits } else { 0 };
            block.payload_bytes += *payload_bytes;
            block.has_bare = true;
            block.given = *given;
            memory.known += *count;
            memory.next = keys.end;
        }
    }
}
