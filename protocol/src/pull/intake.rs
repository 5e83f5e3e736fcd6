//! Messages that come in on links, wait, and are handed out.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::collections::RangeSet;
use crate::credit::{Amount, UNANSWERED};
use crate::ids::{Delivery, LinkId, Session};
use crate::limits::EXPIRIES_SPARE;
use crate::link::{violation, within_credit};
use crate::message::{Records, cost_bytes, skip};
use crate::time::Time;
use crate::wire::{Close, DataRun, Origin, Outcome};

use super::run::{self, Run, RunKey};
use super::settle::messages;
use super::{Batch, ConfirmOn, Consumed, Held, Place, PullEngine, Waiting};

impl PullEngine {
    pub(super) fn handle_data(
        &mut self,
        id: LinkId,
        data: DataRun,
        now: Time,
    ) -> Result<(), Close> {
        let DataRun { header, records, expires } = data;
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let (Some(via), Some(origin)) = (link.session, link.origin) else {
            return Err(violation("messages of no session"));
        };
        if header.first_delivery != link.next_delivery {
            return Err(violation("a delivery number out of turn"));
        }
        let count = u64::from(header.count);
        let cost = Amount::new(count, cost_bytes(count, records.len() as u64));
        within_credit(self.pool.receive(id, cost))?;
        link.next_delivery += count;
        link.received += count;
        link.restores.arrived();
        self.counters.received += count;
        let key = run::key(link.priority, self.next_run);
        self.next_run += 1;
        let run = Arc::new(Run::new(key, origin.session, &header, records, now));
        self.take_in(id, via, origin, run, header.first_delivery, expires);
        self.wake_granted();
        Ok(())
    }

    /// Queues messages that came, or that were here as copies.
    pub(super) fn take_in(
        &mut self,
        id: LinkId,
        via: Session,
        origin: Origin,
        run: Arc<Run>,
        first_delivery: Delivery,
        expires: bool,
    ) {
        let (key, count) = (run.key, run.count);
        let spans = vec![Place { indices: 0..count, first: first_delivery }];
        let collected = vec![0; count.div_ceil(64) as usize].into_boxed_slice();
        let shared = Arc::clone(&run);
        let held = Held {
            run,
            via,
            reports_taken: origin.reports_taken,
            link: Some(id),
            spans,
            collected,
            taken: 0,
            taken_behind: RangeSet::new(),
        };
        if let Some(link) = self.links.get_mut(&id) {
            held.spans.iter().for_each(|place| link.places.push(key, place.clone()));
        }
        self.held.insert(key, held);
        if let Some(link) = self.links.get_mut(&id) {
            link.places.tidy(|key| self.held.contains_key(&key));
        }
        self.queue.insert((key, 0), Waiting { end: count, at: 0 });
        if expires && self.passing.is_none() {
            self.note_expiries(&shared);
        }
        if self.stopped {
            self.release_queued();
        }
    }

    /// Notes when messages that were just queued expire; forgets in bulk what has been taken meanwhile.
    fn note_expiries(&mut self, run: &Run) {
        for (index, (_, head)) in (0..).zip(Records::new(&run.records)) {
            if let Some(expires) = head.expires {
                self.expiring.insert((run.arrived + run.shelf_life(expires), run.key, index));
            }
        }
        if self.expiring.len() as u64 > EXPIRIES_SPARE + 2 * self.pool.queued().messages {
            let queue = &self.queue;
            self.expiring.retain(|(_, key, index)| {
                let before = queue.range((*key, 0)..=(*key, *index)).next_back();
                before.is_some_and(|(_, waiting)| *index < waiting.end)
            });
        }
    }

