//! Handing messages out, on credit.

use std::ops::Range;

use crate::credit::{Amount, Want};
use crate::ids::{LinkId, Seq, span};
use crate::limits::TAKE_BYTES;
use crate::link::Transmit;
use crate::message::{cost_bytes, cost_bytes_max};
use crate::queue::Flight;
use crate::time::Now;
use crate::wire::{Control, DataHeader, Heartbeat};

use super::PushEngine;
use super::levels::Declined;

impl PushEngine {
    /// Writes what a link has to send now: control frames, and its share of the queue.
    pub fn poll_transmit(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        let head = self.next_seq();
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.link.transmit_first(out);
        if link.link.is_open() {
            if let Some(echo) = link.spender.poll_echo() {
                out.control(&Control::Echo(echo));
            }
            while let Some(retract) = link.next_retract() {
                out.control(&Control::Retract(retract));
            }
            if link.link.take_heartbeat() {
                let (deliveries, settles) = (link.next_delivery, link.settles);
                out.control(&Control::Heartbeat(Heartbeat { head, deliveries, settles }));
                // Room that came and was not used is not wanted any more.
                self.refused &= self.room() == 0;
            }
            if self.links.get(&id).is_some_and(|link| link.attached) {
                self.dispatch(id, now, out);
                self.place();
                self.write_copies(id, now, out);
            }
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.link.transmit_last(out, now.time);
        }
        out.finish();
    }

    /// Takes a link's share of the queue, as far as its credit goes.
    fn dispatch(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        self.note_looks(id);
        if self.queued.is_empty() {
            self.seal();
        }
        if self.gives_way(id) {
            self.let_pass(id, Declined::GivenBack);
            self.rest_last(id);
            if self.levels.are_several() || self.idle.front() != Some(&id) {
                self.wake_idle_if_work();
            }
            return;
        }
        let mut messages_left =
            self.share(id).min(self.config.pending_messages.saturating_sub(self.pending));
        let mut stopped = false;
        while messages_left > 0 && out.len() < TAKE_BYTES && self.has_turn(id) {
            // What comes after a message that a better one could not take is for that one.
            let most = if self.has_decliners() { 1 } else { messages_left };
            let taken = self.dispatch_run(id, most, now, out);
            stopped = taken == 0;
            if stopped {
                break;
            }
            messages_left -= taken;
            self.review_decliners();
            if self.queued.is_empty() {
                self.seal();
            }
        }
        self.recount(id);
        self.after_dispatch(id, stopped, now, out);
        self.review_cramped();
        if self.wants_hands() && self.dispatchable() {
            self.wake_idle();
        }
    }

    /// What one link may take at a time: an even part of what waits, so that receivers with credit fare alike.
    fn share(&self, id: LinkId) -> u64 {
        let waiting = self.queued.len() + self.chunks.open_len();
        let Some(link) = self.links.get(&id) else {
            return 0;
        };
        let sharing = self.levels.sharing(link.standing).max(1);
        waiting.saturating_mul(link.receivers()).div_ceil(sharing)
    }

    /// Whether a link with credit would find something to dispatch.
    pub(super) fn dispatchable(&self) -> bool {
        let open = (self.chunks.open_len() > 0).then(|| self.next_seq() - self.chunks.open_len());
        let first = self.queued.first().or(open);
        self.pending < self.config.pending_messages
            && first.is_some_and(|seq| seq < self.reserved_end())
    }

    /// Numbers from here on may not be dispatched yet.
    pub(super) fn reserved_end(&self) -> Seq {
        if self.is_rebuilding() {
            return 0;
        }
        self.journal.as_ref().map_or(Seq::MAX, super::Journal::reserved_end)
    }

