//! Which server gets a call: of the best level that has any with room, the one with most; ties in turn.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::credit::Amount;
use crate::event::Event;
use crate::ids::{LinkId, Priority};
use crate::time::Time;

use super::{Asking, Call, CallNumber, Copy, Place, ReqLink, RequestEngine, Timer};

/// Calls that find no room and are passed over, before all behind them wait too.
const PASSED_OVER_MAX: usize = 64;

/// The same of those that are looked at in all: also those that none of the servers with room may have.
const LOOKS_MAX: usize = 1_024;

/// Calls that a second server is looked for at a time.
const HEDGES_AT_A_TIME: usize = 256;

impl RequestEngine {
    /// Gives calls that wait to servers with room, the oldest call first.
    pub(super) fn dispatch(&mut self, now: Time) {
        self.try_silent_ones(now);
        for id in std::mem::take(&mut self.regained) {
            self.recount(id, now);
        }
        self.dispatch_bound(now);
        self.dispatch_waiting(now);
        self.hedge(now);
        self.wake_for_demand();
    }

    /// Gives calls that one server alone may have to that, where it may have room now.
    fn dispatch_bound(&mut self, now: Time) {
        for id in std::mem::take(&mut self.offers) {
            while let Some(number) = self.bound_to(id).and_then(|calls| calls.first().copied())
                && let Choice::Server(link) | Choice::Asks(link) = self.server_of(number)
            {
                if let Some(peer) = self.calls.get(&number).and_then(Call::bound) {
                    self.unbind(peer, number);
                }
                self.give(number, link, now);
            }
        }
    }

    fn dispatch_waiting(&mut self, now: Time) {
        let (mut next, mut passed_over, mut looks) = (0, 0, 0);
        while !self.ready.is_empty()
            && passed_over <= PASSED_OVER_MAX
            && looks < LOOKS_MAX
            && let Some(&number) = self.waiting.range(next..).next()
        {
            next = number + 1;
            looks += 1;
            match self.server_of(number) {
                Choice::Server(link) => {
                    let cost = self.calls.get(&number).map_or(0, |call| call.cost);
                    self.stop_waiting(number, cost);
                    self.give(number, link, now);
                }
                Choice::Asks(_) => {
                    self.start_asking(number, now);
                    passed_over += 1;
                }
                Choice::TooSmall => passed_over += 1,
                // Others may go where it may not.
                Choice::Nobody => {}
            }
        }
    }

    /// The server that a new call of this cost goes to, if there is one; `call` if anything else is to be known of it.
    pub(super) fn server_at_once(&self, cost: u64, call: Option<&Call>) -> Option<LinkId> {
        let nobody_waits =
            self.waiting.is_empty() && self.hedges.is_empty() && self.asked.is_empty();
        let nothing_changes =
            self.regained.is_empty() && self.silent.is_empty() && self.trials.next().is_none();
        if !nobody_waits || !nothing_changes {
            return None;
        }
        // The common case: there is no doubt.
        if self.short.is_empty() && self.routing.is_none() {
            let (.., id) = self.ready.first()?;
            if cost <= self.links.get(id)?.spender.room().bytes {
                return Some(*id);
            }
        }
        match self.server_for(cost, call) {
            Choice::Server(id) => Some(id),
            Choice::Asks(_) | Choice::TooSmall | Choice::Nobody => None,
        }
    }

    /// How many calls this server may be given before another one has more room.
    pub(super) fn lead_of(&self, id: LinkId) -> u64 {
        if self.ready.len() == 1 {
            return u64::MAX;
        }
        let mut places = self.ready.iter();
        match (places.next(), places.next()) {
            (Some((rank, Reverse(most), _, first)), Some((next, Reverse(more), ..)))
                if *first == id =>
            {
                if rank == next {
                    most.saturating_sub(*more).max(1)
                } else {
                    u64::MAX
                }
            }
            _ => 1,
        }
    }

    /// The server that a call goes to now.
    fn server_of(&self, number: CallNumber) -> Choice {
        let call = self.calls.get(&number);
        call.map_or(Choice::Nobody, |call| self.server_for(call.cost, Some(call)))
    }