    /// Hands out the oldest messages of the best level in the queue: at most `messages_max`, all of one run. Their room is free once they
    /// are reported by [`PullEngine::handle_consumed`].
    ///
    /// A sender that wants to know what the application has taken is served message by message, also while it is away: it
    /// hears of it when it is back.
    pub fn take(&mut self, messages_max: u32) -> Option<Batch> {
        let ((key, start), waiting) = self.queue.pop_first()?;
        // What waits is held: the queue has nothing of a run that is settled.
        let held = self.held.get_mut(&key)?;
        let reports = held.reports_taken;
        let count = if reports { 1 } else { messages_max.max(1) };
        let indices = start..waiting.end.min(start.saturating_add(count));
        let batch = Batch { run: Arc::clone(&held.run), indices: indices.clone(), at: waiting.at };
        held.taken = held.taken.max(indices.end);
        if indices.end < waiting.end {
            let at = skip(&held.run.records, waiting.at, (indices.end - start).into());
            self.queue.insert((key, indices.end), Waiting { at, ..waiting });
        }
        if reports
            && let Some((id, link)) =
                held.link.and_then(|id| self.links.get_mut(&id).map(|l| (id, l)))
        {
            link.taken.extend(held.deliveries(&indices));
            self.wakes.push_back(id);
        }
        Some(batch)
    }

    /// A reader has come so far in its batch: that room is free, and if taking confirms, those messages are confirmed.
    pub fn handle_consumed(&mut self, consumed: &Consumed) {
        self.counters.taken += consumed.amount.messages - consumed.expired;
        self.counters.expired += consumed.expired;
        self.pool.release(consumed.amount);
        if self.config.confirm_on == ConfirmOn::Taken {
            self.settle_indices(consumed.key, &consumed.indices, &Outcome::Confirmed);
        }
        self.wake_granted();
    }

    /// When [`PullEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let expires = self.expiring.first().map(|(until, ..)| *until);
        Time::first_of([expires, self.pool.review_at()])
    }

    /// Lets time pass: what waits beyond its shelf life frees its room, and its sender is told; who sits on room that others
    /// wait for gives it back.
    pub fn handle_timeout(&mut self, now: Time) {
        self.review_room(now);
        let mut due: BTreeMap<RunKey, RangeSet> = BTreeMap::new();
        while let Some(&(until, key, index)) = self.expiring.first().filter(|due| due.0 <= now) {
            self.expiring.remove(&(until, key, index));
            due.entry(key).or_default().insert(index.into()..u64::from(index) + 1);
        }
        for (key, indices) in due {
            // They are the indices of before.
            let parts = indices.iter().map(|part| part.start as u32..part.end as u32);
            let queued: Vec<_> = parts.flat_map(|part| self.unqueue(key, &part)).collect();
            self.counters.expired += messages(&queued);
            self.settle_parts(key, &queued, &Outcome::Expired);
        }
    }

    fn review_room(&mut self, now: Time) {
        for id in self.pool.review(now) {
            self.end_link(id, violation(UNANSWERED), true, now);
        }
        self.wake_granted();
    }

    /// Takes messages of a run out of the queue, as far as they are still there; says which were.
    pub(super) fn unqueue(&mut self, key: RunKey, indices: &Range<u32>) -> Vec<Range<u32>> {
        let Some(held) = self.held.get(&key) else {
            return Vec::new();
        };
        let run = Arc::clone(&held.run);
        let before = self.queue.range((key, 0)..=(key, indices.start)).next_back();
        let from = before.map_or(indices.start, |((_, first), _)| *first);
        let waiting = self.queue.range((key, from)..(key, indices.end.max(from)));
        let waiting: Vec<_> = waiting.map(|(at, waiting)| (at.1, *waiting)).collect();
        let mut removed = Vec::new();
        let mut freed = Amount::ZERO;
        for (first, Waiting { end, at }) in waiting {
            let cut = first.max(indices.start)..end.min(indices.end);
            if cut.is_empty() {
                continue;
            }
            let from = skip(&run.records, at, (cut.start - first).into());
            let to = skip(&run.records, from, (cut.end - cut.start).into());
            let count = u64::from(cut.end - cut.start);
            freed += Amount::new(count, cost_bytes(count, (to - from) as u64));
            self.queue.remove(&(key, first));
            if first < cut.start {
                self.queue.insert((key, first), Waiting { end: cut.start, at });
            }
            if cut.end < end {
                self.queue.insert((key, cut.end), Waiting { end, at: to });
            }
            removed.push(cut);
        }
        if !removed.is_empty() {
            self.pool.release(freed);
            self.wake_granted();
        }
        removed
    }
}
