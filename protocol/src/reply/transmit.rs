//! What a REP socket says on a link.

use bytes::BufMut;

use crate::ids::LinkId;
use crate::limits::{ANSWERS_UNCONFIRMED_MAX, SETTLEMENTS_PER_FRAME, TAKE_BYTES};
use crate::link::Transmit;
use crate::message::{Attributes, cost_bytes, write_head};
use crate::time::Now;
use crate::wire::{Control, DataHeader, Heartbeat, Settle};

use super::ReplyEngine;

/// Room that a frame has at first: for so much of each answer, and so much in all.
const RECORD_BYTES: usize = 128;
const FRAME_BYTES: usize = 64 << 10;

impl ReplyEngine {
    /// Writes what a link has to say now.
    pub fn poll_transmit(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.link.transmit_first(out);
        if link.link.is_open() {
            if std::mem::take(&mut link.hops_due) {
                out.control(&Control::Hops(link.hops.clone()));
            }
            if let Some(lowered) = self.pool.poll_lowered(id) {
                out.control(&Control::Grant(lowered));
            }
            while !link.settlements.is_empty() {
                let some = link.settlements.len().min(SETTLEMENTS_PER_FRAME);
                let settlements = link.settlements.drain(..some).collect();
                out.control(&Control::Settle(Settle { settlements }));
            }
            let heartbeat = link.link.take_heartbeat();
            if heartbeat {
                let deliveries = link.next_delivery;
                out.control(&Control::Heartbeat(Heartbeat { deliveries, ..Heartbeat::default() }));
                // It had nothing to say for a while.
                link.body = Default::default();
            }
            let grant =
                if heartbeat { self.pool.repeat_grant(id) } else { self.pool.poll_grant(id) };
            if let Some(grant) = grant {
                out.control(&Control::Grant(grant));
            }
            while out.len() < TAKE_BYTES && self.transmit_answers(id, now, out) {}
            self.pool.plan_review(now.time);
            if self.has_sendable(id) {
                self.wakes.push_back(id);
            }
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.link.transmit_last(out, now.time);
        }
        out.finish();
    }

    /// Whether the next answer of a link may be sent.
    fn has_sendable(&self, id: LinkId) -> bool {
        let stored = self.stored();
        let next = self.links.get(&id).and_then(|link| link.outbox.front());
        next.is_some_and(|answer| *answer < stored)
    }

    /// Writes one frame of answers; a large one ends it. False if there is none.
    fn transmit_answers(&mut self, id: LinkId, now: Now, out: &mut Transmit) -> bool {
        let stored = self.stored();
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.outbox.is_empty()) else {
            return false;
        };
        // What was written before is gone by now, mostly, and its memory is used again.
        let body = &mut link.body;
        body.reserve(FRAME_BYTES.min(RECORD_BYTES * link.outbox.len()));
        let mut tail = None;
        let mut count = 0;
        let first_delivery = link.next_answer;
        while body.len() < TAKE_BYTES && tail.is_none() {
            let Some(key) = link.outbox.front().copied().filter(|key| *key < stored) else {
                break;
            };
            link.outbox.pop_front();
            let unsent_bytes = &mut link.unsent_bytes;
            self.memory.send(key, |answer, payload, large| {
                *unsent_bytes -= cost_bytes(1, payload.len() as u64);
                let (call, rejected) = (Some(answer.id), answer.rejected);
                let attributes = Attributes { call, rejected, ..Attributes::default() };
                write_head(body, payload.len(), &attributes);
                match large {
                    Some(payload) => tail = Some(payload.clone()),
                    None => body.put_slice(payload),
                }
            });
            link.unconfirmed.insert(link.next_answer, key);
            link.next_answer += 1;
            count += 1;
        }
        // What a client never confirms is not waited for.
        while link.unconfirmed.len() > ANSWERS_UNCONFIRMED_MAX
            && let Some((oldest, _)) = link.unconfirmed.first()
        {
            link.unconfirmed.remove(oldest);
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
        link.hold_back(id, self.config.answers_bytes_max(), &mut self.pool);
        count > 0
    }
}
