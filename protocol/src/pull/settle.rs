//! What becomes of messages: gathered here, sent with what goes out next.

use std::ops::Range;
use std::sync::Arc;

use crate::collections::RangeSet;
use crate::ids::{Delivery, LinkId, Session};
use crate::limits::{ABSENT_SESSIONS_MAX, CONFIRM_MESSAGES};
use crate::time::Time;
use crate::wire::{Outcome, Retract, Settlement};

use super::future::Copy;
use super::memory::Memory;
use super::run::{Run, RunKey};
use super::{Held, PullEngine, PullLink, SessionState};

impl PullEngine {
    /// Looks at runs of which messages were confirmed ([`Run::confirm`] said so). The confirmations go out with the
    /// next thing that is sent, or when there are many; [`PullEngine::flush`] sends them at once.
    pub fn handle_confirmed(&mut self, runs: impl IntoIterator<Item = Arc<Run>>) {
        for run in runs {
            run.clean();
            self.collect(run.key);
        }
    }

    /// Takes over what the application has confirmed in a run.
    pub(super) fn collect(&mut self, key: RunKey) {
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        let mut collected = std::mem::take(&mut held.collected);
        let run = Arc::clone(&held.run);
        run.collect(&mut collected, |indices| self.note_confirmed(key, &indices));
        if let Some(held) = self.held.get_mut(&key) {
            held.collected = collected;
        }
        self.forget_if_complete(key);
    }

    fn note_confirmed(&mut self, key: RunKey, indices: &Range<u32>) {
        let Some(held) = self.held.get(&key) else {
            return;
        };
        self.counters.confirmed += u64::from(indices.end - indices.start);
        let seqs = held.seqs(indices);
        match held.link.and_then(|id| self.links.get_mut(&id).map(|link| (id, link))) {
            Some((id, link)) => {
                let quiet = link.confirms.len() < CONFIRM_MESSAGES;
                for deliveries in held.deliveries(indices) {
                    link.extended.forget(&deliveries);
                    link.confirms.insert(deliveries);
                }
                link.unheard[1].remember(held.run.session, seqs);
                if quiet && link.confirms.len() >= CONFIRM_MESSAGES {
                    self.wakes.push_back(id);
                }
            }
            None => match (self.sessions.get_mut(&held.via), &mut self.passing) {
                (Some(state), _) => state.confirmed.remember(held.run.session, seqs),
                // Its sender is not here yet: it hears of it as of what was confirmed before.
                (None, Some(passing)) => passing.confirmed.remember(held.run.session, seqs),
                (None, None) => {}
            },
        }
    }

    /// Settles one message in another way than by confirming it. It goes out at once. Does nothing if the message was
    /// settled before.
    pub fn settle(&mut self, run: &Run, index: u32, outcome: &Outcome) {
        self.settle_indices(run.key, &(index..index + 1), outcome);
    }

    pub(super) fn settle_indices(&mut self, key: RunKey, indices: &Range<u32>, outcome: &Outcome) {
        self.settle_parts(key, std::slice::from_ref(indices), outcome);
    }

    /// The same with parts of a run. It is looked through once for all of them.
    pub(super) fn settle_parts(&mut self, key: RunKey, parts: &[Range<u32>], outcome: &Outcome) {
        if parts.is_empty() {
            return;
        }
        self.collect(key);
        let Some(held) = self.held.get_mut(&key) else {
            return;
        };
        if *outcome == Outcome::Confirmed {
            parts.iter().cloned().flatten().for_each(|index| held.run.mark(index));
            return self.collect(key);
        }
        let indices = parts.iter().cloned().flatten();
        let open: Vec<Range<u32>> = indices
            .filter(|index| !held.run.is_settled(*index))
            .map(|index| index..index + 1)
            .collect();
        if outcome.is_final() {
            open.iter().for_each(|index| held.close(index.start));
        }
        if let Some((id, link)) =
            held.link.and_then(|id| self.links.get_mut(&id).map(|link| (id, link)))
        {
            let deliveries: RangeSet =
                open.iter().flat_map(|index| held.deliveries(index)).collect();
            deliveries.iter().for_each(|deliveries| link.say(deliveries, outcome));
            self.wakes.push_back(id);
        }
        self.forget_if_complete(key);
    }

