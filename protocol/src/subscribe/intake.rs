//! Messages and skips that come in.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::credit::Amount;
use crate::event::{Event, Gap};
use crate::ids::{LinkId, RequestId, Seq, Session};
use crate::limits::MARKERS_MAX;
use crate::link::{refusal, violation};
use crate::message::{Records, cost_bytes};
use crate::time::Time;
use crate::wire::{Close, CloseCode, PublishRun, Skip};

use super::run::SubRun;
use super::sources::fenced;
use super::{Queued, SubBatch, SubscribeEngine};

/// A last word to a publisher that goes beyond the credit of a request, if it does.
pub(super) fn within_request(is_within: bool) -> Result<(), Close> {
    let reason = "more was sent than the credit of the request allows";
    is_within.then_some(()).ok_or_else(|| refusal(CloseCode::CreditExceeded, reason))
}

impl SubscribeEngine {
    /// Whether a message that begins to arrive is one that its publisher may send. What comes for a request that is over is
    /// passed over, whatever it costs.
    pub(super) fn check_published(
        &mut self,
        id: LinkId,
        request: RequestId,
        cost: Amount,
    ) -> Result<(), Close> {
        let Some(session) = self.asked(id, request)? else {
            return self.check_laned(id, request, cost);
        };
        let active = self.streams.get(&session).and_then(|stream| stream.active.as_ref());
        within_request(active.is_none_or(|active| active.allowance.allows(cost)))
    }

    pub(super) fn handle_publish(
        &mut self,
        id: LinkId,
        data: PublishRun,
        now: Time,
    ) -> Result<(), Close> {
        let header = data.header;
        let amount = Amount::new(
            header.count.into(),
            cost_bytes(header.count.into(), data.records.len() as u64),
        );
        if let Some(link) = self.links.get_mut(&id) {
            link.received += amount.messages;
        }
        let Some(session) = self.asked(id, header.request)? else {
            return self.handle_laned(id, data, now);
        };
        if let Some(known) = self.is_fenced(id, session, header.first_seq + amount.messages) {
            return Err(fenced(known));
        }
        let Some(stream) = self.streams.get_mut(&session) else {
            return Ok(());
        };
        let Some(active) = &mut stream.active else {
            return Ok(());
        };
        within_request(active.allowance.receive(amount))?;
        if self.asks_elsewhere(id, session, header.from, now) {
            return Ok(());
        }
        self.reach(session, header.from)?;
        let Some(stream) = self.streams.get_mut(&session) else {
            return Ok(());
        };
        let run = Arc::new(SubRun::new(session, data, now));
        stream.take_in(&run);
        self.counters.received += amount.messages;
        self.queued += amount;
        self.note_head(id, session, header.first_seq + amount.messages);
        let end = header.count;
        self.queue.push_back(Queued::Run(SubBatch { run, index: 0, end, at: 0 }));
        self.grant(now);
        Ok(())
    }

    pub(super) fn handle_skip(&mut self, id: LinkId, skip: Skip, now: Time) -> Result<(), Close> {
        if skip.next < skip.from {
            return Err(violation("a skip that goes back"));
        }
        let Some(session) = self.asked(id, skip.request)? else {
            self.handle_laned_skip(id, skip);
            return Ok(());
        };
        // What goes no further than it was asked from says nothing of numbers.
        let moves = self.streams.get(&session).is_some_and(|stream| Some(skip.next) > stream.next);
        if moves && let Some(known) = self.is_fenced(id, session, skip.next) {
            return Err(fenced(known));
        }
        if self.asks_elsewhere(id, session, skip.from, now) {
            return Ok(());
        }
        self.reach(session, skip.from)?;
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.pass(skip.next);
        }
        // It may have nothing more that is wanted, and sit on what another session waits for.
        self.grant(now);
        Ok(())
    }

    /// The session that a request asks for; none if it has ended.
    fn asked(&self, id: LinkId, request: RequestId) -> Result<Option<Session>, Close> {
        let is_it = |stream: &&super::Stream| {
            let active = stream.active.as_ref().filter(|active| active.requested);
            active.is_some_and(|active| active.link == id && active.request == request)
        };
        let session = self.streams.values().find(is_it).map(|stream| stream.session);
        let made = self.links.get(&id).is_some_and(|link| request < link.next_request);
        if session.is_none() && !made {
            return Err(violation("an answer to a request that was never made"));
        }
        Ok(session)
    }

    /// Moves a session on to `from`, and queues the gap before that, if there is one. A gap that cannot be kept apart from
    /// the others is refused before anything has moved: the next source tells of it again.
    fn reach(&mut self, session: Session, from: Seq) -> Result<(), Close> {
        let Some(stream) = self.streams.get_mut(&session) else {
            return Ok(());
        };
        let before = last_gap(&mut self.queue, session);
        let before = before.filter(|gap| gap.to.checked_add(1) == stream.next);
        if before.is_none() && stream.loses_below(from) && self.markers >= MARKERS_MAX {
            return Err(refusal(CloseCode::TooMany, "more gaps than this side can keep apart"));
        }
        let Some(gap) = stream.reach(from)? else {
            return Ok(());
        };
        // Whatever numbers a publisher claims to have lost.
        self.counters.missed = self.counters.missed.saturating_add(gap.missing());
        self.events.push(Event::Gap(gap));
        if let Some(before) = before {
            before.to = gap.to;
            return Ok(());
        }
        self.markers += 1;
        stream.gaps += 1;
        self.queue.push_back(Queued::Gap(gap));
        Ok(())
    }
}

/// The gap that is the last of what waits of a session, if it is one.
fn last_gap(queue: &mut VecDeque<Queued>, session: Session) -> Option<&mut Gap> {
    let last = queue.iter_mut().rev().find_map(|queued| match queued {
        Queued::Gap(gap) if gap.session == session => Some(Some(gap)),
        Queued::Run(batch) if batch.run.session() == session => Some(None),
        _ => None,
    });
    last.flatten()
}

/// What the rest of a batch costs.
pub(super) fn cost_of(batch: &SubBatch) -> Amount {
    let records = batch.run.records();
    let whole = batch.run.cost();
    if batch.at == 0 && u64::from(batch.end) == whole.messages {
        return whole;
    }
    let count = batch.len();
    let rest = records.get(batch.at..).unwrap_or_default();
    let bytes: usize = Records::new(rest).take(count).map(|(_, head)| head.record_bytes()).sum();
    Amount::new(count as u64, cost_bytes(count as u64, bytes as u64))
}
