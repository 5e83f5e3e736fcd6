//! What time brings to a PUSH socket: shelf lives and delays end, receivers stay away, work is overdue.

use std::ops::Range;
use std::time::Duration;

use crate::credit::Amount;
use crate::event::Redelivery;
use crate::ids::{Delivery, LinkId, Seq, span};
use crate::time::{Now, Time};

use super::{PushEngine, PushLink};

impl PushEngine {
    /// Whether [`PushEngine::poll_timeout`] has anything to say.
    #[inline]
    #[must_use]
    pub fn has_timeouts(&self) -> bool {
        !self.expiring.is_empty()
            || self.delayed.len() > 0
            || self.absent.next_end().is_some()
            || !self.deadlines.is_empty()
            || self.next_reassign.is_some()
            || self.store_slow_at().is_some()
            || self.unpark_at().is_some()
            || self.levels.next_timeout().is_some()
            || self.rebuilt_at().is_some()
    }

    /// When [`PushEngine::handle_timeout`] wants to be called. Links have their own times:
    /// [`PushEngine::poll_link_timeout`].
    #[must_use]
    pub fn poll_timeout(&self, now: Now) -> Option<Time> {
        let expiry = self.expiring.first().map(|(wall, _)| now.time + now.wall.until(*wall));
        let delay = self.delayed.next();
        let grace = self.absent.next_end();
        let deadline = self.deadlines.first().map(|(until, ..)| *until);
        let slow = self.store_slow_at();
        let unpark = self.unpark_at();
        let levels = self.levels.next_timeout();
        let rebuilt = self.rebuilt_at();
        let of_messages = [expiry, delay, grace, deadline, self.next_reassign];
        Time::first_of([Time::first_of(of_messages), slow, unpark, levels, rebuilt])
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.expire_due(now);
        while let Some(seq) = self.delayed.pop_due(now.time) {
            self.enqueue(seq..seq + 1);
        }
        self.give_up_absent(now.time);
        self.time_out_processing(now.time);
        self.reassign(now.time);
        self.tell_slow_store(now.time);
        self.unpark(now.time);
        self.review_levels(now.time);
        self.end_rebuilding(now.time);
        self.wake_idle_if_work();
    }

    /// Ends what waits here beyond its shelf life. What is in flight is its receiver's to expire, unless it comes back.
    pub(super) fn expire_due(&mut self, now: Now) {
        while let Some(&(expires, seq)) = self.expiring.first() {
            if expires > now.wall {
                return;
            }
            self.expiring.pop_first();
            let open = seq >= self.next_seq() - self.chunks.open_len();
            if open {
                self.seal();
            }
            if self.queued.contains(seq) || self.delayed.contains(seq) {
                self.expire(seq);
            } else if !self.done.contains(seq) {
                self.stale.insert(seq..seq + 1);
            }
        }
    }

    /// Ends what comes back beyond its shelf life.
    pub(super) fn expire_stale(&mut self, seqs: Range<Seq>) {
        let stale: Vec<Range<Seq>> = self.stale.within(seqs).collect();
        stale.into_iter().flatten().for_each(|seq| self.expire(seq));
    }

    /// Gives to others, if there are any, what an application has taken and not settled in time. It may still confirm it.
    fn time_out_processing(&mut self, now: Time) {
        while let Some(&(deadline, id, first)) = self.deadlines.first() {
            if deadline > now {
                return;
            }
            self.deadlines.pop_first();
            let mut overdue = Vec::new();
            if let Some(link) = self.links.get_mut(&id) {
                link.flights.take(first..first + 1, &mut overdue);
                for (first, flight) in &overdue {
                    link.abandon(*first, flight.clone());
                }
            }
            for (_, flight) in overdue {
                self.pending -= span(&flight.seqs);
                self.note_given_back(id, flight.seqs.clone());
                self.requeue(flight.seqs, Redelivery::TimedOut);
            }
        }
    }

    /// Sees to it that [`PushEngine::reassign`] is called while there is something in flight.
    pub(super) fn plan_reassign(&mut self, now: Time) {
        if let Some(after) = self.config.reassign_after
            && self.next_reassign.is_none()
        {
            self.next_reassign = Some(now + after);
        }
    }

    /// What is in flight is to be looked at by another [`reassign_after`](super::PushConfig::reassign_after).
    pub(super) fn replan_reassign(&mut self, now: Time) {
        let looks = self.config.reassign_after.is_some() && self.pending > 0;
        self.next_reassign = looks.then_some(now);
    }

