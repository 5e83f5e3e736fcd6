//! Answers that are remembered for those who ask again.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::collections::{RangeSet, Rising};
use crate::ids::{CallId, LinkId};
use crate::limits::BY_REFERENCE_BYTES;
use crate::time::Time;

use super::pieces::{Pieces, Spot};
use super::{AnswerMemory, ClientKey};

/// Answers by the order in which they were given.
pub(super) type AnswerKey = u64;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Those too that are forgotten, and that some link has still to send.
    answers: Rising<Kept>,
    /// How many are forgotten.
    forgotten: u64,
    pub(super) next: AnswerKey,
    /// Those that their clients have not confirmed.
    unconfirmed: RangeSet,
    unconfirmed_bytes: u64,
    /// The others.
    confirmed: Confirmed,
    confirmed_bytes: u64,
    /// Those that are not confirmed, and that must be known until some moment.
    awaited: Awaited,
    awaited_bytes: u64,
    /// No answer that is kept was given before this. Found anew once that is too long ago: to look at the oldest one each time
    /// would be to wait for memory that nothing else touches.
    none_before: Option<Time>,
    pieces: Pieces,
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

/// Answers that must be known until some moment each.
#[derive(Debug, Default)]
struct Awaited {
    by_end: BTreeSet<(Time, AnswerKey)>,
    /// The same in the order in which they were given.
    keys: RangeSet,
}

impl Awaited {
    fn insert(&mut self, until: Time, key: AnswerKey) {
        self.by_end.insert((until, key));
        self.keys.insert(key..key + 1);
    }

    /// Takes one out; says whether it was there.
    fn remove(&mut self, until: Time, key: AnswerKey) -> bool {
        self.by_end.remove(&(until, key)) && self.keys.remove(key..key + 1) > 0
    }

    /// The first moment that one of them is known until.
    fn first_end(&self) -> Option<Time> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// The first that need not be known any more; if there are too many, the one that was given first, since what their
    /// callers say of their ends would let the last to come go before all others.
    fn surplus(&self, is_too_much: bool, now: Time) -> Option<AnswerKey> {
        let over = self.by_end.first().filter(|(until, _)| *until <= now);
        over.map(|(_, key)| *key).or_else(|| self.keys.first().filter(|_| is_too_much))
    }
}

/// An answer that was given.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) client: ClientKey,
    pub(super) id: CallId,
    pub(super) rejected: bool,
    pub(super) given: Time,
    /// Its call must not run twice: until this moment it is known however old it is, unless its client confirms it.
    pub(super) awaited: Option<Time>,
}

/// The same, with what was said.
#[derive(Debug)]
struct Kept {
    answer: Answer,
    payload: Payload,
    /// How many links have still to send it, and which that is, as long as it is one.
    unsent: u32,
    sent_by: Option<LinkId>,
    /// Nobody who asks again gets it.
    is_forgotten: bool,
}

/// A small one must not keep all in memory that it was cut from: perhaps what was read together with its call.
#[derive(Debug)]
enum Payload {
    Small(Spot),
    Large(Box<Bytes>),
}

impl Kept {
    fn bytes(&self) -> u64 {
        match &self.payload {
            Payload::Small(spot) => spot.bytes() as u64,
            Payload::Large(bytes) => bytes.len() as u64,
        }
    }
}

impl Memory {
    /// How many are remembered.
    pub(super) fn len(&self) -> u64 {
        self.answers.len() as u64 - self.forgotten
    }

    fn insert(&mut self, key: AnswerKey, answer: Answer, payload: Bytes) {
        self.note_given(answer.given);
        let payload = match payload.len() < BY_REFERENCE_BYTES {
            true => Payload::Small(self.pieces.put(&payload)),
            false => Payload::Large(Box::new(payload)),
        };
        let kept = Kept { answer, payload, unsent: 0, sent_by: None, is_forgotten: false };
        self.answers.insert(key, kept);
    }

    /// Takes in an answer that a store kept.
    pub(super) fn restore(&mut self, key: AnswerKey, answer: Answer, payload: Bytes) {
        self.confirmed.insert(key..key + 1);
        self.confirmed_bytes += payload.len() as u64;
        self.insert(key, answer, payload);
    }

