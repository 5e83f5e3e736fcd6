//! A PUB engine and those who wait for it.

use drawdown_protocol::{Now, PublishEngine, Time};

use crate::clock::Clock;
use crate::core::{Socket, Wakes};
use crate::socket::commit::{Committer, Stored};
use crate::socket::sending::{Sending, SendingState};

/// What is under a PUB socket's lock.
pub(crate) struct PublishState {
    pub(super) engine: PublishEngine,
    sending: SendingState,
}

impl PublishState {
    pub(super) fn new(engine: PublishEngine) -> Self {
        Self { engine, sending: SendingState::default() }
    }
}

impl Socket for PublishState {
    type Engine = PublishEngine;

    #[inline]
    fn engine(&self) -> &PublishEngine {
        &self.engine
    }

    #[inline]
    fn engine_mut(&mut self) -> &mut PublishEngine {
        &mut self.engine
    }

    fn poll_timeout(&self, clock: &Clock) -> Option<Time> {
        self.engine.poll_timeout(clock.now())
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now);
    }

    #[inline]
    fn is_quiet(&self) -> bool {
        self.engine.is_quiet() && self.sending.is_quiet()
    }

    fn end(&mut self) {
        self.sending.end(&mut self.engine);
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        self.sending.gather_wakes(&mut self.engine, wakes);
    }
}

impl Stored for PublishState {
    #[inline]
    fn committer(&mut self) -> &mut Option<Committer> {
        &mut self.sending.committer
    }
}

impl Sending for PublishState {
    fn parts(&mut self) -> (&mut PublishEngine, &mut SendingState) {
        (&mut self.engine, &mut self.sending)
    }
}
