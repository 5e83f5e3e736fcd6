//! What a server has promised to remember.

use drawdown_protocol::{AnswerMemory, Time};

use super::calls::{Begun, CameTo, Incarnation};

/// The answers that a server has given over all its lives.
#[derive(Default)]
pub(crate) struct MemoryModel {
    limits: AnswerMemory,
    is_durable: bool,
    given: Vec<(Time, u64)>,
    /// When the present life began, and with how many answers of earlier ones at the most.
    started: Time,
    inherited: u64,
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

    /// An answer is given. Says its number.
    pub(crate) fn give(&mut self, bytes: usize, now: Time) -> usize {
        self.given.push((now, bytes as u64));
        self.given.len() - 1
    }

    /// Whether a server that may begin with a call must know that it has done so before.
    pub(crate) fn must_know(&self, before: &Begun, by: Incarnation, now: Time) -> bool {
        let same_life = before.by == by;
        let kept = before.by.rep == by.rep && self.is_durable && before.was_sent;
        match before.came_to {
            CameTo::Nothing => same_life,
            CameTo::Dropped => false,
            CameTo::Answer(number) => (same_life || kept) && !self.may_forget(number, now),
        }
    }

    /// Whether there may be no room for an answer any more, or it may be too old.
    fn may_forget(&self, number: usize, now: Time) -> bool {
        let AnswerMemory { messages, bytes, age } = self.limits;
        let since = self.given.get(number..).unwrap_or_default();
        let in_bytes: u64 = since.iter().map(|(_, bytes)| bytes).sum();
        let is_old = since.first().is_none_or(|(at, _)| *at + age <= now);
        since.len() as u64 > messages || in_bytes > bytes || is_old
    }

    /// The most answers that it may still have in memory.
    pub(crate) fn remembered_max(&self, now: Time) -> u64 {
        let AnswerMemory { messages, age, .. } = self.limits;
        let young = |at: Time| at + age + super::calls::LATE > now;
        let recent = self.given.iter().filter(|(at, _)| *at >= self.started && young(*at)).count();
        let inherited = if young(self.started) { self.inherited } else { 0 };
        (recent as u64 + inherited).min(messages.saturating_mul(2))
    }
}
