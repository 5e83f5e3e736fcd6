//! The REP engine: takes calls in, hands them out, and remembers its answers.
//!
//! A call waits, is then worked on, and is answered once. The answer goes to wherever its caller is by then, and is
//! remembered: the same call that comes again, from the same client, over whatever link, joins the one that is being worked
//! on, or gets the first answer. The parts, a file each: calls that come in (`intake`, `calls`), answers (`answers`), links
//! (`attach`, `transmit`, `outbox`), what is known by name (`names`), which answers are remembered (`memory`, `block`,
//! `standing`, `sending`, `surplus`), what is on disk (`journal`), and what a router does otherwise (`routing`).

mod answers;
mod attach;
mod block;
mod calls;
mod config;
mod filling;
mod intake;
mod journal;
mod memory;
mod names;
mod outbox;
mod routing;
mod sending;
mod standing;
mod stats;
mod surplus;
mod together;
mod transmit;

use std::collections::{BTreeMap, VecDeque};

use bytes::BytesMut;

pub use answers::AnswerError;
pub use calls::{BegunCall, CallRun, TakenCall};
pub use config::{AnswerMemory, ReplyConfig};
pub use stats::{ReplyLinkStats, ReplyStats};

use crate::collections::{Abreast, Levelled};
use crate::credit::{Amount, Pool};
use crate::event::Events;
use crate::ids::{Delivery, LinkId, PeerId, Priority, Session};
use crate::link::Link;
use crate::message::{Naming, cost_bytes_max};
use crate::store::Recovered;
use crate::time::{Now, Time};
use crate::wire::{Hops, Settlement};

use calls::Calls;
use journal::Journal;
use memory::{Answer, AnswerKey, Memory};
use names::{ClientKey, Known, Names};
use outbox::Outbox;
pub(crate) use routing::Routable;
use routing::Routing;
use stats::Counters;

/// A REP socket without its I/O.
#[derive(Debug)]
pub struct ReplyEngine {
    config: ReplyConfig,
    peer_id: PeerId,
    pool: Pool,
    stopped: bool,
    /// Until when a socket that closes waits for the credit that its clients have not given back.
    goodbye_at: Option<Time>,
    links: BTreeMap<LinkId, RepLink>,
    next_link: u64,
    calls: Calls,
    /// Calls that nobody works on yet, and some that are over.
    queue: Levelled,
    over_in_queue: u64,
    names: Names,
    memory: Memory,
    journal: Option<Journal>,
    /// Of a router.
    routing: Option<Routing>,
    wakes: VecDeque<LinkId>,
    events: Events,
    counters: Counters,
}

/// Names a call inside one engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CallKey(u64);

impl CallKey {
    /// Its place among all of its engine.
    pub(crate) const fn number(self) -> u64 {
        self.0
    }
}

/// A link, and a call's place on it.
type Place = (LinkId, Delivery);

#[derive(Debug)]
struct RepLink {
    link: Link,
    /// Its endpoint's.
    priority: Priority,
    next_delivery: Delivery,
    /// The client whose call came last.
    client: Option<ClientKey>,
    naming: Naming,
    /// Calls of this link by their places on it: those that are not answered, and others of their runs.
    calls: Abreast,
    settlements: VecDeque<Settlement>,
    /// Answers that wait to be sent.
    outbox: Outbox,
    /// There are too many for it to be given credit.
    is_held: bool,
    /// What the next frame is put together in.
    body: BytesMut,
    next_answer: Delivery,
    /// Answers that were sent and that the client has not confirmed.
    unconfirmed: Abreast,
    received: u64,
    opened: Time,
    /// What a router at the other end is to be told of the routers behind this one.
    hops: Hops,
    hops_due: bool,
}

