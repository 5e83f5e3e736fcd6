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
/// Those that others cover are kept aside, so that of the rest no two match the same topic: the one that may match it is
/// the greatest that is not above it.
#[derive(Debug, Default)]
pub(super) struct Filters {
    all: BTreeSet<Prefix>,
    /// Those that no other one covers.
    outer: BTreeSet<Prefix>,
}

/// How the outer prefixes of a subscriber changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Added(Prefix),
    Removed(Prefix),
}

impl Filters {
    /// How many prefixes it has.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether every topic matches.
    #[inline]
    pub(super) fn match_all(&self) -> bool {
        self.outer.first().is_some_and(|prefix| prefix.as_bytes().is_empty())
    }

    /// Whether a topic matches.
    pub(super) fn matches(&self, topic: &[u8]) -> bool {
        self.cover(topic).is_some()
    }

    fn cover(&self, topic: &[u8]) -> Option<&Prefix> {
        let not_above = (Bound::Unbounded, Bound::Included(topic));
        let nearest = self.outer.range::<[u8], _>(not_above).next_back()?;
        topic.starts_with(nearest.as_bytes()).then_some(nearest)
    }

    /// Adds a prefix, and notes what that changes in `changes`.
    pub(super) fn add(&mut self, prefix: Prefix, changes: &mut Vec<Change>) {
        if !self.all.insert(prefix.clone()) || self.cover(prefix.as_bytes()).is_some() {
            return;
        }
        let covered: Vec<Prefix> = within(&self.outer, &prefix).cloned().collect();
        for inner in covered {
            self.outer.remove(&inner);
            changes.push(Change::Removed(inner));
        }
        self.outer.insert(prefix.clone());
        changes.push(Change::Added(prefix));
    }

    /// Takes a prefix out, and notes what that changes in `changes`.
    pub(super) fn remove(&mut self, prefix: &Prefix, changes: &mut Vec<Change>) {
        if !self.all.remove(prefix) || !self.outer.remove(prefix) {
            return;
        }
        changes.push(Change::Removed(prefix.clone()));
        let mut uncovered: Vec<Prefix> = Vec::new();
        for inner in within(&self.all, prefix) {
            // In this order one that covers others comes before them.
            let covered = uncovered.last().is_some_and(|outer| covers(outer, inner));
            if !covered {
                uncovered.push(inner.clone());
            }
        }
        self.outer.extend(uncovered.iter().cloned());
        changes.extend(uncovered.into_iter().map(Change::Added));
    }

    /// The prefixes that no other one covers.
    pub(super) fn outer(&self) -> impl Iterator<Item = &Prefix> {
        self.outer.iter()
    }
}

fn covers(outer: &Prefix, inner: &Prefix) -> bool {
    inner.as_bytes().starts_with(outer.as_bytes())
}

/// Those of a set that `prefix` covers, in order.
fn within<'a>(set: &'a BTreeSet<Prefix>, prefix: &'a Prefix) -> impl Iterator<Item = &'a Prefix> {
    set.range::<Prefix, _>(prefix..).take_while(|inner| covers(prefix, inner))
}

/// The outer prefixes of all subscribers but those that want everything: who wants a topic is found by as many lookups
/// as there are lengths of prefixes.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_prefix: HashMap<Prefix, BTreeSet<LinkId>>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
}

impl Index {
    pub(super) fn apply(&mut self, link: LinkId, change: Change) {
        match change {
            Change::Added(prefix) => self.add(link, prefix),
            Change::Removed(prefix) => self.remove(link, &prefix),
        }
    }

    fn add(&mut self, link: LinkId, prefix: Prefix) {
        let length = prefix.as_bytes().len();
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

    /// All who want a topic, each once.
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
                let mut changes = Vec::new();
                if add {
                    model.insert(bytes.clone());
                    filters.add(prefix(&bytes), &mut changes);
                } else {
                    model.remove(&bytes);
                    filters.remove(&prefix(&bytes), &mut changes);
                }
                changes.into_iter().for_each(|change| index.apply(link, change));
                prop_assert_eq!(filters.len(), model.len());
                prop_assert_eq!(filters.match_all(), model.contains(&Vec::new()));
                for topic in &topics {
                    let wanted = model.iter().any(|prefix| topic.starts_with(prefix));
                    prop_assert_eq!(filters.matches(topic), wanted, "{:?} in {:?}", topic, model);
                    prop_assert_eq!(index.matching(topic).count(), usize::from(wanted));
                }
            }
            let rest: Vec<Prefix> = filters.outer().cloned().collect();
            rest.iter().for_each(|prefix| index.remove(link, prefix));
            prop_assert!(index.is_empty() && index.lengths.is_empty());
        }
    }
}
