//! What was dispatched on one link and is not settled: the link's part of the shadow queue.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::{Delivery, Seq, span};
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

/// Flights by delivery number. Where they are looked for by the numbers of messages, no message is in two of them.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    runs: BTreeMap<Delivery, Flight>,
    messages: u64,
    /// Where they are by their numbers, from the first look for numbers on.
    places: Option<Places>,
}

impl Flights {
    /// Messages in flight.
    pub(crate) const fn len(&self) -> u64 {
        self.messages
    }

    pub(crate) fn insert(&mut self, first: Delivery, flight: Flight) {
        self.messages += flight.seqs.end - flight.seqs.start;
        if let Some(places) = &mut self.places {
            places.insert(flight.seqs.clone(), first);
        }
        self.runs.insert(first, flight);
    }

    /// Takes note of a flight that was taken out.
    fn note_gone(&mut self, seqs: &Range<Seq>) {
        self.messages -= seqs.end - seqs.start;
        if self.messages == 0 {
            self.places = None;
        }
        if let Some(places) = &mut self.places {
            while places.take_first(seqs).is_some() {}
        }
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
        self.note_gone(&flight.seqs);
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
                self.note_gone(&flight.seqs);
                out.push((first, flight));
            }
        }
    }

    /// Takes out what is in flight of these numbers, in their order; flights are cut where the numbers cut them. The first look
    /// costs as much as is in flight, those that follow a logarithm of that, plus what they find.
    pub(crate) fn take_seqs(&mut self, seqs: &Range<Seq>) -> Vec<(Delivery, Flight)> {
        let mut out = Vec::new();
        loop {
            let runs = &self.runs;
            let places = self.places.get_or_insert_with(|| Places::of(runs));
            let Some((part, first)) = places.take_first(seqs) else {
                return out;
            };
            self.take(first..first + span(&part), &mut out);
        }
    }

    /// Which of these numbers are in flight. Costs as much as [`Flights::take_seqs`].
    pub(crate) fn find_seqs(&mut self, seqs: &Range<Seq>) -> Vec<Range<Seq>> {
        if self.messages == 0 {
            return Vec::new();
        }
        let runs = &self.runs;
        self.places.get_or_insert_with(|| Places::of(runs)).within(seqs).collect()
    }

    /// No more looks for numbers are expected: coming and going is cheaper without them.
    pub(crate) fn forget_places(&mut self) {
        self.places = None;
    }

    /// Notes of these messages that they are to be given back. Costs as much as is in flight.
    pub(crate) fn note_asked_back(&mut self, seqs: &RangeSet) {
        let of_flight = |(first, flight): (Delivery, &Flight)| {
            let start = flight.seqs.start;
            let at = move |seq: Seq| first + (seq - start);
            let parts = seqs.within(flight.seqs.clone());
            parts.map(move |part| at(part.start)..at(part.end)).collect::<Vec<_>>()
        };
        let parts: Vec<_> = self.iter().flat_map(of_flight).collect();
        let mut flights = Vec::new();
        parts.into_iter().for_each(|deliveries| self.take(deliveries, &mut flights));
        for (first, flight) in flights {
            self.insert(first, Flight { retracted: true, ..flight });
        }
    }

    /// Takes everything out, in order.
    pub(crate) fn take_all(&mut self) -> Vec<(Delivery, Flight)> {
        std::mem::take(self).runs.into_iter().collect()
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

/// Where messages are, by the first of numbers that stand side by side: their end, and their first delivery number.
#[derive(Debug)]
struct Places(BTreeMap<Seq, (Seq, Delivery)>);

impl Places {
    fn of(runs: &BTreeMap<Delivery, Flight>) -> Self {
        let place =
            |(first, flight): (&Delivery, &Flight)| (flight.seqs.start, (flight.seqs.end, *first));
        Self(runs.iter().map(place).collect())
    }

    fn insert(&mut self, seqs: Range<Seq>, first: Delivery) {
        self.0.insert(seqs.start, (seqs.end, first));
    }

    /// Numbers that are of `seqs`.
    fn within(&self, seqs: &Range<Seq>) -> impl Iterator<Item = Range<Seq>> {
        let before = self.0.range(..seqs.start).next_back();
        let places = before.into_iter().chain(self.0.range(seqs.clone()));
        let parts = places.map(|(first, (end, _))| *first.max(&seqs.start)..*end.min(&seqs.end));
        parts.filter(|part| !part.is_empty())
    }

    /// Takes out the first numbers that are of `seqs` and side by side, and says where they are.
    fn take_first(&mut self, seqs: &Range<Seq>) -> Option<(Range<Seq>, Delivery)> {
        let before = self.0.range(..seqs.start).next_back().filter(|(_, at)| at.0 > seqs.start);
        let (&first, &(end, at)) = before.or_else(|| self.0.range(seqs.clone()).next())?;
        self.0.remove(&first);
        if first < seqs.start {
            self.0.insert(first, (seqs.start, at));
        }
        if seqs.end < end {
            self.0.insert(seqs.end, (end, at + (seqs.end - first)));
        }
        let part = first.max(seqs.start)..end.min(seqs.end);
        let at = at + (part.start - first);
        Some((part, at))
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
        let mut find = |seqs| {
            let found = flights.take_seqs(&seqs).into_iter();
            found.map(|(first, flight)| (first, flight.seqs)).collect::<Vec<_>>()
        };
        assert_eq!(find(103..104), [(3, 103..104)]);
        assert_eq!(find(52..109), [(12, 52..55), (0, 100..103), (4, 104..109)]);
        assert_eq!(find(52..109), []);
        // What comes and goes meanwhile is found, or not.
        flights.insert(20, flight(52..55));
        flights.insert(30, flight(200..210));
        assert_eq!(taken(&mut flights, 21..32), [(21, 53..55), (30, 200..202)]);
        let found = flights.take_seqs(&(0..300)).into_iter();
        let found: Vec<_> = found.map(|(first, flight)| (first, flight.seqs)).collect();
        assert_eq!(found, [(10, 50..52), (20, 52..53), (9, 109..110), (32, 202..210)]);
        assert_eq!(flights.len(), 0);
    }

    #[test]
    fn numbers_are_found_where_they_stay() {
        let mut flights = Flights::default();
        assert_eq!(flights.find_seqs(&(0..300)), []);
        flights.insert(0, flight(100..110));
        flights.insert(10, flight(50..55));
        assert_eq!(flights.find_seqs(&(52..103)), [52..55, 100..103]);
        assert_eq!(flights.find_seqs(&(103..104)), vec![103..104; 1]);
        assert_eq!(taken(&mut flights, 3..5), [(3, 103..105)]);
        assert_eq!(flights.find_seqs(&(0..300)), [50..55, 100..103, 105..110]);
        assert_eq!(flights.find_seqs(&(55..100)), []);
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
