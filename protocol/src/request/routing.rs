//! The side of a router that makes calls: they are those of others, under the names that their clients gave them, and it is
//! for their clients to try them again.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::credit::{Amount, Want};
use crate::ids::{CallId, LinkId, PeerId, SocketType};
use crate::limits::{
    COUNTED_CREDIT_MAX, HOP_COST_BYTES, HOPS_MAX, PARKED_MAX, ROUTERS_MAX, SILENCE_MAX, TRIED_MAX,
};
use crate::link::{Peer, Speaker, refusal};
use crate::message::cost_bytes_max;
use crate::time::Time;
use crate::wire::{Close, CloseCode, Hop, Hops};

use super::call::Call;
use super::{Asking, CallNumber, CallOptions, RequestConfig, RequestEngine, Settled, State};

/// What a client said of a call that a router passes on.
#[derive(Debug)]
pub(crate) struct Routed {
    /// The name that its client gave it.
    pub(crate) id: CallId,
    /// The routers that it has passed, and this one in the end.
    pub(crate) routers: Vec<PeerId>,
    /// Since when it waits.
    since: Time,
}

impl Routed {
    /// Whether it may go to where these are: none of the routers there has it passed.
    pub(super) fn may_pass(&self, routes: &Routes) -> bool {
        let passed = self.routers.split_last().map_or(&[][..], |(_, before)| before);
        !passed.iter().any(|router| routes.routers.contains_key(router))
    }
}

/// The routers at the other end of a link and behind that, and what it has room for.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// By how many of them stand before each.
    routers: BTreeMap<PeerId, u32>,
    /// The one at the other end.
    first: Option<PeerId>,
    counted: Amount,
    /// What clients upstream want of this link.
    upstream_want: Want,
}

/// What the downstream side of a router keeps besides.
#[derive(Debug)]
pub(super) struct Routing {
    name: PeerId,
    /// Calls by their names; more than one if the same came in several ways.
    names: HashMap<CallId, Vec<CallNumber>>,
    /// Calls that began to wait, and when.
    parking: VecDeque<(Time, CallNumber)>,
    /// Calls that no server has room for: they are to be given back.
    returned: VecDeque<CallNumber>,
    tried: Tried,
    /// Room on all links that lead to servers.
    room: Amount,
    /// Links that lead to routers.
    routers: BTreeSet<LinkId>,
    /// What clients upstream want of links that lead to servers.
    upstream_want: Want,
    routes_changed: bool,
}

/// Calls that were taken back from a server that had not answered: if they come again, it took too long.
#[derive(Debug, Default)]
struct Tried {
    by_name: HashMap<CallId, Attempt>,
    order: VecDeque<CallId>,
}

/// A link had a call from one moment to another.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    link: LinkId,
    given: Time,
    taken: Time,
}

impl Tried {
    fn note(&mut self, id: CallId, attempt: Attempt) {
        if self.by_name.insert(id, attempt).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > TRIED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_name.remove(&oldest);
        }
    }
}

impl Routing {
    pub(super) fn forget(&mut self, id: CallId, number: CallNumber) {
        if let Some(numbers) = self.names.get_mut(&id) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.names.remove(&id);
            }
        }
    }
}

impl RequestEngine {
    /// The downstream side of a router of this name.
    pub(crate) fn for_router(config: RequestConfig, peer_id: PeerId, name: PeerId) -> Self {
        let mut engine = Self::new(config, peer_id, 0);
        engine.routing = Some(Routing {
            name,
            names: HashMap::new(),
            parking: VecDeque::new(),
            returned: VecDeque::new(),
            tried: Tried::default(),
            room: Amount::ZERO,
            routers: BTreeSet::new(),
            upstream_want: Want::NOTHING,
            routes_changed: false,
        });
        engine
    }

    /// The name of the router.
    pub(crate) fn name(&self) -> PeerId {
        self.routing.as_ref().map_or(self.peer_id, |routing| routing.name)
    }

    pub(super) fn speaker(&self) -> Speaker {
        match &self.routing {
            None => Speaker::client(self.peer_id),
            Some(routing) => Speaker::router(SocketType::Req, self.peer_id, routing.name),
        }
    }

