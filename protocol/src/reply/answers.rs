//! Answers: sent once they may be, confirmed, and remembered for those who ask again.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::ids::{CallId, LinkId};
use crate::limits::BY_REFERENCE_BYTES;
use crate::link::violation;
use crate::queue::Rising;
use crate::range::RangeSet;
use crate::time::Time;
use crate::wire::{Close, Outcome, Reason, Settle};

use super::{AnswerMemory, CallKey, ClientKey, Known, RepLink, ReplyEngine};

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

    /// The oldest one, in the front from now on.
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
}

/// Why an answer is not sent. One that is cancelled or late is still remembered, in case the call comes once more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AnswerError {
    /// It is over the limit. The call is still to be answered.
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The caller does not wait any more: it has cancelled the call.
    Cancelled,
    /// The caller does not wait any more: its time is over.
    Late,
    /// There is no such call: it was answered before, or its socket has forgotten it.
    Unknown,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AnswerError::TooLong { bytes, bytes_max } => write!(
                f,
                "the answer has {bytes} bytes and the limit is {bytes_max}; it was not sent, and the call is still \
                 to be answered: send less, or raise max_message on both sides"
            ),
            AnswerError::Cancelled => {
                f.write_str("the caller has cancelled the call; the answer was not sent")
            }
            AnswerError::Late => {
                f.write_str("the caller's deadline has passed; the answer was not sent")
            }
            AnswerError::Unknown => {
                f.write_str("there is no such call any more; the answer was not sent")
            }
        }
    }
}

impl std::error::Error for AnswerError {}

impl ReplyEngine {
    /// Answers a call.
    ///
    /// # Errors
    /// If nobody would get the answer, or it is over the limit.
    pub fn answer(&mut self, key: CallKey, payload: Bytes, now: Time) -> Result<(), AnswerError> {
        let (bytes, bytes_max) = (payload.len(), self.config.link.message_bytes_max);
        if bytes > bytes_max {
            return Err(AnswerError::TooLong { bytes, bytes_max });
        }
        self.finish(key, payload, false, now)
    }

    /// Refuses a call for a reason, which its caller is told.
    ///
    /// # Errors
    /// If nobody would hear of it.
    pub fn reject(&mut self, key: CallKey, reason: Reason, now: Time) -> Result<(), AnswerError> {
        self.counters.rejected += 1;
        let mut reason = String::from(reason);
        // Its client takes no record that is longer, whatever it says.
        reason.truncate(reason.floor_char_boundary(self.config.link.message_bytes_max));
        self.finish(key, Bytes::from(reason), true, now)
    }

    fn finish(
        &mut self,
        key: CallKey,
        payload: Bytes,
        rejected: bool,
        now: Time,
    ) -> Result<(), AnswerError> {
        let Some(call) = self.take_out(key) else {
            return Err(AnswerError::Unknown);
        };
        let is_late = call.deadline.is_some_and(|deadline| deadline <= now);
        if call.cancelled && rejected {
            // It was given up because nobody waits for it. Who asks again wants it to be worked on.
            self.names.forget(call.client, call.id);
            return Err(AnswerError::Cancelled);
        }
        let (client, id) = (call.client, call.id);
        let (answer_key, answer) =
            self.memory.keep(Answer { client, id, payload, rejected, given: now });
        self.names.note(client, id, Known::Answered(answer_key));
        self.forget_old_answers(now);
        // Its caller does not wait now, but the call may come once more: it is answered already.
        if call.cancelled {
            return Err(AnswerError::Cancelled);
        }
        if is_late {
            self.counters.late += 1;
            return Err(AnswerError::Late);
        }
        self.counters.answered += 1;
        if let Some((link, _)) = call.at {
            self.send_answer(link, answer_key, answer);
        }
        Ok(())
    }

    /// Lets an answer go out again on a link, unless it waits there already.
    pub(super) fn repeat_answer(&mut self, id: LinkId, key: AnswerKey) {
        let waits = |link: &RepLink| link.outbox.iter().any(|(other, _)| *other == key);
        if self.links.get(&id).is_some_and(|link| !waits(link))
            && let Some(answer) = self.memory.answers.get(&key).cloned()
        {
            self.send_answer(id, key, answer);
        }
    }

    /// What waits to be sent is there even if it is not to be remembered.
    fn send_answer(&mut self, id: LinkId, key: AnswerKey, answer: Answer) {
        if let Some(link) = self.links.get_mut(&id) {
            link.outbox.push_back((key, answer));
            self.wakes.push_back(id);
        }
    }

