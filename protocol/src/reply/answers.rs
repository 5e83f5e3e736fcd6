//! Answers: sent once they may be, confirmed, and remembered for those who ask again.

use std::fmt;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::credit::{Pool, UNANSWERED};
use crate::ids::{LinkId, span};
use crate::limits::PUT_OFF_MAX;
use crate::link::violation;
use crate::message::Message;
use crate::time::Time;
use crate::wire::{Close, Outcome, Reason, Settle};

use super::{Answer, AnswerKey, CallKey, Known, RepLink, ReplyEngine};

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

impl RepLink {
    /// Whose answers wait to be read gets no more credit, once they take as much as the calls of all clients may, until half
    /// of them are on their way.
    pub(super) fn hold_back(&mut self, id: LinkId, most: u64, pool: &mut Pool) {
        let is_held = self.outbox.bytes > if self.is_held { most / 2 } else { most };
        if std::mem::replace(&mut self.is_held, is_held) != is_held {
            pool.set_held(id, is_held);
        }
    }
}

impl ReplyEngine {
    /// Answers a call. A shelf life of the answer means nothing.
    ///
    /// # Errors
    /// If nobody would get the answer, or it is over the limit.
    pub fn answer<'a>(
        &mut self,
        key: CallKey,
        answer: impl Into<Message<'a>>,
        now: Time,
    ) -> Result<(), AnswerError> {
        self.answer_with(key, &answer.into(), now)
    }

    pub(super) fn answer_with(
        &mut self,
        key: CallKey,
        answer: &Message<'_>,
        now: Time,
    ) -> Result<(), AnswerError> {
        let (bytes, bytes_max) = (answer.payload().len(), self.config.link.message_bytes_max);
        if bytes > bytes_max {
            return Err(AnswerError::TooLong { bytes, bytes_max });
        }
        self.finish(key, answer, false, now)
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
        self.finish(key, &reason.into(), true, now)
    }

    /// The application has stopped with a call, since it was told that nobody waits for it. If it came again meanwhile, it
    /// goes back, to be worked on anew; one that must run at most once is refused for this reason.
    ///
    /// # Errors
    /// As nobody waits, mostly nobody hears of it.
    pub fn put_down(&mut self, key: CallKey, reason: Reason, now: Time) -> Result<(), AnswerError> {
        match self.calls.get(key) {
            Some(call) if !call.cancelled && !self.calls.is_at_most_once(key) => {
                self.counters.released += 1;
                self.end_unbegun(key, Outcome::Released);
                Ok(())
            }
            _ => self.reject(key, reason, now),
        }
    }

    fn finish(
        &mut self,
        key: CallKey,
        payload: &Message<'_>,
        rejected: bool,
        now: Time,
    ) -> Result<(), AnswerError> {
        let Some(call) = self.take_out(key) else {
            return Err(AnswerError::Unknown);
        };
        let is_late = call.deadline.is_some_and(|deadline| deadline <= now);
        if call.cancelled && rejected && !call.at_most_once {
            // It was given up because nobody waits for it. Who asks again wants it to be worked on, unless that might be twice.
            self.names.forget(call.client, call.id);
            return Err(AnswerError::Cancelled);
        }
        let (client, id) = (call.client, call.id);
        // Its client asks again for as long as it waits, but nobody is believed to wait for ever; and what it said last may come
        // late.
        let until = call.deadline.map(|deadline| deadline.min(now + PUT_OFF_MAX));
        let until = until.map(|until| until + self.config.memory.age);
        let awaited = until.filter(|_| call.at_most_once && !is_late);
        let waits = !call.cancelled && !is_late;
        let to = call.places.at.map(|(link, _)| link).filter(|_| waits);
        self.give(&Answer { client, id, rejected, given: now, awaited, to }, payload);
        match () {
            // Its caller does not wait now, but the call may come once more: it is answered already.
            () if call.cancelled => Err(AnswerError::Cancelled),
            () if is_late => {
                self.counters.late += 1;
                Err(AnswerError::Late)
            }
            () => {
                self.counters.answered += 1;
                Ok(())
            }
        }
    }

    /// Remembers an answer, and lets it go out if it is to. What waits to be sent is there even if it is not to be remembered.
    pub(super) fn give(&mut self, answer: &Answer, payload: &Message<'_>) {
        if !self.memory.continues(answer, payload.payload().len()) {
            self.close_block();
            self.wakes.extend(answer.to);
        }
        self.memory.keep(answer, payload);
        if self.memory.is_full(self.config.memory) {
            self.forget_old_answers(answer.given);
        }
    }

    /// What was given so far can be sent, and looked for.
    pub(super) fn close_block(&mut self) {
        let Some(sealed) = self.memory.seal() else {
            return;
        };
        for (number, part) in self.memory.numbers(sealed.keys.clone()) {
            let known = |above| Known::Answered(part.start + above);
            self.names.note(sealed.client, number, span(&part), known);
        }
        if let Some(id) = sealed.to {
            self.line_up(id, sealed.keys, sealed.bytes);
        }
    }

    /// Lets an answer go out on a link, unless it waits there already.
    pub(super) fn send_answer(&mut self, id: LinkId, key: AnswerKey) {
        if self.links.contains_key(&id)
            && let Some(bytes) = self.memory.hold(key, id)
        {
            self.line_up(id, key..key + 1, bytes);
        }
    }

    /// Answers that a link is to send, and that are held for it, are the last of those.
    fn line_up(&mut self, id: LinkId, keys: Range<AnswerKey>, bytes: u64) {
        if let Some(link) = self.links.get_mut(&id) {
            link.outbox.push(keys, bytes);
            link.hold_back(id, self.config.answers_bytes_max(), &mut self.pool);
            if self.wakes.back() != Some(&id) {
                self.wakes.push_back(id);
            }
        }
    }

    /// A client says which answers came.
    pub(super) fn handle_confirmed(&mut self, id: LinkId, settle: Settle) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        // A client that says the same many times over is not listened to each time.
        let mut answers = RangeSet::new();
        for settlement in settle.settlements {
            if settlement.outcome != Outcome::Confirmed {
                return Err(violation("an outcome that an answer does not have"));
            }
            let range = settlement.deliveries.range().filter(|range| range.end <= link.next_answer);
            answers.insert(range.ok_or_else(|| violation("it confirms what was never sent"))?);
        }
        for answers in answers.iter() {
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

    /// Who sits on room that others wait for gives it back, or goes.
    fn review_room(&mut self, now: Time) {
        for id in self.pool.review(now) {
            self.end_link(id, violation(UNANSWERED), true, now);
        }
        self.wake_granted();
    }

    /// Forgets what is more than is to be remembered.
    pub(super) fn forget_old_answers(&mut self, now: Time) {
        self.close_block();
        let limits = self.config.memory;
        while let Some(keys) = self.memory.surplus(limits, now) {
            if let Some(client) = self.memory.client(keys.start) {
                for (number, part) in self.memory.numbers(keys.clone()) {
                    self.names.forget_answers(client, number, span(&part), part.start);
                }
            }
            self.memory.forget(keys.clone());
            if let Some(journal) = &mut self.journal {
                keys.for_each(|key| journal.forgotten(key));
            }
        }
    }

    /// When [`ReplyEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let forget_at = self.memory.due(self.config.memory.age);
        let goodbye_at = self.goodbye_at.filter(|_| self.pool.outstanding().messages > 0);
        let (doubt_at, review_at) = (self.doubt_at(), self.pool.review_at());
        Time::first_of([doubt_at, review_at, forget_at, self.store_slow_at(), goodbye_at])
    }

    /// Lets time pass: what was remembered long enough is forgotten, and a store that takes long is told of.
    pub fn handle_timeout(&mut self, now: Time) {
        self.doubt(now);
        self.review_room(now);
        self.tell_slow_store(now);
        self.forget_old_answers(now);
        // Who has not given it back by now is not waited for.
        self.goodbye_at = self.goodbye_at.filter(|at| *at > now);
    }
}
