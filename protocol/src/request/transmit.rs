//! What a REQ socket says on a link.

use bytes::BufMut;

use crate::collections::RangeSet;
use crate::credit::Amount;
use crate::ids::{CallId, LinkId, span};
use crate::limits::{BY_REFERENCE_BYTES, RANGES_MAX, TAKE_BYTES};
use crate::link::{Peer, Transmit};
use crate::message::{cost_bytes_max, write_head};
use crate::time::{Now, Time};
use crate::wire::{Control, DataHeader, Heartbeat, Outcome, Retract, Settle, Settlement, Spans};

use super::RequestEngine;
use super::call::CallWriter;
use super::outbox::Unwritten;

/// Answers, and bytes of them, after which the server is told that they came, although there is nothing else to say: the next
/// calls mostly follow at once, and take it along.
const CONFIRM_ANSWERS: u64 = 1_024;
const CONFIRM_BYTES: usize = 256 << 10;

/// Room that a frame has at first: for so much of each call, and so much in all.
const RECORD_BYTES: usize = 128;
const FRAME_BYTES: usize = 64 << 10;

impl RequestEngine {
    /// Writes what a link has to say now.
    pub fn poll_transmit(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.link.transmit_first(out);
        // Also on a link that ends: a server should not work on for nobody, nor keep what came.
        while !link.cancels.is_empty() {
            out.control(&Control::Retract(Retract { deliveries: spans(&mut link.cancels) }));
        }
        if link.link.is_open() {
            if let Some(echo) = link.spender.poll_echo() {
                out.control(&Control::Echo(echo));
            }
            let heartbeat = link.link.take_heartbeat();
            // With whatever else is said, or after so many.
            let confirms = std::mem::take(&mut link.confirms);
            let due = confirms || heartbeat || !link.outbox.is_empty() || !out.is_empty();
            let is_much = link.unconfirmed.len() >= CONFIRM_ANSWERS
                || link.unconfirmed_bytes >= CONFIRM_BYTES;
            if due || is_much {
                link.unconfirmed_bytes = 0;
                confirm(&mut link.unconfirmed, out);
            }
            if heartbeat {
                let deliveries = link.next_delivery;
                out.control(&Control::Heartbeat(Heartbeat { deliveries, ..Heartbeat::default() }));
                // It had nothing to say for a while.
                link.body = Default::default();
                self.runs.drop_spare();
            }
            self.transmit_calls(id, now, out);
            self.transmit_demand(id, now.time, out);
        } else {
            confirm(&mut link.unconfirmed, out);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.link.transmit_last(out, now.time);
        }
        out.finish();
    }

    fn transmit_calls(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        while out.len() < TAKE_BYTES && self.transmit_frame(id, now, out) {}
        if self.links.get(&id).is_some_and(|link| !link.outbox.is_empty()) {
            self.wakes.push_back(id);
        }
    }

    /// Writes one frame of calls; a large one ends it. False if there is none.
    fn transmit_frame(&mut self, id: LinkId, now: Now, out: &mut Transmit) -> bool {
        let client = self.client;
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.outbox.is_empty()) else {
            return false;
        };
        // What was written before is gone by now, mostly, and its memory is used again.
        let body = &mut link.body;
        body.reserve(FRAME_BYTES.min(RECORD_BYTES * link.outbox.len()));
        let mut tail = None;
        let mut count = 0;
        let first_delivery = link.next_delivery;
        let knows_naming = link.link.peer().is_some_and(Peer::knows_naming);
        let mut writer = CallWriter::new(client, now, knows_naming);
        while body.len() < TAKE_BYTES && tail.is_none() {
            let number = match link.outbox.pop_first() {
                None => break,
                Some(Unwritten::Run(key, _)) => {
                    for numbers in self.runs.write(key, link.next_delivery, &mut writer, body) {
                        let written = span(&numbers);
                        link.flights.insert_run(link.next_delivery, numbers.start, written);
                        link.next_delivery += written;
                        count += written as u32;
                    }
                    continue;
                }
                Some(Unwritten::Call(number)) => number,
            };
            let Some(call) = self.calls.get_mut(&number) else {
                continue;
            };
            writer.interrupt();
            let attributes = call.attributes(CallId::new(client, number), now);
            write_head(body, call.payload.len(), &attributes);
            if call.payload.len() >= BY_REFERENCE_BYTES {
                tail = Some(call.payload.clone());
            } else {
                body.put_slice(&call.payload);
            }
            let copy = call.copies.iter_mut().find(|copy| copy.link == id);
            copy.into_iter().for_each(|copy| copy.delivery = Some(link.next_delivery));
            link.flights.insert(link.next_delivery, number);
            link.next_delivery += 1;
            count += 1;
        }
        if count > 0 {
            let header = DataHeader {
                first_delivery,
                first_seq: first_delivery,
                sent_at: now.wall,
                count,
                attempt: 0,
            };
            out.data(header, body.split().freeze(), tail);
        }
        link.spender.refund(Amount::new(0, writer.saved()));
        let some_wait =
            !self.waiting.is_empty() || !self.bound.is_empty() || !self.hedges.is_empty();
        if writer.saved() > 0 && some_wait {
            // It may be what they wait for.
            self.regained.push(id);
            self.dispatch(now.time);
        }
        count > 0
    }

    /// Says how many calls wait for room: to a server that shares its room out, and to one that is to say whether it has any.
    fn transmit_demand(&mut self, id: LinkId, now: Time, out: &mut Transmit) {
        let (waiting, next) = self.waiting_for(id);
        let upstream = self.upstream_want_on(id);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let wanted = waiting.saturating_add(upstream.waiting);
        if wanted == 0 && upstream.is_met() {
            return;
        }
        let waiting = if link.answers(now) { wanted } else { 0 };
        let room = link.spender.room();
        // What waits upstream may be of any size.
        let most = cost_bytes_max(self.config.link.message_bytes_max);
        let next = next.max((upstream.waiting > 0).then_some(most));
        let blocked = next.is_some_and(|cost| room.messages == 0 || room.bytes < cost);
        let has_others = self.ready.last().is_some_and(|place| place.0 > (false, link.priority));
        let demand = match has_others || link.spender.has_asked() {
            true => link.spender.ask(waiting, blocked),
            false => link.spender.poll_demand(waiting, blocked),
        };
        if let Some(demand) = demand {
            out.control(&Control::Demand(demand));
        }
        match link.spender.has_asked() {
            true => self.asked.insert(id),
            false => self.asked.remove(&id),
        };
    }
}

fn spans(set: &mut RangeSet) -> Spans {
    std::iter::from_fn(|| set.pop_first(u64::MAX)).map(Into::into).take(RANGES_MAX).collect()
}

/// Tells a server which of its answers came.
fn confirm(answers: &mut RangeSet, out: &mut Transmit) {
    while !answers.is_empty() {
        let settlements = std::iter::from_fn(|| answers.pop_first(u64::MAX))
            .map(|range| Settlement { deliveries: range.into(), outcome: Outcome::Confirmed })
            .take(RANGES_MAX)
            .collect();
        out.control(&Control::Settle(Settle { settlements }));
    }
}