    /// Numbers links from here on.
    pub(crate) const fn number_links_from(&mut self, first: u64) {
        self.next_link = first;
    }

    /// Makes a call for a client of this router, which has passed these routers.
    pub(crate) fn route(
        &mut self,
        id: CallId,
        payload: Bytes,
        mut routers: Vec<PeerId>,
        (deadline, at_most_once): (Time, bool),
        now: Time,
    ) -> CallNumber {
        let left = deadline.since(now);
        // It is its client who tries it again, and says how long one server may take; but none may take long to be told of it.
        let options = CallOptions {
            timeout: left,
            attempt_timeout: left.min(SILENCE_MAX),
            retries: 0,
            at_most_once,
            ..CallOptions::default()
        };
        let number = self.next_call;
        if let Some(routing) = &mut self.routing {
            routers.push(routing.name);
            routing.names.entry(id).or_default().push(number);
        }
        self.blame_for(id, now);
        let routed = Some(Box::new(Routed { id, routers, since: now }));
        self.share(&options);
        let call = Call::new(payload, Arc::clone(&self.options), deadline, routed);
        let server = self.server_at_once(call.cost, Some(&call));
        self.make(call, server, now)
    }

    /// A call has come again that a server had which has not answered anything since it was given it: it has let an attempt's
    /// time run out. How long that is, any client may say; all others have to do without that server.
    fn blame_for(&mut self, id: CallId, now: Time) {
        let tried = self.routing.as_mut().and_then(|routing| routing.tried.by_name.remove(&id));
        if let Some(Attempt { link, given, taken }) = tried
            && let Some(server) = self.links.get(&link)
            && server.answered_at.is_none_or(|at| at <= given)
        {
            self.silence(link, taken.since(given).min(SILENCE_MAX), now);
        }
    }

    /// A client does not wait for a call any more; or waits for it to be tried elsewhere.
    pub(crate) fn cancel_routed(&mut self, number: CallNumber, now: Time) {
        let Some(call) = self.calls.get(&number) else {
            return;
        };
        let blamed: Vec<_> = call.copies.iter().filter(|copy| self.is_to_blame(copy)).collect();
        if let (Some(routing), Some(routed)) = (&mut self.routing, &call.routed) {
            for copy in blamed {
                let attempt = Attempt { link: copy.link, given: copy.given, taken: now };
                routing.tried.note(routed.id, attempt);
            }
        }
        self.cancel(number, now);
    }

    /// Whether no server can have begun with a call.
    pub(crate) fn is_unbegun(&self, number: CallNumber) -> bool {
        self.calls.get(&number).is_some() && !self.may_have_run(number)
    }

    /// An answer settles all calls of its name.
    pub(super) fn settle_routed(&mut self, link: LinkId, id: CallId, settled: &Settled) {
        let named = self.routing.as_ref().and_then(|routing| routing.names.get(&id)).cloned();
        let was_asked =
            |n: &CallNumber| self.calls.get(n).is_some_and(|call| call.was_written_on(link));
        match named.filter(|numbers| numbers.iter().any(was_asked)) {
            None => self.counters.late += 1,
            Some(numbers) => {
                numbers.into_iter().for_each(|n| self.settle_at(link, n, settled.clone()));
            }
        }
    }

    /// A call begins to wait.
    pub(super) fn park(&mut self, number: CallNumber, now: Time) {
        let routed = self.calls.get_mut(&number).and_then(|call| call.routed.as_mut());
        if let (Some(routing), Some(routed)) = (&mut self.routing, routed) {
            routed.since = now;
            routing.parking.push_back((now, number));
        }
    }

    /// When calls have waited here for so long that they are given back.
    pub(super) fn unpark_at(&self) -> Option<Time> {
        self.routing.as_ref()?.parking.front().map(|(since, _)| *since + PARKED_MAX)
    }