    /// The server that a call of this cost goes to now, a new one unless it is given: none of a worse level before those of
    /// better ones have said that they have no room.
    fn server_for(&self, cost: u64, call: Option<&Call>) -> Choice {
        let bound = call.and_then(Call::bound);
        let routed = call.and_then(|call| call.routed.as_deref());
        let may_have_it = |id: LinkId| {
            let link = self.links.get(&id)?;
            let its_own = bound.is_none() || bound == link.link.peer().map(|peer| peer.id);
            let goes_on = routed.is_none_or(|routed| routed.may_pass(&link.routes));
            let has_it = call.is_some_and(|call| self.has_it(call, link));
            (its_own && goes_on && !has_it).then_some(link)
        };
        let in_vain = call.is_some_and(|call| call.asking == Asking::InVain);
        let is_to_say = |link: &ReqLink| !link.mute && !link.spender.is_refused();
        // Of those whose room is too small for it, the best that may give more.
        let (mut too_small, mut is_too_small) = (None, false);
        for (rank, .., id) in &self.ready {
            let Some(link) = may_have_it(*id) else {
                continue;
            };
            if link.spender.room().bytes < cost {
                is_too_small = true;
                too_small = too_small.or(is_to_say(link).then_some(*rank));
                continue;
            }
            let is_better = |(level, _): &&(Priority, LinkId)| (false, *level) < *rank;
            let mut better = self.short.iter().take_while(is_better);
            let asks = too_small.is_some_and(|other| other < *rank)
                || better.any(|(_, id)| may_have_it(*id).is_some_and(is_to_say));
            return match asks && !in_vain {
                true => Choice::Asks(*id),
                false => Choice::Server(*id),
            };
        }
        if is_too_small { Choice::TooSmall } else { Choice::Nobody }
    }

    /// Whether the server on a link has a call already, by this link or another.
    fn has_it(&self, call: &Call, link: &ReqLink) -> bool {
        let its_peer = link.link.peer().map(|peer| peer.id);
        let peer = |copy: &Copy| self.links.get(&copy.link)?.link.peer().map(|peer| peer.id);
        call.copies.iter().any(|copy| peer(copy) == its_peer)
    }

    /// A call waits for the word of better servers than one that has room, but not for long.
    fn start_asking(&mut self, number: CallNumber, now: Time) {
        let patience = self.config.ask_patience;
        if let Some(call) = self.calls.get_mut(&number)
            && call.asking == Asking::NotYet
        {
            call.asking = Asking::Waits;
            self.set_timer(number, now + patience, Timer::Ask);
        }
    }

