//! A PUSH engine and those who wait for it.

use drawdown_protocol::wire::{Close, Frame};
use drawdown_protocol::{Event, Identity, LinkId, LinkState, Now, PushEngine, Time, Transmit};

use crate::clock::Clock;
use crate::core::{Keyed, Socket, WaitList, Wakes};

use super::commit::Committer;

/// What is under a PUSH socket's lock.
pub(crate) struct PushState {
    pub(super) engine: PushEngine,
    /// Sends that wait for room.
    pub(super) room: WaitList,
    /// Sends and receipts that wait for a message's acceptance or end.
    pub(super) progress: Keyed,
    /// Drains.
    pub(super) drained: WaitList,
    pub(super) committer: Option<Committer>,
}

impl Socket for PushState {
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

    fn poll_timeout(&self, clock: &Clock) -> Option<Time> {
        self.engine.has_timeouts().then(|| self.engine.poll_timeout(clock.now())).flatten()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now);
    }

    fn poll_wake(&mut self) -> Option<LinkId> {
        self.engine.poll_wake()
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.engine.poll_event()
    }

    #[inline]
    fn is_quiet(&self) -> bool {
        self.engine.is_quiet()
            && self.room.is_awake()
            && self.drained.is_awake()
            && self.committer.is_none()
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        while let Some(seqs) = self.engine.poll_progress() {
            self.progress.wake(seqs, wakes);
        }
        if !self.room.is_awake() {
            match self.engine.refuses() {
                true => self.room.wake_all(wakes),
                false => self.room.wake(self.engine.room(), wakes),
            }
        }
        if !self.drained.is_awake() && self.engine.is_drained() {
            self.drained.wake_all(wakes);
        }
        if let Some(committer) = &mut self.committer {
            committer.call_if_wanted(&self.engine);
        }
    }
}
