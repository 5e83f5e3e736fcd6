//! One call, from the moment when it is made to that when its caller is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use crate::credit::Amount;
use crate::ids::{CallId, Delivery, LinkId, PeerId};
use crate::message::{Attributes, HEAD_BYTES_MIN, cost_bytes, write_bare_head, write_head};
use crate::time::{Now, Time, WallTime};

use super::agenda::{Timer, Times};
use super::{CallNumber, CallOptions, RequestEngine, Routed};

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) payload: Bytes,
    /// Shared with the calls before it that have the same.
    pub(super) options: Arc<CallOptions>,
    pub(super) deadline: Time,
    /// What it costs in bytes of credit.
    pub(super) cost: u64,
    pub(super) state: State,
    /// Where it is: one server, two if it is hedged.
    pub(super) copies: Copies,
    /// Links on which it was written before: their servers may still answer it.
    pub(super) before: Vec<LinkId>,
    /// Attempts that failed.
    pub(super) failed: u32,
    /// What a server did with it that had it before is not known: it is gone, or took too long.
    pub(super) was_lost: bool,
    /// A server may have begun with it.
    pub(super) may_have_run: bool,
    /// The server that it was at last, which alone may have it again if it is to run at most once.
    pub(super) bound_to: Option<PeerId>,
    /// Whether better servers are asked for room before it goes to a worse one.
    pub(super) asking: Asking,
    pub(super) times: Times,
    /// Of a router: what the client that made it said.
    pub(super) routed: Option<Box<Routed>>,
}

/// How far a call has come in asking better servers than one that has room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asking {
    /// It did not have to.
    NotYet,
    /// It waits for their answers.
    Waits,
    /// They did not answer in time.
    InVain,
}

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// For a server with room.
    Waiting,
    /// For an answer.
    Dispatched,
    /// For some time to pass.
    BackingOff,
}

/// A call at a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Copy {
    pub(super) link: LinkId,
    /// Its place on the link, once it is written.
    pub(super) delivery: Option<Delivery>,
    /// When the server was chosen.
    pub(super) given: Time,
}

/// The servers that have a call: none, one, or two if it is hedged.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Copies([Option<Copy>; 2]);

impl Copies {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Copy> {
        self.0.iter().flatten()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Copy> {
        self.0.iter_mut().flatten()
    }

    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in another one; only a call that is at one server at the most goes to another.
    pub(super) fn push(&mut self, copy: Copy) {
        debug_assert!(self.len() < 2);
        if let Some(place) = self.0.iter_mut().find(|place| place.is_none()) {
            *place = Some(copy);
        }
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&Copy) -> bool) {
        for place in &mut self.0 {
            *place = place.take().filter(&keeps);
        }
    }
}

impl Call {
    pub(super) fn new(
        payload: Bytes,
        options: Arc<CallOptions>,
        deadline: Time,
        routed: Option<Box<Routed>>,
    ) -> Self {
        let cost = call_cost(payload.len(), &options, routed.as_deref());
        Self {
            payload,
            options,
            deadline,
            cost,
            state: State::Waiting,
            copies: Copies::default(),
            before: Vec::new(),
            failed: 0,
            was_lost: false,
            may_have_run: false,
            bound_to: None,
            asking: Asking::NotYet,
            times: Times::new(deadline),
            routed,
        }
    }

    /// A server is given it, which has this name.
    pub(super) fn go_to(&mut self, copy: Copy, server: Option<PeerId>) {
        self.copies.push(copy);
        self.state = State::Dispatched;
        self.may_have_run = true;
        self.bound_to = server;
        if std::mem::replace(&mut self.asking, Asking::NotYet) != Asking::NotYet {
            self.times.clear(Timer::Ask);
        }
        if self.copies.len() == 1 {
            self.times.set(Timer::Attempt, copy.given + self.options.attempt_timeout);
            if let Some(after) = self.options.hedge_after {
                self.times.set(Timer::Hedge, copy.given + after);
            }
        }
    }

    /// The server that alone may have it.
    pub(super) fn bound(&self) -> Option<PeerId> {
        self.bound_to.filter(|_| self.options.at_most_once && self.may_have_run)
    }

    /// Whether it was written on a link, now or before.
    pub(super) fn was_written_on(&self, link: LinkId) -> bool {
        let is_there = |copy: &Copy| copy.link == link && copy.delivery.is_some();
        self.copies.iter().any(is_there) || self.before.contains(&link)
    }

    /// It is not at a server any more, which may answer it all the same.
    pub(super) fn leave(&mut self, link: LinkId) {
        if self.was_written_on(link) && !self.before.contains(&link) {
            self.before.push(link);
        }
        self.copies.retain(|copy| copy.link != link);
    }

    /// The attributes of its record.
    pub(super) fn attributes(&self, id: CallId, now: Now) -> Attributes<'_> {
        attributes(id, now.wall_at(self.deadline), &self.options, self.routed.as_deref())
    }
}

fn attributes<'a>(
    id: CallId,
    expires: WallTime,
    options: &CallOptions,
    routed: Option<&'a Routed>,
) -> Attributes<'a> {
    Attributes {
        expires: Some(expires),
        call: Some(routed.map_or(id, |routed| routed.id)),
        at_most_once: options.at_most_once,
        routers: routed.map_or(&[], |routed| &routed.routers),
        ..Attributes::default()
    }
}

