//! More time that was asked for: the last word on each message, until it is sent or the message is settled.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::ids::Delivery;
use crate::wire::{Outcome, Settlement};

/// For how many more milliseconds messages of one link are worked on, as far as that is still to be said.
#[derive(Debug, Default)]
pub(super) struct Extended(BTreeMap<Delivery, (Delivery, u64)>);

impl Extended {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a word on messages of which there is none.
    pub(super) fn insert(&mut self, deliveries: Range<Delivery>, millis: u64) {
        self.0.insert(deliveries.start, (deliveries.end, millis));
    }

    /// Nothing is to be said of these.
    #[inline]
    pub(super) fn forget(&mut self, deliveries: &Range<Delivery>) {
        if !self.0.is_empty() {
            self.cut_out(deliveries);
        }
    }

    fn cut_out(&mut self, deliveries: &Range<Delivery>) {
        let before = self.0.range(..deliveries.start).next_back();
        let before = before.filter(|(_, (end, _))| *end > deliveries.start);
        if let Some((&first, &(end, millis))) = before {
            self.0.insert(first, (deliveries.start, millis));
            self.0.insert(deliveries.start, (end, millis));
        }
        while let Some((&first, &(end, millis))) = self.0.range(deliveries.clone()).next() {
            self.0.remove(&first);
            if deliveries.end < end {
                self.0.insert(deliveries.end, (end, millis));
            }
        }
    }

    /// The next word that is to be said.
    pub(super) fn pop_first(&mut self) -> Option<Settlement> {
        let (first, (end, millis)) = self.0.pop_first()?;
        let deliveries = (first..end).into();
        Some(Settlement { deliveries, outcome: Outcome::Extended(millis) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_none_is_left_of_what_is_settled() {
        let mut extended = Extended::default();
        let mut say = |deliveries: Range<Delivery>, millis| {
            extended.forget(&deliveries);
            extended.insert(deliveries, millis);
        };
        say(0..10, 1);
        say(3..5, 2);
        say(4..6, 3);
        say(20..30, 4);
        extended.forget(&(8..25));
        let said = std::iter::from_fn(|| extended.pop_first());
        let said: Vec<_> =
            said.map(|s| (s.deliveries.first, s.deliveries.count, s.outcome)).collect();
        let word = |first, count, millis| (first, count, Outcome::Extended(millis));
        assert_eq!(
            said,
            [word(0, 3, 1), word(3, 1, 2), word(4, 2, 3), word(6, 2, 1), word(25, 5, 4)]
        );
        assert!(extended.is_empty());
    }
}