    fn forget_if_complete(&mut self, key: RunKey) {
        let complete = |held: &Held| {
            held.run.is_complete()
                && held.collected.iter().map(|word| word.count_ones()).sum::<u32>()
                    == held.run.count
        };
        if self.held.get(&key).is_some_and(complete) {
            self.held.remove(&key);
        }
    }

    /// Sends confirmations that wait for others: nobody is busy, or enough time has passed.
    pub fn flush(&mut self) {
        let waiting = self.links.iter().filter(|(_, link)| !link.confirms.is_empty());
        self.wakes.extend(waiting.map(|(id, _)| *id));
    }

    /// A sender asks back what the application has not taken.
    pub(super) fn handle_retract(&mut self, id: LinkId, retract: Retract) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let deliveries: RangeSet =
            retract.deliveries.iter().filter_map(|span| span.range()).collect();
        let parts = deliveries.iter().flat_map(|deliveries| link.places.find(deliveries));
        let parts = parts.filter(|(key, _)| self.held.contains_key(key));
        let parts: Vec<(RunKey, Range<u32>)> = parts.collect();
        if let Some(passing) = &mut self.passing {
            return passing.asked_back.extend(parts);
        }
        for of_run in parts.chunk_by(|(one, _), (next, _)| one == next) {
            let Some((key, _)) = of_run.first() else {
                continue;
            };
            let parts = of_run.iter().map(|(_, indices)| indices);
            let queued: Vec<_> = parts.flat_map(|indices| self.unqueue(*key, indices)).collect();
            self.counters.released += messages(&queued);
            self.settle_parts(*key, &queued, &Outcome::Released);
        }
    }

    /// Takes nothing more: credit is taken back, and what the application has not taken goes back to its senders, also
    /// what arrives because they have not heard of it yet.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.set_paused(true);
        self.release_queued();
    }

    pub(super) fn release_queued(&mut self) {
        let queued: Vec<_> =
            self.queue.iter().map(|(&(key, first), waiting)| (key, first..waiting.end)).collect();
        for (key, indices) in queued {
            self.unqueue(key, &indices);
            self.settle_indices(key, &indices, &Outcome::Released);
        }
    }

    /// Of too many sessions without a link, the one that has been away for longest makes room.
    fn forget_old_sessions(&mut self) {
        while self.away.len() > ABSENT_SESSIONS_MAX {
            if let Some((_, oldest)) = self.away.pop_first() {
                self.sessions.remove(&oldest);
            }
        }
    }

    /// A link is gone: what it carried is kept for its sender's return.
    pub(super) fn orphan(
        &mut self,
        id: LinkId,
        session: Session,
        (unheard, copies): ([Memory; 2], Vec<Copy>),
        now: Time,
    ) {
        for held in self.held.values_mut().filter(|held| held.link == Some(id)) {
            held.link = None;
            held.spans.clear();
        }
        if let Some(state) = self.sessions.get_mut(&session) {
            let SessionState { links, confirmed, left, .. } = state;
            *links = links.saturating_sub(1);
            *left = now;
            if *links == 0 {
                self.away.insert((now, session));
            }
            state.copies.extend(copies);
            for (session, seqs) in unheard.iter().flat_map(Memory::iter) {
                confirmed.remember(session, seqs);
            }
        }
        self.forget_old_sessions();
    }
}

impl PullLink {
    /// Says what becomes of messages otherwise than by confirming them.
    fn say(&mut self, deliveries: Range<Delivery>, outcome: &Outcome) {
        self.extended.forget(&deliveries);
        if let Outcome::Extended(millis) = outcome {
            return self.extended.insert(deliveries, *millis);
        }
        self.settlements
            .push_back(Settlement { deliveries: deliveries.into(), outcome: outcome.clone() });
    }
}

/// How many messages there are in parts of a run.
pub(super) fn messages(parts: &[Range<u32>]) -> u64 {
    parts.iter().map(|part| u64::from(part.end - part.start)).sum()
}
