//! The side of a router that takes calls in: they are answered by whoever they are passed on to.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::credit::{Amount, Pool};
use crate::event::Event;
use crate::ids::{CallId, LinkId, PeerId, SocketType};
use crate::link::{Peer, Speaker};
use crate::message::cost_bytes_max;
use crate::time::Time;
use crate::wire::{Hops, Outcome, Reason};

use super::{CallKey, ReplyConfig, ReplyEngine};

/// For how long a router may sit on room that it asked for while others wait.
const DOUBT_AFTER: Duration = Duration::from_millis(200);

/// What the upstream side of a router keeps besides.
#[derive(Debug)]
pub(super) struct Routing {
    name: PeerId,
    /// Calls that are not known here any more because nobody waits for them.
    retracted: Vec<CallKey>,
    /// Calls whose link has ended.
    pub(super) orphaned: Vec<CallKey>,
    /// Links to routers, and their names.
    routers: BTreeMap<LinkId, PeerId>,
    /// Some have come.
    routers_changed: bool,
    /// When routers that sit on room are not believed any more to be about to use it.
    doubt_at: Option<Time>,
}

/// A call to be passed on.
#[derive(Debug)]
pub(crate) struct Routable {
    pub(crate) key: CallKey,
    pub(crate) id: CallId,
    pub(crate) payload: Bytes,
    pub(crate) deadline: Option<Time>,
    pub(crate) at_most_once: bool,
    /// The routers that it has passed, the one that it comes from included.
    pub(crate) routers: Vec<PeerId>,
}

impl ReplyEngine {
    /// The upstream side of a router of this name.
    pub(crate) fn for_router(config: ReplyConfig, peer_id: PeerId, name: PeerId) -> Self {
        let most = cost_bytes_max(config.link.message_bytes_max);
        let mut engine = Self::new(config, peer_id);
        engine.pool = Pool::that_answers(Amount::ZERO, most);
        engine.pool.forward(Amount::ZERO, Amount::ZERO);
        engine.routing = Some(Routing {
            name,
            retracted: Vec::new(),
            orphaned: Vec::new(),
            routers: BTreeMap::new(),
            routers_changed: false,
            doubt_at: None,
        });
        engine
    }

    pub(super) fn speaker(&self) -> Speaker {
        match &self.routing {
            None => Speaker::server(self.peer_id),
            Some(routing) => Speaker::router(SocketType::Rep, self.peer_id, routing.name),
        }
    }

    /// The next call to pass on. Its room is from now on that of whom it is passed on to.
    pub(crate) fn take_to_route(&mut self, now: Time) -> Option<Routable> {
        loop {
            let key = self.pop_queued()?;
            self.calls.get_mut(key)?.take_cost();
            let mut taken = None;
            if !self.calls.begin(key, now, |begun| taken = Some(begun.taken()))? {
                self.end_unbegun(key, Outcome::Expired);
                self.counters.expired += 1;
                continue;
            }
            self.counters.taken += 1;
            let call = taken?;
            let mut routers = self.calls.take_routers(key).into_vec();
            let peer = self.peer_of(key);
            let from = peer.and_then(Peer::router);
            if let Some(from) = from.filter(|from| !routers.contains(from)) {
                routers.push(from);
            }
            // Who does not know routers could not be told that a call may have been begun with and was lost.
            let knows = peer.is_some_and(Peer::knows_routers);
            return Some(Routable {
                key,
                id: call.id(),
                payload: call.payload_bytes(),
                deadline: call.deadline,
                at_most_once: self.calls.is_at_most_once(key) || !knows,
                routers,
            });
        }
    }

    /// Gives a call back to where it came from; what this says of it is also true if a server has begun with it.
    pub(crate) fn return_call(&mut self, key: CallKey, outcome: Outcome) {
        match outcome {
            Outcome::Expired => self.counters.expired += 1,
            _ => self.counters.released += 1,
        }
        self.end_unbegun(key, outcome);
    }

    /// The server that had a call is gone. Its client decides whether it is tried again, unless it must run at most once: then
    /// it has nothing to decide.
    pub(crate) fn fail_call(&mut self, key: CallKey, reason: Reason) {
        let is_tried_again =
            !self.calls.is_at_most_once(key) && self.peer_of(key).is_some_and(Peer::knows_routers);
        match is_tried_again {
            true => self.return_call(key, Outcome::Rejected(reason)),
            false => self.drop_call(key),
        }
    }

