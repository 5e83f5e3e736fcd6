//! Things by rising numbers, most of which leave soon, in about the order in which they came.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

/// Places beyond twice as many as are taken: holes that things leave which went before others.
const HOLES: usize = 64;

/// An empty ring of more places than this is given back.
const PLACES_KEPT: usize = 4_096;

/// A map from numbers that rise from one entry to the next: calls, deliveries, answers.
///
/// Entries stand in a ring by their numbers, so that coming, looking and leaving cost a few instructions. What stays while
/// most of those around it leave moves to an ordered map, so memory is of the order of the entries, whatever their
/// numbers. Numbers that do not rise are taken too; they cost what they cost in an ordered map. `u64::MAX` can be taken and
/// found, and has no place in the order.
#[derive(Clone, Debug)]
pub struct Rising<T> {
    /// The first place is taken, unless there is none.
    ring: VecDeque<Option<T>>,
    /// The number of the first place.
    base: u64,
    taken: usize,
    /// Entries below `base`.
    old: BTreeMap<u64, T>,
}

impl<T> Default for Rising<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Rising<T> {
    /// Without entries.
    #[must_use]
    pub const fn new() -> Self {
        Self { ring: VecDeque::new(), base: 0, taken: 0, old: BTreeMap::new() }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.taken + self.old.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place of a number in the ring, if it is not below it.
    #[inline]
    fn place(&self, number: u64) -> Option<usize> {
        // The number behind the last place has to be one too.
        let above = number.checked_sub(self.base).filter(|_| number < u64::MAX)?;
        usize::try_from(above).ok()
    }

    /// Whether it has nothing with this number, nor with a later one.
    pub(crate) fn is_behind(&self, number: u64) -> bool {
        let is_behind = |(last, _): (&u64, &T)| *last < number;
        self.place(number).is_some_and(|place| place >= self.ring.len())
            && self.old.last_key_value().is_none_or(is_behind)
    }

    /// Puts an entry in; gives the one that had its number.
    #[inline]
    pub fn insert(&mut self, number: u64, entry: T) -> Option<T> {
        // The common case: it follows the last.
        let follows = self.place(number) == Some(self.ring.len());
        if follows && !self.ring.is_empty() {
            self.ring.push_back(Some(entry));
            self.taken += 1;
            return None;
        }
        self.put((number, entry))
    }

    /// Puts in so many entries with numbers side by side, whatever stood there before.
    pub(crate) fn insert_run(&mut self, first: u64, count: u64, entry: impl Fn(u64) -> T) {
        let start = self.place(first).unwrap_or(usize::MAX).min(self.ring.len());
        let end = start.saturating_add(count as usize).min(self.ring.len());
        let mut done = 0;
        for slot in self.ring.range_mut(start..end) {
            self.taken += usize::from(slot.replace(entry(done)).is_none());
            done += 1;
        }
        if done < count
            && !self.ring.is_empty()
            && self.place(first + done) == Some(self.ring.len())
        {
            // All that is left follows the last, but for the highest number, which has no place.
            let end = count.min((u64::MAX - first).max(done));
            self.ring.extend((done..end).map(|above| Some(entry(above))));
            self.taken += (end - done) as usize;
            done = end;
        }
        for above in done..count {
            self.insert(first + above, entry(above));
        }
    }

    /// Puts an entry in wherever it belongs. With its number it is made for this call: handed over by itself it would have
    /// to be in memory on the common way, too, and be copied from there before its parts have arrived.
    #[cold]
    fn put(&mut self, (number, entry): (u64, T)) -> Option<T> {
        if self.ring.is_empty() && self.old.last_key_value().is_none_or(|(last, _)| *last < number)
        {
            self.base = number;
        }
        let Some(mut place) = self.place(number) else {
            return self.old.insert(number, entry);
        };
        if place > self.ring.len() + HOLES {
            // A leap: what was there is of another run.
            self.retire(self.ring.len());
            self.base = number;
            place = 0;
        }
        while self.ring.len() < place {
            self.ring.push_back(None);
        }
        let before = match self.ring.get_mut(place) {
            Some(slot) => slot.replace(entry),
            None => {
                self.ring.push_back(Some(entry));
                None
            }
        };
        self.taken += usize::from(before.is_none());
        self.thin_out();
        before
    }

    /// The entry of a number.
    #[inline]
    #[must_use]
    pub fn get(&self, number: &u64) -> Option<&T> {
        match self.place(*number) {
            Some(place) => self.ring.get(place)?.as_ref(),
            None => self.old.get(number),
        }
    }

    /// The same, to be changed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, number: &u64) -> Option<&mut T> {
        match self.place(*number) {
            Some(place) => self.ring.get_mut(place)?.as_mut(),
            None => self.old.get_mut(number),
        }
    }

