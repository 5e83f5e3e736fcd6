//! What a receiver that is away may still hold: flights that are found by the numbers of their messages.

use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::Seq;

use super::{Flight, Flights};

/// Flights of one receiver, in the order in which they were dispatched, at places that mean nothing else.
#[derive(Debug, Default)]
pub(crate) struct Numbered(Flights);

impl From<Flights> for Numbered {
    fn from(flights: Flights) -> Self {
        Self(flights)
    }
}

impl Numbered {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    /// Adds a flight behind all others.
    pub(crate) fn push(&mut self, flight: Flight) {
        self.0.insert(self.0.end(), flight);
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
        self.0.take_seqs(seqs).into_iter().map(|(_, flight)| flight).collect()
    }

    /// Notes of these messages that they are to be given back. Costs as much as is in flight.
    pub(crate) fn note_asked_back(&mut self, seqs: &RangeSet) {
        self.0.note_asked_back(seqs);
    }

    /// All that is left, in the order in which it was dispatched.
    pub(crate) fn into_flights(mut self) -> Vec<Flight> {
        self.0.take_all().into_iter().map(|(_, flight)| flight).collect()
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
