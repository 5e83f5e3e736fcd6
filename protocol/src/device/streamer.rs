//! The streamer: a PULL and a PUSH back to back, without a queue of its own.
//!
//! It grants upstream what its receivers have granted it and nothing else, so what arrives can go on at once. Messages
//! keep the session and the numbers that their senders gave them, and what becomes of them is passed back: its own receipt
//! confirms nothing. It keeps what it passed on until that is settled, so a receiver that dies costs its sender nothing.

use std::time::Duration;

use crate::credit::Amount;
use crate::event::Event;
use crate::ids::{LinkId, PeerId, Session};
use crate::link::{Identity, LinkConfig, LinkState, Transmit};
use crate::pull::{PullConfig, PullEngine, PullStats};
use crate::push::{PushConfig, PushEngine, PushStats, Upward};
use crate::time::{Now, Time};
use crate::wire::{Close, Control, Frame};

use super::{DOWNSTREAM, Side};

/// The settings of a [`StreamerEngine`].
#[derive(Clone, Debug)]
pub struct StreamerConfig {
    /// What it wants of its links, on both sides.
    pub link: LinkConfig,
    /// Messages that may be passed on and not settled.
    pub pending_messages: u64,
    /// How long a receiver that went away without a word may take to come back for what it holds.
    pub grace: Duration,
    /// How long it waits when it starts for receivers to say what they hold, before it tells upstream. Only of use if it
    /// starts with the peer id that it had before; less than the grace time of those upstream.
    pub rebuild: Duration,
}

impl Default for StreamerConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            pending_messages: 1 << 20,
            grace: Duration::from_secs(1),
            rebuild: Duration::ZERO,
        }
    }
}

/// A streamer in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StreamerStats {
    /// The side that takes messages in; its window is of no meaning.
    pub up: PullStats,
    /// The side that hands them out.
    pub down: PushStats,
}

/// A streamer without its I/O.
#[derive(Debug)]
pub struct StreamerEngine {
    up: PullEngine,
    down: PushEngine,
    /// Nothing more is asked for.
    is_closing: bool,
}

impl StreamerEngine {
    /// A streamer with nothing in it. One that is to be known again after a restart starts with the same `peer_id`; no two
    /// that run at one time may have the same.
    #[must_use]
    pub fn new(config: StreamerConfig, peer_id: PeerId, now: Time) -> Self {
        let up = PullConfig { link: config.link.clone(), ..PullConfig::default() };
        let down = PushConfig {
            link: config.link,
            pending_messages: config.pending_messages,
            grace: config.grace,
            ..PushConfig::default()
        };
        let rebuilt_at = (!config.rebuild.is_zero()).then_some(now + config.rebuild);
        let name = Session::from_uuid(*peer_id.as_uuid());
        let mut down = PushEngine::for_streamer(down, peer_id, name);
        down.number_links_from(DOWNSTREAM);
        let mut up = PullEngine::for_streamer(up, peer_id, rebuilt_at);
        up.set_behind(down.behind());
        Self { up, down, is_closing: false }
    }

