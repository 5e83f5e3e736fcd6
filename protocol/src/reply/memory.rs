//! Answers that are remembered for those who ask again.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::ids::CallId;
use crate::limits::BY_REFERENCE_BYTES;
use crate::queue::Rising;
use crate::range::RangeSet;
use crate::time::Time;

use super::{AnswerMemory, ClientKey};

/// Answers by the order in which they were given.
pub(super) type AnswerKey = u64;

/// Small answers share pieces of memory of this size.
const PIECE_BYTES: usize = 16 << 10;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) answers: Rising<Answer>,
    pub(super) next: AnswerKey,
    /// Those that their clients have not confirmed.
    unconfirmed: RangeSet,
    unconfirmed_bytes: u64,
    /// The others.
    confirmed: Confirmed,
    confirmed_bytes: u64,
    /// Those that are not confirmed, and that must be known until then, by that moment.
    awaited: BTreeSet<(Time, AnswerKey)>,
    awaited_bytes: u64,
    /// No answer that is kept was given before this. Found anew once that is too long ago: to look at the oldest one each time
    /// would be to wait for memory that nothing else touches.
    none_before: Option<Time>,
    /// What small answers are copied into, side by side.
    piece: BytesMut,
}

/// Answers that their clients have: most come in order, and leave in order one by one.
#[derive(Debug, Default)]
struct Confirmed {
    front: Range<AnswerKey>,
    /// All others, those before the front included.
    rest: RangeSet,
}

impl Confirmed {
    fn len(&self) -> u64 {
        self.front.end - self.front.start + self.rest.len()
    }

    fn insert(&mut self, keys: Range<AnswerKey>) {
        if self.rest.is_empty() && (self.front.is_empty() || self.front.end == keys.start) {
            let start = if self.front.is_empty() { keys.start } else { self.front.start };
            self.front = start..keys.end;
        } else {
            self.rest.insert(keys);
        }
    }

    /// The key of the oldest one.
    fn oldest(&self) -> Option<AnswerKey> {
        let front = (!self.front.is_empty()).then_some(self.front.start);
        front.into_iter().chain(self.rest.first()).min()
    }

    /// The same, in the front from now on.
    fn first(&mut self) -> Option<AnswerKey> {
        let rest = self.rest.first();
        if rest.is_some_and(|rest| self.front.is_empty() || rest < self.front.start) {
            self.rest.insert(std::mem::take(&mut self.front));
            self.front = self.rest.pop_first(u64::MAX).unwrap_or_default();
        }
        (!self.front.is_empty()).then_some(self.front.start)
    }

    /// Takes one out; says whether it was there.
    fn remove(&mut self, key: AnswerKey) -> bool {
        if !self.front.is_empty() && self.front.start == key {
            self.front.start += 1;
            return true;
        }
        if self.front.contains(&key) {
            self.rest.insert(std::mem::take(&mut self.front));
        }
        self.rest.remove(key..key + 1) > 0
    }
}

/// An answer that was given.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) client: ClientKey,
    pub(super) id: CallId,
    pub(super) payload: Bytes,
    pub(super) rejected: bool,
    pub(super) given: Time,
    /// Its call must not run twice: until this moment it is known however old it is, unless its client confirms it.
    pub(super) awaited: Option<Time>,
}

impl Memory {
    /// Takes in an answer that a store kept.
    pub(super) fn restore(&mut self, key: AnswerKey, answer: Answer) {
        self.note_given(answer.given);
        self.confirmed.insert(key..key + 1);
        self.confirmed_bytes += answer.payload.len() as u64;
        self.answers.insert(key, answer);
    }

    /// Takes in an answer that was just given.
    pub(super) fn keep(&mut self, mut answer: Answer) -> (AnswerKey, Answer) {
        // A small one must not keep all in memory that it was cut from: perhaps what was read together with its call.
        if answer.payload.len() < BY_REFERENCE_BYTES {
            if self.piece.capacity() < answer.payload.len() {
                self.piece = BytesMut::with_capacity(PIECE_BYTES);
            }
            self.piece.extend_from_slice(&answer.payload);
            answer.payload = self.piece.split().freeze();
        }
        self.note_given(answer.given);
        let (key, bytes) = (self.next, answer.payload.len() as u64);
        self.next += 1;
        match answer.awaited {
            None => {
                self.unconfirmed.insert(key..key + 1);
                self.unconfirmed_bytes += bytes;
            }
            Some(until) => {
                self.awaited.insert((until, key));
                self.awaited_bytes += bytes;
            }
        }
        self.answers.insert(key, answer.clone());
        (key, answer)
    }

    /// The clients have these, as far as they are still remembered.
    pub(super) fn confirm(&mut self, keys: Range<AnswerKey>) {
        if !self.awaited.is_empty() {
            self.confirm_awaited(keys.clone());
        }
        let parts: Vec<_> = self.unconfirmed.within(keys).collect();
        for keys in parts {
            let payloads = self.answers.range(keys.clone()).map(|(_, answer)| &answer.payload);
            let bytes: u64 = payloads.map(|payload| payload.len() as u64).sum();
            self.unconfirmed_bytes -= bytes;
            self.confirmed_bytes += bytes;
            self.unconfirmed.remove(keys.clone());
            self.confirmed.insert(keys);
        }
    }

    /// The same, of those that are awaited.
    fn confirm_awaited(&mut self, keys: Range<AnswerKey>) {
        let waits = |(key, answer): (_, &Answer)| answer.awaited.map(|until| (until, key));
        let came: Vec<_> = self.answers.range(keys).filter_map(waits).collect();
        for entry in came {
            let key = entry.1;
            if self.awaited.remove(&entry)
                && let Some(answer) = self.answers.get(&key)
            {
                let (bytes, given) = (answer.payload.len() as u64, answer.given);
                self.awaited_bytes -= bytes;
                self.confirmed_bytes += bytes;
                self.confirmed.insert(key..key + 1);
                // It may be older than what was confirmed before.
                self.note_given(given);
            }
        }
    }

