//! A SUB engine and those who wait for it.

use std::sync::Arc;

use drawdown_protocol::{Now, SubscribeEngine, Time};

use crate::clock::Clock;
use crate::core::{Socket, Wakes};
use crate::socket::receiving::{Receiving, ReceivingState};

use super::acks::Acks;

/// What is under a SUB socket's lock.
pub(crate) struct SubscribeState {
    pub(super) engine: SubscribeEngine,
    pub(super) receiving: ReceivingState,
    /// Who is told that positions have moved; nobody if they are not kept.
    pub(super) keeper: Option<Arc<Acks>>,
    /// Endpoints that are to be sources.
    pub(super) endpoints: usize,
}

impl Socket for SubscribeState {
    type Engine = SubscribeEngine;

    fn engine(&self) -> &SubscribeEngine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut SubscribeEngine {
        &mut self.engine
    }

    fn poll_timeout(&self, _clock: &Clock) -> Option<Time> {
        self.engine.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now.time);
    }

    /// The engine waits a while for all endpoints before it puts up with a gap.
    fn note_endpoints(&mut self, (): (), more: isize) {
        self.endpoints = self.endpoints.saturating_add_signed(more);
        self.engine.set_sources_expected(self.endpoints);
    }

    fn end(&mut self) {
        self.receiving.closed = true;
        if let Some(keeper) = &self.keeper {
            keeper.stop();
        }
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        self.receiving.gather_wakes(self.engine.has_queued(), wakes);
        if let Some(keeper) = &self.keeper
            && let Some(positions) = self.engine.poll_positions()
        {
            keeper.note_positions(positions);
        }
    }
}

impl Receiving for SubscribeState {
    fn receiving(&mut self) -> &mut ReceivingState {
        &mut self.receiving
    }

    fn has_queued(&self) -> bool {
        self.engine.has_queued()
    }

    fn set_waiting(&mut self, calls: u64, clock: &Clock) {
        self.engine.set_waiting(calls, clock.time());
    }
}
