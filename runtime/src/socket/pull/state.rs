//! A PULL engine and those who wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use drawdown_protocol::{Now, PullEngine, Time};

use crate::clock::Clock;
use crate::core::{Socket, WaitList, Wakes};
use crate::socket::drain::Draining;
use crate::socket::receiving::{Receiving, ReceivingState};

use super::shared::ConfirmedRuns;

/// What is under a PULL socket's lock.
pub(crate) struct PullState {
    pub(super) engine: PullEngine,
    pub(super) receiving: ReceivingState,
    /// Drains.
    pub(super) drained: WaitList,
    /// When confirmations go out that wait for others.
    pub(super) flush_at: Option<Time>,
    pub(super) confirmed: ConfirmedRuns,
    /// What the application says of messages reaches nobody any more.
    pub(super) over: Arc<AtomicBool>,
}

impl PullState {
    /// Lets the engine look at what was confirmed.
    pub(super) fn collect(&mut self) {
        let runs =
            std::mem::take(&mut *self.confirmed.lock().unwrap_or_else(PoisonError::into_inner));
        self.engine.handle_confirmed(runs);
    }

    /// The same, and sends it at once.
    pub(super) fn flush(&mut self) {
        self.flush_at = None;
        self.collect();
        self.engine.flush();
    }
}

impl Socket for PullState {
    type Engine = PullEngine;

    fn engine(&self) -> &PullEngine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut PullEngine {
        &mut self.engine
    }

    fn poll_timeout(&self, _clock: &Clock) -> Option<Time> {
        Time::first_of([self.engine.poll_timeout(), self.flush_at])
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now.time);
        if self.flush_at.is_some_and(|at| at <= now.time) {
            self.flush();
        }
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Release);
        self.receiving.closed = true;
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        self.receiving.gather_wakes(self.engine.has_queued(), wakes);
        if !self.drained.is_awake() && self.engine.is_drained() {
            self.drained.wake_all(wakes);
        }
    }
}

impl Receiving for PullState {
    fn receiving(&mut self) -> &mut ReceivingState {
        &mut self.receiving
    }

    fn has_queued(&self) -> bool {
        self.engine.has_queued()
    }

    fn set_waiting(&mut self, calls: u64, _clock: &Clock) {
        self.engine.set_waiting(calls);
    }

    /// What was confirmed need not wait for company.
    fn rest(&mut self) {
        self.flush();
    }
}

impl Draining for PullState {
    fn is_drained(&mut self) -> bool {
        self.flush();
        self.engine.is_drained()
    }

    fn drains(&mut self) -> &mut WaitList {
        &mut self.drained
    }
}
