//! Answers that wait to be sent on a link.

use std::collections::VecDeque;
use std::ops::Range;

use crate::ids::span;

use super::memory::AnswerKey;

/// Answers in the order in which they are to be sent, those together that were given one after the other.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    runs: VecDeque<Range<AnswerKey>>,
    len: usize,
    /// What they take, as credit is counted.
    pub(super) bytes: u64,
}

impl Outbox {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push(&mut self, keys: Range<AnswerKey>, bytes: u64) {
        self.len += span(&keys) as usize;
        self.bytes += bytes;
        match self.runs.back_mut() {
            Some(run) if run.end == keys.start => run.end = keys.end,
            _ => self.runs.push_back(keys),
        }
    }

    /// The first ones, as far as they are below this.
    pub(super) fn first(&self, end: AnswerKey) -> Option<Range<AnswerKey>> {
        let run = self.runs.front().filter(|run| run.start < end)?;
        Some(run.start..run.end.min(end))
    }

    /// Whether any is below this.
    pub(super) fn has_below(&self, end: AnswerKey) -> bool {
        self.runs.iter().any(|run| run.start < end)
    }

    /// So many of the first are on their way, which were given one after the other.
    pub(super) fn pop(&mut self, count: u64, bytes: u64) {
        self.len -= count as usize;
        self.bytes -= bytes;
        if let Some(run) = self.runs.front_mut() {
            run.start += count;
            if run.is_empty() {
                self.runs.pop_front();
            }
        }
    }
}

impl IntoIterator for Outbox {
    type Item = Range<AnswerKey>;
    type IntoIter = std::collections::vec_deque::IntoIter<Range<AnswerKey>>;

    fn into_iter(self) -> Self::IntoIter {
        self.runs.into_iter()
    }
}