    /// While receivers have nothing to do and nothing waits here: asks back what others have had for long and not begun.
    fn reassign(&mut self, now: Time) {
        let (Some(after), Some(due)) = (self.config.reassign_after, self.next_reassign) else {
            return;
        };
        if due > now {
            return;
        }
        self.next_reassign =
            (self.pending > 0).then(|| now + (after / 2).max(Duration::from_millis(1)));
        // What may not be dispatched now, a delay above all, keeps nobody busy.
        if self.dispatchable() {
            return;
        }
        // Credit alone does not tell who has nothing to do: a large window leaves some beside work that is not begun.
        let (free, owners): (Vec<LinkId>, Vec<LinkId>) =
            self.links.keys().copied().partition(|id| self.has_begun_all(*id));
        let free = free.iter().filter_map(|id| self.links.get(id));
        let mut wanted = free.map(|link| link.counted).fold(0, u64::saturating_add);
        for id in owners {
            for deliveries in self.overdue(id, now - after) {
                if wanted == 0 {
                    return;
                }
                let end = deliveries.end.min(deliveries.start.saturating_add(wanted));
                let deliveries = deliveries.start..end;
                wanted -= span(&deliveries);
                self.ask_back(id, deliveries);
            }
        }
    }

    /// Whether what comes next was taken from this link for another one, which can take it.
    pub(super) fn gives_way(&self, id: LinkId) -> bool {
        let given_back = self.next_given_back_by(id);
        given_back.is_some_and(|seq| self.is_taken_by_another(seq, id))
    }

    /// What comes next, if this link was the last to give it back.
    pub(super) fn next_given_back_by(&self, id: LinkId) -> Option<Seq> {
        if self.given_back.is_empty() {
            return None;
        }
        self.queued.first().filter(|seq| self.given_back.get(seq) == Some(&id))
    }

    /// Whether another link would take a message that this one leaves alone: of those with room for it, one of the best rank
    /// has a connection that is not stuck.
    fn is_taken_by_another(&self, seq: Seq, id: LinkId) -> bool {
        let others = self.with_room_for(seq).filter(|(other, _)| *other != id);
        let best = others.map(|(_, link)| (link.standing.rank, link.blocked)).min();
        best.is_some_and(|(_, blocked)| !blocked)
    }

    /// The links that have credit for a message, stuck ones included.
    pub(super) fn with_room_for(&self, seq: Seq) -> impl Iterator<Item = (LinkId, &PushLink)> {
        let cost = self.chunks.cost_bytes(seq).map(|bytes| Amount::new(1, bytes));
        let links = self.links.iter().map(|(id, link)| (*id, link));
        links.filter(move |(_, link)| cost.is_some_and(|cost| cost.fits(link.room())))
    }

    /// A receiver's messages are for others first, as far as they are still to be done.
    pub(super) fn note_given_back(&mut self, id: LinkId, seqs: Range<Seq>) {
        let seqs = self.done.missing(seqs).into_iter().flatten();
        self.given_back.extend(seqs.map(|seq| (seq, id)));
    }

    pub(super) fn forget_given_back(&mut self, seqs: Range<Seq>) {
        while let Some(seq) = self.given_back.range(seqs.clone()).next().map(|(seq, _)| *seq) {
            self.given_back.remove(&seq);
        }
    }

    /// Whether a receiver's application has taken everything that was dispatched to it.
    fn has_begun_all(&self, id: LinkId) -> bool {
        let link = self.links.get(&id);
        link.is_none_or(|link| link.flights.iter().all(|(_, flight)| flight.taken.is_some()))
    }

    /// What a link's application has not taken although it was dispatched before `before`, and that was not asked for. Once
    /// is enough: what it does not give back it has begun, or it gives nothing back.
    fn overdue(&self, id: LinkId, before: Time) -> Vec<Range<Delivery>> {
        let Some(link) = self.links.get(&id).filter(|link| link.link.is_open()) else {
            return Vec::new();
        };
        link.flights
            .iter()
            .filter(|(_, flight)| flight.taken.is_none() && !flight.retracted)
            .filter(|(_, flight)| flight.sent <= before)
            .map(|(first, flight)| first..first + span(&flight.seqs))
            .collect()
    }

    pub(super) fn ask_back(&mut self, id: LinkId, deliveries: Range<Delivery>) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let mut flights = Vec::new();
        link.flights.take(deliveries.clone(), &mut flights);
        for (first, mut flight) in flights {
            flight.retracted = true;
            link.flights.insert(first, flight);
        }
        link.retract(deliveries);
        self.wake(id);
    }
}
