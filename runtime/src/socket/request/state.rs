//! A REQ engine, and the requests that wait for it.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Poll, Waker};

use drawdown_protocol::{CallNumber, CallOptions, Message, Now, RequestEngine, Settled, Time};

use crate::clock::Clock;
use crate::core::{Socket, WaitList, Waiting, Wakes};
use crate::socket::drain::Draining;

use super::error::RequestError;

/// What is under a REQ socket's lock.
pub(crate) struct RequestState {
    pub(super) engine: RequestEngine,
    /// Calls under way whose callers are there.
    calls: BTreeMap<CallNumber, Standing>,
    /// Requests that wait for their turn to become calls.
    turns: WaitList,
    /// When they have waited long enough.
    deadlines: BTreeSet<(Time, Waiting)>,
    overdue: Vec<Waiting>,
    drains: WaitList,
    closed: bool,
}

/// How far a call has come.
enum Standing {
    UnderWay(Waker),
    Settled(Settled),
}

/// A request that is no call yet.
pub(super) struct Unmade {
    message: Message<'static>,
    deadline: Option<Time>,
    place: Option<Waiting>,
}

/// What came of trying to make a call of it.
pub(super) enum Made {
    Call(CallNumber),
    Waits(Unmade),
    Refused(RequestError),
}

impl Unmade {
    pub(super) const fn new(message: Message<'static>) -> Self {
        Self { message, deadline: None, place: None }
    }

    pub(super) const fn has_place(&self) -> bool {
        self.place.is_some()
    }
}

impl RequestState {
    pub(super) fn new(engine: RequestEngine) -> Self {
        Self {
            engine,
            calls: BTreeMap::new(),
            turns: WaitList::default(),
            deadlines: BTreeSet::new(),
            overdue: Vec::new(),
            drains: WaitList::default(),
            closed: false,
        }
    }

    /// Makes a call of a request, if its turn has come.
    pub(super) fn make(
        &mut self,
        mut unmade: Unmade,
        options: CallOptions,
        now: Time,
        waker: &Waker,
    ) -> Made {
        let deadline = *unmade.deadline.get_or_insert(now + options.timeout);
        if !self.closed {
            if deadline <= now {
                self.leave(&mut unmade);
                return Made::Refused(RequestError::no_turn());
            }
            if !self.turns.comes_within(unmade.place, self.room()) {
                return self.wait(unmade, deadline, waker);
            }
        }
        self.leave(&mut unmade);
        let options = CallOptions { timeout: deadline.since(now), ..options };
        match self.engine.call(unmade.message, options, now) {
            Ok(number) => {
                self.calls.insert(number, Standing::UnderWay(waker.clone()));
                Made::Call(number)
            }
            Err(refused) => Made::Refused(RequestError::from_refusal(&refused.why)),
        }
    }

    fn wait(&mut self, mut unmade: Unmade, deadline: Time, waker: &Waker) -> Made {
        self.turns.wait(&mut unmade.place, waker);
        self.deadlines.extend(unmade.place.map(|place| (deadline, place)));
        Made::Waits(unmade)
    }

    /// Calls that may be made now.
    fn room(&self) -> u64 {
        self.engine.config().pending_calls.saturating_sub(self.engine.pending())
    }

    /// Gives a place among those that wait up.
    pub(super) fn leave(&mut self, unmade: &mut Unmade) {
        if let (Some(deadline), Some(place)) = (unmade.deadline, unmade.place) {
            self.deadlines.remove(&(deadline, place));
            self.turns.leave(&mut unmade.place);
        }
    }

    /// What has become of a call, once.
    pub(super) fn poll_call(&mut self, number: CallNumber, waker: &Waker) -> Poll<Settled> {
        match self.calls.remove(&number) {
            Some(Standing::Settled(settled)) => Poll::Ready(settled),
            _ => {
                self.calls.insert(number, Standing::UnderWay(waker.clone()));
                Poll::Pending
            }
        }
    }

    /// Its caller does not wait any more.
    pub(super) fn abandon(&mut self, number: CallNumber, now: Time) {
        if let Some(Standing::UnderWay(_)) = self.calls.remove(&number) {
            self.engine.cancel(number, now);
        }
    }

    /// Takes no more requests; those that wait for their turn are told.
    pub(super) fn stop(&mut self) {
        self.closed = true;
        self.engine.close_intake();
    }
}

impl Socket for RequestState {
    type Engine = RequestEngine;

    fn engine(&self) -> &RequestEngine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut RequestEngine {
        &mut self.engine
    }

    fn poll_timeout(&self, _clock: &Clock) -> Option<Time> {
        let turn = self.deadlines.first().map(|(at, _)| *at);
        self.engine.poll_timeout().into_iter().chain(turn).min()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now.time);
        let later = self.deadlines.split_off(&(now.time, Waiting::MAX));
        let due = std::mem::replace(&mut self.deadlines, later);
        self.overdue.extend(due.into_iter().map(|(_, place)| place));
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        while let Some((number, settled)) = self.engine.poll_settled() {
            if let Some(standing) = self.calls.get_mut(&number)
                && let Standing::UnderWay(waker) =
                    std::mem::replace(standing, Standing::Settled(settled))
            {
                wakes.waker(waker);
            }
        }
        if !self.turns.is_awake() {
            match self.closed {
                true => self.turns.wake_all(wakes),
                false => self.turns.wake(self.room(), wakes),
            }
        }
        self.overdue.drain(..).for_each(|place| self.turns.wake_at(place, wakes));
        if !self.drains.is_awake() && self.is_drained() {
            self.drains.wake_all(wakes);
        }
    }
}

impl Draining for RequestState {
    fn is_drained(&mut self) -> bool {
        self.engine.pending() == 0 && self.turns.len() == 0
    }

    fn drains(&mut self) -> &mut WaitList {
        &mut self.drains
    }
}