    /// Dispatches one frame of at most `messages_max` messages; says how many it holds.
    fn dispatch_run(&mut self, id: LinkId, messages_max: u64, now: Now, out: &mut Transmit) -> u64 {
        if let Some(copies) = self.copies_to_take(id, messages_max) {
            return self.dispatch_copies(id, &copies, now, out);
        }
        let (Some(run), Some(link)) = (self.queued.first_run(), self.links.get(&id)) else {
            return 0;
        };
        let room = link.spender.room();
        let end = run.end.min(run.start + messages_max.min(room.messages)).min(self.reserved_end());
        let end = self.before_copies(id, &(run.start..end.max(run.start)));
        let (end, attempt) = match &self.passing {
            None => self.attempts_from(run.start..end),
            Some(_) => (self.run_end(&(run.start..end)), 0),
        };
        if end <= run.start {
            return 0;
        }
        let Some(slice) = self.chunks.slice(run.start..end, room.bytes) else {
            self.let_pass(id, Declined::TooLarge);
            return 0;
        };
        let seqs = slice.seqs.clone();
        let count = span(&seqs);
        let cost = Amount::new(count, cost_bytes(count, slice.record_bytes() as u64));
        let passing = self.passing_header(id, &seqs, cost, now);
        let Some(link) = self.links.get_mut(&id) else {
            return 0;
        };
        let header = DataHeader {
            first_delivery: link.next_delivery,
            first_seq: seqs.start,
            sent_at: now.wall,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            attempt,
        };
        let (origin, header) = passing.unwrap_or((None, header));
        link.spender.spend(cost);
        link.turn = link.turn.saturating_add(count);
        let flight = Flight::new(seqs, now.time);
        link.flights.insert(link.next_delivery, flight);
        link.next_delivery += count;
        let priority = link.priority;
        self.pending += count;
        self.queued.pop_first(count);
        self.recall(run.start..run.start + count);
        self.note_sent_whole(id);
        self.forget_given_back(run.start..run.start + count);
        self.counters.dispatched += count;
        self.note_level(priority);
        if let Some(origin) = origin {
            out.control(&Control::Origin(origin));
        }
        out.data(header, slice.body, slice.tail);
        if self.config.reassign_after.is_some() {
            self.plan_reassign(now.time);
        }
        count
    }

    /// Cuts a run where the number of failed attempts changes, and says what it is: a frame has one for all.
    pub(super) fn attempts_from(&self, seqs: Range<Seq>) -> (Seq, u32) {
        if self.attempts.is_empty() || seqs.is_empty() {
            return (seqs.end, 0);
        }
        match self.attempts.range(seqs.clone()).next() {
            Some((&seq, attempts)) if seq == seqs.start => (seq + 1, attempts.failed),
            Some((&seq, _)) => (seq, 0),
            None => (seqs.end, 0),
        }
    }

    /// After dispatching: says what waits without credit, and notes whether the link is short of work or of credit.
    fn after_dispatch(&mut self, id: LinkId, stopped: bool, now: Now, out: &mut Transmit) {
        let waiting = self.queued.len() + self.chunks.open_len();
        let dispatchable = self.dispatchable();
        let refused = self.refused && !self.is_rebuilding();
        let (outranked, is_to_answer) = (self.is_outranked(id), self.is_to_answer(id));
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let room = link.spender.room();
        let blocked = waiting > 0 && (stopped || room.messages == 0);
        // What cannot be dispatched now, whatever the credit, asks for none.
        let wanted = if dispatchable { waiting } else { 0 }.max(refused.into());
        let upstream = self.passing.as_ref().map_or(Want::NOTHING, |passing| passing.upstream_want);
        let wanted = wanted.saturating_add(upstream.waiting);
        // What waits upstream may be of any size.
        let short =
            upstream.waiting > 0 && room.bytes < cost_bytes_max(self.config.link.message_bytes_max);
        let wants = wanted > 0 && (room.messages == 0 || short || (stopped && dispatchable));
        let wants = wants && !outranked;
        let keeps = wanted == 0 && upstream.is_met();
        let contended = link.spender.is_contended();
        let demand = match contended && is_to_answer {
            _ if keeps => None,
            true => link.spender.ask(wanted, wants),
            false => link.spender.poll_demand(wanted, wants),
        };
        if let Some(demand) = demand {
            out.control(&Control::Demand(demand));
            // It may have been counted as one that has answered.
            self.recount(id);
        }
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.flow.note(room.messages > 0 && waiting == 0, blocked, now.time);
        self.note_asked(id, dispatchable, now.time);
        if stopped && dispatchable && room.messages > 0 {
            self.note_cramped(id);
        }
        let waits_for_turn = outranked || (room.messages > 0 && !self.has_turn(id));
        if !dispatchable || waits_for_turn {
            self.rest(id);
        }
    }
}