    /// Takes in an answer that was just given.
    pub(super) fn keep(&mut self, answer: Answer, payload: Bytes) -> AnswerKey {
        let (key, bytes) = (self.next, payload.len() as u64);
        self.next += 1;
        match answer.awaited {
            None => {
                self.unconfirmed.insert(key..key + 1);
                self.unconfirmed_bytes += bytes;
            }
            Some(until) => {
                self.awaited.insert(until, key);
                self.awaited_bytes += bytes;
            }
        }
        self.insert(key, answer, payload);
        key
    }

    /// An answer that is remembered.
    pub(super) fn get(&self, key: AnswerKey) -> Option<(&Answer, &[u8])> {
        let kept = self.answers.get(&key).filter(|kept| !kept.is_forgotten)?;
        Some((&kept.answer, self.payload(kept)))
    }

    fn payload<'a>(&'a self, kept: &'a Kept) -> &'a [u8] {
        match &kept.payload {
            Payload::Small(spot) => self.pieces.get(*spot),
            Payload::Large(bytes) => bytes,
        }
    }

    /// A link is to send an answer: it is there until it has, even if it is not to be remembered. Gives the length of its
    /// payload; `None` if it waits there already; `waits` looks for it, and is asked only where several links have it.
    pub(super) fn hold(
        &mut self,
        key: AnswerKey,
        link: LinkId,
        waits: impl FnOnce() -> bool,
    ) -> Option<u64> {
        let kept = self.answers.get_mut(&key)?;
        let waits_there = match (kept.unsent, kept.sent_by) {
            (0, _) => false,
            (1, Some(sent_by)) => sent_by == link,
            _ => waits(),
        };
        if waits_there {
            return None;
        }
        kept.unsent += 1;
        kept.sent_by = Some(link).filter(|_| kept.unsent == 1);
        Some(kept.bytes())
    }

    /// The clients have these, as far as they are still remembered.
    pub(super) fn confirm(&mut self, keys: Range<AnswerKey>) {
        if !self.awaited.keys.is_empty() {
            self.confirm_awaited(keys.clone());
        }
        let parts: Vec<_> = self.unconfirmed.within(keys).collect();
        for keys in parts {
            let bytes: u64 = self.answers.range(keys.clone()).map(|(_, kept)| kept.bytes()).sum();
            self.unconfirmed_bytes -= bytes;
            self.confirmed_bytes += bytes;
            self.unconfirmed.remove(keys.clone());
            self.confirmed.insert(keys);
        }
    }

    /// The same, of those that are awaited.
    fn confirm_awaited(&mut self, keys: Range<AnswerKey>) {
        let waits = |(key, kept): (_, &Kept)| kept.answer.awaited.map(|until| (until, key));
        let came: Vec<_> = self.answers.range(keys).filter_map(waits).collect();
        for (until, key) in came {
            if self.awaited.remove(until, key)
                && let Some(kept) = self.answers.get(&key)
            {
                let (bytes, given) = (kept.bytes(), kept.answer.given);
                self.awaited_bytes -= bytes;
                self.confirmed_bytes += bytes;
                self.confirmed.insert(key..key + 1);
                // It may be older than what was confirmed before.
                self.note_given(given);
            }
        }
    }

    fn note_given(&mut self, given: Time) {
        self.none_before = Time::first_of([self.none_before, Some(given)]);
    }

    /// When the oldest was given, of those that are not awaited.
    fn oldest_given(&self) -> Option<Time> {
        let oldest = [self.confirmed.oldest(), self.unconfirmed.first()].into_iter().flatten();
        oldest.filter_map(|key| self.answers.get(&key)).map(|kept| kept.answer.given).min()
    }

