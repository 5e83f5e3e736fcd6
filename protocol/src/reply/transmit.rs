//! What a REP socket says on a link.

use bytes::BufMut;

use crate::ids::LinkId;
use crate::limits::{ANSWERS_UNCONFIRMED_MAX, SETTLEMENTS_PER_FRAME, TAKE_BYTES};
use crate::link::{Peer, Transmit};
use crate::time::Now;
use crate::wire::{Control, DataHeader, Heartbeat, Settle};

use super::ReplyEngine;

/// Room that a frame has at first: for so much of each answer, and so much in all.
const RECORD_BYTES: usize = 128;
const FRAME_BYTES: usize = 64 << 10;

/// Answers side by side that take less than this are copied behind others of their frame; more are a frame of their own.
const COPIED_BYTES: usize = 2 << 10;

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
            if self.memory.is_open() {
                self.forget_old_answers(now.time);
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
        self.links.get(&id).is_some_and(|link| link.outbox.first(stored).is_some())
    }

    /// Writes one frame of answers; a large one ends it. False if there is none.
    fn transmit_answers(&mut self, id: LinkId, now: Now, out: &mut Transmit) -> bool {
        let stored = self.stored();
        let Some(link) = self.links.get_mut(&id).filter(|link| !link.outbox.is_empty()) else {
            return false;
        };
        let first_delivery = link.next_answer;
        let (mut whole, mut tail) = (None, None);
        let knows_naming = link.link.peer().is_some_and(Peer::knows_naming);
        while link.body.len() < TAKE_BYTES
            && let Some(keys) = link.outbox.first(stored)
            && let Some(part) = self.memory.part(&keys, knows_naming)
        {
            let is_copied = part.records.len() < COPIED_BYTES;
            if !is_copied && !link.body.is_empty() {
                break;
            }
            link.outbox.pop(part.count, part.bytes);
            link.unconfirmed.insert_run(link.next_answer, keys.start, part.count);
            link.next_answer += part.count;
            self.memory.release(keys.start..keys.start + part.count, id);
            if !is_copied {
                whole = Some(part.records);
                break;
            }
            // What was written before is gone by now, mostly, and its memory is used again.
            let room = FRAME_BYTES.min(RECORD_BYTES * link.outbox.len());
            link.body.reserve(part.records.len().max(room));
            link.body.put_slice(&part.records);
            tail = part.large;
            if tail.is_some() {
                break;
            }
        }
        // What a client never confirms is not waited for.
        while link.unconfirmed.len() > ANSWERS_UNCONFIRMED_MAX
            && let Some((oldest, _)) = link.unconfirmed.first()
        {
            link.unconfirmed.remove(oldest);
        }
        let count = link.next_answer - first_delivery;
        if count > 0 {
            let header = DataHeader {
                first_delivery,
                first_seq: first_delivery,
                sent_at: now.wall,
                count: count as u32,
                attempt: 0,
            };
            let body = whole.unwrap_or_else(|| link.body.split().freeze());
            out.data(header, body, tail);
        }
        link.hold_back(id, self.config.answers_bytes_max(), &mut self.pool);
        count > 0
    }
}
