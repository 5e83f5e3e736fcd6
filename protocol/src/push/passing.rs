//! The side of a streamer that hands messages out: they are of others' sessions, and what becomes of them is theirs to
//! hear.
//!
//! Inside, messages have numbers of this socket's own, in the order in which they came; each run that arrived is a chunk.
//! On links they have the numbers that their origin gave them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::collections::RangeSet;
use crate::credit::{Amount, Want};
use crate::event::{Event, Redelivery};
use crate::ids::{Delivery, LinkId, PeerId, Seq, Session, span};
use crate::limits::{ADOPTED_MESSAGES_MAX, PARKED_MAX, STREAMERS_MAX};
use crate::link::{Peer, refusal, violation};
use crate::message::cost_bytes;
use crate::pull::{ADOPTED_KEYS, Adopted, Run, RunKey};
use crate::queue::{Chunk, Flight};
use crate::time::{Now, Time, WallTime};
use crate::wire::{Behind, Close, CloseCode, DataHeader, Origin, Outcome};

use super::passed::{Named, Passed, Passing, Upward};
use super::{PushConfig, PushEngine, PushLink};

impl PushEngine {
    /// The downstream side of a streamer, which is known to receivers by this name.
    pub(crate) fn for_streamer(config: PushConfig, peer_id: PeerId, name: Session) -> Self {
        let mut engine = Self::new(config, peer_id, name);
        engine.passing = Some(Passing::default());
        engine
    }

    /// Takes messages in that arrived upstream.
    pub(crate) fn pass_on(&mut self, run: Arc<Run>, reports_taken: bool, now: Time) {
        let Some(passing) = &mut self.passing else {
            return;
        };
        let (first, count) = (self.chunks.next_seq(), u64::from(run.count));
        let seqs = first..first + count;
        let records = run.records().clone();
        let cost = Amount::new(count, cost_bytes(count, records.len() as u64));
        passing.waiting += cost;
        let before = passing.came_before(&run);
        passing.insert(first, run, reports_taken);
        self.chunks.jump(seqs.end);
        self.chunks.restore(Chunk::new(seqs.clone(), records, None, now));
        self.enqueue(seqs);
        self.note_came_again(first, before);
        self.counters.taken_in += count;
        self.wake_idle_if_work();
    }

    /// Messages have come again, from the first of these numbers on: whoever has had them from here was given up by their
    /// sender, and they are for others first.
    fn note_came_again(&mut self, first: Seq, before: Vec<Named>) {
        let mut next = first;
        for named in before {
            let at = next;
            next += named.len();
            let Named::Here(seqs) = named else {
                continue;
            };
            let mut had = Vec::new();
            for (id, link) in &mut self.links {
                had.extend(link.flights.find_seqs(&seqs).into_iter().map(|part| (*id, part)));
            }
            for (id, part) in had {
                let from = at + (part.start - seqs.start);
                self.note_given_back(id, from..from + span(&part));
            }
        }
    }

    /// What there is to be said upstream next.
    pub(crate) fn poll_upward(&mut self) -> Option<Upward> {
        self.passing.as_mut()?.upward.pop_front()
    }

    /// What receivers have granted, and what of it is wanted by messages that wait here.
    pub(crate) fn granted(&self) -> (Amount, Amount) {
        let left = self.config.pending_messages.saturating_sub(self.pending);
        let waiting = self.passing.as_ref().map_or(Amount::ZERO, |passing| passing.waiting);
        (Amount::new(self.spare.min(left), self.spare_bytes), waiting)
    }

    /// Says what senders upstream want.
    pub(crate) fn set_upstream_want(&mut self, want: Want) {
        let Some(passing) = &mut self.passing else {
            return;
        };
        let before = std::mem::replace(&mut passing.upstream_want, want);
        if want.is_news_after(before) {
            let contended = self.links.iter().filter(|(_, link)| link.spender.is_contended());
            self.wakes.extend(contended.map(|(id, _)| *id));
        }
    }

