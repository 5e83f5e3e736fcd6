//! What a server does not have any more: it goes elsewhere, or waits.

use std::time::Duration;

use crate::credit::Amount;
use crate::ids::LinkId;
use crate::time::Time;

use super::outbox::Unwritten;
use super::{Call, CallNumber, ReqLink, RequestEngine, State, Timer};

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

impl RequestEngine {
    /// A server has lowered its grant: what lies beyond it and is not written waits again.
    pub(super) fn take_back_surplus(&mut self, id: LinkId, now: Time) {
        while let Some(link) = self.links.get_mut(&id)
            && !link.spender.is_within_limit()
            && let Some(last) = link.outbox.last()
        {
            match last {
                Unwritten::Run(key, _) => self.unfold_unwritten(key),
                Unwritten::Call(number) => {
                    link.outbox.pop_last();
                    let cost = self.calls.get(&number).map_or(0, |call| call.cost);
                    link.spender.refund(Amount::new(1, cost));
                    self.fail_copy(number, id, Failure::GivenBack, now);
                }
            }
        }
    }

    /// A copy is lost: the call goes elsewhere if it may, or waits.
    pub(super) fn fail_copy(&mut self, number: CallNumber, id: LinkId, why: Failure, now: Time) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.leave(id);
        call.was_lost |= why != Failure::GivenBack;
        if !call.copies.is_empty() {
            // The other one may still answer.
            return;
        }
        self.clear_timer(number, Timer::Attempt);
        self.clear_timer(number, Timer::Hedge);
        self.hedges.remove(&number);
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
            None => self.wait_for_server(number, now),
            Some(wait) => {
                if let Some(call) = self.calls.get_mut(&number) {
                    call.state = State::BackingOff;
                }
                self.set_timer(number, now + wait, Timer::Retry);
            }
        }
    }

    pub(super) fn wait_for_server(&mut self, number: CallNumber, now: Time) {
        let Some(call) = self.calls.get_mut(&number) else {
            return;
        };
        call.state = State::Waiting;
        if let Some(peer) = call.bound() {
            self.bind(peer, number);
            let is_it = |link: &ReqLink| link.link.peer().is_some_and(|other| other.id == peer);
            let links = self.links.iter().filter(|(_, link)| is_it(link));
            self.offers.extend(links.map(|(id, _)| *id));
        } else {
            let cost = call.cost;
            self.start_waiting(number, cost);
            self.park(number, now);
        }
    }

    /// How long a call waits before it is tried again: not at all after its first failure.
    fn backoff(&mut self, number: CallNumber, why: Failure) -> Option<Duration> {
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
        Some(half + Duration::from_micros(self.dice % micros.saturating_add(1)))
    }
}
