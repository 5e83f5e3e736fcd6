//! Calls that come in, wait, and are handed out.

use std::ops::Range;

use crate::collections::RangeSet;
use crate::credit::Amount;
use crate::ids::{CallId, Delivery, LinkId};
use crate::limits::GOODBYE_MAX;
use crate::link::{Identity, violation, within_credit};
use crate::message::{HEAD_BYTES_MIN, Naming, Records, cost_bytes};
use crate::time::Time;
use crate::wire::{Close, DataRun, Outcome, Retract, Settlement};

use super::calls::{Arrived, Call, Came, Ended, Places};
use super::{Answer, BegunCall, CallKey, ClientKey, Known, Place, ReplyEngine, TakenCall};

/// What a client is told of a call that must not run a second time.
const CAME_BEFORE: &str = "the call has come before under another identity, and must run at most once: it may have been \
    worked on, and nobody works on it again";

impl ReplyEngine {
    pub(super) fn handle_calls(
        &mut self,
        id: LinkId,
        data: DataRun,
        now: Time,
    ) -> Result<(), Close> {
        let Some((mut left, identity, mut naming)) = self.admit(id, &data)? else {
            return Ok(());
        };
        let mut result = Ok(());
        let mut arrived = None;
        let mut records = Records::new(&data.records);
        let mut delivery = data.header.first_delivery;
        while let Some((at, head)) = records.next() {
            let cost = Amount::new(1, cost_bytes(1, head.record_bytes() as u64));
            left -= cost;
            let Some((name, expires)) = naming.read(&head) else {
                self.pool.release(cost);
                result = Err(violation("a call without a name"));
                break;
            };
            let record = data.records.get(at..).unwrap_or_default();
            let place = (id, delivery);
            delivery += 1;
            let mut routers = head.routers(record).peekable();
            let is_plain = !head.at_most_once && routers.peek().is_none();
            if !is_plain || !self.continues(arrived.as_mut(), name, place) {
                arrived.take().into_iter().for_each(|run| self.take_in(run));
                let Some(client) = self.find(name, place, head.at_most_once, now) else {
                    self.pool.release(cost);
                    continue;
                };
                let (at_most_once, routers) = (head.at_most_once, routers.collect());
                let came = Came { id: name, client, place, at_most_once, routers };
                let (identity, records) = (identity.clone(), data.records.clone());
                let run = arrived.insert(self.calls.begin_run(came, identity, records));
                run.is_new = self.names.is_new(client, name.halves().1);
            }
            let payload = ((at + head.head_bytes) as u32, head.payload_bytes as u32);
            let deadline = expires.map(|expires| now.after(data.header.sent_at, expires));
            self.calls.push(Call::new(payload, head.record_bytes() as u32, deadline));
            if let Some(run) = arrived.as_mut() {
                let behind = self.follow(run, &mut records, deadline);
                left -= behind;
                delivery += behind.messages;
                naming.pass(behind.messages);
            }
        }
        arrived.into_iter().for_each(|run| self.take_in(run));
        if let Some(link) = self.links.get_mut(&id) {
            link.naming = naming;
        }
        // What comes after a call that is none is not taken in, and takes no room.
        self.pool.release(left);
        result
    }

