//! What became of messages: confirmed, rejected, given back, expired, or dead.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::collections::RangeSet;
use crate::event::{Event, Redelivery};
use crate::ids::{Delivery, LinkId, Seq, span};
use crate::limits::PUT_OFF_MAX;
use crate::queue::{Flight, Kept};
use crate::store::{Attempts, DeadLetter};
use crate::time::{Now, Time};
use crate::wire::{Close, Outcome, Settle, Settlement, Taken};

use super::PushEngine;
use crate::link::violation;

/// What became of a message in the end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Fate {
    /// A receiver confirmed it.
    Confirmed,
    /// Its shelf life ended.
    Expired,
    /// It failed too often and is among the dead letters.
    DeadLettered,
}

impl PushEngine {
    pub(super) fn handle_settle(
        &mut self,
        id: LinkId,
        settle: Settle,
        now: Now,
    ) -> Result<(), Close> {
        let mut extended = Vec::new();
        for settlement in settle.settlements {
            match settlement.outcome {
                Outcome::Extended(_) => extended.push(settlement),
                _ => self.settle(id, settlement, now)?,
            }
        }
        self.settle_extended(id, &extended, now)?;
        if let Some(link) = self.links.get_mut(&id) {
            link.settles += 1;
        }
        self.wake_idle_if_work();
        Ok(())
    }

    /// Receivers ask for more time. The last word on each message counts, however often a frame speaks of it: what is
    /// extended stays, and would have to be looked at each time.
    fn settle_extended(
        &mut self,
        id: LinkId,
        extended: &[Settlement],
        now: Now,
    ) -> Result<(), Close> {
        let mut seen = RangeSet::new();
        for Settlement { deliveries, outcome } in extended.iter().rev() {
            let deliveries = deliveries.range().ok_or_else(|| violation("an empty range"))?;
            for part in seen.missing(deliveries.clone()) {
                let deliveries = part.into();
                self.settle(id, Settlement { deliveries, outcome: outcome.clone() }, now)?;
            }
            seen.insert(deliveries);
        }
        Ok(())
    }

    fn settle(&mut self, id: LinkId, settlement: Settlement, now: Now) -> Result<(), Close> {
        let deliveries =
            settlement.deliveries.range().ok_or_else(|| violation("an empty range"))?;
        let mut flights = std::mem::take(&mut self.scratch);
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if deliveries.end > link.next_delivery {
            return Err(violation("it settles what was never sent"));
        }
        // A late word on what was given to somebody else counts only if it says that the work is done.
        link.abandoned.take(deliveries.clone(), &mut flights);
        for (_, flight) in flights.drain(..) {
            if settlement.outcome == Outcome::Confirmed {
                self.confirm(flight.seqs, now.time);
            }
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.flights.take(deliveries, &mut flights);
        }
        for (first, flight) in flights.drain(..) {
            self.settle_flight(id, first, flight, &settlement.outcome, now);
        }
        self.scratch = flights;
        Ok(())
    }

