//! Which server gets a call: of the best level that has any with room, the one with most; ties in turn.

use std::cmp::Reverse;

use crate::event::Event;
use crate::ids::LinkId;
use crate::time::Time;

use super::{Call, CallNumber, Copy, RequestEngine, State, Timer};

impl RequestEngine {
    /// Gives calls that wait to servers with room, the oldest call first.
    pub(super) fn dispatch(&mut self, now: Time) {
        self.try_silent_ones(now);
        for id in std::mem::take(&mut self.regained) {
            self.recount(id, now);
        }
        let mut passed_over = Vec::new();
        while let Some(&number) = self.waiting.first() {
            if self.ready.is_empty() {
                break;
            }
            self.waiting.remove(&number);
            match self.server_for(number) {
                Some(link) => self.give(number, link, now),
                // It has to wait for a server of its own, or for bytes; others need not wait for it.
                None => passed_over.push(number),
            }
            if passed_over.len() > 64 {
                break;
            }
        }
        self.waiting.extend(passed_over);
        self.wake_for_demand();
    }

    /// The server that a call goes to now.
    fn server_for(&self, number: CallNumber) -> Option<LinkId> {
        let call = self.calls.get(&number)?;
        let usable = |id: LinkId| {
            let link = self.links.get(&id)?;
            let bound = call.bound_to.filter(|_| call.options.at_most_once && call.may_have_run);
            let peer = link.link.peer().map(|peer| peer.id);
            let fits = link.spender.room().bytes >= call.cost();
            let its_own = bound.is_none() || bound == peer;
            (fits && its_own && !call.is_at(id)).then_some(id)
        };
        self.ready.iter().find_map(|place| usable(place.3))
    }

    fn give(&mut self, number: CallNumber, id: LinkId, now: Time) {
        self.turn += 1;
        let turn = self.turn;
        let (Some(call), Some(link)) = (self.calls.get_mut(&number), self.links.get_mut(&id))
        else {
            return;
        };
        let cost = crate::credit::Amount::new(1, call.cost());
        link.spender.spend(cost);
        link.outbox.push_back(number);
        link.asked = turn;
        call.copies.push(Copy { link: id, delivery: None });
        call.state = State::Dispatched;
        call.may_have_run = true;
        call.bound_to = link.link.peer().map(|peer| peer.id);
        let (priority, options) = (link.priority, call.options);
        let is_first = call.copies.len() == 1;
        self.counters.dispatched += 1;
        self.note_level(priority);
        self.recount(id, now);
        self.wakes.push_back(id);
        if is_first {
            self.set_timer(number, now + options.attempt_timeout, Timer::Attempt);
            if let Some(after) = options.hedge_after {
                self.set_timer(number, now + after, Timer::Hedge);
            }
        }
    }

    /// A server has lowered its grant: what lies beyond it and is not written waits again.
    pub(super) fn take_back_surplus(&mut self, id: LinkId, now: Time) {
        while let Some(link) = self.links.get_mut(&id)
            && !link.spender.is_within_limit()
            && let Some(number) = link.outbox.pop_back()
        {
            let cost = self.calls.get(&number).map_or(0, Call::cost);
            link.spender.refund(crate::credit::Amount::new(1, cost));
            self.fail_copy(number, id, Failure::GivenBack, now);
        }
    }

    fn note_level(&mut self, level: crate::ids::Priority) {
        let before = self.level.replace(level);
        if let Some(before) = before.filter(|before| *before != level) {
            self.events.push(Event::LevelChanged { from: before, to: level });
        }
    }

    /// Asks a second server, if there is one with room.
    pub(super) fn hedge(&mut self, number: CallNumber, now: Time) {
        let alone = self.calls.get(&number).is_some_and(|call| call.copies.len() == 1);
        if let Some(link) = alone.then(|| self.server_for(number)).flatten() {
            self.counters.hedged += 1;
            self.give(number, link, now);
        }
    }

    /// Places a link anew among those with room, after anything that changes it.
    pub(super) fn recount(&mut self, id: LinkId, now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if let Some(place) = link.place.take() {
            self.ready.remove(&place);
        }
        let room = link.spender.room();
        let answers = link.silent_until.is_none_or(|until| until <= now);
        if link.link.is_open() && room.messages > 0 && answers {
            let place = (link.priority, Reverse(room.messages), link.asked, id);
            link.place = Some(place);
            self.ready.insert(place);
        }
    }

    /// A copy is lost: the call goes elsewhere if it may, or waits.
    pub(super) fn fail_copy(&mut self, number: CallNumber, id: LinkId, why: Failure, now: Time) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.copies.retain(|copy| copy.link != id);
        call.was_lost |= why != Failure::GivenBack;
        if !call.copies.is_empty() {
            // The other one may still answer.
            return;
        }
        self.clear_timer(number, Timer::Attempt);
        self.clear_timer(number, Timer::Hedge);
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        match why {
            Failure::GivenBack => call.may_have_run = call.was_lost,
            Failure::Lost | Failure::TimedOut => call.failed += 1,
        }
        if call.failed > call.options.retries && !call.options.at_most_once {
            return self.give_up(number);
        }
        self.counters.retried += 1;
        let wait = self.backoff(number, why);
        match wait {
            None => self.wait_for_server(number),
            Some(wait) => {
                if let Some(call) = self.calls.get_mut(&number) {
                    call.state = State::BackingOff;
                }
                self.set_timer(number, now + wait, Timer::Retry);
            }
        }
    }

    pub(super) fn wait_for_server(&mut self, number: CallNumber) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.state = State::Waiting;
            self.waiting.insert(number);
        }
    }

    /// How long a call waits before it is tried again: not at all after its first failure.
    fn backoff(&mut self, number: CallNumber, why: Failure) -> Option<std::time::Duration> {
        let Call { failed, options, .. } = self.calls.get(&number)?;
        if why == Failure::GivenBack || *failed < 2 {
            return None;
        }
        let doublings = (*failed - 2).min(20);
        let full = options.backoff_min.saturating_mul(1 << doublings).min(options.backoff_max);
        // xorshift: waits need to differ, not to be secret.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let half = full / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        Some(half + std::time::Duration::from_micros(self.dice % micros.saturating_add(1)))
    }

    /// What the first of the calls that wait takes, in bytes.
    pub(super) fn next_cost(&self) -> Option<u64> {
        let first = self.waiting.first()?;
        self.calls.get(first).map(Call::cost)
    }

    /// Servers that share their room out must hear that calls wait for it.
    fn wake_for_demand(&mut self) {
        let Some(cost) = self.next_cost() else {
            return;
        };
        let contended = self.links.iter().filter(|(_, link)| {
            let is_short = link.place.is_none() || link.spender.room().bytes < cost;
            link.link.is_open() && link.spender.is_contended() && is_short
        });
        self.wakes.extend(contended.map(|(id, _)| *id));
    }
}

/// Why a copy of a call is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The server gave it back without having begun.
    GivenBack,
    /// The server, or the link to it, is gone.
    Lost,
    /// The server took too long.
    TimedOut,
}