    /// Counts what comes, and says what room that takes, whose it is, and what came before.
    fn admit(
        &mut self,
        id: LinkId,
        data: &DataRun,
    ) -> Result<Option<(Amount, Identity, Naming)>, Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(None);
        };
        if data.header.first_delivery != link.next_delivery {
            return Err(violation("a delivery number out of turn"));
        }
        let count = u64::from(data.header.count);
        let cost = Amount::new(count, cost_bytes(count, data.records.len() as u64));
        within_credit(self.pool.receive(id, cost))?;
        link.next_delivery += count;
        link.received += count;
        self.counters.received += count;
        Ok(Some((cost, link.link.identity.clone(), link.naming)))
    }

    /// Whether a call of this name, which nothing is known of, is the next of the run that comes; then it is counted there.
    fn continues(&self, run: Option<&mut Arrived>, name: CallId, place: Place) -> bool {
        let run = run.filter(|run| run.is_next(name, place));
        let is_known =
            |run: &Arrived| !run.is_new && self.names.known(run.client, name.halves().1).is_some();
        run.filter(|run| !is_known(run)).map(|run| run.count += 1).is_some()
    }

    /// Takes in the calls right behind the last one of a run, as far as they leave their names out, and may be of it. Gives what
    /// they take.
    fn follow(
        &mut self,
        run: &mut Arrived,
        records: &mut Records<'_>,
        deadline: Option<Time>,
    ) -> Amount {
        let (mut count, mut bytes) = (0, 0);
        while let Some(number) = run.next_number()
            && (run.is_new || self.names.known(run.client, number).is_none())
            && let Some(payload) = records.next_bare()
        {
            let payload = (payload.start as u32, payload.len() as u32);
            let record_bytes = HEAD_BYTES_MIN as u32 + payload.1;
            self.calls.push(Call::new(payload, record_bytes, deadline));
            run.count += 1;
            count += 1;
            bytes += u64::from(record_bytes);
        }
        Amount::new(count, cost_bytes(count, bytes))
    }

    /// Whose call it is that comes here; none if that is known already.
    fn find(
        &mut self,
        name: CallId,
        (id, delivery): Place,
        at_most_once: bool,
        now: Time,
    ) -> Option<ClientKey> {
        let link = self.links.get_mut(&id)?;
        let (client, known) = self.names.find(&link.link.identity, name, &mut link.client);
        let known = known.and_then(|_| {
            // It may have been answered just now.
            self.close_block();
            self.names.known(client, name.halves().1)
        });
        let Some(known) = known else {
            if at_most_once && self.names.is_known_elsewhere(client, name) {
                self.refuse_second(client, name, id, now);
                return None;
            }
            return Some(client);
        };
        self.counters.repeated += 1;
        match known {
            Known::Answered(answer) => self.send_answer(id, answer),
            Known::Running(key) => self.join(key, id, delivery),
        }
        None
    }

    /// A call that must run at most once has come before, under another identity: nobody works on it again, and whoever says
    /// its name now is not told the answer.
    fn refuse_second(&mut self, client: ClientKey, name: CallId, link: LinkId, now: Time) {
        self.counters.repeated += 1;
        let (rejected, awaited, to) = (true, None, Some(link));
        let answer = Answer { client, id: name, rejected, given: now, awaited, to };
        self.give(&answer, &CAME_BEFORE.into());
        // Nothing else may be known of this client.
        self.close_block();
    }

    /// Puts calls in their places.
    fn take_in(&mut self, run: Arrived) {
        self.calls.end_run(&run);
        let Arrived { client, id, place: (link, delivery), first, count, .. } = run;
        let known = |above| Known::Running(CallKey(first + above));
        self.names.note(client, id.halves().1, count, known);
        if let Some(link) = self.links.get_mut(&link) {
            link.calls.insert_run(delivery, first, count);
            if !self.stopped {
                self.queue.push_back(link.priority, first..first + count);
            }
        }
        if self.stopped {
            (first..first + count).for_each(|key| self.give_back(CallKey(key)));
        }
    }

    /// The same call comes again: its answer goes to where it came from last.
    fn join(&mut self, key: CallKey, id: LinkId, delivery: Delivery) {
        let Some(places) = self.calls.places(key) else {
            return;
        };
        if let Some(call) = self.calls.get_mut(key) {
            call.cancelled = false;
        }
        let places = [places.at, places.before].into_iter().flatten();
        // One of another link stays: if this one ends, the answer goes there.
        let before = places.clone().find(|place| place.0 != id);
        self.calls.set_places(key, Places { at: Some((id, delivery)), before });
        places.filter(|place| Some(*place) != before).for_each(|place| self.free_place(place));
        if let Some(link) = self.links.get_mut(&id) {
            link.calls.insert(delivery, key.0);
        }
    }

    /// Hands out the call that has waited longest of those of the best level, and whose caller still waits.
    pub fn take(&mut self, now: Time) -> Option<TakenCall> {
        let mut taken = None;
        while taken.is_none() {
            let key = CallKey(self.queue.pop_front()?);
            self.begin(key, now, |begun| taken = Some(begun.taken()));
        }
        taken
    }

    /// Hands out so many calls at the most, in the same order.
    pub fn take_many(&mut self, count: usize, now: Time, mut each: impl FnMut(BegunCall<'_>)) {
        let mut left = count as u64;
        while left > 0
            && let Some(keys) = self.queue.pop_run(left)
        {
            left -= self.begin_all(keys, now, &mut each);
        }
    }

    /// Somebody begins with these calls, as far as they wait; gives how many do.
    fn begin_all(
        &mut self,
        mut keys: Range<u64>,
        now: Time,
        each: &mut impl FnMut(BegunCall<'_>),
    ) -> u64 {
        let mut begun = 0;
        while let Some(key) = keys.next() {
            begun += u64::from(self.begin(CallKey(key), now, &mut *each));
            // Without a window each gives its room back as it is begun with.
            if self.config.window_messages > 0 {
                let behind = self.calls.begin_row(keys.clone(), now, each);
                self.counters.taken += behind;
                keys.start += behind;
                begun += behind;
            }
        }
        begun
    }

    /// Somebody begins with a call that waited; nobody does if it is over, or its time is.
    #[inline]
    fn begin(&mut self, key: CallKey, now: Time, each: impl FnOnce(BegunCall<'_>)) -> bool {
        match self.calls.begin(key, now, each) {
            Some(true) => {
                if self.config.window_messages == 0
                    && let Some(call) = self.calls.get_mut(key)
                {
                    self.pool.release(call.take_cost());
                }
                self.counters.taken += 1;
                return true;
            }
            Some(false) => {
                self.end_unbegun(key, Outcome::Expired);
                self.counters.expired += 1;
            }
            None => self.over_in_queue -= 1,
        }
        false
    }

    /// The next of the queue, those that are over passed by.
    pub(super) fn pop_queued(&mut self) -> Option<CallKey> {
        let mut key = CallKey(self.queue.pop_front()?);
        while self.over_in_queue > 0 && self.calls.get(key).is_none() {
            self.over_in_queue -= 1;
            key = CallKey(self.queue.pop_front()?);
        }
        Some(key)
    }

    /// Ends a call that nobody has begun with, or that was put down; at a router, any call that it has no answer to.
    pub(super) fn end_unbegun(&mut self, key: CallKey, outcome: Outcome) {
        let Some(call) = self.forget_call(key) else {
            return;
        };
        if let Some((id, delivery)) = call.places.at
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
        let call = self.calls.remove(key)?;
        if call.has_moved {
            let Places { at, before } = call.places;
            at.into_iter().chain(before).for_each(|place| self.free_place(place));
        }
        if let Some(run) = call.run {
            self.forget_places(run);
        }
        self.pool.release(call.cost);
        Some(call)
    }

    /// No call of a run that began at this place, and had so many, is here any more.
    pub(super) fn forget_places(&mut self, ((id, first), count): (Place, u64)) {
        if let Some(link) = self.links.get_mut(&id) {
            link.calls.take_range(first..first + count, |_, _| ());
        }
    }

    /// No call stands at this place any more.
    fn free_place(&mut self, (id, delivery): Place) {
        if let Some(link) = self.links.get_mut(&id) {
            link.calls.remove(delivery);
        }
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
        let keys = calls.map(|(_, key)| CallKey(key));
        let keys: Vec<CallKey> = keys.filter(|key| self.calls.get(*key).is_some()).collect();
        for key in keys {
            if self.leaves_another(key, id) {
                continue;
            }
            match self.calls.get_mut(key) {
                _ if self.routing.is_some() => self.retract_routed(key),
                Some(call) if call.begun => {
                    let was_cancelled = std::mem::replace(&mut call.cancelled, true);
                    self.counters.cancelled += u64::from(!was_cancelled);
                }
                _ => {
                    self.over_in_queue += 1;
                    self.give_back(key);
                }
            }
        }
        self.drop_ended();
    }

    /// Nobody waits on this link any more for a call. Whether somebody does on another one.
    fn leaves_another(&mut self, key: CallKey, id: LinkId) -> bool {
        let Some(Places { at: Some(at), before: Some(before) }) = self.calls.places(key) else {
            return false;
        };
        let (gone, left) = if at.0 == id { (at, before) } else { (before, at) };
        self.calls.set_places(key, Places { at: Some(left), before: None });
        self.free_place(gone);
        true
    }

    /// Takes out of the queue what is over, once that is most of it.
    fn drop_ended(&mut self) {
        if self.over_in_queue > self.queue.len() / 2 {
            self.queue.retain(|key| self.calls.get(CallKey(key)).is_some());
            self.over_in_queue = 0;
        }
    }

    /// A link is gone. Its callers ask elsewhere, or come back: what nobody has begun with is dropped, and the rest goes on.
    pub(super) fn orphan_calls(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        for (_, key) in link.calls.take_all() {
            let key = CallKey(key);
            if self.leaves_another(key, id) {
                continue;
            }
            match self.calls.get(key) {
                Some(call) if call.begun => {
                    self.calls.set_places(key, Places { at: None, before: None });
                    if let Some(routing) = &mut self.routing {
                        routing.orphaned.push(key);
                    }
                }
                _ => {
                    self.over_in_queue += u64::from(self.forget_call(key).is_some());
                }
            }
        }
        self.drop_ended();
    }

    /// Takes no more calls: credit is taken back, and what nobody has begun with goes back to its callers, as does what
    /// comes before they have given their credit back.
    pub fn stop(&mut self, now: Time) {
        self.goodbye_at.get_or_insert(now + GOODBYE_MAX);
        self.stop_taking();
    }

    pub(super) fn stop_taking(&mut self) {
        self.stopped = true;
        self.set_paused(true);
        self.over_in_queue = 0;
        for key in std::mem::take(&mut self.queue) {
            self.give_back(CallKey(key));
        }
    }
}