    /// A client says which answers came.
    pub(super) fn handle_confirmed(&mut self, id: LinkId, settle: Settle) -> Result<(), Close> {
        for settlement in settle.settlements {
            let Some(link) = self.links.get_mut(&id) else {
                return Ok(());
            };
            let range = settlement.deliveries.range().filter(|range| range.end <= link.next_answer);
            let Some(answers) = range.filter(|_| settlement.outcome == Outcome::Confirmed) else {
                return Err(violation("it confirms what was never sent"));
            };
            // What stands side by side on the link mostly does so here too.
            let mut run = 0..0;
            link.unconfirmed.take_range(answers, |_, key| {
                if key != run.end {
                    self.memory.confirm(std::mem::replace(&mut run, key..key));
                }
                run.end += 1;
            });
            self.memory.confirm(run);
        }
        Ok(())
    }

    /// Forgets what is more than is to be remembered.
    pub(super) fn forget_old_answers(&mut self, now: Time) {
        let limits = self.config.memory;
        while let Some(key) = self.memory.surplus(limits, now) {
            if let Some(answer) = self.memory.forget(key) {
                self.names.forget(answer.client, answer.id);
            }
            if let Some(journal) = &mut self.journal {
                journal.forgotten(key);
            }
        }
    }

    /// When [`ReplyEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let oldest = self.memory.answers.first().map(|(_, answer)| answer.given);
        let forget_at = oldest.map(|given| given + self.config.memory.age);
        forget_at.into_iter().chain(self.doubt_at()).min()
    }

    /// Lets time pass: what was remembered long enough is forgotten.
    pub fn handle_timeout(&mut self, now: Time) {
        self.doubt(now);
        self.forget_old_answers(now);
    }
}

impl Memory {
    /// Takes in an answer that a store kept.
    pub(super) fn restore(&mut self, key: AnswerKey, answer: Answer) {
        self.confirmed.insert(key..key + 1);
        self.confirmed_bytes += answer.payload.len() as u64;
        self.answers.insert(key, answer);
    }

    /// Takes in an answer that was just given.
    fn keep(&mut self, mut answer: Answer) -> (AnswerKey, Answer) {
        // A small one must not keep all in memory that it was cut from: perhaps what was read together with its call.
        if answer.payload.len() < BY_REFERENCE_BYTES {
            if self.piece.capacity() < answer.payload.len() {
                self.piece = BytesMut::with_capacity(PIECE_BYTES);
            }
            self.piece.extend_from_slice(&answer.payload);
            answer.payload = self.piece.split().freeze();
        }
        let key = self.next;
        self.next += 1;
        self.unconfirmed.insert(key..key + 1);
        self.unconfirmed_bytes += answer.payload.len() as u64;
        self.answers.insert(key, answer.clone());
        (key, answer)
    }

    /// The clients have these, as far as they are still remembered.
    fn confirm(&mut self, keys: Range<AnswerKey>) {
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

    /// An answer that there is no room for, or that is too old.
    fn surplus(&mut self, limits: AnswerMemory, now: Time) -> Option<AnswerKey> {
        let AnswerMemory { messages, bytes, age } = limits;
        let confirmed = self.confirmed.first();
        let too_old = |key: &AnswerKey| {
            let answer = self.answers.get(key);
            answer.is_none_or(|answer| answer.given + age <= now)
        };
        let confirmed = confirmed.filter(|key| {
            self.confirmed.len() > messages || self.confirmed_bytes > bytes || too_old(key)
        });
        confirmed.or_else(|| {
            self.unconfirmed.first().filter(|key| {
                self.unconfirmed.len() > messages || self.unconfirmed_bytes > bytes || too_old(key)
            })
        })
    }

    fn forget(&mut self, key: AnswerKey) -> Option<Answer> {
        let answer = self.answers.remove(&key);
        let bytes = answer.as_ref().map_or(0, |answer| answer.payload.len() as u64);
        if self.confirmed.remove(key) {
            self.confirmed_bytes -= bytes;
        } else if self.unconfirmed.remove(key..key + 1) > 0 {
            self.unconfirmed_bytes -= bytes;
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

    #[test]
    fn a_small_answer_does_not_keep_what_it_was_cut_from() {
        let mut memory = Memory::default();
        let read = Bytes::from(vec![7; 1 << 16]);
        let answer = |payload| Answer {
            client: 0,
            id: CallId::new([0; 8], 0),
            payload,
            rejected: false,
            given: Time::ZERO,
        };
        let (small, _) = memory.keep(answer(read.slice(..64)));
        assert!(read.is_unique(), "it was copied");
        let (large, _) = memory.keep(answer(read.slice(..BY_REFERENCE_BYTES)));
        assert!(!read.is_unique(), "this one was not");
        assert_eq!(memory.answers.get(&small).map(|a| a.payload.len()), Some(64));
        assert_eq!(memory.answers.get(&large).map(|a| a.payload.len()), Some(BY_REFERENCE_BYTES));
    }
}
