//! What a receiver that is away may still hold: flights that are found by the numbers of their messages.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::{Seq, span};

use super::{Flight, Flights};

/// Flights of one receiver, in the order in which they were dispatched. No message is in two of them.
///
/// A look for numbers costs a logarithm of the number of flights, plus what it finds; the first one makes the index.
#[derive(Debug, Default)]
pub(crate) struct Numbered {
    /// By their places, which are in no other order than delivery numbers.
    flights: Flights,
    /// Where the messages are, by the first number of each flight: its end, and its place.
    places: Option<BTreeMap<Seq, (Seq, u64)>>,
}

impl From<Flights> for Numbered {
    fn from(flights: Flights) -> Self {
        Self { flights, places: None }
    }
}

impl Numbered {
    pub(crate) const fn is_empty(&self) -> bool {
        self.flights.len() == 0
    }

    /// Adds a flight behind all others.
    pub(crate) fn push(&mut self, flight: Flight) {
        let place = self.flights.end();
        if let Some(places) = &mut self.places {
            places.insert(flight.seqs.start, (flight.seqs.end, place));
        }
        self.flights.insert(place, flight);
    }

    /// These, and others behind them.
    pub(crate) fn followed_by(mut self, others: Self) -> Self {
        if self.is_empty() {
            return others;
        }
        others.into_flights().into_iter().for_each(|flight| self.push(flight));
        self
    }

    /// Takes out what is in flight of `seqs`; flights are cut where they cut them.
    pub(crate) fn take(&mut self, seqs: &Range<Seq>) -> Vec<Flight> {
        let mut found = Vec::new();
        while let Some((part, place)) = self.take_place(seqs) {
            self.flights.take(place..place + span(&part), &mut found);
        }
        found.into_iter().map(|(_, flight)| flight).collect()
    }

    /// Notes of these messages that they are to be given back. Costs as much as is in flight.
    pub(crate) fn note_asked_back(&mut self, seqs: &RangeSet) {
        // Where they are stays as it was.
        for (place, flight) in self.flights.take_seqs(seqs) {
            self.flights.insert(place, Flight { retracted: true, ..flight });
        }
    }

    /// Takes the first numbers out of the index that are of `seqs` and of one flight, and says where they are.
    fn take_place(&mut self, seqs: &Range<Seq>) -> Option<(Range<Seq>, u64)> {
        let flights = &self.flights;
        let places = self.places.get_or_insert_with(|| {
            let place =
                |(place, flight): (u64, &Flight)| (flight.seqs.start, (flight.seqs.end, place));
            flights.iter().map(place).collect()
        });
        let before = places.range(..seqs.start).next_back().filter(|(_, at)| at.0 > seqs.start);
        let (&first, &(end, place)) = before.or_else(|| places.range(seqs.clone()).next())?;
        places.remove(&first);
        if first < seqs.start {
            places.insert(first, (seqs.start, place));
        }
        if seqs.end < end {
            places.insert(seqs.end, (end, place + (seqs.end - first)));
        }
        let part = first.max(seqs.start)..end.min(seqs.end);
        let place = place + (part.start - first);
        Some((part, place))
    }

    /// All that is left, in the order in which it was dispatched.
    pub(crate) fn into_flights(mut self) -> Vec<Flight> {
        self.flights.take_all().into_iter().map(|(_, flight)| flight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn seqs(flights: Vec<Flight>) -> Vec<(Seq, Seq)> {
        flights.into_iter().map(|flight| (flight.seqs.start, flight.seqs.end)).collect()
    }

    #[test]
    fn flights_are_found_by_number_and_stay_in_order() {
        let mut flights = Numbered::default();
        for seqs in [100..110, 50..55, 60..61] {
            flights.push(Flight::new(seqs, Time::ZERO));
        }
        assert_eq!(seqs(flights.take(&(53..62))), [(53, 55), (60, 61)]);
        assert_eq!(seqs(flights.take(&(0..200))), [(50, 53), (100, 110)]);
        flights.push(Flight::new(7..20, Time::ZERO));
        flights.push(Flight::new(0..4, Time::ZERO));
        assert_eq!(seqs(flights.take(&(9..12))), [(9, 12)]);
        assert_eq!(seqs(flights.take(&(9..12))), []);
        assert!(!flights.is_empty());
        assert_eq!(seqs(flights.into_flights()), [(7, 9), (12, 20), (0, 4)]);
    }

    #[test]
    fn what_is_asked_back_is_cut_and_found_where_it_was() {
        let mut flights = Numbered::default();
        flights.push(Flight::new(100..110, Time::ZERO));
        flights.push(Flight::new(50..55, Time::ZERO));
        assert_eq!(seqs(flights.take(&(100..101))), [(100, 101)]);
        flights.note_asked_back(&[0..52, 103..105].into_iter().collect());
        let found = flights.take(&(0..200));
        let wanted: Vec<_> = found.iter().map(|flight| flight.retracted).collect();
        assert_eq!(wanted, [true, false, false, true, false]);
        assert_eq!(seqs(found), [(50, 52), (52, 55), (101, 103), (103, 105), (105, 110)]);
        assert!(flights.is_empty());
    }
}
