//! Calls that come in, wait, and are handed out.

use bytes::Bytes;

use crate::collections::RangeSet;
use crate::credit::Amount;
use crate::ids::{CallId, Delivery, LinkId};
use crate::link::{refusal, violation};
use crate::message::{Records, cost_bytes};
use crate::time::Time;
use crate::wire::{Close, CloseCode, DataRun, Outcome, Retract, Settlement};

use super::{CallKey, ClientKey, Known, ReplyEngine, Running, TakenCall};

/// What is to be known of a call that is over here.
pub(super) struct Ended {
    pub(super) id: CallId,
    pub(super) client: ClientKey,
    /// Where it came from last.
    pub(super) at: Option<(LinkId, Delivery)>,
    pub(super) deadline: Option<Time>,
    cost: Amount,
    pub(super) cancelled: bool,
    pub(super) at_most_once: bool,
}

impl ReplyEngine {
    pub(super) fn handle_calls(
        &mut self,
        id: LinkId,
        data: DataRun,
        now: Time,
    ) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if data.header.first_delivery != link.next_delivery {
            return Err(violation("a delivery number out of turn"));
        }
        let count = u64::from(data.header.count);
        let cost = Amount::new(count, cost_bytes(count, data.records.len() as u64));
        if !self.pool.receive(id, cost) {
            return Err(refusal(
                CloseCode::CreditExceeded,
                "more was sent than the granted credit allows",
            ));
        }
        link.next_delivery += count;
        link.received += count;
        self.counters.received += count;
        let mut left = cost;
        let mut result = Ok(());
        let deliveries = data.header.first_delivery..;
        for (delivery, (at, head)) in deliveries.zip(Records::new(&data.records)) {
            let cost = Amount::new(1, cost_bytes(1, head.record_bytes() as u64));
            left -= cost;
            let Some(name) = head.call else {
                self.pool.release(cost);
                result = Err(violation("a call without a name"));
                break;
            };
            let Some(client) = self.find(name, id, delivery) else {
                self.pool.release(cost);
                continue;
            };
            let payload = at + head.payload().start..at + head.payload().end;
            let record = data.records.get(at..).unwrap_or_default();
            self.take_in(Running {
                id: name,
                client,
                at: Some((id, delivery)),
                payload: data.records.slice(payload),
                deadline: head.expires.map(|expires| now.after(data.header.sent_at, expires)),
                begun: false,
                cost,
                cancelled: false,
                at_most_once: head.at_most_once,
                routers: head.routers(record).collect(),
            });
        }
        // What comes after a call that is none is not taken in, and takes no room.
        self.pool.release(left);
        result
    }

    /// Whose call it is that comes here; none if that is known already.
    fn find(&mut self, name: CallId, id: LinkId, delivery: Delivery) -> Option<ClientKey> {
        let link = self.links.get_mut(&id)?;
        let (client, known) = self.names.find(&link.link.identity, name, &mut link.client);
        let Some(known) = known else {
            return Some(client);
        };
        self.counters.repeated += 1;
        match known {
            Known::Answered(answer) => self.send_answer(id, answer),
            Known::Running(key) => self.join(key, id, delivery),
        }
        None
    }

    fn take_in(&mut self, call: Running) {
        let key = CallKey(self.next_call);
        self.next_call += 1;
        self.names.note(call.client, call.id, Known::Running(key));
        if let Some((id, delivery)) = call.at
            && let Some(link) = self.links.get_mut(&id)
        {
            link.calls.insert(delivery, key.0);
            if !self.stopped {
                self.queue.push_back(link.priority, key);
            }
        }
        self.calls.insert(key.0, call);
        if self.stopped {
            self.give_back(key);
        }
    }

    /// The same call comes again: its answer goes to where it came from last.
    fn join(&mut self, key: CallKey, id: LinkId, delivery: Delivery) {
        let Some(call) = self.calls.get_mut(&key.0) else {
            return;
        };
        call.cancelled = false;
        let before = call.at.replace((id, delivery));
        if let Some((link, delivery)) = before
            && let Some(link) = self.links.get_mut(&link)
        {
            link.calls.remove(delivery);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.calls.insert(delivery, key.0);
        }
    }

    /// Hands out the call that has waited longest of those of the best level, and whose caller still waits.
    pub fn take(&mut self, now: Time) -> Option<TakenCall> {
        loop {
            let key = self.queue.pop_front()?;
            let call = self.calls.get_mut(&key.0)?;
            if call.deadline.is_some_and(|deadline| deadline <= now) {
                self.end_unbegun(key, Outcome::Expired);
                self.counters.expired += 1;
                continue;
            }
            call.begun = true;
            let taken = TakenCall {
                key,
                id: call.id,
                identity: self.names.identity(call.client)?.clone(),
                payload: std::mem::replace(&mut call.payload, Bytes::new()),
                deadline: call.deadline,
            };
            if self.config.window_messages == 0 {
                let cost = std::mem::replace(&mut call.cost, Amount::ZERO);
                self.pool.release(cost);
            }
            self.counters.taken += 1;
            return Some(taken);
        }
    }

    /// Ends a call that nobody has begun with, or that was put down; at a router, any call that it has no answer to.
    pub(super) fn end_unbegun(&mut self, key: CallKey, outcome: Outcome) {
        let Some(call) = self.forget_call(key) else {
            return;
        };
        if let Some((id, delivery)) = call.at
            && let Some(link) = self.links.get_mut(&id)
        {
            let deliveries = (delivery..delivery + 1).into();
            link.settlements.push_back(Settlement { deliveries, outcome });
            self.wakes.push_back(id);
        }
    }

    /// Gives back a call that nobody has begun with; who asks for this takes it out of the queue.
    fn give_back(&mut self, key: CallKey) {
        self.counters.released += 1;
        self.end_unbegun(key, Outcome::Released);
    }

    /// Takes a call out of everything; its room is free, and its name is not known any more.
    pub(super) fn forget_call(&mut self, key: CallKey) -> Option<Ended> {
        let call = self.take_out(key)?;
        self.names.forget(call.client, call.id);
        Some(call)
    }

    /// Takes a call out; its room is free. Its name is still known.
    pub(super) fn take_out(&mut self, key: CallKey) -> Option<Ended> {
        let call = self.calls.remove_with(&key.0, |call| Ended {
            id: call.id,
            client: call.client,
            at: call.at,
            deadline: call.deadline,
            cost: call.cost,
            cancelled: call.cancelled,
            at_most_once: call.at_most_once,
        })?;
        if let Some((id, delivery)) = call.at
            && let Some(link) = self.links.get_mut(&id)
        {
            link.calls.remove(delivery);
        }
        self.pool.release(call.cost);
        Some(call)
    }

    /// Callers do not wait any more: what nobody has begun with is dropped, the rest is marked.
    pub(super) fn handle_retract(&mut self, id: LinkId, retract: &Retract) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        // A client that says the same many times over is not listened to each time.
        let deliveries: RangeSet =
            retract.deliveries.iter().filter_map(|span| span.range()).collect();
        let calls = deliveries.iter().flat_map(|part| link.calls.range(part));
        let keys: Vec<CallKey> = calls.map(|(_, key)| CallKey(key)).collect();
        let before = self.calls.len();
        for key in keys {
            match self.calls.get_mut(&key.0) {
                _ if self.routing.is_some() => self.retract_routed(key),
                Some(call) if call.begun => {
                    let was_cancelled = std::mem::replace(&mut call.cancelled, true);
                    self.counters.cancelled += u64::from(!was_cancelled);
                }
                _ => self.give_back(key),
            }
        }
        if self.calls.len() < before {
            self.drop_ended();
        }
    }

    /// Takes out of the queue what is over.
    fn drop_ended(&mut self) {
        self.queue.retain(|key| self.calls.get(&key.0).is_some());
    }

    /// A link is gone. Its callers ask elsewhere, or come back: what nobody has begun with is dropped, and the rest goes on.
    pub(super) fn orphan_calls(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        for (_, key) in link.calls.take_all() {
            let key = CallKey(key);
            match self.calls.get_mut(&key.0) {
                Some(call) if call.begun => {
                    call.at = None;
                    if let Some(routing) = &mut self.routing {
                        routing.orphaned.push(key);
                    }
                }
                _ => {
                    self.forget_call(key);
                }
            }
        }
        self.drop_ended();
    }

    /// Takes no more calls: credit is taken back, and what nobody has begun with goes back to its callers.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.set_paused(true);
        for key in std::mem::take(&mut self.queue) {
            self.give_back(key);
        }
    }
}