impl ReplyEngine {
    /// A socket that remembers its answers in memory.
    #[must_use]
    pub fn new(config: ReplyConfig, peer_id: PeerId) -> Self {
        let window = Amount::new(config.window_messages, config.window_bytes);
        let pool = Pool::that_answers(window, cost_bytes_max(config.link.message_bytes_max));
        Self {
            config,
            peer_id,
            pool,
            stopped: false,
            goodbye_at: None,
            links: BTreeMap::new(),
            next_link: 0,
            calls: Calls::default(),
            queue: Levelled::default(),
            over_in_queue: 0,
            names: Names::default(),
            memory: Memory::default(),
            journal: None,
            routing: None,
            wakes: VecDeque::new(),
            events: Events::default(),
            counters: Counters::default(),
        }
    }

    /// A socket with a new store: an answer is sent once the store has it.
    #[must_use]
    pub fn with_store(config: ReplyConfig, peer_id: PeerId, session: Session) -> Self {
        let mut engine = Self::new(config, peer_id);
        engine.journal = Some(Journal::new(session, 0));
        engine
    }

    /// A socket that remembers the answers that its store kept.
    #[must_use]
    pub fn recover(config: ReplyConfig, peer_id: PeerId, recovered: Recovered, now: Now) -> Self {
        let mut engine = Self::new(config, peer_id);
        engine.restore(recovered, now.time);
        engine
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &ReplyConfig {
        &self.config
    }

    /// The credit that this socket gives.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sets the window in calls and bytes. A lower one holds once the clients have seen it.
    pub fn set_window(&mut self, messages: u64, bytes: u64) {
        self.config.window_messages = messages;
        self.config.window_bytes = bytes;
        self.pool.set_window(Amount::new(messages, bytes));
        self.wake_granted();
    }

    /// Takes all credit back, or gives it again.
    pub fn set_paused(&mut self, paused: bool) {
        self.pool.set_paused(paused);
        self.wake_granted();
    }

    /// How many receive calls wait: all the credit that a window of 0 gives.
    pub fn set_waiting(&mut self, calls: u64) {
        self.pool.set_waiting(calls);
        self.wake_granted();
    }

    /// Whether a call waits for the application.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        self.queued() > 0
    }

    /// Calls that wait for the application.
    #[must_use]
    pub fn queued(&self) -> usize {
        (self.queue.len() - self.over_in_queue) as usize
    }

    /// Calls that are here and not answered.
    #[must_use]
    pub fn unanswered(&self) -> u64 {
        self.calls.len() as u64
    }

    /// Whether the caller of a call that was taken, and is not answered, does not wait for it any more.
    #[must_use]
    pub fn is_cancelled(&self, key: CallKey) -> bool {
        self.calls.get(key).is_some_and(|call| call.cancelled)
    }

    /// How often calls were cancelled while they were worked on: when it has risen, [`ReplyEngine::is_cancelled`] of some
    /// is true.
    #[must_use]
    pub const fn cancellations(&self) -> u64 {
        self.counters.cancelled
    }

    /// Whether there is nothing left to do: every call is answered, and every answer is confirmed by its client as far as that
    /// is there, who has also been told of what goes back. Where the store has failed no answer goes out any more that it does
    /// not have, so there is nothing to do about calls either.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let failed = self.store_failure().is_some();
        let settled = |link: &RepLink| {
            let sendable = if failed { self.stored() } else { AnswerKey::MAX };
            let is_sent = !link.outbox.has_below(sendable);
            is_sent && link.unconfirmed.is_empty() && link.settlements.is_empty()
        };
        let is_given = self.calls.is_empty() && !self.memory.is_open_to_any();
        (failed || is_given) && self.links.values().all(settled)
    }

    /// Whether there is nothing left to do, nor anything to come: if it was stopped, clients have given their credit back, or
    /// had a second for that. What they sent meanwhile is given back, where a goodbye would leave it open what became of it.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let may_come = self.goodbye_at.is_some() && self.pool.outstanding().messages > 0;
        self.is_done() && !may_come
    }

    fn wake_granted(&mut self) {
        while let Some(link) = self.pool.poll_due() {
            self.wakes.push_back(link);
        }
    }
}
