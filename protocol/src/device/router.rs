//! The router: a REP and a REQ back to back, without a queue of its own.
//!
//! It grants its clients what its servers have granted it, so a call that comes can go on at once. A call keeps its name,
//! its deadline, and whether it must run at most once; it is for its client to try it again. Answers are held here until
//! the client has confirmed them. Two routers may be each other's clients and servers: what one has granted is not granted
//! back to it, nor to any router that stands behind it.

use crate::collections::Rising;
use crate::credit::Amount;
use crate::event::Event;
use crate::ids::{LinkId, PeerId, Priority};
use crate::limits::{HOPS_MAX, PUT_OFF_MAX};
use crate::link::{Identity, LinkConfig};
use crate::reply::{AnswerMemory, CallKey, ReplyConfig, ReplyEngine, ReplyStats, Routable};
use crate::request::{CallError, CallNumber, RequestConfig, RequestEngine, RequestStats, Settled};
use crate::time::{Now, Time};
use crate::wire::{Outcome, Reason};

use super::{DOWNSTREAM, Side, TwoSided, device_vocabulary};

/// The settings of a [`RouterEngine`].
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// What it wants of its links, on both sides.
    pub link: LinkConfig,
    /// Calls that may be passed on and not answered.
    pub pending_calls: u64,
    /// What is remembered of answers, for clients that ask again.
    pub memory: AnswerMemory,
    /// As [`RequestConfig::ask_patience`].
    pub ask_patience: std::time::Duration,
    /// As [`RequestConfig::fail_back_after`].
    pub fail_back_after: std::time::Duration,
}

impl Default for RouterConfig {
    fn default() -> Self {
        let RequestConfig { link, ask_patience, fail_back_after, .. } = RequestConfig::default();
        let memory = AnswerMemory::default();
        Self { link, pending_calls: 1 << 20, memory, ask_patience, fail_back_after }
    }
}

/// A router in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RouterStats {
    /// The side that takes calls in; its window is of no meaning.
    pub up: ReplyStats,
    /// The side that passes them on.
    pub down: RequestStats,
}

/// A router without its I/O.
#[derive(Debug)]
pub struct RouterEngine {
    up: ReplyEngine,
    down: RequestEngine,
    /// The calls that were passed on, by their numbers there, and the other way round.
    keys: Rising<CallKey>,
    numbers: Rising<CallNumber>,
    /// Nothing more is taken in.
    is_closing: bool,
}

device_vocabulary!(RouterEngine);

impl TwoSided for RouterEngine {
    fn pass(&mut self, now: Now) {
        self.flow(now.time);
    }

    fn note_links(&mut self, now: Time) {
        self.flow(now);
    }
}

impl RouterEngine {
    /// A router with nothing in it. `peer_id` is of this life only; `name` is what other routers know it by, and may be the
    /// same after a restart. No two that run at one time may have the same.
    #[must_use]
    pub fn new(config: RouterConfig, peer_id: PeerId, name: PeerId) -> Self {
        let RouterConfig { link, pending_calls, memory, ask_patience, fail_back_after } = config;
        let up = ReplyConfig { link: link.clone(), memory, ..ReplyConfig::default() };
        let call = RequestConfig::default().call;
        let down = RequestConfig { link, pending_calls, ask_patience, fail_back_after, call };
        let mut down = RequestEngine::for_router(down, peer_id, name);
        down.number_links_from(DOWNSTREAM);
        Self {
            up: ReplyEngine::for_router(up, peer_id, name),
            down,
            keys: Rising::new(),
            numbers: Rising::new(),
            is_closing: false,
        }
    }

    /// A connection was made on one side; whose it is, the transport or an authorizer says. Only downstream the priority
    /// means something.
    pub fn open_link(
        &mut self,
        identity: Identity,
        side: Side,
        priority: Priority,
        now: Time,
    ) -> LinkId {
        match side {
            Side::Upstream => self.up.open_link(identity, now),
            Side::Downstream => self.down.open_link(identity, priority, now),
        }
    }

    /// Passes no more calls on by a link that leads downstream: it is to be ended once [`RouterEngine::is_settled`].
    pub fn leave_link(&mut self, id: LinkId, now: Time) {
        if Side::of(id) == Side::Downstream {
            self.down.leave_link(id, now);
            self.flow(now);
        }
    }

    /// Whether no call that was passed on by a link waits for its answer.
    #[must_use]
    pub fn is_settled(&self, id: LinkId) -> bool {
        self.down.is_settled(id)
    }

    /// Takes no more calls; those that no server has go back, and those that one has are still answered.
    pub fn close_intake(&mut self, now: Time) {
        self.is_closing = true;
        self.up.stop(now);
        self.down.hand_back_all();
        self.flow(now);
    }