    /// A connection was made on one side; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, side: Side, now: Time) -> LinkId {
        match side {
            Side::Upstream => self.up.open_link(identity, now),
            Side::Downstream => self.down.open_link(identity, now),
        }
    }

    /// Bytes came on a link, perhaps not yet a whole frame: its peer is not silent.
    pub fn handle_bytes(&mut self, id: LinkId, now: Time) {
        match Side::of(id) {
            Side::Upstream => self.up.handle_bytes(id, now),
            Side::Downstream => self.down.handle_bytes(id, now),
        }
    }

    /// Takes what a peer said. A peer that breaks the rules loses its link.
    pub fn handle_frame(&mut self, id: LinkId, frame: Frame, now: Now) {
        match Side::of(id) {
            Side::Upstream => self.up.handle_frame(id, frame, now),
            Side::Downstream => {
                if let Frame::Control(Control::Attach(attach)) = &frame {
                    self.down.set_may_adopt(self.up.may_adopt(attach.session));
                }
                self.down.handle_frame(id, frame, now);
            }
        }
        self.flow(now.time);
    }

    /// The connection is gone, without a last word.
    pub fn link_lost(&mut self, id: LinkId, reason: &str, now: Time) {
        match Side::of(id) {
            Side::Upstream => self.up.link_lost(id, reason, now),
            Side::Downstream => self.down.link_lost(id, reason, now),
        }
        self.flow(now);
    }

    /// Ends a link with a last word to the peer, for a reason that the engine does not know of.
    pub fn fail_link(&mut self, id: LinkId, close: Close, now: Time) {
        match Side::of(id) {
            Side::Upstream => self.up.fail_link(id, close, now),
            Side::Downstream => self.down.fail_link(id, close, now),
        }
        self.flow(now);
    }

    /// Hands out nothing more on a link that leads downstream: it is to be ended once [`StreamerEngine::is_settled`].
    pub fn leave_link(&mut self, id: LinkId, now: Time) {
        if Side::of(id) == Side::Downstream {
            self.down.leave_link(id);
            self.flow(now);
        }
    }

    /// Whether nothing that was handed out on a link waits for its receiver.
    #[must_use]
    pub fn is_settled(&self, id: LinkId) -> bool {
        self.down.is_settled(id)
    }

    /// The last word is written and the connection is closed.
    pub fn remove_link(&mut self, id: LinkId) {
        match Side::of(id) {
            Side::Upstream => self.up.remove_link(id),
            Side::Downstream => self.down.remove_link(id),
        }
    }

    /// Whether there is any link, one that is closing included.
    #[must_use]
    pub fn has_links(&self) -> bool {
        self.up.has_links() || self.down.has_links()
    }

    /// Asks for nothing more; what is on its way still passes.
    pub fn close_intake(&mut self) {
        self.is_closing = true;
        self.up.set_paused(true);
        self.down.set_wanted(0, 0);
    }

    /// What receivers have granted, and what waits here for some of it: that and what was granted upstream is no more than
    /// the former.
    #[must_use]
    pub fn granted(&self) -> (Amount, Amount) {
        self.down.granted()
    }

    /// Whether everything that came is settled, and upstream was told as far as there are links.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.down.is_drained() && self.up.is_drained()
    }

    /// Says goodbye on all links.
    pub fn close_links(&mut self, now: Time) {
        self.down.close_links(now);
        self.flow(now);
        self.up.close_links(now);
    }

    /// Writes what a link has to say now.
    pub fn poll_transmit(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        match Side::of(id) {
            Side::Upstream => self.up.poll_transmit(id, now, out),
            Side::Downstream => {
                self.down.poll_transmit(id, now, out);
                self.flow(now.time);
            }
        }
    }

    /// How far a link has come.
    #[must_use]
    pub fn link_state(&self, id: LinkId) -> LinkState {
        match Side::of(id) {
            Side::Upstream => self.up.link_state(id),
            Side::Downstream => self.down.link_state(id),
        }
    }

    /// When [`StreamerEngine::handle_link_timeout`] wants to be called for a link.
    #[must_use]
    pub fn poll_link_timeout(&self, id: LinkId) -> Option<Time> {
        match Side::of(id) {
            Side::Upstream => self.up.poll_link_timeout(id),
            Side::Downstream => self.down.poll_link_timeout(id),
        }
    }

    /// Lets time pass on a link: heartbeats, and the end of a peer that is silent.
    pub fn handle_link_timeout(&mut self, id: LinkId, now: Time) {
        match Side::of(id) {
            Side::Upstream => self.up.handle_link_timeout(id, now),
            Side::Downstream => self.down.handle_link_timeout(id, now),
        }
        self.flow(now);
    }

    /// When [`StreamerEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self, now: Now) -> Option<Time> {
        self.up.rebuilt_at().into_iter().chain(self.down.poll_timeout(now)).min()
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.up.handle_rebuilt(now.time);
        self.down.handle_timeout(now);
        self.flow(now.time);
    }

    /// The next link whose driver should transmit.
    pub fn poll_wake(&mut self) -> Option<LinkId> {
        self.up.poll_wake().or_else(|| self.down.poll_wake())
    }

    /// The next thing that happened, on either side. Numbers are those of the messages' own sessions.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.up.poll_event().or_else(|| self.down.poll_event())
    }

    /// The streamer in numbers.
    #[must_use]
    pub fn stats(&self, now: Time) -> StreamerStats {
        StreamerStats { up: self.up.stats(now), down: self.down.stats(now) }
    }

    /// Passes on what has come, and back what was said of it; asks upstream for what is asked for downstream.
    fn flow(&mut self, now: Time) {
        while let Some((run, reports_taken)) = self.up.take_to_pass() {
            self.down.pass_on(run, reports_taken, now);
        }
        while let Some((key, indices)) = self.up.poll_asked_back() {
            self.down.ask_back_run(key, &indices);
        }
        let mut confirmed = false;
        while let Some(upward) = self.down.poll_upward() {
            match upward {
                Upward::Outcome(key, indices, outcome) => {
                    confirmed = true;
                    self.up.pass_outcome(key, &indices, &outcome);
                }
                Upward::Taken(key, indices) => self.up.pass_taken(key, &indices),
                Upward::Adopted(adopted) => self.up.adopt(adopted),
                Upward::Confirmed(session, seqs) => self.up.adopt_confirmed(session, seqs),
            }
        }
        if confirmed {
            self.up.flush();
        }
        if self.down.have_members_changed() {
            self.up.set_behind(self.down.behind());
        }
        self.down.note_parked(now);
        let (room, waiting) = self.down.granted();
        self.up.forward(room, waiting);
        if !self.is_closing {
            let (demand, fed) = self.up.pool().demanded();
            self.down.set_wanted(demand, fed);
        }
    }
}
