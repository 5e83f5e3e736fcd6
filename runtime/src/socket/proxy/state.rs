//! A proxy's engine and those who wait for it.

use drawdown_protocol::{Now, ProxyEngine, Side, Time};

use crate::clock::Clock;
use crate::core::{Socket, WaitList, Wakes};
use crate::socket::commit::{Committer, Stored};
use crate::socket::drain::Draining;

/// What is under a proxy's lock.
pub(crate) struct ProxyState {
    pub(super) engine: ProxyEngine,
    drains: WaitList,
    committer: Option<Committer>,
    /// Upstream endpoints.
    upstream: usize,
}

impl ProxyState {
    pub(super) fn new(engine: ProxyEngine) -> Self {
        Self { engine, drains: WaitList::default(), committer: None, upstream: 0 }
    }
}

impl Socket for ProxyState {
    type Engine = ProxyEngine;

    fn engine(&self) -> &ProxyEngine {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut ProxyEngine {
        &mut self.engine
    }

    fn poll_timeout(&self, clock: &Clock) -> Option<Time> {
        self.engine.poll_timeout(clock.now())
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now);
    }

    /// The engine waits a while for all upstream endpoints before it puts up with a gap.
    fn note_endpoints(&mut self, side: Side, more: isize) {
        if side == Side::Upstream {
            self.upstream = self.upstream.saturating_add_signed(more);
            self.engine.set_sources_expected(self.upstream);
        }
    }

    fn end(&mut self) {
        self.committer.iter_mut().for_each(Committer::stop);
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        if !self.drains.is_awake() && self.engine.is_caught_up() {
            self.drains.wake_all(wakes);
        }
        if let Some(committer) = &mut self.committer {
            committer.call_if_wanted(&self.engine, wakes);
        }
    }
}

impl Stored for ProxyState {
    fn committer(&mut self) -> &mut Option<Committer> {
        &mut self.committer
    }
}

impl Draining for ProxyState {
    fn is_drained(&mut self) -> bool {
        self.engine.is_caught_up()
    }

    fn drains(&mut self) -> &mut WaitList {
        &mut self.drains
    }
}
