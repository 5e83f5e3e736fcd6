//! A PULL engine and those who wait for it.

use std::sync::PoisonError;

use drawdown_protocol::wire::{Close, Frame};
use drawdown_protocol::{Event, Identity, LinkId, LinkState, Now, PullEngine, Time, Transmit};

use crate::clock::Clock;
use crate::core::{Socket, WaitList, Wakes};

use super::shared::ConfirmedRuns;

/// What is under a PULL socket's lock.
pub(crate) struct PullState {
    pub(super) engine: PullEngine,
    /// Receive calls that wait for a message.
    pub(super) receivers: WaitList,
    /// Drains.
    pub(super) drained: WaitList,
    /// Messages in the hands of the reader: as many receive calls need not wait.
    pub(super) in_reader: u64,
    /// When confirmations go out that wait for others.
    pub(super) flush_at: Option<Time>,
    pub(super) closed: bool,
    pub(super) confirmed: ConfirmedRuns,
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
    fn open_link(&mut self, identity: Identity, now: Time) -> LinkId {
        self.engine.open_link(identity, now)
    }

    fn handle_bytes(&mut self, link: LinkId, now: Time) {
        self.engine.handle_bytes(link, now);
    }

    fn handle_frame(&mut self, link: LinkId, frame: Frame, now: Now) {
        self.engine.handle_frame(link, frame, now);
    }

    fn handle_link_timeout(&mut self, link: LinkId, now: Time) {
        self.engine.handle_link_timeout(link, now);
    }

    fn fail_link(&mut self, link: LinkId, close: Close, now: Time) {
        self.engine.fail_link(link, close, now);
    }

    fn link_lost(&mut self, link: LinkId, reason: &str, now: Time) {
        self.engine.link_lost(link, reason, now);
    }

    fn remove_link(&mut self, link: LinkId) {
        self.engine.remove_link(link);
    }

    fn has_links(&self) -> bool {
        self.engine.has_links()
    }

    fn poll_transmit(&mut self, link: LinkId, now: Now, out: &mut Transmit) {
        self.engine.poll_transmit(link, now, out);
    }

    fn link_state(&self, link: LinkId) -> LinkState {
        self.engine.link_state(link)
    }

    fn poll_link_timeout(&self, link: LinkId) -> Option<Time> {
        self.engine.poll_link_timeout(link)
    }

    fn poll_timeout(&self, _clock: &Clock) -> Option<Time> {
        self.engine.poll_timeout().into_iter().chain(self.flush_at).min()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now.time);
        if self.flush_at.is_some_and(|at| at <= now.time) {
            self.flush();
        }
    }

    fn poll_wake(&mut self) -> Option<LinkId> {
        self.engine.poll_wake()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event()
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        if !self.receivers.is_awake() {
            let ready = self.in_reader + u64::from(self.engine.has_queued());
            match self.closed {
                true => self.receivers.wake_all(wakes),
                false => self.receivers.wake(ready, wakes),
            }
        }
        if !self.drained.is_awake() && self.engine.is_drained() {
            self.drained.wake_all(wakes);
        }
    }
}