    /// Who is at the other end of the link that a call came from last.
    fn peer_of(&self, key: CallKey) -> Option<&Peer> {
        let (link, _) = self.calls.places(key)?.at?;
        self.links.get(&link)?.link.peer()
    }

    /// Forgets a call without a word.
    pub(crate) fn drop_call(&mut self, key: CallKey) {
        self.forget_call(key);
    }

    /// Tells of a call that came to this router in vain.
    pub(crate) fn tell_of(&mut self, key: CallKey, event: impl FnOnce(LinkId, CallId) -> Event) {
        if let Some((link, _)) = self.calls.places(key).and_then(|places| places.at)
            && let Some(id) = self.calls.id(key)
        {
            self.events.push(event(link, id));
        }
    }

    pub(super) fn retract_routed(&mut self, key: CallKey) {
        self.counters.cancelled += 1;
        self.forget_call(key);
        if let Some(routing) = &mut self.routing {
            routing.retracted.push(key);
        }
    }

    /// Calls that nobody waits for any more, and calls whose link has ended.
    pub(crate) fn take_gone(&mut self) -> (Vec<CallKey>, Vec<CallKey>) {
        let taken = self.routing.as_mut().map(|routing| {
            (std::mem::take(&mut routing.retracted), std::mem::take(&mut routing.orphaned))
        });
        taken.unwrap_or_default()
    }

    /// Lets clients use what servers have granted, beside the calls that wait here, and these links no more than so much.
    pub(crate) fn forward(
        &mut self,
        room: Amount,
        waiting: Amount,
        caps: impl Iterator<Item = (LinkId, Amount)>,
        now: Time,
    ) {
        self.pool.forward_capped(room, waiting, caps);
        let is_held_up = self.pool.waits_for(self.routers().map(|(link, _)| link));
        if let Some(routing) = &mut self.routing {
            let at = routing.doubt_at.unwrap_or(now + DOUBT_AFTER);
            routing.doubt_at = is_held_up.then_some(at);
        }
        self.wake_granted();
    }

    /// When [`ReplyEngine::doubt`] wants to be called.
    pub(super) fn doubt_at(&self) -> Option<Time> {
        self.routing.as_ref()?.doubt_at
    }

    /// A client that asks for room uses it, or says that it does not want it any more. A router asks for others, and two of
    /// them could each sit on what the other waits for.
    pub(super) fn doubt(&mut self, now: Time) {
        if self.doubt_at().is_none_or(|at| at > now) {
            return;
        }
        let routers: Vec<_> = self.routers().map(|(link, _)| link).collect();
        self.pool.doubt(routers.into_iter());
        if let Some(routing) = &mut self.routing {
            routing.doubt_at = None;
        }
        self.wake_granted();
    }

    /// The routers at the other ends of links, by their names.
    pub(crate) fn routers(&self) -> impl Iterator<Item = (LinkId, PeerId)> {
        let routers = self.routing.iter().flat_map(|routing| &routing.routers);
        routers.map(|(id, name)| (*id, *name))
    }

    /// A link has opened: is a router at its other end?
    pub(super) fn note_router(&mut self, id: LinkId) {
        let peer = self.links.get(&id).and_then(|link| link.link.peer());
        if let (Some(routing), Some(name)) = (&mut self.routing, peer.and_then(Peer::router)) {
            routing.routers.insert(id, name);
            routing.routers_changed = true;
        }
    }

    /// A link is over.
    pub(super) fn forget_router(&mut self, id: LinkId) {
        if let Some(routing) = &mut self.routing {
            routing.routers.remove(&id);
        }
    }

    /// Whether routers may have come since this was asked last.
    pub(crate) fn have_routers_changed(&mut self) -> bool {
        self.routing.as_mut().is_some_and(|routing| std::mem::take(&mut routing.routers_changed))
    }

    /// Tells a router which routers stand behind this one, if that has changed.
    pub(crate) fn tell_hops(&mut self, id: LinkId, hops: Hops) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.hops != hops) {
            link.hops = hops;
            link.hops_due = true;
            self.wakes.push_back(id);
        }
    }
}