    /// The entries that have these numbers, up to the first that is missing, or was left behind.
    pub(crate) fn row_mut(&mut self, numbers: Range<u64>) -> impl Iterator<Item = &mut T> {
        let start = self.place(numbers.start).unwrap_or(usize::MAX).min(self.ring.len());
        let count = numbers.end.saturating_sub(numbers.start) as usize;
        let end = start.saturating_add(count).min(self.ring.len());
        self.ring.range_mut(start..end).map_while(Option::as_mut)
    }

    /// Takes an entry out.
    #[inline]
    pub fn remove(&mut self, number: &u64) -> Option<T> {
        let Some(place) = self.place(*number) else {
            return self.old.remove(number);
        };
        let entry = self.ring.get_mut(place)?.take()?;
        self.note_taken(place);
        Some(entry)
    }

    /// Takes an entry out after a last look at it where it stands: a large one is not moved for that.
    #[inline]
    pub fn remove_with<R>(&mut self, number: &u64, look: impl FnOnce(&mut T) -> R) -> Option<R> {
        let Some(place) = self.place(*number) else {
            return self.old.remove(number).map(|mut entry| look(&mut entry));
        };
        let slot = self.ring.get_mut(place)?;
        let result = look(slot.as_mut()?);
        *slot = None;
        self.note_taken(place);
        Some(result)
    }

    /// An entry was taken out of this place.
    #[inline]
    fn note_taken(&mut self, place: usize) {
        self.taken -= 1;
        if place == 0 {
            self.trim();
        }
        if self.ring.len() > HOLES + 2 * self.taken {
            self.thin_out();
        }
    }

    /// Takes out entries with numbers side by side, so many at the most: those that are to go by how many are before each.
    pub(crate) fn remove_run(&mut self, first: u64, count: u64, goes: impl Fn(u64, &T) -> bool) {
        let last = first.saturating_add(count.saturating_sub(1));
        let Some(start) = self.place(first).filter(|_| last < u64::MAX) else {
            for above in 0..count {
                let number = first + above;
                if self.get(&number).is_some_and(|entry| goes(above, entry)) {
                    self.remove(&number);
                }
            }
            return;
        };
        let start = start.min(self.ring.len());
        let end = start.saturating_add(count as usize).min(self.ring.len());
        for (above, slot) in (0..).zip(self.ring.range_mut(start..end)) {
            if slot.as_ref().is_some_and(|entry| goes(above, entry)) {
                *slot = None;
                self.taken -= 1;
            }
        }
        self.trim();
        self.thin_out();
    }

    /// Takes the entries of these numbers out, in rising order.
    pub fn take_range(&mut self, numbers: Range<u64>, mut each: impl FnMut(u64, T)) {
        if numbers.start < self.base {
            let old: Vec<u64> = self.old.range(numbers.clone()).map(|(&at, _)| at).collect();
            for number in old {
                self.old.remove(&number).into_iter().for_each(|entry| each(number, entry));
            }
        }
        let (start, end) = self.places(&numbers);
        self.taken -= match self.taken == self.ring.len() {
            true => end - start,
            false => self.ring.range(start..end).flatten().count(),
        };
        let numbers = self.base + start as u64..;
        if start == 0 {
            // They go with their places.
            self.base += end as u64;
            for (number, slot) in numbers.zip(self.ring.drain(..end)) {
                slot.into_iter().for_each(|entry| each(number, entry));
            }
        } else {
            for (number, slot) in numbers.zip(self.ring.range_mut(start..end)) {
                slot.take().into_iter().for_each(|entry| each(number, entry));
            }
        }
        self.trim();
        self.thin_out();
    }

