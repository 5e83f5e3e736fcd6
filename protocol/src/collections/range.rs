//! Sets of numbers that come in runs: what is queued, what is done, what a peer holds.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ids::span;

/// A set of `u64`, kept as disjoint half-open ranges that do not touch.
///
/// Its size in memory is the number of runs, not of members. All operations on one range cost a logarithm of the
/// number of runs, plus the runs that they touch.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct RangeSet {
    runs: BTreeMap<u64, u64>,
    members: u64,
}

impl RangeSet {
    /// The empty set.
    #[must_use]
    pub const fn new() -> Self {
        Self { runs: BTreeMap::new(), members: 0 }
    }

    /// How many numbers are in the set.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.members
    }

    /// Whether no number is in the set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// How many runs the set consists of: its cost.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The least member.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.runs.keys().next().copied()
    }

    /// The run of lowest numbers.
    #[must_use]
    pub fn first_run(&self) -> Option<Range<u64>> {
        self.runs.iter().next().map(|(&start, &end)| start..end)
    }

    /// The runs in rising order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.runs.iter().map(|(&start, &end)| start..end)
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.runs.range(..=number).next_back().is_some_and(|(_, &end)| number < end)
    }

    /// Adds a range; says how many of its numbers were not in the set before.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        // The common case: the set grows at its end.
        if let Some(mut last) = self.runs.last_entry()
            && *last.get() == range.start
        {
            *last.get_mut() = range.end;
            self.members += span(&range);
            return span(&range);
        }
        let before = self.members;
        let mut merged = range.clone();
        let mut absorbed = 0;
        if let Some((&start, &end)) = self.runs.range(..range.start).next_back()
            && end >= range.start
        {
            self.runs.remove(&start);
            absorbed += end - start;
            merged = start..merged.end.max(end);
        }
        while let Some((&start, &end)) = self.runs.range(merged.start..=merged.end).next() {
            self.runs.remove(&start);
            absorbed += end - start;
            merged.end = merged.end.max(end);
        }
        self.members = before - absorbed + span(&merged);
        self.runs.insert(merged.start, merged.end);
        self.members - before
    }

    /// Takes a range out; says how many of its numbers were in the set.
    pub fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let before = self.members;
        if let Some((&start, &end)) = self.runs.range(..range.start).next_back()
            && end > range.start
        {
            self.runs.insert(start, range.start);
            self.members -= end - range.start;
            if end > range.end {
                self.runs.insert(range.end, end);
                self.members += end - range.end;
            }
        }
        while let Some((&start, &end)) = self.runs.range(range.clone()).next() {
            self.runs.remove(&start);
            self.members -= end - start;
            if end > range.end {
                self.runs.insert(range.end, end);
                self.members += end - range.end;
            }
        }
        before - self.members
    }

    /// Takes out up to `count` of the lowest numbers that form one run.
    pub fn pop_first(&mut self, count: u64) -> Option<Range<u64>> {
        let mut entry = self.runs.first_entry()?;
        let (start, end) = (*entry.key(), *entry.get());
        let cut = end.min(start.saturating_add(count));
        if cut == start {
            return None;
        }
        if cut == end {
            entry.remove();
        } else {
            // The key changes, so the run moves; it stays the first.
            *entry.get_mut() = end;
            entry.remove();
            self.runs.insert(cut, end);
        }
        self.members -= cut - start;
        Some(start..cut)
    }

    /// The parts of `range` that are in the set, in rising order.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let from = self
            .runs
            .range(..=range.start)
            .next_back()
            .filter(|(_, end)| **end > range.start)
            .map_or(range.start, |(&start, _)| start);
        self.runs
            .range(from..range.end.max(from))
            .map(move |(&start, &end)| start.max(range.start)..end.min(range.end))
            .filter(|part| !part.is_empty())
    }

    /// The parts of `range` that are not in the set, in rising order.
    #[must_use]
    pub fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut next = range.start;
        for part in self.within(range.clone()) {
            if next < part.start {
                gaps.push(next..part.start);
            }
            next = part.end;
        }
        if next < range.end {
            gaps.push(next..range.end);
        }
        gaps
    }

    /// Empties the set.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.members = 0;
    }
}

impl Extend<Range<u64>> for RangeSet {
    fn extend<T: IntoIterator<Item = Range<u64>>>(&mut self, ranges: T) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<T: IntoIterator<Item = Range<u64>>>(ranges: T) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert(Range<u64>),
        Remove(Range<u64>),
        PopFirst(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let range = (0u64..40, 0u64..12).prop_map(|(start, len)| start..start + len);
        prop_oneof![
            range.clone().prop_map(Op::Insert),
            range.prop_map(Op::Remove),
            (0u64..5).prop_map(Op::PopFirst),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_numbers(ops in prop::collection::vec(op(), 0..60)) {
            let mut set = RangeSet::new();
            let mut model = BTreeSet::new();
            for op in ops {
                match op {
                    Op::Insert(range) => {
                        let added = range.clone().filter(|n| model.insert(*n)).count();
                        prop_assert_eq!(set.insert(range), added as u64);
                    }
                    Op::Remove(range) => {
                        let removed = range.clone().filter(|n| model.remove(n)).count();
                        prop_assert_eq!(set.remove(range), removed as u64);
                    }
                    Op::PopFirst(count) => {
                        let popped = set.pop_first(count).unwrap_or(0..0);
                        for number in popped.clone() {
                            prop_assert_eq!(model.pop_first(), Some(number));
                        }
                        prop_assert!(span(&popped) <= count);
                        prop_assert!(count == 0 || model.is_empty() || !popped.is_empty());
                    }
                }
                let flat: Vec<u64> = set.iter().flatten().collect();
                prop_assert_eq!(&flat, &model.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(set.len(), model.len() as u64);
                let touching = set.iter().zip(set.iter().skip(1)).any(|(a, b)| a.end >= b.start);
                prop_assert!(!touching, "runs must be disjoint and not touch: {:?}", set);
                let inside: Vec<u64> = set.within(7..23).flatten().collect();
                prop_assert_eq!(inside, model.range(7..23).copied().collect::<Vec<_>>());
                let outside: Vec<u64> = set.missing(7..23).into_iter().flatten().collect();
                prop_assert_eq!(outside, (7..23).filter(|n| !model.contains(n)).collect::<Vec<_>>());
                prop_assert_eq!(set.contains(11), model.contains(&11));
            }
        }
    }
}