    /// Whether what a receiver names and nobody here knows of may be taken for true.
    pub(crate) fn set_may_adopt(&mut self, may_adopt: bool) {
        if let Some(passing) = &mut self.passing {
            passing.may_adopt = may_adopt;
        }
    }

    /// Numbers links from here on.
    pub(crate) const fn number_links_from(&mut self, first: u64) {
        self.next_link = first;
    }

    /// Whether who stands behind may have changed since this was asked last.
    pub(crate) fn have_members_changed(&mut self) -> bool {
        self.passing.as_mut().is_some_and(|passing| std::mem::take(&mut passing.members_changed))
    }

    pub(super) fn note_members(&mut self) {
        if let Some(passing) = &mut self.passing {
            passing.members_changed = true;
        }
    }

    /// Who stands behind this streamer, itself included.
    pub(crate) fn behind(&self) -> Behind {
        let links = self.links.values().filter(|link| link.attached && link.link.is_open());
        let mut streamers: BTreeSet<PeerId> = [self.peer_id].into();
        let mut receivers: u32 = 0;
        for link in links {
            receivers = receivers.saturating_add(link.receivers);
            streamers.extend(&link.streamers);
        }
        Behind { receivers, streamers: streamers.into_iter().collect() }
    }

    /// A receiver says who stands behind it.
    pub(super) fn handle_behind(&mut self, id: LinkId, behind: Behind) -> Result<(), Close> {
        let peer = self.links.get(&id).and_then(|link| link.link.peer());
        if !peer.is_some_and(Peer::knows_streamers) {
            return Err(violation("a BEHIND of a receiver that does not know streamers"));
        }
        if behind.streamers.iter().any(|streamer| *streamer == self.peer_id) {
            return Err(refusal(CloseCode::Loop, "this streamer stands behind itself"));
        }
        if behind.streamers.len() > STREAMERS_MAX {
            return Err(refusal(CloseCode::TooMany, "too many streamers stand behind this link"));
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.receivers = behind.receivers;
            link.streamers = behind.streamers.into_iter().collect();
        }
        self.note_members();
        self.recount(id);
        Ok(())
    }

    /// Asks messages back that their senders want to have back, of those who are away when they come. Costs as much as is in
    /// flight, however many parts there are.
    pub(crate) fn ask_back_runs(&mut self, parts: &[(RunKey, Range<u32>)]) {
        let first = |key| self.passing.as_ref().and_then(|passing| passing.by_key.get(key));
        let seqs = parts.iter().filter_map(|(key, indices)| {
            let &first = first(key)?;
            Some(first + u64::from(indices.start)..first + u64::from(indices.end))
        });
        let seqs: RangeSet = seqs.collect();
        let queued: Vec<_> = seqs.iter().flat_map(|part| self.queued.within(part)).collect();
        for part in queued {
            self.unqueue(part.clone());
            self.settle_upward(part, &Outcome::Released);
        }
        let open = self.links.iter().filter(|(_, link)| link.link.is_open());
        let flying: Vec<(LinkId, Range<Delivery>)> = open
            .flat_map(|(id, link)| link.not_begun(&seqs).map(|deliveries| (*id, deliveries)))
            .collect();
        flying.into_iter().for_each(|(id, deliveries)| self.ask_back(id, deliveries));
        self.absent.note_asked_back(&seqs);
        self.rest_all();
    }

    /// What was too large for a link is gone from the queue: links with credit are idle again.
    fn rest_all(&mut self) {
        if self.queued.is_empty() {
            let ids: Vec<LinkId> = self.links.keys().copied().collect();
            ids.into_iter().for_each(|id| self.rest(id));
        }
    }

    /// Passes upstream what became of messages; those that are settled by it are done here.
    pub(super) fn settle_upward(&mut self, seqs: Range<Seq>, outcome: &Outcome) {
        for part in self.done.missing(seqs) {
            let Some(passing) = &mut self.passing else {
                return;
            };
            for (key, indices, _) in passing.parts(part.clone()) {
                passing.upward.push_back(Upward::Outcome(key, indices, outcome.clone()));
            }
            if outcome.is_final() {
                self.complete(part);
            }
        }
    }