    /// Gives back what has waited for too long; not what waits for the word of better servers, nor what must not go
    /// elsewhere.
    pub(super) fn unpark(&mut self, now: Time) {
        while self.unpark_at().is_some_and(|at| at <= now) {
            let parked = self.routing.as_mut().and_then(|routing| routing.parking.pop_front());
            let Some((since, number)) = parked else {
                return;
            };
            let Some(call) = self.calls.get(&number) else {
                continue;
            };
            let waits = call.state == State::Waiting && call.copies.is_empty();
            let is_it = call.routed.as_ref().is_some_and(|routed| routed.since == since);
            if !waits || !is_it || call.may_have_run {
                continue;
            }
            match call.asking {
                Asking::Waits => self.park(number, now),
                Asking::NotYet | Asking::InVain => self.hand_back(number),
            }
        }
    }

    fn hand_back(&mut self, number: CallNumber) {
        self.forget(number);
        if let Some(routing) = &mut self.routing {
            routing.returned.push_back(number);
        }
    }

    /// Gives back all calls that no server has.
    pub(crate) fn hand_back_all(&mut self) {
        let waiting: Vec<_> = self.waiting.iter().copied().collect();
        for number in waiting {
            if self.is_unbegun(number) {
                self.hand_back(number);
            }
        }
    }

    /// The next call that is given back.
    pub(crate) fn poll_returned(&mut self) -> Option<CallNumber> {
        self.routing.as_mut()?.returned.pop_front()
    }

    /// A link has opened: who is at its other end?
    pub(super) fn note_router(&mut self, id: LinkId) -> Result<(), Close> {
        let (Some(routing), Some(link)) = (&mut self.routing, self.links.get_mut(&id)) else {
            return Ok(());
        };
        let Some(router) = link.link.peer().and_then(Peer::router) else {
            return Ok(());
        };
        if router == routing.name {
            return Err(refusal(CloseCode::Loop, "this router leads to itself"));
        }
        link.routes.first = Some(router);
        link.routes.routers = [(router, 0)].into();
        routing.routers.insert(id);
        routing.routes_changed = true;
        Ok(())
    }

    /// A link is over: nothing leads by way of it any more.
    pub(super) fn forget_router(&mut self, id: LinkId) {
        if let Some(routing) = &mut self.routing {
            routing.routes_changed |= routing.routers.remove(&id);
        }
    }

    /// A router says which others are behind it.
    pub(super) fn handle_hops(&mut self, id: LinkId, hops: &Hops, now: Time) -> Result<(), Close> {
        let (Some(routing), Some(link)) = (&mut self.routing, self.links.get_mut(&id)) else {
            return Err(crate::link::violation("a frame that a server does not send"));
        };
        let Some(first) = link.routes.first else {
            return Err(crate::link::violation("HOPS of what is not a router"));
        };
        if hops.routers.len() > ROUTERS_MAX {
            return Err(refusal(CloseCode::TooMany, "too many routers stand behind this link"));
        }
        let near = hops.routers.iter().filter(|hop| (hop.distance as usize) < HOPS_MAX);
        link.routes.routers = near.map(|hop| (hop.router, hop.distance)).collect();
        link.routes.routers.insert(first, 0);
        routing.routes_changed = true;
        self.dispatch(now);
        Ok(())
    }

    /// Whether the routers behind may be others than when this was asked last.
    pub(crate) fn have_routes_changed(&mut self) -> bool {
        self.routing.as_mut().is_some_and(|routing| std::mem::take(&mut routing.routes_changed))
    }

    /// The routers that a router upstream is told of: this one, and what stands behind it but by way of that other one.
    pub(crate) fn hops_for(&self, upstream: PeerId) -> Hops {
        let Some(routing) = &self.routing else {
            return Hops::default();
        };
        let mut nearest: BTreeMap<PeerId, u32> = BTreeMap::new();
        for link in self.router_links().filter(|routes| routes.first != Some(upstream)) {
            for (router, distance) in &link.routers {
                let before = nearest.entry(*router).or_insert(u32::MAX);
                *before = (*before).min(distance.saturating_add(1));
            }
        }
        nearest.insert(routing.name, 0);
        let mut hops: Vec<_> = nearest
            .into_iter()
            .filter(|(_, distance)| (*distance as usize) < HOPS_MAX)
            .map(|(router, distance)| Hop { router, distance })
            .collect();
        hops.sort_by_key(|hop| hop.distance);
        hops.truncate(ROUTERS_MAX);
        Hops { routers: hops.into_iter().collect() }
    }