    /// Better servers did not say in time whether they have room.
    pub(super) fn ask_in_vain(&mut self, number: CallNumber) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.asking = Asking::InVain;
        }
        let short = self.short.iter().map(|(_, id)| id);
        for id in short.chain(&self.asked) {
            if let Some(link) = self.links.get_mut(id) {
                link.mute = !link.spender.is_refused();
            }
        }
    }

    pub(super) fn give(&mut self, number: CallNumber, id: LinkId, now: Time) {
        let (Some(call), Some(link)) = (self.calls.get_mut(&number), self.links.get_mut(&id))
        else {
            return;
        };
        link.outbox.push(number);
        let copy = Copy { link: id, delivery: None, given: now };
        call.go_to(copy, link.link.peer().map(|peer| peer.id));
        self.agenda.hasten(number, &mut call.times);
        let cost = call.cost;
        self.hedges.remove(&number);
        self.draw_down(id, Amount::new(1, cost), now);
    }

    /// A server was given calls of this cost.
    pub(super) fn draw_down(&mut self, id: LinkId, cost: Amount, now: Time) {
        self.turn += 1;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.spender.spend(cost);
        link.asked = self.turn;
        let priority = link.priority;
        self.counters.dispatched += cost.messages;
        self.note_level(priority);
        self.recount(id, now);
        if self.wakes.back() != Some(&id) {
            self.wakes.push_back(id);
        }
    }

    fn note_level(&mut self, level: Priority) {
        let before = self.level.replace(level);
        if let Some(before) = before.filter(|before| *before != level) {
            self.events.push(Event::LevelChanged { from: before, to: level });
        }
    }

    /// A call has waited long enough for its answer to be asked of a second server as well.
    pub(super) fn want_hedge(&mut self, number: CallNumber) {
        let call = self.calls.get(&number);
        if call.is_some_and(|call| call.copies.len() == 1 && !call.options.at_most_once) {
            self.hedges.insert(number);
        }
    }

    /// Asks a second server about each call that wants one, as far as there is any with room. Nobody is asked for room for
    /// that.
    fn hedge(&mut self, now: Time) {
        if self.hedges.is_empty() {
            return;
        }
        // Those that no other server may have now keep none from being looked at.
        let (from, behind) = (self.next_hedge, self.hedges.range(self.next_hedge..));
        let wanted = behind.chain(self.hedges.range(..from)).copied().take(HEDGES_AT_A_TIME);
        for number in wanted.collect::<Vec<CallNumber>>() {
            if self.ready.is_empty() {
                return;
            }
            self.next_hedge = number + 1;
            if let Choice::Server(link) | Choice::Asks(link) = self.server_of(number) {
                self.counters.hedged += 1;
                self.give(number, link, now);
            }
        }
    }

    /// Places a link anew among those with room, after anything that changes it.
    pub(super) fn recount(&mut self, id: LinkId, now: Time) {
        if self.bound_to(id).is_some() && self.offers.last() != Some(&id) {
            self.offers.push(id);
        }
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let standing = link.standing(id, now);
        let is_alone = self.ready.len() == 1;
        if let (Standing::Ready(place), Some(before)) = (standing, link.place)
            && (is_alone || place == before)
            && place.0 == before.0
        {
            // There is nothing to put in order: it stands where it stood until another one comes.
            return self.count_room(id, now);
        }
        if let Some(place) = link.place.take() {
            self.ready.remove(&place);
        }
        self.short.remove(&(link.priority, id));
        match standing {
            Standing::Ready(place) => {
                link.place = Some(place);
                if is_alone {
                    self.place_the_only_one(now);
                }
                self.ready.insert(place);
            }
            Standing::Short => {
                self.short.insert((link.priority, id));
            }
            Standing::Out => {}
        }
        self.count_room(id, now);
    }

    /// Another one comes: whoever stood alone says where it stands now.
    fn place_the_only_one(&mut self, now: Time) {
        let Some((.., id)) = self.ready.first().copied() else {
            return;
        };
        if let Some(link) = self.links.get_mut(&id)
            && let Standing::Ready(place) = link.standing(id, now)
        {
            self.ready.clear();
            self.ready.insert(place);
            link.place = Some(place);
        }
    }

    /// What the first of the calls that wait takes, in bytes.
    fn next_cost(&self) -> Option<u64> {
        self.cost_of_first(&self.waiting)
    }

    fn cost_of_first(&self, calls: &BTreeSet<CallNumber>) -> Option<u64> {
        self.calls.get(calls.first()?).map(|call| call.cost)
    }

    /// How many calls wait for room that a link may give, and what the first of them takes in bytes, or the first of those
    /// that only its server may have, if that is more.
    pub(super) fn waiting_for(&self, id: LinkId) -> (u64, Option<u64>) {
        let bound = self.bound_to(id);
        let count = self.waiting.len() + bound.map_or(0, BTreeSet::len);
        let cost = bound.and_then(|calls| self.cost_of_first(calls));
        (count as u64, self.next_cost().max(cost))
    }

    /// Servers that share their room out, or that others of worse levels would stand in for, must hear that calls wait for
    /// it; and all that heard it, that none do any more.
    fn wake_for_demand(&mut self) {
        if !self.bound.is_empty() {
            let contended = self.links.iter().filter(|(_, link)| link.spender.is_contended());
            let ids = contended.map(|(id, _)| *id).filter(|id| self.bound_to(*id).is_some());
            let ids = ids.collect::<Vec<LinkId>>();
            self.wakes.extend(ids);
        }
        let Some(cost) = self.next_cost() else {
            self.wakes.extend(self.asked.iter().copied());
            return;
        };
        let worst = self.ready.last().map(|place| place.0);
        let to_ask = self.links.iter().filter(|(_, link)| {
            let is_short = link.place.is_none() || link.spender.room().bytes < cost;
            let is_better = worst.is_some_and(|worst| (false, link.priority) < worst);
            link.link.is_open() && is_short && (link.spender.is_contended() || is_better)
        });
        self.wakes.extend(to_ask.map(|(id, _)| *id));
    }
}

impl ReqLink {
    /// Whether it is there, and is not left out because it did not answer in time.
    pub(super) fn answers(&self, now: Time) -> bool {
        self.link.is_open() && self.silent_until.is_none_or(|until| until <= now)
    }

    /// Where it stands among all servers.
    fn standing(&self, id: LinkId, now: Time) -> Standing {
        let on_trial = self.trial_until.is_some();
        match self.spender.room().messages {
            _ if !self.answers(now) || self.spender.has_stopped() => Standing::Out,
            0 if on_trial => Standing::Out,
            0 => Standing::Short,
            messages => {
                Standing::Ready(((on_trial, self.priority), Reverse(messages), self.asked, id))
            }
        }
    }
}

/// Whether a server may have calls.
#[derive(Clone, Copy)]
enum Standing {
    /// It has room.
    Ready(Place),
    /// It has given no room.
    Short,
    /// It is not there, is being left, does not answer, or is on trial without room.
    Out,
}

/// Where a call may go.
enum Choice {
    /// To this one.
    Server(LinkId),
    /// To this one, if better ones say that they have no room.
    Asks(LinkId),
    /// Nowhere, for now: those that may have it have too few bytes.
    TooSmall,
    /// Nowhere, for now: none of those with room may have it.
    Nobody,
}
