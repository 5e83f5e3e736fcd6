//! Where messages stand on a link, for a sender that asks for them by their delivery numbers.

use std::ops::Range;

use crate::ids::Delivery;

use super::Place;
use super::run::RunKey;

/// Those of one link, and for a while those that are settled.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// By rising delivery numbers.
    places: Vec<(RunKey, Place)>,
    /// With so many, it is time to look which of them are of runs that are over.
    most: usize,
}

/// So few are not looked through.
const FEW: usize = 64;

impl Places {
    /// Adds one behind all others.
    pub(super) fn push(&mut self, key: RunKey, place: Place) {
        self.places.push((key, place));
    }

    /// Forgets those of runs that are over, each time that they have become twice as many.
    pub(super) fn tidy(&mut self, is_held: impl Fn(RunKey) -> bool) {
        if self.places.len() >= self.most.max(FEW) {
            self.places.retain(|(key, _)| is_held(*key));
            self.most = self.places.len() * 2;
        }
    }

    /// What stands at these delivery numbers. Costs a logarithm, and what it finds.
    pub(super) fn find(
        &self,
        deliveries: Range<Delivery>,
    ) -> impl Iterator<Item = (RunKey, Range<u32>)> {
        let from = self.places.partition_point(|(_, place)| place.end() <= deliveries.start);
        let places = self.places.get(from..).unwrap_or_default().iter();
        let end = deliveries.end;
        let found = places.take_while(move |(_, place)| place.first < end);
        found.map(move |(key, place)| (*key, place.indices_at(&deliveries)))
    }
}

impl Place {
    /// The delivery number after the last of them.
    fn end(&self) -> Delivery {
        self.first + u64::from(self.indices.end - self.indices.start)
    }

    /// The indices of those at these delivery numbers, of which some are here.
    fn indices_at(&self, deliveries: &Range<Delivery>) -> Range<u32> {
        let from = deliveries.start.max(self.first) - self.first;
        let to = deliveries.end.min(self.end()) - self.first;
        // A run has at most u32::MAX messages.
        self.indices.start + from as u32..self.indices.start + to as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_by_their_delivery_numbers() {
        let mut places = Places::default();
        places.push(7, Place { indices: 2..5, first: 10 });
        places.push(7, Place { indices: 6..8, first: 13 });
        places.push(3, Place { indices: 0..1, first: 15 });
        let find = |deliveries| places.find(deliveries).collect::<Vec<_>>();
        assert_eq!(find(0..10), []);
        assert_eq!(find(11..12), [(7, 3..4)]);
        assert_eq!(find(12..14), [(7, 4..5), (7, 6..7)]);
        assert_eq!(find(0..99), [(7, 2..5), (7, 6..8), (3, 0..1)]);
        assert_eq!(find(16..99), []);
    }

    #[test]
    fn there_are_no_more_of_them_than_twice_as_many_as_are_held() {
        let mut places = Places::default();
        for number in 0..10_000 {
            places.push(number, Place { indices: 0..1, first: number });
            places.tidy(|key| key + 100 > number);
            assert!(places.places.len() <= 200);
        }
        assert_eq!(places.find(9_990..9_991).collect::<Vec<_>>(), [(9_990, 0..1)]);
    }
}