    fn router_links(&self) -> impl Iterator<Item = &Routes> {
        let ids = self.routing.iter().flat_map(|routing| &routing.routers);
        ids.filter_map(|id| self.links.get(id)).map(|link| &link.routes)
    }

    /// Counts a link's room anew.
    pub(super) fn count_room(&mut self, id: LinkId, now: Time) {
        let Some(routing) = &mut self.routing else {
            return;
        };
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let counts = link.answers(now) && (link.place.is_some() || link.trial_until.is_none());
        let room = if counts { link.spender.room() } else { Amount::ZERO };
        let room = room.min(Amount::new(COUNTED_CREDIT_MAX, COUNTED_CREDIT_MAX));
        // For the names that records grow by, as far as one call of any size still fits.
        let spare = room.bytes.saturating_sub(cost_bytes_max(self.config.link.message_bytes_max));
        let names = room.messages.saturating_mul(HOP_COST_BYTES).min(spare);
        let counted = Amount::new(room.messages, room.bytes - names);
        let before = std::mem::replace(&mut link.routes.counted, counted);
        if !routing.routers.contains(&id) {
            routing.room = routing.room + counted - before;
        }
    }

    /// What calls that come from this router may be sent, or those of a client if it is none.
    pub(crate) fn room_for(&self, upstream: Option<PeerId>) -> Amount {
        let servers = self.routing.as_ref().map_or(Amount::ZERO, |routing| routing.room);
        let leads_back =
            |routes: &Routes| upstream.is_some_and(|router| routes.routers.contains_key(&router));
        let others = self.router_links().filter(|routes| !leads_back(routes));
        let room = others.fold(servers, |sum, routes| sum + routes.counted);
        let under_way = self.pending() - self.waiting.len() as u64;
        let left = self.config.pending_calls.saturating_sub(under_way);
        room.min(Amount::new(left, u64::MAX))
    }

    /// What the calls that wait for room will take of it.
    pub(crate) fn parked(&self) -> Amount {
        let calls = self.waiting.len() as u64;
        Amount::new(calls, self.waiting_bytes - calls * HOP_COST_BYTES)
    }

    /// Takes note of what clients upstream want: on each link, by the router at its other end.
    pub(crate) fn set_upstream_wants(&mut self, wants: &[(Option<PeerId>, Want)]) {
        let sum = |routes: Option<&Routes>| {
            let leads_back = |router: &Option<PeerId>| {
                router.zip(routes).is_some_and(|(router, to)| to.routers.contains_key(&router))
            };
            let asking = wants.iter().filter(|(router, _)| !leads_back(router));
            asking.fold(Want::NOTHING, |all, (_, want)| all + *want)
        };
        let Some(routing) = &mut self.routing else {
            return;
        };
        let want = sum(None);
        let mut news = want.is_news_after(std::mem::replace(&mut routing.upstream_want, want));
        for id in &routing.routers {
            if let Some(link) = self.links.get_mut(id) {
                let want = sum(Some(&link.routes));
                news |= want.is_news_after(std::mem::replace(&mut link.routes.upstream_want, want));
            }
        }
        if news {
            let contended = |link: &super::ReqLink| {
                link.link.is_open() && (link.spender.is_contended() || link.spender.has_asked())
            };
            let ids = self.links.iter().filter(|(_, link)| contended(link)).map(|(id, _)| *id);
            self.wakes.extend(ids);
        }
    }

    /// What clients upstream want of a link.
    pub(super) fn upstream_want_on(&self, id: LinkId) -> Want {
        let Some(routing) = &self.routing else {
            return Want::NOTHING;
        };
        let of_router = self.links.get(&id).filter(|_| routing.routers.contains(&id));
        of_router.map_or(routing.upstream_want, |link| link.routes.upstream_want)
    }
}