    /// Passes upstream that messages are being worked on.
    pub(super) fn take_upward(&mut self, seqs: Range<Seq>) {
        if let Some(passing) = &mut self.passing {
            for (key, indices, _) in passing.parts(seqs) {
                passing.upward.push_back(Upward::Taken(key, indices));
            }
        }
    }

    /// Puts messages back in the queue that somebody held who is gone. Those that are not here go back upstream, as do those
    /// that have come again since: they are with somebody else, or done.
    pub(super) fn requeue_passing(&mut self, seqs: Range<Seq>, why: Redelivery) {
        let parts = self.done.missing(seqs).into_iter();
        let parts = parts.flat_map(|part| self.passing.as_ref().map(|p| p.parts(part)));
        let parts = parts.flatten().flat_map(|(key, _, part)| {
            let parts = self.passing.as_ref().map(|passing| passing.by_return(part));
            parts.into_iter().flatten().map(move |(part, came_again)| (key, part, came_again))
        });
        let parts: Vec<_> = parts.collect();
        for (key, part, came_again) in parts {
            if key >= ADOPTED_KEYS || came_again {
                self.settle_upward(part, &Outcome::Released);
                continue;
            }
            let cost = self.cost_of(part.clone());
            self.enqueue(part.clone());
            self.counters.redelivered += span(&part);
            let Some(passing) = &mut self.passing else {
                return;
            };
            passing.waiting += cost;
            if let Some((_, seqs)) = passing.upstream_numbers(&part) {
                self.events.push(Event::Redelivered { seqs, why });
            }
        }
    }

    /// Gives up on what a receiver held. Its sender counts the attempt, if it counts attempts.
    pub(super) fn give_up_passing(&mut self, flights: Vec<Flight>, crashed: bool) {
        let none_taken = flights.iter().all(|flight| flight.taken.is_none());
        for (index, flight) in flights.into_iter().enumerate() {
            self.pending -= span(&flight.seqs);
            let passed = self.passing.as_ref().and_then(|p| p.passed(flight.seqs.start));
            let counts = crashed && passed.is_some_and(|(_, passed)| passed.reports_taken);
            let suspects = match flight.taken {
                _ if !counts => 0,
                Some(_) => span(&flight.seqs),
                None => u64::from(none_taken && index == 0),
            };
            let (suspect, innocent) = super::attach::split(flight.seqs, suspects);
            self.settle_upward(suspect, &Outcome::Rejected("the receiver went away".into()));
            self.requeue_passing(innocent, Redelivery::ReceiverGone);
        }
        self.wake_idle_if_work();
    }

    /// Takes messages out of the queue.
    pub(super) fn unqueue(&mut self, seqs: Range<Seq>) {
        if self.passing.is_some() {
            let parts: Vec<_> = self.queued.within(seqs.clone()).collect();
            for part in parts {
                let cost = self.cost_of(part);
                if let Some(passing) = &mut self.passing {
                    passing.waiting = passing.waiting.saturating_sub(cost);
                }
            }
        }
        self.queued.remove(seqs.clone());
        self.recall(seqs);
    }

    fn cost_of(&mut self, seqs: Range<Seq>) -> Amount {
        let mut cost = Amount::ZERO;
        let mut next = seqs.start;
        while next < seqs.end {
            let Some(slice) = self.chunks.slice(next..seqs.end, u64::MAX) else {
                break;
            };
            let count = span(&slice.seqs);
            cost += Amount::new(count, cost_bytes(count, slice.record_bytes() as u64));
            next = slice.seqs.end;
        }
        cost
    }

    /// How far a run of numbers goes that one frame can hold.
    pub(super) fn run_end(&self, seqs: &Range<Seq>) -> Seq {
        let passed = self.passing.as_ref().and_then(|passing| passing.passed(seqs.start));
        passed
            .map_or(seqs.start, |(first, passed)| seqs.end.min(first + u64::from(passed.run.count)))
    }

