//! A streamer's engine and those who wait for it.

use drawdown_protocol::{Now, StreamerEngine, Time};

use crate::clock::Clock;
use crate::core::{Socket, WaitList, Wakes};
use crate::socket::drain::Draining;

/// What is under a streamer's lock.
pub(crate) struct StreamerState {
    pub(super) engine: StreamerEngine,
    drains: WaitList,
}

impl StreamerState {
    pub(super) fn new(engine: StreamerEngine) -> Self {
        Self { engine, drains: WaitList::default() }
    }
}

impl Socket for StreamerState {
    type Engine = StreamerEngine;

    fn engine(&self) -> &StreamerEngine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut StreamerEngine {
        &mut self.engine
    }

    fn poll_timeout(&self, clock: &Clock) -> Option<Time> {
        self.engine.poll_timeout(clock.now())
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now);
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        if !self.drains.is_awake() && self.engine.is_drained() {
            self.drains.wake_all(wakes);
        }
    }
}

impl Draining for StreamerState {
    fn is_drained(&mut self) -> bool {
        self.engine.is_drained()
    }

    fn drains(&mut self) -> &mut WaitList {
        &mut self.drains
    }
}
