//! Numbers that rise side by side with others: deliveries on a link, and the calls or answers that they are of.

use std::collections::VecDeque;
use std::ops::Range;

/// Runs without entries that may be passed in a look for a range, before all such runs go.
const PASSED_MAX: usize = 64;

/// Places of a run.
const PLACES: u64 = u64::BITS as u64;

/// A map from rising numbers to others, which mostly rise with them step by step.
///
/// Entries stand in runs in which both sides rise by one, with a bit for each that is still there. So coming and leaving cost
/// a few instructions, and what is looked through for a range is at most 64 times what stands in it.
#[derive(Debug, Default)]
pub(crate) struct Abreast {
    /// In rising order; the first and the last have entries.
    runs: VecDeque<Run>,
    len: usize,
    /// Runs in between that have no entries.
    spent: usize,
}

#[derive(Debug)]
struct Run {
    first: u64,
    /// What stands beside the first.
    beside: u64,
    /// Places that were given, entries or not.
    places: u32,
    /// Which of them are entries.
    entries: u64,
}

impl Run {
    fn end(&self) -> u64 {
        self.first + u64::from(self.places)
    }

    /// Takes in the next entries, as many of so many as it has places for, if they stand right behind the last; says how many
    /// that is.
    #[inline]
    fn extend(&mut self, number: u64, beside: u64, count: u64) -> u64 {
        let places = u64::from(self.places);
        let follows = number == self.first + places && beside == self.beside + places;
        let count = count.min(PLACES - places);
        if !follows || count == 0 {
            return 0;
        }
        self.entries |= u64::MAX >> (PLACES - count) << places;
        self.places += count as u32;
        count
    }

    /// Its entries that have one of these numbers, a bit each.
    fn within(&self, numbers: &Range<u64>) -> u64 {
        // As many low bits as there are places before a number.
        let below = |number: u64| match number.saturating_sub(self.first) {
            places if places < 64 => (1 << places) - 1,
            _ => u64::MAX,
        };
        self.entries & below(numbers.end) & !below(numbers.start)
    }

    /// Numbers and what stands beside them, of these bits.
    fn pairs(&self, mut bits: u64) -> impl Iterator<Item = (u64, u64)> + use<> {
        let (first, beside) = (self.first, self.beside);
        std::iter::from_fn(move || {
            let place = (bits != 0).then(|| u64::from(bits.trailing_zeros()))?;
            bits &= bits - 1;
            Some((first + place, beside + place))
        })
    }
}

impl Abreast {
    /// How many entries there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts an entry in. Its number is above all that were there before.
    #[inline]
    pub(crate) fn insert(&mut self, number: u64, beside: u64) {
        self.insert_run(number, beside, 1);
    }

    /// The same with so many, each one above the one before on both sides.
    #[inline]
    pub(crate) fn insert_run(&mut self, mut number: u64, mut beside: u64, mut count: u64) {
        debug_assert!(self.runs.back().is_none_or(|run| run.end() <= number));
        self.len += count as usize;
        while count > 0 {
            let last = self.runs.back_mut();
            let taken = last.map_or(0, |run| run.extend(number, beside, count));
            if taken == 0 {
                self.runs.push_back(Run { first: number, beside, places: 0, entries: 0 });
            }
            (number, beside, count) = (number + taken, beside + taken, count - taken);
        }
    }

    /// The run of an entry, and its place there.
    #[inline]
    fn find(&self, number: u64) -> Option<(usize, u64)> {
        let at = match self.runs.front()? {
            front if number < front.end() => 0,
            _ => self.runs.partition_point(|run| run.end() <= number),
        };
        let run = self.runs.get(at)?;
        let place = number.checked_sub(run.first)?;
        (run.entries >> place & 1 != 0).then_some((at, place))
    }

    /// What stands beside a number.
    #[inline]
    pub(crate) fn get(&self, number: u64) -> Option<u64> {
        let (at, place) = self.find(number)?;
        Some(self.runs.get(at)?.beside + place)
    }

    /// Takes an entry out.
    #[inline]
    pub(crate) fn remove(&mut self, number: u64) -> Option<u64> {
        let (at, place) = self.find(number)?;
        let run = self.runs.get_mut(at)?;
        run.entries &= !(1 << place);
        let (beside, is_spent) = (run.beside + place, run.entries == 0);
        self.len -= 1;
        if is_spent {
            self.note_spent(1);
        }
        Some(beside)
    }

    /// The first entry.
    pub(crate) fn first(&self) -> Option<(u64, u64)> {
        let front = self.runs.front()?;
        front.pairs(front.entries).next()
    }

    /// The entries of these numbers in rising order.
    pub(crate) fn range(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, u64)> {
        let start = self.runs.partition_point(|run| run.end() <= numbers.start);
        let runs = self.runs.range(start..).take_while({
            let end = numbers.end;
            move |run| run.first < end
        });
        runs.flat_map(move |run| run.pairs(run.within(&numbers)))
    }

