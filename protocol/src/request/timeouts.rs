//! What time brings to a REQ socket.

use crate::time::Time;

use super::{RequestEngine, State, Timer};

impl RequestEngine {
    /// When [`RequestEngine::handle_timeout`] wants to be called. Links have their own times:
    /// [`RequestEngine::poll_link_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let unpark = self.unpark_at();
        let timers = [self.agenda.next(), self.confirm_at, self.trials.next(), unpark];
        let timer = Time::first_of(timers);
        // A router has to grant the room of who is tried again.
        if self.waiting.is_empty() && self.routing.is_none() {
            return timer;
        }
        let back = self.silent.first().map(|(until, _)| *until);
        Time::first_of([timer, back])
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Time) {
        self.try_silent_ones(now);
        if self.confirm_at.is_some_and(|at| at <= now) {
            self.confirm_all();
        }
        while let Some((number, timer)) = self.pop_due(now) {
            match timer {
                Timer::Deadline => self.give_up(number),
                Timer::Attempt => self.time_out_attempt(number, now),
                Timer::Hedge => self.want_hedge(number),
                Timer::Ask => self.ask_in_vain(number),
                Timer::Retry => {
                    if self.calls.get(&number).is_some_and(|call| call.state == State::BackingOff) {
                        self.wait_for_server(number, now);
                    }
                }
            }
        }
        self.unpark(now);
        self.dispatch(now);
    }

    /// Servers that did not answer are tried again after a while.
    pub(super) fn try_silent_ones(&mut self, now: Time) {
        while let Some(&(until, id)) = self.silent.first()
            && until <= now
        {
            self.silent.pop_first();
            if self.links.get(&id).is_some_and(|link| link.silent_until == Some(until)) {
                self.start_trial(id, now);
            }
            self.recount(id, now);
        }
        self.end_trials(now);
    }
}