    /// When the first answer may be too old.
    pub(super) fn due(&self, age: Duration) -> Option<Time> {
        let given = self.none_before.map(|given| given + age);
        Time::first_of([given, self.awaited.first_end()])
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
            let kept = may_be_too_old.then(|| self.answers.get(key)).flatten();
            kept.is_some_and(|kept| kept.answer.given + age <= now)
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
            let is_too_much = self.awaited.keys.len() > messages || self.awaited_bytes > bytes;
            self.awaited.surplus(is_too_much, now)
        };
        confirmed.or_else(unconfirmed).or_else(awaited)
    }

    /// Nobody who asks again gets this any more. Says whose it was.
    pub(super) fn forget(&mut self, key: AnswerKey) -> Option<(ClientKey, CallId)> {
        let kept = self.answers.get_mut(&key)?;
        let (name, awaited) = ((kept.answer.client, kept.answer.id), kept.answer.awaited);
        let bytes = kept.bytes();
        kept.is_forgotten = true;
        self.forgotten += 1;
        if kept.unsent == 0 {
            self.drop_forgotten(key);
        }
        if self.confirmed.remove(key) {
            self.confirmed_bytes -= bytes;
        } else if self.unconfirmed.remove(key..key + 1) > 0 {
            self.unconfirmed_bytes -= bytes;
        } else if let Some(until) = awaited
            && self.awaited.remove(until, key)
        {
            self.awaited_bytes -= bytes;
        }
        Some(name)
    }

    fn drop_forgotten(&mut self, key: AnswerKey) {
        let payload = self.answers.remove_with(&key, |kept| match &kept.payload {
            Payload::Small(spot) => Some(*spot),
            Payload::Large(_) => None,
        });
        self.forgotten -= 1;
        payload.flatten().into_iter().for_each(|spot| self.pieces.free(spot));
    }

    /// A link sends an answer, which it is shown; a large payload it may have by reference.
    pub(super) fn send<R>(
        &mut self,
        key: AnswerKey,
        write: impl FnOnce(&Answer, &[u8], Option<&Bytes>) -> R,
    ) -> Option<R> {
        let kept = self.answers.get(&key)?;
        let large = match &kept.payload {
            Payload::Large(bytes) => Some(&**bytes),
            Payload::Small(_) => None,
        };
        let result = write(&kept.answer, self.payload(kept), large);
        self.release(key);
        Some(result)
    }

    /// A link does not have to send an answer any more.
    pub(super) fn release(&mut self, key: AnswerKey) {
        if let Some(kept) = self.answers.get_mut(&key) {
            kept.unsent -= 1;
            if kept.unsent == 0 && kept.is_forgotten {
                self.drop_forgotten(key);
            }
        }
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

    fn answer() -> Answer {
        let id = CallId::new([0; 8], 0);
        Answer { client: 0, id, rejected: false, given: Time::ZERO, awaited: None }
    }

    #[test]
    fn each_is_forgotten_at_its_age_also_if_older_ones_were_awaited_meanwhile() {
        let mut memory = Memory::default();
        let at = |seconds| Time::ZERO + Duration::from_secs(seconds);
        let limits = AnswerMemory { messages: 10, bytes: 10, age: Duration::from_secs(60) };
        let older = memory.keep(Answer { awaited: Some(at(500)), ..answer() }, Bytes::new());
        let newer = memory.keep(Answer { given: at(30), ..answer() }, Bytes::new());
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
        let small = memory.keep(answer(), read.slice(..64));
        assert!(read.is_unique(), "it was copied");
        let large = memory.keep(answer(), read.slice(..BY_REFERENCE_BYTES));
        assert!(!read.is_unique(), "this one was not");
        let bytes = |key| memory.get(key).map(|(_, payload)| payload.len());
        assert_eq!((bytes(small), bytes(large)), (Some(64), Some(BY_REFERENCE_BYTES)));
    }

    #[test]
    fn what_is_to_be_sent_is_there_although_it_is_forgotten() {
        let mut memory = Memory::default();
        for payload in [vec![1; 10], vec![2; BY_REFERENCE_BYTES]] {
            let key = memory.keep(answer(), payload.clone().into());
            let nowhere = || false;
            let bytes = Some(payload.len() as u64);
            assert_eq!(memory.hold(key, LinkId(1), nowhere), bytes);
            assert_eq!(memory.hold(key, LinkId(1), nowhere), None, "it waits there already");
            assert_eq!(memory.hold(key, LinkId(2), nowhere), bytes);
            assert_eq!(memory.hold(key, LinkId(1), || true), None, "there it does, too");
            assert!(memory.forget(key).is_some() && memory.get(key).is_none());
            assert_eq!(memory.send(key, |_, sent, _| sent.to_vec()), Some(payload));
            memory.release(key);
            assert_eq!((memory.len(), memory.answers.len()), (0, 0));
            assert_eq!(memory.send(key, |_, _, _| ()), None);
        }
    }
}
