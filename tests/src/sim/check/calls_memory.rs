//! What a server has promised to remember.

use drawdown_protocol::{AnswerMemory, Time};

use super::calls::{Begun, CameTo, Incarnation};

/// The answers that a server has given over all its lives.
#[derive(Default)]
pub(crate) struct MemoryModel {
    limits: AnswerMemory,
    is_durable: bool,
    given: Vec<Given>,
    /// When the present life began, and with how many answers of earlier ones at the most.
    started: Time,
    inherited: u64,
}

/// An answer.
struct Given {
    at: Time,
    bytes: u64,
    /// Until when it is known, if its call must not run twice and its caller does not say that it came.
    awaited: Option<Time>,
}

impl MemoryModel {
    /// A server starts.
    pub(crate) fn start(
        &mut self,
        limits: AnswerMemory,
        is_durable: bool,
        inherited: u64,
        now: Time,
    ) {
        *self = Self {
            limits,
            is_durable,
            given: std::mem::take(&mut self.given),
            started: now,
            inherited,
        };
    }

    /// An answer is given to a call that must not run twice before this moment, if there is one. Says its number.
    pub(crate) fn give(&mut self, bytes: usize, once_until: Option<Time>, now: Time) -> usize {
        let awaited = once_until.filter(|until| *until > now).map(|until| until + self.limits.age);
        self.given.push(Given { at: now, bytes: bytes as u64, awaited });
        self.given.len() - 1
    }

    /// Whether a server that may begin with a call, whose caller perhaps waits, must know that it has done so before.
    pub(crate) fn must_know(
        &self,
        before: &Begun,
        by: Incarnation,
        waits: bool,
        now: Time,
    ) -> bool {
        let same_life = before.by == by;
        let kept = before.by.rep == by.rep && self.is_durable && before.was_sent;
        match before.came_to {
            CameTo::Nothing => same_life,
            CameTo::Dropped => false,
            CameTo::Answer(number) => {
                // It is not on disk how long it is awaited.
                let waits = waits && same_life;
                (same_life || kept) && !self.may_forget(number, waits, now)
            }
        }
    }

    /// Whether there may be no room for an answer any more, or it may be too old.
    fn may_forget(&self, number: usize, waits: bool, now: Time) -> bool {
        let AnswerMemory { messages, bytes, age } = self.limits;
        let since = self.given.get(number..).unwrap_or_default();
        let in_bytes: u64 = since.iter().map(|given| given.bytes).sum();
        let is_old = since.first().is_none_or(|given| {
            let is_awaited = waits && given.awaited.is_some_and(|until| until > now);
            given.at + age <= now && !is_awaited
        });
        since.len() as u64 > messages || in_bytes > bytes || is_old
    }

    /// The most answers that it may still have in memory.
    pub(crate) fn remembered_max(&self, now: Time) -> u64 {
        let AnswerMemory { messages, age, .. } = self.limits;
        let young = |at: Time| at + age + super::calls::LATE > now;
        let is_awaited =
            |given: &Given| given.awaited.is_some_and(|at| at + super::calls::LATE > now);
        let is_recent =
            |given: &&Given| given.at >= self.started && (young(given.at) || is_awaited(given));
        let recent = self.given.iter().filter(is_recent).count();
        let inherited = if young(self.started) { self.inherited } else { 0 };
        (recent as u64 + inherited).min(messages.saturating_mul(3))
    }
}
