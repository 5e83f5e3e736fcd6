//! A REP engine, and those who wait for it.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};

use drawdown_protocol::{
    AnswerError, BegunCall, CallKey, Message, Now, ReplyEngine, TakenCall, Time,
};

use crate::clock::Clock;
use crate::core::{Socket, WaitList, Waiting, Wakes};
use crate::socket::commit::{Committer, Stored};
use crate::socket::drain::Draining;

use super::error::ReplyErrorKind;
use super::turn::Turn;

/// What is under a REP socket's lock.
pub(crate) struct ReplyState {
    pub(super) engine: ReplyEngine,
    receivers: WaitList,
    turn: Turn,
    watchers: Watchers,
    drains: WaitList,
    committer: Option<Committer>,
    /// No more calls are handed out.
    stopped: bool,
    /// No more answers are taken.
    pub(super) closed: bool,
}

/// Those who wait for callers to give up.
#[derive(Default)]
struct Watchers {
    next: u64,
    waiting: BTreeMap<u64, (CallKey, Waker)>,
    /// Cancellations that they were told of.
    seen: u64,
}

impl ReplyState {
    pub(super) fn new(engine: ReplyEngine) -> Self {
        Self {
            engine,
            receivers: WaitList::default(),
            turn: Turn::default(),
            watchers: Watchers::default(),
            drains: WaitList::default(),
            committer: None,
            stopped: false,
            closed: false,
        }
    }

    /// The next call; none once no more are handed out.
    pub(super) fn poll_take(
        &mut self,
        place: &mut Option<Waiting>,
        now: Time,
        waker: &Waker,
    ) -> Poll<Option<TakenCall>> {
        // First: with a window of 0 a place that stayed would earn another call.
        self.leave(place);
        if self.is_stopped() {
            return Poll::Ready(None);
        }
        self.turn.begin_if_over(self.engine.queued(), now);
        if let Some(call) = self.engine.take(now) {
            self.turn.count(1, now);
            return Poll::Ready(Some(call));
        }
        self.turn.end();
        self.receivers.wait(place, waker);
        self.engine.set_waiting(self.receivers.len() as u64);
        Poll::Pending
    }

    /// The calls behind it, as many as are at hand and as are left of the turn.
    pub(super) fn take_more(&mut self, count: usize, now: Time, each: impl FnMut(BegunCall<'_>)) {
        let queued = self.engine.queued();
        self.engine.take_many(count.min(self.turn.left()), now, each);
        self.turn.count(queued.saturating_sub(self.engine.queued()), now);
    }

    /// Whether the links are to have their turn before more is handed out.
    pub(super) fn gives_way(&self) -> bool {
        self.turn.is_over() && self.engine.has_queued()
    }

    /// Gives a place among those that wait for calls up.
    pub(super) fn leave(&mut self, place: &mut Option<Waiting>) {
        if place.is_some() {
            self.receivers.leave(place);
            self.engine.set_waiting(self.receivers.len() as u64);
        }
    }

    /// Answers that cannot be kept cannot be given, so a store that fails stops the socket.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped || self.engine.store_failure().is_some()
    }

    pub(super) fn stop(&mut self, now: Time) {
        self.stopped = true;
        self.engine.stop(now);
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        if !self.is_stopped() {
            self.engine.set_paused(paused);
        }
    }

    /// Settles a call, if answers are still taken.
    pub(super) fn settle(
        &mut self,
        settle: impl FnOnce(&mut ReplyEngine) -> Result<(), AnswerError>,
    ) -> Result<(), ReplyErrorKind> {
        self.check_open()?;
        Ok(settle(&mut self.engine)?)
    }

    /// Answers calls, and says why nobody gets an answer to one.
    pub(super) fn settle_many(
        &mut self,
        answers: &[(CallKey, Message<'_>)],
        now: Time,
        mut failed: impl FnMut(ReplyErrorKind),
    ) {
        if let Err(kind) = self.check_open() {
            return answers.iter().for_each(|_| failed(kind.clone()));
        }
        self.engine.answer_many(answers, now, |answered| {
            if let Err(error) = answered {
                failed(error.into());
            }
        });
    }

    /// Whether answers are still taken.
    fn check_open(&self) -> Result<(), ReplyErrorKind> {
        if self.closed {
            return Err(ReplyErrorKind::Closed);
        }
        match self.engine.store_failure() {
            Some(reason) => Err(ReplyErrorKind::StoreFailed { reason: reason.to_owned() }),
            None => Ok(()),
        }
    }

    /// Waits until the caller of a call gives up, or the socket is closed.
    pub(super) fn poll_cancelled(
        &mut self,
        call: CallKey,
        place: &mut Option<u64>,
        waker: &Waker,
    ) -> Poll<()> {
        if self.closed || self.engine.is_cancelled(call) {
            return Poll::Ready(());
        }
        let watchers = &mut self.watchers;
        let place = *place.get_or_insert_with(|| {
            watchers.next += 1;
            watchers.next
        });
        watchers.waiting.insert(place, (call, waker.clone()));
        Poll::Pending
    }

    pub(super) fn stop_watching(&mut self, place: u64) {
        self.watchers.waiting.remove(&place);
    }
}

impl Watchers {
    fn gather_wakes(&mut self, engine: &ReplyEngine, closed: bool, wakes: &mut Wakes) {
        let cancellations = engine.cancellations();
        if closed || cancellations > self.seen {
            self.seen = cancellations;
            let told = |call: CallKey| closed || engine.is_cancelled(call);
            for (_, (_, waker)) in self.waiting.extract_if(.., |_, (call, _)| told(*call)) {
                wakes.waker(waker);
            }
        }
    }
}

impl Socket for ReplyState {
    type Engine = ReplyEngine;

    fn engine(&self) -> &ReplyEngine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut ReplyEngine {
        &mut self.engine
    }

    fn poll_timeout(&self, _clock: &Clock) -> Option<Time> {
        self.engine.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now.time);
    }

    fn end(&mut self) {
        self.stopped = true;
        self.closed = true;
        self.committer.iter_mut().for_each(Committer::stop);
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        if !self.receivers.is_awake() {
            match self.is_stopped() {
                true => self.receivers.wake_all(wakes),
                false => self.receivers.wake(u64::from(self.engine.has_queued()), wakes),
            }
        }
        self.watchers.gather_wakes(&self.engine, self.closed, wakes);
        if !self.drains.is_awake() && self.engine.is_drained() {
            self.drains.wake_all(wakes);
        }
        if let Some(committer) = &mut self.committer {
            committer.call_if_wanted(&self.engine, wakes);
        }
    }
}

impl Stored for ReplyState {
    fn committer(&mut self) -> &mut Option<Committer> {
        &mut self.committer
    }
}

impl Draining for ReplyState {
    fn is_drained(&mut self) -> bool {
        self.engine.is_drained()
    }

    fn drains(&mut self) -> &mut WaitList {
        &mut self.drains
    }
}
