//! A REQ engine, and the requests that wait for it.

use std::collections::BTreeSet;
use std::task::{Poll, Waker};
use std::time::Duration;

use drawdown_protocol::{
    CallNumber, CallOptions, Ends, Message, Now, RequestEngine, Rising, Settled, Time,
};

use crate::clock::Clock;
use crate::core::{Socket, WaitList, Waiting, Wakes};
use crate::socket::drain::Draining;

use super::batches::{BatchKey, Batches};
use super::error::RequestError;

/// What is under a REQ socket's lock.
pub(crate) struct RequestState {
    pub(super) engine: RequestEngine,
    /// Calls whose callers wait for them alone.
    calls: Rising<Standing>,
    pub(super) batches: Batches,
    /// Callers that were woken and have not come back.
    woken: usize,
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

/// When requests that are no calls yet have their turn, and until when they wait for it.
#[derive(Default)]
pub(super) struct Turn {
    deadline: Option<Time>,
    place: Option<Waiting>,
}

/// A request that is no call yet.
pub(super) struct Unmade {
    message: Message<'static>,
    turn: Turn,
}

/// What came of trying to make a call of it.
pub(super) enum Made {
    Call(CallNumber),
    Waits(Unmade),
    Refused(RequestError),
}

impl Unmade {
    pub(super) const fn new(message: Message<'static>) -> Self {
        Self { message, turn: Turn { deadline: None, place: None } }
    }

    pub(super) const fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }
}

impl Turn {
    pub(super) const fn has_place(&self) -> bool {
        self.place.is_some()
    }
}

/// Whether a request may become a call.
pub(super) enum Goes {
    /// It may, and is over at this moment; and so many may of those that have this turn.
    Now { deadline: Time, calls: usize },
    /// Others are before it.
    Later,
    /// Its time is over.
    Never,
}

impl RequestState {
    pub(super) fn new(engine: RequestEngine) -> Self {
        Self {
            engine,
            calls: Rising::new(),
            batches: Batches::default(),
            woken: 0,
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
        options: &CallOptions,
        now: Time,
        waker: &Waker,
    ) -> Made {
        let deadline = match self.goes(&mut unmade.turn, options.timeout, now) {
            Goes::Now { deadline, .. } => deadline,
            Goes::Later => {
                self.wait(&mut unmade.turn, waker);
                return Made::Waits(unmade);
            }
            Goes::Never => {
                self.leave(&mut unmade.turn);
                return Made::Refused(RequestError::no_turn());
            }
        };
        self.leave(&mut unmade.turn);
        match self.engine.call_until(unmade.message, options, deadline, now) {
            Ok(number) => {
                self.calls.insert(number, Standing::UnderWay(waker.clone()));
                Made::Call(number)
            }
            Err(refused) => Made::Refused(RequestError::from_refusal(&refused.why)),
        }
    }

    /// Whether requests in this turn may become calls now. A closed socket refuses them itself.
    pub(super) fn goes(&self, turn: &mut Turn, timeout: Duration, now: Time) -> Goes {
        let deadline = *turn.deadline.get_or_insert(now + timeout);
        if self.closed {
            return Goes::Now { deadline, calls: usize::MAX };
        }
        if deadline <= now {
            return Goes::Never;
        }
        match self.turns.left_of(self.room(), turn.place) {
            0 => Goes::Later,
            calls => Goes::Now { deadline, calls },
        }
    }

    pub(super) fn wait(&mut self, turn: &mut Turn, waker: &Waker) {
        self.turns.wait(&mut turn.place, waker);
        self.deadlines.extend(turn.deadline.zip(turn.place));
    }

    /// Calls that may be made now.
    fn room(&self) -> u64 {
        self.engine.config().pending_calls.saturating_sub(self.engine.pending())
    }

    /// Gives a place among those that wait up.
    pub(super) fn leave(&mut self, turn: &mut Turn) {
        if let (Some(deadline), Some(place)) = (turn.deadline, turn.place) {
            self.deadlines.remove(&(deadline, place));
            self.turns.leave(&mut turn.place);
        }
    }

    /// What has become of a call, once.
    pub(super) fn poll_call(&mut self, number: CallNumber, waker: &Waker) -> Poll<Settled> {
        if let Some(Standing::UnderWay(before)) = self.calls.get_mut(&number) {
            before.clone_from(waker);
            return Poll::Pending;
        }
        match self.take_settled(number) {
            Some(settled) => {
                self.came_back();
                Poll::Ready(settled)
            }
            None => Poll::Pending,
        }
    }

    /// How a call ended, if it has.
    fn take_settled(&mut self, number: CallNumber) -> Option<Settled> {
        match self.calls.remove(&number)? {
            Standing::Settled(settled) => Some(settled),
            under_way => {
                self.calls.insert(number, under_way);
                None
            }
        }
    }

    /// A caller that was woken is here.
    fn came_back(&mut self) {
        self.woken = self.woken.saturating_sub(1);
    }

    /// Its caller does not wait any more.
    pub(super) fn abandon(&mut self, number: CallNumber, now: Time) {
        if let Some(Standing::Settled(_)) = self.calls.get(&number) {
            self.came_back();
        }
        if !matches!(self.calls.remove(&number), Some(Standing::Settled(_)) | None) {
            self.engine.cancel(number, now);
        }
    }

    /// The caller of a batch is here.
    pub(super) fn come_back_to(&mut self, batch: BatchKey) {
        if self.batches.visit(batch) {
            self.came_back();
        }
    }

    /// Takes no more requests; those that wait for their turn are told.
    pub(super) fn stop(&mut self) {
        self.closed = true;
        self.engine.close_intake();
    }
}

/// A call whose caller waits for it alone has ended: who is to be woken.
fn settle(calls: &mut Rising<Standing>, number: CallNumber, settled: Settled) -> Option<Waker> {
    let standing = calls.get_mut(&number)?;
    match std::mem::replace(standing, Standing::Settled(settled)) {
        Standing::UnderWay(waker) => Some(waker),
        Standing::Settled(_) => None,
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
        Time::first_of([self.engine.poll_timeout(), turn])
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now.time);
        let later = self.deadlines.split_off(&(now.time, Waiting::MAX));
        let due = std::mem::replace(&mut self.deadlines, later);
        self.overdue.extend(due.into_iter().map(|(_, place)| place));
    }

    fn crowd(&self) -> usize {
        self.woken
    }

    fn end(&mut self) {
        self.stop();
        self.engine.give_up_all();
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        let Self { engine, calls, batches, woken, .. } = self;
        let mut wake = |waker: Option<Waker>| {
            *woken += usize::from(waker.is_some());
            waker.into_iter().for_each(|waker| wakes.waker(waker));
        };
        while let Some(ends) = engine.poll_ends() {
            match ends {
                Ends::Failed(number, error) => {
                    let failed = batches.fail(number, error);
                    wake(
                        failed
                            .unwrap_or_else(|error| settle(calls, number, Settled::Failed(error))),
                    );
                }
                Ends::Answered(mut answers) => {
                    while !answers.numbers().is_empty() {
                        let number = answers.numbers().start;
                        wake(batches.answer(&mut answers).unwrap_or_else(|| {
                            let payload = answers.next()?;
                            settle(calls, number, Settled::Answered(payload))
                        }));
                    }
                }
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
