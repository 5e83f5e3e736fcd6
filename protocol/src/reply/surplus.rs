//! Which answers are not remembered any more: there are too many, or they are too old.

use std::ops::Range;
use std::time::Duration;

use crate::ids::span;
use crate::time::Time;

use super::AnswerMemory;
use super::memory::{AnswerKey, Memory};

impl Memory {
    /// When the oldest was given, of those that are not awaited.
    fn oldest_given(&self) -> Option<Time> {
        let oldest = [self.confirmed.oldest(), self.unconfirmed.first()].into_iter().flatten();
        oldest.filter_map(|key| self.block_of(key)).map(|block| block.given).min()
    }

    /// When the first answer may be too old.
    pub(super) fn due(&self, age: Duration) -> Option<Time> {
        let given = self.none_before.map(|given| given + age);
        Time::first_of([given, self.awaited.first_end()])
    }

    /// Answers of one block that there is no room for, or that are too old.
    pub(super) fn surplus(&mut self, limits: AnswerMemory, now: Time) -> Option<Range<AnswerKey>> {
        let AnswerMemory { messages, bytes, age } = limits;
        if self.none_before.is_some_and(|given| given + age <= now) {
            self.none_before = self.oldest_given();
        }
        let oldest = self.none_before.is_some_and(|given| given + age <= now).then(|| now - age);
        let over = |set_len: u64, set_bytes: u64| Over {
            messages: set_len.saturating_sub(messages),
            bytes: set_bytes.saturating_sub(bytes),
            oldest,
        };
        if let Some(run) = self.confirmed.first_run()
            && let Some(part) = self.too_much(run, over(self.confirmed.len(), self.confirmed_bytes))
        {
            return Some(part);
        }
        let over = over(self.unconfirmed.len(), self.unconfirmed_bytes);
        if over.is_any()
            && let Some(run) = self.unconfirmed.first_run()
            && let Some(part) = self.too_much(run, over)
        {
            return Some(part);
        }
        let is_too_much = self.awaited.len() > messages || self.awaited_bytes > bytes;
        self.awaited.surplus(is_too_much, now).map(|key| key..key + 1)
    }

    /// The first of a run, all of one block, that are too much.
    fn too_much(&self, run: Range<AnswerKey>, over: Over) -> Option<Range<AnswerKey>> {
        if !over.is_any() {
            return None;
        }
        let block = self.block_of(run.start)?;
        let part = run.start..run.end.min(block.keys.end);
        if over.oldest.is_some_and(|oldest| block.given <= oldest) {
            return Some(part);
        }
        let mut left = over.bytes;
        let by_bytes = self.answers.range(part.clone()).take_while(|(_, place)| {
            let is_over = left > 0;
            left = left.saturating_sub(u64::from(place.payload_bytes));
            is_over
        });
        let count = if over.bytes == 0 { 0 } else { by_bytes.count() as u64 };
        let count = count.max(over.messages).min(span(&part));
        (count > 0).then(|| part.start..part.start + count)
    }

    /// Nobody who asks again gets these any more, which are of one block.
    pub(super) fn forget(&mut self, keys: Range<AnswerKey>) {
        let bytes = self.payload_bytes(keys.clone());
        let Some(number) = self.answers.get(&keys.start).map(|place| place.block) else {
            return;
        };
        let Some(block) = self.blocks.get_mut(&number) else {
            return;
        };
        let bits = block.bits(&keys) & block.known;
        block.known &= !bits;
        self.known -= u64::from(bits.count_ones());
        let awaited = block.awaited;
        if self.confirmed.remove(keys.clone()) {
            self.confirmed_bytes -= bytes;
        } else if self.unconfirmed.remove(keys.clone()) > 0 {
            self.unconfirmed_bytes -= bytes;
        } else if let Some(until) = awaited
            && self.awaited.remove(until, keys.start)
        {
            self.awaited_bytes -= bytes;
        }
        self.drop_over(number);
    }
}

/// By how much there is too much.
struct Over {
    messages: u64,
    bytes: u64,
    /// What was given by then is too old.
    oldest: Option<Time>,
}

impl Over {
    const fn is_any(&self) -> bool {
        self.messages > 0 || self.bytes > 0 || self.oldest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::tests::keep_some;
    use super::*;
    use crate::ids::LinkId;

    #[test]
    fn so_many_are_forgotten_as_there_is_no_room_for() {
        let limits = AnswerMemory { messages: 40, bytes: 3_000, age: Duration::from_secs(60) };
        for confirmed in [false, true] {
            let mut memory = Memory::default();
            keep_some(&mut memory, 100);
            memory.seal();
            if confirmed {
                memory.confirm(0..100);
            }
            let mut forgotten = Vec::new();
            while let Some(keys) = memory.surplus(limits, Time::ZERO) {
                forgotten.extend(keys.clone());
                memory.forget(keys);
            }
            assert_eq!((forgotten, memory.len()), ((0..60).collect(), 40));
            let limits = AnswerMemory { bytes: 601, ..limits };
            while let Some(keys) = memory.surplus(limits, Time::ZERO) {
                memory.forget(keys);
            }
            assert_eq!(memory.len(), 10);
            assert!(memory.part(&(0..1), true).is_some(), "it is not sent yet");
            memory.release(0..100, LinkId(1));
            assert_eq!((memory.blocks.len(), memory.answers.len()), (1, 36));
        }
    }
}
