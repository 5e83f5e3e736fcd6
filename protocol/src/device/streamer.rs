//! The streamer: a PULL and a PUSH back to back, without a queue of its own.
//!
//! It grants upstream what its receivers have granted it and nothing else, so what arrives can go on at once. Messages
//! keep the session and the numbers that their senders gave them, and what becomes of them is passed back: its own receipt
//! confirms nothing. It keeps what it passed on until that is settled, so a receiver that dies costs its sender nothing.

use std::time::Duration;

use crate::credit::{Amount, Want};
use crate::ids::{LinkId, PeerId, Session};
use crate::link::{Identity, LinkConfig};
use crate::pull::{PullConfig, PullEngine, PullStats};
use crate::push::{PushConfig, PushEngine, PushStats, Upward};
use crate::time::{Now, Time};
use crate::wire::{Control, Frame};

use super::{DOWNSTREAM, Side, TwoSided, device_vocabulary};

/// The settings of a [`StreamerEngine`].
#[derive(Clone, Debug)]
pub struct StreamerConfig {
    /// What it wants of its links, on both sides.
    pub link: LinkConfig,
    /// Messages that may be passed on and not settled.
    pub pending_messages: u64,
    /// How long a receiver that went away without a word may take to come back for what it holds.
    pub grace: Duration,
    /// After how long a message that its receiver's application has not taken is asked back, if another receiver here waits;
    /// none: never. Senders cannot know of that: to them all receivers here are one.
    pub reassign_after: Option<Duration>,
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
            reassign_after: None,
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

device_vocabulary!(StreamerEngine);

impl TwoSided for StreamerEngine {
    fn before_downstream(&mut self, _id: LinkId, frame: &Frame) {
        if let Frame::Control(Control::Attach(attach)) = frame {
            self.down.set_may_adopt(self.up.may_adopt(attach.session));
        }
    }

    fn pass(&mut self, now: Now) {
        self.flow(now.time);
    }

    fn note_links(&mut self, now: Time) {
        self.flow(now);
    }
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
            reassign_after: config.reassign_after,
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

    /// Hands out nothing more on a link that leads downstream: it is to be ended once [`StreamerEngine::is_settled`].
    pub fn leave_link(&mut self, id: LinkId, now: Time) {
        if Side::of(id) == Side::Downstream {
            self.down.leave_link(id);
            self.flow(now);
        }
    }

    /// What was written for a link is still in its way, so that it can take no more: others downstream are woken in its place.
    pub fn handle_blocked(&mut self, id: LinkId, now: Time) {
        self.down.handle_blocked(id, now);
    }

    /// Whether something waits here that a receiver with credit would take, and nobody was woken for it: never.
    #[must_use]
    pub fn forgets_work(&self) -> bool {
        self.down.forgets_work()
    }

    /// Whether nothing that was handed out on a link waits for its receiver.
    #[must_use]
    pub fn is_settled(&self, id: LinkId) -> bool {
        self.down.is_settled(id)
    }

    /// Asks for nothing more; what is on its way still passes.
    pub fn close_intake(&mut self) {
        self.is_closing = true;
        self.up.set_paused(true);
        self.down.set_upstream_want(Want::NOTHING);
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

    /// When [`StreamerEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self, now: Now) -> Option<Time> {
        let (up, down) = (self.up.poll_timeout(), self.down.poll_timeout(now));
        Time::first_of([up, self.up.rebuilt_at(), down])
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.up.handle_timeout(now.time);
        self.up.handle_rebuilt(now.time);
        self.down.handle_timeout(now);
        self.flow(now.time);
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
        let asked_back = self.up.take_asked_back();
        if !asked_back.is_empty() {
            self.down.ask_back_runs(&asked_back);
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
            self.down.set_upstream_want(self.up.pool().want());
        }
    }
}
