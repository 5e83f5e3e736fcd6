//! How answers stand that are remembered: confirmed by their clients, or known until some moment each.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::span;
use crate::time::Time;

use super::memory::AnswerKey;

/// Answers that their clients have: most come in order, and leave in order.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    front: Range<AnswerKey>,
    /// All others, those before the front included.
    rest: RangeSet,
}

impl Confirmed {
    pub(super) fn len(&self) -> u64 {
        span(&self.front) + self.rest.len()
    }

    pub(super) fn insert(&mut self, keys: Range<AnswerKey>) {
        if self.rest.is_empty() && (self.front.is_empty() || self.front.end == keys.start) {
            let start = if self.front.is_empty() { keys.start } else { self.front.start };
            self.front = start..keys.end;
        } else {
            self.rest.insert(keys);
        }
    }

    /// The key of the oldest one.
    pub(super) fn oldest(&self) -> Option<AnswerKey> {
        let front = (!self.front.is_empty()).then_some(self.front.start);
        front.into_iter().chain(self.rest.first()).min()
    }

    /// The oldest ones, in the front from now on.
    pub(super) fn first_run(&mut self) -> Option<Range<AnswerKey>> {
        let rest = self.rest.first();
        if rest.is_some_and(|rest| self.front.is_empty() || rest < self.front.start) {
            self.rest.insert(std::mem::take(&mut self.front));
            self.front = self.rest.pop_first(u64::MAX).unwrap_or_default();
        }
        (!self.front.is_empty()).then(|| self.front.clone())
    }

    /// Takes some out that stand side by side; says whether they were there.
    pub(super) fn remove(&mut self, keys: Range<AnswerKey>) -> bool {
        if self.front.start == keys.start && keys.end <= self.front.end {
            self.front.start = keys.end;
            return true;
        }
        if self.front.start < keys.end && keys.start < self.front.end {
            self.rest.insert(std::mem::take(&mut self.front));
        }
        self.rest.remove(keys) > 0
    }
}

/// Answers that must be known until some moment each.
#[derive(Debug, Default)]
pub(super) struct Awaited {
    by_end: BTreeSet<(Time, AnswerKey)>,
    /// The same in the order in which they were given.
    keys: RangeSet,
}

impl Awaited {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        self.keys.len()
    }

    pub(super) fn insert(&mut self, until: Time, key: AnswerKey) {
        self.by_end.insert((until, key));
        self.keys.insert(key..key + 1);
    }

    /// Takes one out; says whether it was there.
    pub(super) fn remove(&mut self, until: Time, key: AnswerKey) -> bool {
        self.by_end.remove(&(until, key)) && self.keys.remove(key..key + 1) > 0
    }

    /// Which of these are among them.
    pub(super) fn within(&self, keys: Range<AnswerKey>) -> impl Iterator<Item = AnswerKey> {
        self.keys.within(keys).flatten()
    }

    /// The first moment that one of them is known until.
    pub(super) fn first_end(&self) -> Option<Time> {
        self.by_end.first().map(|(until, _)| *until)
    }

    /// The first that need not be known any more; if there are too many, the one that was given first, since what their
    /// callers say of their ends would let the last to come go before all others.
    pub(super) fn surplus(&self, is_too_much: bool, now: Time) -> Option<AnswerKey> {
        let over = self.by_end.first().filter(|(until, _)| *until <= now);
        over.map(|(_, key)| *key).or_else(|| self.keys.first().filter(|_| is_too_much))
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
        assert!(confirmed.remove(21..22));
        assert!(!confirmed.remove(21..22) && !confirmed.remove(25..26));
        assert_eq!(confirmed.len(), 14);
        let mut order = Vec::new();
        while let Some(run) = confirmed.first_run() {
            let some = run.start..run.end.min(run.start + 2);
            assert!(confirmed.remove(some.clone()));
            order.extend(some);
            if order.last() == Some(&13) {
                confirmed.insert(2..3);
            }
        }
        let wanted = [4, 5, 10, 11, 12, 13, 2, 14, 15, 16, 17, 18, 19, 20, 30];
        assert_eq!((order, confirmed.len()), (wanted.to_vec(), 0));
    }
}