    /// Whether there is nothing left to do, as [`ReplyEngine::is_done`].
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.down.pending() == 0 && self.up.is_done()
    }

    /// Whether there is nothing left to do, nor anything to come, as [`ReplyEngine::is_drained`].
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.down.pending() == 0 && self.up.is_drained()
    }

    /// What a link upstream may use of what servers have granted, by what stands at its other end; and what waits here for
    /// some of it. What was granted to all links, and what waits, are together no more than what a client may use.
    #[must_use]
    pub fn granted(&self, upstream: Option<LinkId>) -> (Amount, Amount) {
        let mut routers = self.up.routers();
        let router = upstream.and_then(|id| routers.find(|(other, _)| *other == id));
        (self.down.room_for(router.map(|(_, router)| router)), self.down.parked())
    }

    /// When [`RouterEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        Time::first_of([self.up.poll_timeout(), self.down.poll_timeout()])
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Time) {
        self.up.handle_timeout(now);
        self.down.handle_timeout(now);
        self.flow(now);
    }

    /// The router in numbers.
    #[must_use]
    pub fn stats(&self, now: Time) -> RouterStats {
        RouterStats { up: self.up.stats(now), down: self.down.stats(now) }
    }

    /// Passes calls on and answers back; asks servers for what clients ask for, and grants what they grant.
    fn flow(&mut self, now: Time) {
        self.drop_gone(now);
        while let Some(call) = self.up.take_to_route(now) {
            self.route(call, now);
        }
        while let Some((number, settled)) = self.down.poll_settled() {
            if let Some(key) = self.unlink(number) {
                self.settle(key, settled, now);
            }
        }
        while let Some(number) = self.down.poll_returned() {
            if let Some(key) = self.unlink(number) {
                self.up.return_call(key, Outcome::Released);
            }
        }
        self.tell_routes();
        self.share(now);
    }

    /// Passes a call on.
    fn route(&mut self, call: Routable, now: Time) {
        let Routable { key, id, payload, deadline, at_most_once, routers } = call;
        if routers.contains(&self.down.name()) {
            self.up.tell_of(key, |link, call| Event::LoopRefused { link, call });
            return self.up.return_call(key, Outcome::Released);
        }
        if routers.len() >= HOPS_MAX {
            self.up.tell_of(key, |link, call| Event::HopLimit { link, call });
            let reason = format!(
                "the call has passed {HOPS_MAX} routers, which is as many as it may; nobody has worked on it: lead \
                 the routers to servers in fewer steps"
            );
            let _ = self.up.reject(key, Reason::from(reason), now);
            return;
        }
        let latest = now + PUT_OFF_MAX;
        let deadline = deadline.map_or(latest, |deadline| deadline.min(latest));
        let number = self.down.route(id, payload, routers, (deadline, at_most_once), now);
        self.keys.insert(number, key);
        self.numbers.insert(key.number(), number);
    }

    fn unlink(&mut self, number: CallNumber) -> Option<CallKey> {
        let key = self.keys.remove(&number)?;
        self.numbers.remove(&key.number());
        Some(key)
    }

    /// Says upstream what became of a call. If nobody waits for that any more there is nothing to do.
    fn settle(&mut self, key: CallKey, settled: Settled, now: Time) {
        match settled {
            Settled::Answered(payload) => {
                let _ = self.up.answer(key, payload, now);
            }
            Settled::Failed(CallError::Rejected(reason)) => {
                let _ = self.up.reject(key, reason, now);
            }
            Settled::Failed(CallError::NoService) => self.up.return_call(key, Outcome::Expired),
            Settled::Failed(CallError::TimedOut | CallError::Closed { .. }) => {
                let reason = "the server went away, and may have begun with the call";
                self.up.fail_call(key, reason.into());
            }
        }
    }

    /// Takes back what nobody waits for; and what no server has begun with whose client is gone, and may ask again.
    fn drop_gone(&mut self, now: Time) {
        let (retracted, orphaned) = self.up.take_gone();
        for key in retracted {
            if let Some(&number) = self.numbers.get(&key.number()) {
                self.unlink(number);
                self.down.cancel_routed(number, now);
            }
        }
        for key in orphaned {
            if let Some(&number) = self.numbers.get(&key.number())
                && self.down.is_unbegun(number)
            {
                self.unlink(number);
                self.up.drop_call(key);
                self.down.cancel(number, now);
            }
        }
    }

    /// Tells routers upstream which routers they lead to.
    fn tell_routes(&mut self) {
        if self.down.have_routes_changed() || self.up.have_routers_changed() {
            let routers: Vec<_> = self.up.routers().collect();
            for (link, router) in routers {
                self.up.tell_hops(link, self.down.hops_for(router));
            }
        }
    }

    /// Grants upstream what was granted downstream, and asks downstream for what is asked for upstream.
    fn share(&mut self, now: Time) {
        let routers: Vec<_> = self.up.routers().collect();
        let caps: Vec<_> = routers
            .iter()
            .map(|(link, router)| (*link, self.down.room_for(Some(*router))))
            .collect();
        let (room, waiting) = (self.down.room_for(None), self.down.parked());
        self.up.forward(room, waiting, caps.into_iter(), now);
        let (by_router, of_clients) = self.up.pool().wants(routers.iter().map(|(link, _)| *link));
        let names = routers.iter().map(|(_, name)| Some(*name));
        let wants = names.zip(by_router).chain([(None, of_clients)]);
        let wants: Vec<_> = wants.filter(|_| !self.is_closing).collect();
        self.down.set_upstream_wants(&wants);
    }
}
