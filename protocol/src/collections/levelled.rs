//! A queue in which what is of a better level comes first.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::ids::{Priority, span};

/// Numbers of things, first in, first out, in each level; those that come side by side stand as one.
#[derive(Debug, Default)]
pub(crate) struct Levelled {
    levels: BTreeMap<Priority, VecDeque<Range<u64>>>,
    len: u64,
}

impl Levelled {
    pub(crate) fn push_back(&mut self, level: Priority, numbers: Range<u64>) {
        self.len += span(&numbers);
        let runs = self.levels.entry(level).or_default();
        match runs.back_mut() {
            Some(last) if last.end == numbers.start => last.end = numbers.end,
            _ if numbers.is_empty() => {}
            _ => runs.push_back(numbers),
        }
    }

    /// The oldest of the best level that has any.
    pub(crate) fn pop_front(&mut self) -> Option<u64> {
        self.pop_run(1).map(|run| run.start)
    }

    /// The same, with those that came side by side with it: so many at the most.
    pub(crate) fn pop_run(&mut self, count: u64) -> Option<Range<u64>> {
        let runs = self.levels.values_mut().find(|runs| !runs.is_empty())?;
        let run = runs.front_mut()?;
        let popped = run.start..run.end.min(run.start.saturating_add(count));
        run.start = popped.end;
        if run.is_empty() {
            runs.pop_front();
        }
        self.len -= span(&popped);
        Some(popped)
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        for (level, runs) in std::mem::take(self).levels {
            let kept = runs.into_iter().flatten().filter(|number| keep(*number));
            kept.for_each(|number| self.push_back(level, number..number + 1));
        }
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }
}

impl IntoIterator for Levelled {
    type Item = u64;
    type IntoIter = std::iter::Flatten<
        std::iter::Flatten<std::collections::btree_map::IntoValues<Priority, VecDeque<Range<u64>>>>,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.levels.into_values().flatten().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_level_is_first_and_in_each_who_came_first() {
        let mut queue = Levelled::default();
        let worse = Priority::new(2).unwrap();
        for (level, numbers) in
            [(worse, 0..3), (Priority::BEST, 3..5), (worse, 5..7), (worse, 7..9)]
        {
            queue.push_back(level, numbers);
        }
        assert_eq!((queue.len(), queue.pop_front()), (9, Some(3)));
        queue.retain(|number| number.is_multiple_of(2));
        assert_eq!(queue.len(), 5);
        assert_eq!((queue.pop_front(), queue.pop_front()), (Some(4), Some(0)));
        queue.push_back(Priority::BEST, 10..13);
        assert_eq!((queue.pop_run(2), queue.pop_run(9)), (Some(10..12), Some(12..13)));
        assert_eq!(queue.into_iter().collect::<Vec<_>>(), [2, 6, 8]);
    }
}