    /// Takes the entries of these numbers out, in rising order.
    pub(crate) fn take_range(&mut self, numbers: Range<u64>, mut each: impl FnMut(u64, u64)) {
        let start = self.runs.partition_point(|run| run.end() <= numbers.start);
        let (mut spent, mut passed) = (0, 0);
        for run in self.runs.range_mut(start..) {
            if run.first >= numbers.end {
                break;
            }
            let taken = run.within(&numbers);
            if taken == 0 {
                passed += usize::from(run.entries == 0);
                continue;
            }
            run.entries &= !taken;
            spent += usize::from(run.entries == 0);
            self.len -= taken.count_ones() as usize;
            run.pairs(taken).for_each(|(number, beside)| each(number, beside));
        }
        if spent > 0 {
            self.note_spent(spent);
        }
        if passed > PASSED_MAX {
            // Who asks for the same once more does not pass them again.
            self.drop_spent();
        }
    }

    /// Takes all entries out, in rising order.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = (u64, u64)> + use<> {
        let all = std::mem::take(self);
        all.runs.into_iter().flat_map(|run| run.pairs(run.entries))
    }

    /// So many runs have no entries any more.
    fn note_spent(&mut self, runs: usize) {
        self.spent += runs;
        let is_spent = |run: Option<&Run>| run.is_some_and(|run| run.entries == 0);
        while is_spent(self.runs.front()) {
            self.runs.pop_front();
            self.spent -= 1;
        }
        while is_spent(self.runs.back()) {
            self.runs.pop_back();
            self.spent -= 1;
        }
        if self.spent > self.runs.len() / 2 {
            self.drop_spent();
        }
    }

    fn drop_spent(&mut self) {
        self.runs.retain(|run| run.entries != 0);
        self.spent = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// Gaps before the number and what stands beside it.
        Insert(u64, u64),
        InsertRun(u64),
        Remove(u64),
        Take(u64, u64),
        TakeAll,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => Just(Step::Insert(0, 0)),
            1 => (0..3u64, 0..3u64).prop_map(|(gap, leap)| Step::Insert(gap, leap)),
            1 => (0..200u64).prop_map(Step::InsertRun),
            10 => (0..300u64).prop_map(Step::Remove),
            2 => (0..300u64, 0..100u64).prop_map(|(from, count)| Step::Take(from, count)),
            1 => Just(Step::TakeAll).prop_filter("seldom", |_| true),
        ]
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map(steps in prop::collection::vec(step(), 0..600)) {
            let (mut abreast, mut map) = (Abreast::default(), BTreeMap::new());
            let (mut next, mut beside) = (0, 1_000);
            for step in steps {
                match step {
                    Step::Insert(gap, leap) => {
                        next += gap;
                        beside += leap;
                        abreast.insert(next, beside);
                        map.insert(next, beside);
                        next += 1;
                        beside += 1;
                    }
                    Step::InsertRun(count) => {
                        abreast.insert_run(next, beside, count);
                        map.extend((next..next + count).zip(beside..));
                        next += count;
                        beside += count;
                    }
                    Step::Remove(number) => {
                        prop_assert_eq!(abreast.get(number), map.get(&number).copied());
                        prop_assert_eq!(abreast.remove(number), map.remove(&number));
                    }
                    Step::Take(from, count) => {
                        let mut taken = Vec::new();
                        abreast.take_range(from..from + count, |at, to| taken.push((at, to)));
                        let wanted: Vec<_> =
                            map.extract_if(from..from + count, |_, _| true).collect();
                        prop_assert_eq!(taken, wanted);
                    }
                    Step::TakeAll => {
                        let taken: Vec<_> = abreast.take_all().collect();
                        prop_assert_eq!(taken, std::mem::take(&mut map).into_iter().collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!((abreast.len(), abreast.is_empty()), (map.len(), map.is_empty()));
                prop_assert_eq!(abreast.first(), map.first_key_value().map(|(at, to)| (*at, *to)));
                let all: Vec<_> = abreast.range(0..u64::MAX).collect();
                prop_assert_eq!(&all, &map.iter().map(|(at, to)| (*at, *to)).collect::<Vec<_>>());
                prop_assert!(abreast.runs.len() <= 2 + 2 * map.len());
            }
        }
    }

    #[test]
    fn what_rises_together_takes_one_place_in_64() {
        let mut abreast = Abreast::default();
        (0..6_400).for_each(|number| abreast.insert(number, number + 7));
        assert_eq!(abreast.runs.len(), 100);
        assert_eq!(abreast.range(63..66).collect::<Vec<_>>(), [(63, 70), (64, 71), (65, 72)]);
    }
}