    fn settle_flight(
        &mut self,
        id: LinkId,
        first: Delivery,
        flight: Flight,
        outcome: &Outcome,
        now: Now,
    ) {
        if let Outcome::Extended(millis) = outcome {
            if self.passing.is_some() {
                self.settle_upward(flight.seqs.clone(), outcome);
            }
            return self.extend(id, first, flight, *millis, now.time);
        }
        self.forget_deadline(id, first, &flight);
        self.pending -= span(&flight.seqs);
        if self.passing.is_some() && *outcome != Outcome::Confirmed {
            return self.settle_upward(flight.seqs, outcome);
        }
        match outcome {
            Outcome::Confirmed => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.confirmed += span(&flight.seqs);
                }
                self.confirm(flight.seqs, now.time);
            }
            Outcome::Rejected(reason) => {
                for seq in flight.seqs {
                    self.fail(seq, reason.as_str(), Redelivery::Rejected, now.time);
                }
            }
            Outcome::Released => {
                let why =
                    if flight.retracted { Redelivery::Reassigned } else { Redelivery::Released };
                if flight.retracted {
                    self.note_given_back(id, flight.seqs.clone());
                }
                self.requeue(flight.seqs, why);
            }
            Outcome::RetryIn(millis) => {
                let until = now.time + Duration::from_millis(*millis).min(PUT_OFF_MAX);
                self.delay(flight.seqs, until);
            }
            Outcome::Expired => {
                for seq in flight.seqs {
                    self.expire(seq);
                }
            }
            Outcome::Extended(_) => {}
        }
    }

    /// The application asks for more time.
    fn extend(&mut self, id: LinkId, first: Delivery, mut flight: Flight, millis: u64, now: Time) {
        self.forget_deadline(id, first, &flight);
        let more = Duration::from_millis(millis).min(PUT_OFF_MAX);
        flight.deadline = self.config.process_timeout.map(|_| now + more);
        self.put_flight(id, first, &flight);
    }

    pub(super) fn forget_deadline(&mut self, id: LinkId, first: Delivery, flight: &Flight) {
        if let Some(deadline) = flight.deadline {
            self.deadlines.remove(&(deadline, id, first));
        }
    }

    /// The application has taken these: their time to process begins.
    pub(super) fn handle_taken(
        &mut self,
        id: LinkId,
        taken: Taken,
        now: Time,
    ) -> Result<(), Close> {
        let mut all = RangeSet::new();
        for span in taken.deliveries {
            all.insert(span.range().ok_or_else(|| violation("an empty range"))?);
        }
        for deliveries in all.iter() {
            let Some(link) = self.links.get_mut(&id) else {
                return Ok(());
            };
            if deliveries.end > link.next_delivery {
                return Err(violation("it takes what was never sent"));
            }
            let mut flights = Vec::new();
            link.flights.take(deliveries, &mut flights);
            for (first, flight) in flights {
                // The receiver may have said so before.
                self.forget_deadline(id, first, &flight);
                self.take_upward(flight.seqs.clone());
                self.start_processing(id, first, flight, now);
            }
        }
        Ok(())
    }

    /// Puts a flight (back) that the application has taken.
    pub(super) fn start_processing(
        &mut self,
        id: LinkId,
        first: Delivery,
        mut flight: Flight,
        now: Time,
    ) {
        flight.deadline = self.config.process_timeout.map(|timeout| now + timeout);
        flight.taken = Some(flight.taken.unwrap_or(now));
        self.put_flight(id, first, &flight);
    }

    /// Puts a flight (back) on its link. With a time limit each message has its own.
    fn put_flight(&mut self, id: LinkId, first: Delivery, flight: &Flight) {
        let pieces = match flight.deadline {
            None => vec![(first, flight.seqs.clone())],
            Some(_) => (first..).zip(flight.seqs.clone().map(|seq| seq..seq + 1)).collect(),
        };
        for (first, seqs) in pieces {
            if let Some(deadline) = flight.deadline {
                self.deadlines.insert((deadline, id, first));
            }
            if let Some(link) = self.links.get_mut(&id) {
                link.flights.insert(first, Flight { seqs, ..*flight });
            }
        }
    }

    /// A receiver is done with these.
    pub(super) fn confirm(&mut self, seqs: Range<Seq>, now: Time) {
        if self.passing.is_some() {
            self.counters.confirmed += span(&seqs);
            return self.settle_upward(seqs, &Outcome::Confirmed);
        }
        if let (Some(journal), Some(chunk)) = (&mut self.journal, self.chunks.holding(seqs.start)) {
            journal.note_latency(now.since(chunk.born));
        }
        self.forget_lost(seqs.clone());
        self.counters.confirmed += self.complete(seqs);
    }

    /// Forgets messages: they are done, one way or another. Says how many were not done before.
    pub(super) fn complete(&mut self, seqs: Range<Seq>) -> u64 {
        if self.done.within(seqs.clone()).next().is_none() {
            self.complete_new(seqs.clone());
            return span(&seqs);
        }
        let parts = self.done.missing(seqs);
        parts.into_iter().map(|part| (span(&part), self.complete_new(part)).0).sum()
    }

    fn complete_new(&mut self, seqs: Range<Seq>) {
        self.done.insert(seqs.clone());
        if let Some(journal) = &mut self.journal {
            journal.done(seqs.clone());
        }
        // Only a second copy can be waiting here: that of a message which was given to somebody else.
        self.unqueue(seqs.clone());
        self.stale.remove(seqs.clone());
        self.forget_given_back(seqs.clone());
        while self.delayed.take_first(seqs.clone()).is_some() {}
        self.chunks.done(seqs.clone());
        if let Some(passing) = &mut self.passing {
            passing.done(seqs.clone());
        }
        while let Some(seq) = self.attempts.range(seqs.clone()).next().map(|(&seq, _)| seq) {
            self.attempts.remove(&seq);
            if let Some(journal) = &mut self.journal {
                journal.forget_attempts(seq);
            }
        }
        self.note_progress(seqs);
    }

    /// Puts messages back in the queue, unless they are done by now.
    pub(super) fn requeue(&mut self, seqs: Range<Seq>, why: Redelivery) {
        if self.passing.is_some() {
            return self.requeue_passing(seqs, why);
        }
        self.expire_stale(seqs.clone());
        for part in self.done.missing(seqs) {
            self.counters.redelivered += span(&part);
            self.enqueue(part.clone());
            self.events.push(Event::Redelivered { seqs: part, why });
        }
    }

    fn delay(&mut self, seqs: Range<Seq>, until: Time) {
        self.expire_stale(seqs.clone());
        for part in self.done.missing(seqs) {
            self.counters.redelivered += span(&part);
            part.for_each(|seq| self.delayed.insert(seq, until));
        }
    }

    /// Counts a failed attempt: the message waits its turn, or is a dead letter.
    pub(super) fn fail(&mut self, seq: Seq, reason: &str, why: Redelivery, now: Time) {
        if self.done.contains(seq) {
            return;
        }
        let attempts = self.attempts.entry(seq).or_default();
        attempts.failed = attempts.failed.saturating_add(1);
        reason.clone_into(&mut attempts.reason);
        self.counters.failed_attempts += 1;
        let failed = attempts.failed;
        let attempts = attempts.clone();
        self.expire_stale(seq..seq + 1);
        if self.done.contains(seq) {
            return;
        }
        if self.config.attempts_max.is_some_and(|max| failed >= max) {
            let cost = self.chunks.cost_bytes(seq).unwrap_or(0);
            if self.dead.have_room(cost, &self.config) {
                return self.bury(seq, attempts);
            }
            self.events.push(Event::DeadLettersFull { seq });
        }
        if let Some(journal) = &mut self.journal {
            journal.put_attempts(seq, attempts);
        }
        let delay = self.config.delay_after(failed);
        if delay.is_zero() {
            self.requeue(seq..seq + 1, why);
        } else {
            self.delay(seq..seq + 1, now + delay);
            self.events.push(Event::Redelivered { seqs: seq..seq + 1, why });
        }
    }

    /// Makes a dead letter of a message.
    fn bury(&mut self, seq: Seq, attempts: Attempts) {
        let Some(slice) = self.chunks.slice(seq..seq + 1, u64::MAX) else {
            return;
        };
        // A copy, so that the letter does not keep a whole chunk alive.
        let record = Bytes::copy_from_slice(&slice.into_bytes());
        let (failed, reason) = (attempts.failed, attempts.reason.clone());
        let letter = DeadLetter { seq, attempts, record };
        let was_kept = self.chunks.holding(seq).is_some_and(|chunk| chunk.kept == Kept::Yes);
        if let Some(journal) = &mut self.journal {
            journal.put_dead(&letter, was_kept);
        }
        self.dead.insert(letter);
        self.fates.note(seq, Fate::DeadLettered);
        self.complete(seq..seq + 1);
        self.counters.dead_lettered += 1;
        self.events.push(Event::DeadLettered { seq, failed, reason });
    }

    /// Ends a message whose shelf life is over.
    pub(super) fn expire(&mut self, seq: Seq) {
        if self.done.contains(seq) {
            return;
        }
        let Attempts { failed, reason } = self.attempts.get(&seq).cloned().unwrap_or_default();
        self.fates.note(seq, Fate::Expired);
        self.complete(seq..seq + 1);
        self.counters.expired += 1;
        self.events.push(Event::Expired { seq, failed, reason });
    }
}