/// What a call costs in bytes of credit.
#[inline]
pub(super) fn call_cost(bytes: usize, options: &CallOptions, routed: Option<&Routed>) -> u64 {
    // A name and a moment always have the same length.
    let (id, moment) = (CallId::new([0; 8], 0), WallTime::default());
    let head = attributes(id, moment, options, routed).head_bytes();
    cost_bytes(1, (head + bytes) as u64)
}

/// Writes a client's own calls into one frame.
pub(super) struct CallWriter {
    client: [u8; 8],
    now: Now,
    /// The server knows what names mean that are left out.
    leaves_out: bool,
    before: Option<Written>,
    /// Calls whose names are left out.
    bare: u64,
}

/// The record before.
#[derive(Clone, Copy)]
struct Written {
    number: CallNumber,
    deadline: Time,
    expires: WallTime,
}

impl CallWriter {
    pub(super) fn new(client: [u8; 8], now: Now, leaves_out: bool) -> Self {
        Self { client, now, leaves_out, before: None, bare: 0 }
    }

    /// What calls cost less than they were given for.
    pub(super) fn saved(&self) -> u64 {
        let (expires, call) = (Some(WallTime::default()), Some(CallId::new([0; 8], 0)));
        let named = Attributes { expires, call, ..Attributes::default() };
        self.bare * (named.head_bytes() - HEAD_BYTES_MIN) as u64
    }

    /// Something else was written.
    pub(super) fn interrupt(&mut self) {
        self.before = None;
    }

    #[inline]
    pub(super) fn write(
        &mut self,
        out: &mut BytesMut,
        payload: &[u8],
        (number, deadline): (CallNumber, Time),
        options: &CallOptions,
    ) {
        let before = self.before.filter(|before| before.number + 1 == number);
        let expires = match before {
            Some(before) if before.deadline == deadline => before.expires,
            _ => self.now.wall_at(deadline),
        };
        if !options.at_most_once && before.is_some_and(|before| before.expires == expires) {
            self.bare += 1;
            write_bare_head(out, payload.len());
        } else {
            let id = CallId::new(self.client, number);
            write_head(out, payload.len(), &attributes(id, expires, options, None));
        }
        out.put_slice(payload);
        self.before = Some(Written { number, deadline, expires }).filter(|_| self.leaves_out);
    }
}

/// What is to be known of a call that is over.
pub(super) struct Ended {
    pub(super) copies: Copies,
    pub(super) cost: u64,
    pub(super) may_have_run: bool,
}

impl RequestEngine {
    /// Takes a call out of everything, and tells its servers that nobody waits for it.
    pub(super) fn forget(&mut self, number: CallNumber) -> Option<Ended> {
        let call = self.take_out(number)?;
        for copy in call.copies.iter() {
            self.take_from(number, *copy, call.cost);
        }
        Some(call)
    }

    /// Takes a call out of everything but the links that it is on.
    pub(super) fn take_out(&mut self, number: CallNumber) -> Option<Ended> {
        let Self { calls, routing, agenda, .. } = self;
        let (ended, bound) = calls.remove_with(&number, |call| {
            if let (Some(routing), Some(routed)) = (routing, &call.routed) {
                routing.forget(routed.id, number);
            }
            agenda.remove(number, &call.times);
            let Call { copies, cost, may_have_run, .. } = *call;
            (Ended { copies, cost, may_have_run }, call.bound())
        })?;
        self.stop_waiting(number, ended.cost);
        self.hedges.remove(&number);
        if let Some(peer) = bound {
            self.unbind(peer, number);
        }
        Some(ended)
    }

    /// A call of this cost waits for a server.
    pub(super) fn start_waiting(&mut self, number: CallNumber, cost: u64) {
        if self.waiting.insert(number) {
            self.waiting_bytes += cost;
        }
    }

    /// It does not any more, if it did.
    pub(super) fn stop_waiting(&mut self, number: CallNumber, cost: u64) {
        if self.waiting.remove(&number) {
            self.waiting_bytes -= cost;
        }
    }

    /// A call waits for one server, which alone may have it.
    pub(super) fn bind(&mut self, peer: PeerId, number: CallNumber) {
        self.bound.entry(peer).or_default().insert(number);
    }

    /// It does not any more.
    pub(super) fn unbind(&mut self, peer: PeerId, number: CallNumber) {
        if let Some(calls) = self.bound.get_mut(&peer) {
            calls.remove(&number);
            if calls.is_empty() {
                self.bound.remove(&peer);
            }
        }
    }

    /// Calls that wait for the server on this link and may go nowhere else.
    pub(super) fn bound_to(&self, id: LinkId) -> Option<&BTreeSet<CallNumber>> {
        if self.bound.is_empty() {
            return None;
        }
        self.bound.get(&self.links.get(&id)?.link.peer()?.id)
    }

    /// Takes a call from a server: unwritten, it was never there, and its room is free; written, the server is told.
    pub(super) fn take_from(&mut self, number: CallNumber, copy: Copy, cost: u64) {
        let Some(link) = self.links.get_mut(&copy.link) else {
            return;
        };
        match copy.delivery {
            None => {
                if link.outbox.remove(number) {
                    link.spender.refund(Amount::new(1, cost));
                    self.regained.push(copy.link);
                }
            }
            Some(delivery) => {
                if link.flights.remove(delivery).is_some() {
                    link.cancels.insert(delivery..delivery + 1);
                    self.wakes.push_back(copy.link);
                }
            }
        }
    }
}
