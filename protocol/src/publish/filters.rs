//! Which topics subscribers want: prefixes, matched without looking at each.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use crate::ids::LinkId;
use crate::wire::Prefix;

impl Borrow<[u8]> for Prefix {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// The prefixes of one subscriber.
///
/// Where none of them covers another, the one that may match a topic is the greatest that is not above it: one lookup.
#[derive(Debug, Default)]
pub(super) struct Filters {
    all: BTreeSet<Prefix>,
    /// How many of them cover the next one, in order; where one covers any, it covers that.
    covering: usize,
}

impl Filters {
    /// How many prefixes it has.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether every topic matches.
    #[inline]
    pub(super) fn match_all(&self) -> bool {
        self.all.first().is_some_and(|prefix| prefix.as_bytes().is_empty())
    }

    /// Whether a topic matches. Adds to `lookups` how many that took: one unless prefixes cover others.
    pub(super) fn matches(&self, topic: &[u8], lookups: &mut u64) -> bool {
        let mut beginning = topic;
        loop {
            *lookups += 1;
            let not_above = (Bound::Unbounded, Bound::Included(beginning));
            let nearest = self.all.range::<[u8], _>(not_above).next_back();
            let Some(nearest) = nearest.map(Prefix::as_bytes) else {
                return false;
            };
            if beginning.starts_with(nearest) {
                return true;
            }
            if self.covering == 0 {
                return false;
            }
            // What matches stands before the nearest and covers that, too: both begin with it.
            let common = beginning.iter().zip(nearest).take_while(|(one, other)| one == other);
            beginning = beginning.get(..common.count()).unwrap_or_default();
        }
    }

    /// Adds a prefix; false if it was there. Costs the same whatever others it covers, as taking it out does.
    pub(super) fn add(&mut self, prefix: Prefix) -> bool {
        if self.all.contains(&prefix) {
            return false;
        }
        let (without, with) = self.covering_around(&prefix);
        self.covering = self.covering - without + with;
        self.all.insert(prefix)
    }

    /// Takes a prefix out; false if it was not there.
    pub(super) fn remove(&mut self, prefix: &Prefix) -> bool {
        if !self.all.remove(prefix) {
            return false;
        }
        let (without, with) = self.covering_around(prefix);
        self.covering = self.covering + without - with;
        true
    }

    /// How many cover the next one where this prefix stands, or would stand: without it, and with it.
    fn covering_around(&self, prefix: &Prefix) -> (usize, usize) {
        let before = self.all.range::<Prefix, _>(..prefix).next_back();
        let after = self.all.range::<Prefix, _>((Bound::Excluded(prefix), Bound::Unbounded)).next();
        let covers = |outer: Option<&Prefix>, inner: Option<&Prefix>| {
            usize::from(
                outer
                    .zip(inner)
                    .is_some_and(|(outer, inner)| inner.as_bytes().starts_with(outer.as_bytes())),
            )
        };
        let with = covers(before, Some(prefix)) + covers(Some(prefix), after);
        (covers(before, after), with)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Prefix> {
        self.all.iter()
    }
}

/// The prefixes of all subscribers, but for the empty one: who wants everything need not be searched for. Who wants a
/// topic is found by as many lookups as there are lengths of prefixes.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_prefix: HashMap<Prefix, BTreeSet<LinkId>>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
}

impl Index {
    /// Notes a prefix of a link.
    pub(super) fn add(&mut self, link: LinkId, prefix: Prefix) {
        let length = prefix.as_bytes().len();
        if length == 0 {
            return;
        }
        let links = self.by_prefix.entry(prefix).or_default();
        if links.is_empty() {
            *self.lengths.entry(length).or_default() += 1;
        }
        links.insert(link);
    }

