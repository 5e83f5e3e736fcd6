//! What was dispatched on one link and is not settled: the link's part of the shadow queue.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::{Delivery, Seq};
use crate::time::Time;

/// Messages that were dispatched together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Flight {
    pub(crate) seqs: Range<Seq>,
    pub(crate) sent: Time,
    /// When the application took them, if that was reported.
    pub(crate) taken: Option<Time>,
    /// When they are given to somebody else unless settled.
    pub(crate) deadline: Option<Time>,
    /// The receiver was asked to give them back.
    pub(crate) retracted: bool,
}

impl Flight {
    /// Dispatched now.
    pub(crate) const fn new(seqs: Range<Seq>, sent: Time) -> Self {
        Self { seqs, sent, taken: None, deadline: None, retracted: false }
    }
}

/// Flights by delivery number.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    runs: BTreeMap<Delivery, Flight>,
    messages: u64,
}

impl Flights {
    /// Messages in flight.
    pub(crate) const fn len(&self) -> u64 {
        self.messages
    }

    pub(crate) fn insert(&mut self, first: Delivery, flight: Flight) {
        self.messages += flight.seqs.end - flight.seqs.start;
        self.runs.insert(first, flight);
    }

    /// A delivery number above all that are in flight.
    pub(crate) fn end(&self) -> Delivery {
        let last = self.runs.last_key_value();
        last.map_or(0, |(first, flight)| first + (flight.seqs.end - flight.seqs.start))
    }

    /// How many flights: what they cost.
    pub(crate) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Takes out the flight of the lowest delivery numbers.
    pub(crate) fn pop_first(&mut self) -> Option<(Delivery, Flight)> {
        let (first, flight) = self.runs.pop_first()?;
        self.messages -= flight.seqs.end - flight.seqs.start;
        Some((first, flight))
    }

    /// All flights, oldest delivery first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Delivery, &Flight)> {
        self.runs.iter().map(|(&first, flight)| (first, flight))
    }

    /// Takes out what of `deliveries` is in flight, in order; flights are cut where the range cuts them.
    pub(crate) fn take(&mut self, deliveries: Range<Delivery>, out: &mut Vec<(Delivery, Flight)>) {
        // The common case: the oldest flight, whole or its front.
        if let Some((&first, _)) = self.runs.range(..deliveries.start).next_back() {
            self.cut(first, deliveries.start);
        }
        while let Some((&first, _)) = self.runs.range(deliveries.clone()).next() {
            self.cut(first, deliveries.end);
            if let Some(flight) = self.runs.remove(&first) {
                self.messages -= flight.seqs.end - flight.seqs.start;
                out.push((first, flight));
            }
        }
    }

    /// Takes out what is in flight of these numbers, in order of delivery; flights are cut where the numbers cut them.
    pub(crate) fn take_seqs(&mut self, seqs: &RangeSet) -> Vec<(Delivery, Flight)> {
        let mut out = Vec::new();
        let runs: Vec<_> =
            self.iter().map(|(first, flight)| (first, flight.seqs.clone())).collect();
        for (first, run) in runs {
            for part in seqs.within(run.clone()) {
                let at = |seq: Seq| first + (seq - run.start);
                self.take(at(part.start)..at(part.end), &mut out);
            }
        }
        out
    }

    /// Takes everything out, in order.
    pub(crate) fn take_all(&mut self) -> Vec<(Delivery, Flight)> {
        self.messages = 0;
        std::mem::take(&mut self.runs).into_iter().collect()
    }

    /// Cuts the flight that begins at `first` so that none spans `at`.
    fn cut(&mut self, first: Delivery, at: Delivery) {
        let Some(flight) = self.runs.get_mut(&first) else {
            return;
        };
        let seq = flight.seqs.start + (at - first);
        if seq < flight.seqs.end {
            let rest = Flight { seqs: seq..flight.seqs.end, ..flight.clone() };
            flight.seqs.end = seq;
            self.runs.insert(at, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(seqs: Range<Seq>) -> Flight {
        Flight::new(seqs, Time::ZERO)
    }

    fn taken(flights: &mut Flights, deliveries: Range<Delivery>) -> Vec<(Delivery, Range<Seq>)> {
        let mut out = Vec::new();
        flights.take(deliveries, &mut out);
        out.into_iter().map(|(first, flight)| (first, flight.seqs)).collect()
    }

    #[test]
    fn numbers_are_taken_wherever_they_fly() {
        let mut flights = Flights::default();
        flights.insert(0, flight(100..110));
        flights.insert(10, flight(50..55));
        let seqs: RangeSet = [52..60, 103..104, 108..200].into_iter().collect();
        let out = flights.take_seqs(&seqs);
        let out: Vec<_> = out.into_iter().map(|(first, flight)| (first, flight.seqs)).collect();
        assert_eq!(out, [(3, 103..104), (8, 108..110), (12, 52..55)]);
        assert_eq!(flights.len(), 9);
    }

    #[test]
    fn a_range_is_taken_out_of_the_middle_of_flights() {
        let mut flights = Flights::default();
        flights.insert(0, flight(100..110));
        flights.insert(10, flight(50..55));
        assert_eq!(taken(&mut flights, 3..5), [(3, 103..105)]);
        assert_eq!(taken(&mut flights, 4..12), [(5, 105..110), (10, 50..52)]);
        assert_eq!(flights.len(), 6);
        assert_eq!(taken(&mut flights, 0..99), [(0, 100..103), (12, 52..55)]);
        assert_eq!(flights.len(), 0);
        assert_eq!(taken(&mut flights, 0..99), []);
    }
}