    fn note_given(&mut self, given: Time) {
        self.none_before = Some(self.none_before.map_or(given, |before| before.min(given)));
    }

    /// When the oldest was given, of those that are not awaited.
    fn oldest_given(&self) -> Option<Time> {
        let oldest = [self.confirmed.oldest(), self.unconfirmed.first()].into_iter().flatten();
        oldest.filter_map(|key| self.answers.get(&key)).map(|answer| answer.given).min()
    }

    /// When the first answer may be too old.
    pub(super) fn due(&self, age: Duration) -> Option<Time> {
        let awaited = self.awaited.first().map(|(until, _)| *until);
        self.none_before.map(|given| given + age).into_iter().chain(awaited).min()
    }

    /// An answer that there is no room for, or that is too old.
    pub(super) fn surplus(&mut self, limits: AnswerMemory, now: Time) -> Option<AnswerKey> {
        let AnswerMemory { messages, bytes, age } = limits;
        if self.none_before.is_some_and(|given| given + age <= now) {
            self.none_before = self.oldest_given();
        }
        let may_be_too_old = self.none_before.is_some_and(|given| given + age <= now);
        let confirmed = self.confirmed.first();
        let too_old = |key: &AnswerKey| {
            let answer = may_be_too_old.then(|| self.answers.get(key)).flatten();
            answer.is_some_and(|answer| answer.given + age <= now)
        };
        let confirmed = confirmed.filter(|key| {
            self.confirmed.len() > messages || self.confirmed_bytes > bytes || too_old(key)
        });
        let unconfirmed = || {
            self.unconfirmed.first().filter(|key| {
                self.unconfirmed.len() > messages || self.unconfirmed_bytes > bytes || too_old(key)
            })
        };
        let awaited = || {
            let is_too_much = self.awaited.len() as u64 > messages || self.awaited_bytes > bytes;
            let first = self.awaited.first().filter(|(until, _)| is_too_much || *until <= now);
            first.map(|(_, key)| *key)
        };
        confirmed.or_else(unconfirmed).or_else(awaited)
    }

    pub(super) fn forget(&mut self, key: AnswerKey) -> Option<Answer> {
        let answer = self.answers.remove(&key);
        let bytes = answer.as_ref().map_or(0, |answer| answer.payload.len() as u64);
        if self.confirmed.remove(key) {
            self.confirmed_bytes -= bytes;
        } else if self.unconfirmed.remove(key..key + 1) > 0 {
            self.unconfirmed_bytes -= bytes;
        } else if let Some(until) = answer.as_ref().and_then(|answer| answer.awaited)
            && self.awaited.remove(&(until, key))
        {
            self.awaited_bytes -= bytes;
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmed_answers_leave_in_order_whatever_order_they_came_in() {
        let mut confirmed = Confirmed::default();
        for keys in [10..20, 20..22, 30..31, 4..6] {
            confirmed.insert(keys);
        }
        assert!(confirmed.remove(21) && !confirmed.remove(21) && !confirmed.remove(25));
        assert_eq!(confirmed.len(), 14);
        let mut order = Vec::new();
        while let Some(key) = confirmed.first() {
            assert!(confirmed.remove(key));
            order.push(key);
            if key == 12 {
                confirmed.insert(2..3);
            }
        }
        let wanted = [4, 5, 10, 11, 12, 2, 13, 14, 15, 16, 17, 18, 19, 20, 30];
        assert_eq!((order, confirmed.len()), (wanted.to_vec(), 0));
    }

    fn answer(payload: Bytes) -> Answer {
        let id = CallId::new([0; 8], 0);
        Answer { client: 0, id, payload, rejected: false, given: Time::ZERO, awaited: None }
    }

    #[test]
    fn each_is_forgotten_at_its_age_also_if_older_ones_were_awaited_meanwhile() {
        let mut memory = Memory::default();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let limits = AnswerMemory { messages: 10, bytes: 10, age: Duration::from_secs(60) };
        let (older, _) = memory.keep(Answer { awaited: Some(at(500)), ..answer(Bytes::new()) });
        let (newer, _) = memory.keep(Answer { given: at(30), ..answer(Bytes::new()) });
        assert_eq!(memory.surplus(limits, at(60)), None);
        assert_eq!(memory.due(limits.age), Some(at(90)));
        memory.confirm(older..older + 1);
        assert!(memory.due(limits.age).is_some_and(|due| due <= at(60)));
        for (key, second) in [(older, 60), (newer, 90)] {
            assert_eq!(memory.surplus(limits, at(second)), Some(key));
            memory.forget(key);
            assert_eq!(memory.surplus(limits, at(second)), None);
        }
        assert_eq!(memory.due(limits.age), None);
    }

    #[test]
    fn a_small_answer_does_not_keep_what_it_was_cut_from() {
        let mut memory = Memory::default();
        let read = Bytes::from(vec![7; 1 << 16]);
        let (small, _) = memory.keep(answer(read.slice(..64)));
        assert!(read.is_unique(), "it was copied");
        let (large, _) = memory.keep(answer(read.slice(..BY_REFERENCE_BYTES)));
        assert!(!read.is_unique(), "this one was not");
        assert_eq!(memory.answers.get(&small).map(|a| a.payload.len()), Some(64));
        assert_eq!(memory.answers.get(&large).map(|a| a.payload.len()), Some(BY_REFERENCE_BYTES));
    }
}