    /// Forgets a prefix of a link.
    pub(super) fn remove(&mut self, link: LinkId, prefix: &Prefix) {
        let Some(links) = self.by_prefix.get_mut(prefix) else {
            return;
        };
        links.remove(&link);
        if !links.is_empty() {
            return;
        }
        self.by_prefix.remove(prefix);
        let length = prefix.as_bytes().len();
        if let Some(count) = self.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length);
            }
        }
    }

    /// Whether nobody wants anything in particular.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.by_prefix.is_empty()
    }

    /// All who want a topic: a link once for each of its prefixes that match.
    pub(super) fn matching(&self, topic: &[u8]) -> impl Iterator<Item = LinkId> {
        let prefixes = self.lengths.keys().map_while(|length| topic.get(..*length));
        prefixes.filter_map(|prefix| self.by_prefix.get(prefix)).flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(bytes: &[u8]) -> Prefix {
        Prefix::new(bytes).unwrap()
    }

    fn short() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(b'a'..=b'c', 0..4)
    }

    proptest! {
        #[test]
        fn prefixes_match_as_if_each_was_looked_at(
            ops in prop::collection::vec((any::<bool>(), short()), 0..40),
            topics in prop::collection::vec(short(), 1..10),
        ) {
            let link = LinkId(7);
            let (mut filters, mut index) = (Filters::default(), Index::default());
            let mut model = BTreeSet::new();
            for (add, bytes) in ops {
                let prefix = prefix(&bytes);
                if add {
                    prop_assert_eq!(filters.add(prefix.clone()), model.insert(bytes));
                    index.add(link, prefix);
                } else {
                    prop_assert_eq!(filters.remove(&prefix), model.remove(&bytes));
                    index.remove(link, &prefix);
                }
                prop_assert_eq!(filters.len(), model.len());
                let everything = model.contains(&Vec::new());
                prop_assert_eq!(filters.match_all(), everything);
                let nested = model.iter().flat_map(|outer| model.iter().map(move |inner| (outer, inner)));
                let is_nested = nested.clone().any(|(outer, inner)| outer != inner && inner.starts_with(outer));
                for topic in &topics {
                    let wanting = model.iter().filter(|prefix| topic.starts_with(prefix)).count();
                    let mut lookups = 0;
                    let matches = filters.matches(topic, &mut lookups);
                    prop_assert_eq!(matches, wanting > 0, "{:?} in {:?}", topic, model);
                    prop_assert!(lookups == 1 || is_nested, "{} lookups in {:?}", lookups, model);
                    let found = index.matching(topic).count();
                    prop_assert_eq!(found, wanting - usize::from(everything));
                }
            }
            filters.iter().for_each(|prefix| index.remove(link, prefix));
            prop_assert!(index.is_empty() && index.lengths.is_empty());
        }
    }

    /// What a frame of a few bytes asks for is no more work than its bytes.
    #[test]
    fn a_prefix_that_covers_many_comes_and_goes_without_them() {
        let link = LinkId(7);
        let (mut filters, mut index) = (Filters::default(), Index::default());
        for number in 0..100_000u32 {
            let prefix = prefix(&[b"a".as_slice(), &number.to_be_bytes()].concat());
            filters.add(prefix.clone());
            index.add(link, prefix);
        }
        let inner: Vec<*const u8> = places(&index);
        for outer in [b"a".as_slice(), b""] {
            for _ in 0..1_000 {
                assert!(filters.add(prefix(outer)));
                index.add(link, prefix(outer));
                assert!(filters.matches(b"ab", &mut 0));
                assert!(filters.remove(&prefix(outer)));
                index.remove(link, &prefix(outer));
                assert!(!filters.matches(b"ab", &mut 0));
            }
        }
        assert_eq!(places(&index), inner, "they stay where they are");
        assert_eq!(filters.covering, 0);
    }

    /// Where the prefixes of an index are in memory.
    fn places(index: &Index) -> Vec<*const u8> {
        index.by_prefix.keys().map(|prefix| prefix.as_bytes().as_ptr()).collect()
    }
}