    /// Takes all entries out, in rising order.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> + use<T> {
        let all = std::mem::take(self);
        all.old.into_values().chain(all.ring.into_iter().flatten())
    }

    /// The first entry.
    #[must_use]
    pub fn first(&self) -> Option<(u64, &T)> {
        match self.old.first_key_value() {
            Some((&number, entry)) => Some((number, entry)),
            None => Some((self.base, self.ring.front()?.as_ref()?)),
        }
    }

    /// All entries in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.range(0..u64::MAX)
    }

    /// The entries of these numbers in rising order.
    pub fn range(&self, numbers: Range<u64>) -> impl Iterator<Item = (u64, &T)> {
        let (start, end) = self.places(&numbers);
        let ring = self.ring.range(start..end).zip(self.base + start as u64..);
        let ring = ring.filter_map(|(slot, number)| slot.as_ref().map(|entry| (number, entry)));
        let old = (numbers.start < numbers.end).then(|| self.old.range(numbers));
        old.into_iter().flatten().map(|(&number, entry)| (number, entry)).chain(ring)
    }

    /// The places of these numbers that the ring has.
    fn places(&self, numbers: &Range<u64>) -> (usize, usize) {
        let above = |number: u64| usize::try_from(number.saturating_sub(self.base));
        let place = |number| above(number).unwrap_or(usize::MAX).min(self.ring.len());
        let start = place(numbers.start);
        (start, place(numbers.end).max(start))
    }

    /// Forgets places at the front that nothing stands in.
    #[inline]
    fn trim(&mut self) {
        while let Some(None) = self.ring.front() {
            self.ring.pop_front();
            self.base += 1;
        }
        if self.ring.is_empty() && self.ring.capacity() > PLACES_KEPT {
            self.ring = VecDeque::new();
        }
    }

    /// Moves what was left behind until the ring is full enough.
    fn thin_out(&mut self) {
        while self.ring.len() > HOLES + 2 * self.taken {
            self.retire(1);
            self.trim();
        }
    }

    /// Moves so many places from the front of the ring to the ordered map.
    fn retire(&mut self, places: usize) {
        for slot in self.ring.drain(..places) {
            if let Some(entry) = slot {
                self.old.insert(self.base, entry);
                self.taken -= 1;
            }
            self.base += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// So far above the last one.
        Insert(u64),
        /// Anywhere.
        Put(u64),
        PutRun(u64, u64),
        RemoveRun(u64, u64),
        Remove(u64),
        RemoveWith(u64),
        TakeRange(u64, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (1..4_u64).prop_map(Step::Insert),
            1 => (50..300_u64).prop_map(Step::Insert),
            1 => (0..600_u64).prop_map(Step::Put),
            1 => (0..600_u64, 0..100_u64).prop_map(|(at, count)| Step::PutRun(at, count)),
            4 => (0..600_u64).prop_map(Step::Remove),
            1 => (0..600_u64, 0..200_u64).prop_map(|(at, count)| Step::RemoveRun(at, count)),
            2 => (0..600_u64).prop_map(Step::RemoveWith),
            1 => (0..600_u64, 0..200_u64).prop_map(|(at, length)| Step::TakeRange(at, length)),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        #[test]
        fn it_is_an_ordered_map(steps in steps()) {
            let mut rising = Rising::new();
            let mut map = BTreeMap::new();
            let mut last = 0;
            for (value, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(by) => {
                        last += by;
                        prop_assert_eq!(rising.insert(last, value), map.insert(last, value));
                    }
                    Step::Put(at) => {
                        prop_assert_eq!(rising.insert(at, value), map.insert(at, value));
                    }
                    Step::PutRun(at, count) => {
                        rising.insert_run(at, count, |above| 1_000 * value + above as usize);
                        map.extend((at..at + count).zip(1_000 * value..));
                    }
                    Step::Remove(at) => prop_assert_eq!(rising.remove(&at), map.remove(&at)),
                    Step::RemoveRun(at, count) => {
                        let goes = |above: u64, value: usize| !(above + value as u64).is_multiple_of(3);
                        rising.remove_run(at, count, |above, value| goes(above, *value));
                        map.retain(|number, value| {
                            !(at..at + count).contains(number) || !goes(number - at, *value)
                        });
                    }
                    Step::RemoveWith(at) => {
                        prop_assert_eq!(rising.remove_with(&at, |value| *value), map.remove(&at));
                    }
                    Step::TakeRange(at, length) => {
                        let mut taken = Vec::new();
                        rising.take_range(at..at + length, |at, value| taken.push((at, value)));
                        let range = map.extract_if(at..at + length, |_, _| true);
                        prop_assert_eq!(taken, range.collect::<Vec<_>>());
                    }
                }
                prop_assert_eq!(rising.len(), map.len());
                prop_assert_eq!(rising.first(), map.first_key_value().map(|(at, v)| (*at, v)));
                prop_assert!(rising.ring.len() <= HOLES + 2 * rising.taken);
            }
            let all: Vec<_> = map.iter().map(|(at, value)| (*at, value)).collect();
            prop_assert_eq!(rising.iter().collect::<Vec<_>>(), all);
            for (at, value) in &map {
                prop_assert_eq!(rising.get(at), Some(value));
            }
            let some: Vec<_> = map.range(100..250).map(|(at, value)| (*at, value)).collect();
            prop_assert_eq!(rising.range(100..250).collect::<Vec<_>>(), some);
            for from in (0..700).step_by(50) {
                // Those in their places are all that follow each other, or those before one that was left behind.
                let row: Vec<_> = rising.row_mut(from..from + 40).map(|value| *value).collect();
                let wanted = (from..from + 40).map_while(|at| map.get(&at).copied());
                let is_in_place = |at| at >= rising.base;
                let places = (from..).take_while(|at| is_in_place(*at));
                let wanted: Vec<_> = wanted.zip(places).map(|(value, _)| value).collect();
                prop_assert_eq!(row, wanted);
            }
            prop_assert_eq!(rising.take_all().collect::<Vec<_>>(), map.into_values().collect::<Vec<_>>());
        }
    }

    #[test]
    fn one_that_stays_keeps_no_places_for_those_that_left() {
        let mut rising = Rising::new();
        rising.insert(0, ());
        for number in 1..100_000 {
            rising.insert(number, ());
            rising.remove(&number);
            assert!(rising.ring.len() <= HOLES + 2);
        }
        assert_eq!(rising.iter().map(|(number, _)| number).collect::<Vec<_>>(), [0]);
    }

    #[test]
    fn numbers_may_be_the_largest() {
        let mut rising = Rising::new();
        rising.insert(3, 'a');
        rising.insert(u64::MAX - 1, 'b');
        rising.insert(u64::MAX, 'd');
        assert_eq!(rising.range(5..u64::MAX).collect::<Vec<_>>(), [(u64::MAX - 1, &'b')]);
        assert!(!rising.is_behind(u64::MAX - 1) && !rising.is_behind(u64::MAX));
        assert_eq!(rising.remove(&(u64::MAX - 1)), Some('b'));
        assert!(!rising.is_behind(u64::MAX - 1), "the last of all has no place");
        rising.insert_run(u64::MAX - 1, 2, |above| if above == 0 { 'b' } else { 'e' });
        rising.remove_run(u64::MAX - 1, 2, |_, entry| *entry == 'e');
        assert_eq!((rising.len(), rising.insert(u64::MAX, 'd')), (2, None));
        assert_eq!(rising.get(&u64::MAX), Some(&'d'));
        assert_eq!(rising.remove(&u64::MAX), Some('d'));
        assert_eq!(rising.remove(&(u64::MAX - 1)), Some('b'));
        rising.insert(4, 'c');
        assert_eq!(rising.iter().collect::<Vec<_>>(), [(3, &'a'), (4, &'c')]);
    }
}
