//! A PUSH engine and those who wait for it.

use std::future::poll_fn;
use std::task::Poll;

use drawdown_protocol::{Now, PushEngine, Time};

use crate::clock::Clock;
use crate::core::{Core, Socket, WaitList, Waiting, Wakes};
use crate::socket::commit::{Committer, Stored};
use crate::socket::sending::{Sending, SendingState};

/// What is under a PUSH socket's lock.
pub(crate) struct PushState {
    pub(super) engine: PushEngine,
    /// Sends that wait for room.
    room: WaitList,
    sending: SendingState,
}

impl PushState {
    pub(super) fn new(engine: PushEngine) -> Self {
        Self { engine, room: WaitList::default(), sending: SendingState::default() }
    }
}

impl Socket for PushState {
    type Engine = PushEngine;

    #[inline]
    fn engine(&self) -> &PushEngine {
        &self.engine
    }

    #[inline]
    fn engine_mut(&mut self) -> &mut PushEngine {
        &mut self.engine
    }

    fn poll_timeout(&self, clock: &Clock) -> Option<Time> {
        self.engine.has_timeouts().then(|| self.engine.poll_timeout(clock.now())).flatten()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now);
    }

    #[inline]
    fn is_quiet(&self) -> bool {
        self.engine.is_quiet() && self.room.is_awake() && self.sending.is_quiet()
    }

    fn end(&mut self) {
        self.sending.end(&mut self.engine);
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        if !self.room.is_awake() {
            match self.engine.refuses() {
                true => self.room.wake_all(wakes),
                false => self.room.wake(self.engine.room(), wakes),
            }
        }
        self.sending.gather_wakes(&mut self.engine, wakes);
    }
}

impl Stored for PushState {
    #[inline]
    fn committer(&mut self) -> &mut Option<Committer> {
        &mut self.sending.committer
    }
}

impl Sending for PushState {
    fn parts(&mut self) -> (&mut PushEngine, &mut SendingState) {
        (&mut self.engine, &mut self.sending)
    }
}

/// A send's place among those that wait for room; given up when the send ends, however it ends.
pub(super) struct RoomPlace<'a> {
    core: &'a Core<PushState>,
    place: Option<Waiting>,
}

impl<'a> RoomPlace<'a> {
    pub(super) const fn new(core: &'a Core<PushState>) -> Self {
        Self { core, place: None }
    }

    /// Waits until there is room, or never will be.
    pub(super) async fn wait(&mut self) {
        poll_fn(|cx| {
            let mut state = self.core.lock();
            let socket = &mut state.socket;
            if socket.engine.room() > 0 || socket.engine.refuses() {
                return Poll::Ready(());
            }
            socket.room.wait(&mut self.place, cx.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for RoomPlace<'_> {
    fn drop(&mut self) {
        if self.place.is_some() {
            // The room that this one was woken for may be somebody else's now.
            self.core.with(|socket| socket.room.leave(&mut self.place));
        }
    }
}