    /// What a frame says of messages, in the words of who sent them; and of which session they are, if the link has to
    /// be told.
    pub(super) fn passing_header(
        &mut self,
        id: LinkId,
        seqs: &Range<Seq>,
        cost: Amount,
        now: Now,
    ) -> Option<(Option<Origin>, DataHeader)> {
        let passing = self.passing.as_mut()?;
        passing.waiting = passing.waiting.saturating_sub(cost);
        passing.parked = None;
        let (first, Passed { run, reports_taken, .. }) = passing.passed(seqs.start)?;
        let origin = Origin { session: run.session(), reports_taken: *reports_taken };
        let here_for = now.time.since(run.arrived).as_millis() as u64;
        let link = self.links.get_mut(&id)?;
        let header = DataHeader {
            first_delivery: link.next_delivery,
            // An index in a run is a u32.
            first_seq: run.seq((seqs.start - first) as u32),
            sent_at: WallTime::from_millis(run.sent_at.as_millis().saturating_add(here_for)),
            count: u32::try_from(span(seqs)).unwrap_or(u32::MAX),
            attempt: run.attempt(),
        };
        let news = link.origin.replace(origin) != Some(origin);
        Some((news.then_some(origin), header))
    }

    /// A receiver holds what this streamer does not have, because it was started anew.
    pub(super) fn adopt(
        &mut self,
        session: Session,
        seqs: Range<Seq>,
        taken: bool,
        now: Time,
    ) -> Option<Range<Seq>> {
        let passing = self.passing.as_mut()?;
        let count = u32::try_from(span(&seqs)).ok()?;
        let messages = passing.adopted_messages + u64::from(count);
        if !passing.may_adopt || messages > ADOPTED_MESSAGES_MAX {
            return None;
        }
        passing.adopted_messages = messages;
        let key = ADOPTED_KEYS + passing.adopted_runs;
        passing.adopted_runs += 1;
        let header = DataHeader {
            first_delivery: 0,
            first_seq: seqs.start,
            sent_at: WallTime::default(),
            count,
            attempt: 0,
        };
        let run = Arc::new(Run::new(key, session, &header, Bytes::new(), now));
        let first = self.chunks.next_seq();
        passing.insert(first, Arc::clone(&run), true);
        passing.upward.push_back(Upward::Adopted(Adopted { run, taken }));
        self.chunks.jump(first + u64::from(count));
        Some(first..first + u64::from(count))
    }

    /// A receiver has confirmed what this streamer does not have.
    pub(super) fn adopt_confirmed(&mut self, session: Session, seqs: Range<Seq>) {
        if let Some(passing) = self.passing.as_mut().filter(|passing| passing.may_adopt) {
            passing.upward.push_back(Upward::Confirmed(session, seqs));
        }
    }

    /// Notes since when messages wait here, if any do.
    pub(crate) fn note_parked(&mut self, now: Time) {
        if let Some(passing) = &mut self.passing {
            let waits = passing.waiting.messages > 0;
            passing.parked = waits.then(|| passing.parked.unwrap_or(now));
        }
    }

    /// When messages have waited here for so long that they go back upstream.
    pub(super) fn unpark_at(&self) -> Option<Time> {
        self.passing.as_ref()?.parked.map(|since| since + PARKED_MAX)
    }

    /// Gives back upstream what nobody behind has credit for.
    pub(super) fn unpark(&mut self, now: Time) {
        if self.unpark_at().is_none_or(|at| at > now) {
            return;
        }
        let queued: Vec<_> = self.queued.iter().collect();
        for part in queued {
            self.unqueue(part.clone());
            self.settle_upward(part, &Outcome::Released);
        }
        self.rest_all();
    }
}

impl PushLink {
    /// What is in flight of these numbers, and was neither taken nor asked back.
    fn not_begun(&self, seqs: &RangeSet) -> impl Iterator<Item = Range<Delivery>> {
        let flights = self.flights.iter();
        let flights = flights.filter(|(_, flight)| flight.taken.is_none() && !flight.retracted);
        flights.flat_map(move |(delivery, flight)| {
            let at = move |seq: Seq| delivery + (seq - flight.seqs.start);
            seqs.within(flight.seqs.clone()).map(move |part| at(part.start)..at(part.end))
        })
    }
}
