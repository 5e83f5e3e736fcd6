//! A queue in which what is of a better level comes first.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::Priority;

/// First in, first out, in each level.
#[derive(Debug)]
pub(crate) struct Levelled<T> {
    levels: BTreeMap<Priority, VecDeque<T>>,
}

impl<T> Default for Levelled<T> {
    fn default() -> Self {
        Self { levels: BTreeMap::new() }
    }
}

impl<T> Levelled<T> {
    pub(crate) fn push_back(&mut self, level: Priority, item: T) {
        self.levels.entry(level).or_default().push_back(item);
    }

    /// The oldest of the best level that has any.
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        self.levels.values_mut().find_map(VecDeque::pop_front)
    }

    pub(crate) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.levels.values_mut().for_each(|items| items.retain(&keep));
    }

    pub(crate) fn len(&self) -> usize {
        self.levels.values().map(VecDeque::len).sum()
    }
}

impl<T> IntoIterator for Levelled<T> {
    type Item = T;
    type IntoIter =
        std::iter::Flatten<std::collections::btree_map::IntoValues<Priority, VecDeque<T>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.levels.into_values().flatten()
    }
}
