//! The PULL engine: grants credit, takes messages in, and remembers for each where its settlement must go.
//!
//! A message waits in the queue, is then handed out in a [`Batch`], and is held from its arrival until it is
//! settled. [`PullEngine`]'s parts, a file each: messages that come in and are handed out (`intake`, `run`, `cursor`),
//! copies of those that still wait at their sender (`future`), where messages stand on a link (`places`), what becomes
//! of them (`settle`, `extended`), what was confirmed and may have to be said again (`memory`), links (`attach`), what
//! is said on them (`transmit`), what a sender that has lost its messages is given back (`restore`), and what a streamer
//! does otherwise (`passing`).

mod attach;
mod config;
mod cursor;
mod extended;
mod future;
mod intake;
mod memory;
mod passing;
mod places;
mod restore;
mod run;
mod settle;
mod stats;
mod transmit;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

pub use config::{ConfirmOn, PullConfig};
pub use cursor::{Batch, Consumed, Cursor, Item};
pub(crate) use passing::{ADOPTED_KEYS, Adopted};
pub(crate) use run::RunKey;
pub use run::{Confirmed, Run};
pub use stats::{PullLinkStats, PullStats};

use crate::collections::RangeSet;
use crate::credit::{Amount, Pool};
use crate::event::Events;
use crate::ids::{Delivery, LinkId, PeerId, Priority, Seq, Session};
use crate::link::{Identity, Link};
use crate::message::cost_bytes_max;
use crate::time::Time;
use crate::wire::{Attach, Origin, Settlement};

use extended::Extended;
use future::{Copies, Copy};
use memory::Memory;
use passing::Passing;
use places::Places;
use restore::Restores;
use stats::Counters;

/// A PULL socket without its I/O.
#[derive(Debug)]
pub struct PullEngine {
    config: PullConfig,
    peer_id: PeerId,
    pool: Pool,
    /// Nothing is handed out any more.
    stopped: bool,
    links: BTreeMap<LinkId, PullLink>,
    next_link: u64,
    /// What waits for the application, the best level first, in it the oldest, by run and first index.
    queue: BTreeMap<(RunKey, u32), Waiting>,
    held: BTreeMap<RunKey, Held>,
    next_run: u64,
    /// Queued messages with a shelf life.
    expiring: BTreeSet<(Time, RunKey, u32)>,
    sessions: BTreeMap<Session, SessionState>,
    /// Those of them that have no link, by when they lost their last.
    away: BTreeSet<(Time, Session)>,
    /// Of a streamer: what arrives is not for an application here.
    passing: Option<Passing>,
    wakes: VecDeque<LinkId>,
    events: Events,
    counters: Counters,
}

#[derive(Debug)]
struct PullLink {
    link: Link,
    /// Its endpoint's.
    priority: Priority,
    /// The session that names its sender.
    session: Option<Session>,
    /// What messages that arrive are of: the same session, unless the sender is a streamer.
    origin: Option<Origin>,
    /// It has heard who stands behind this streamer.
    behind_told: bool,
    /// What stands before ATTACH.
    restores: Restores,
    attaches: VecDeque<Attach>,
    copies: Copies,
    next_delivery: Delivery,
    /// What stands where on it.
    places: Places,
    /// Confirmations that wait to be sent.
    confirms: RangeSet,
    /// What else became of messages, in the order in which it did.
    settlements: VecDeque<Settlement>,
    /// How much more time messages that are not settled are to have.
    extended: Extended,
    /// What the application has taken, to be sent.
    taken: RangeSet,
    /// SETTLE frames sent.
    settles: u64,
    /// Confirmations that the sender has not been heard to know of: those of before its last word on it, and newer.
    unheard: [Memory; 2],
    /// When the sender has handled so many SETTLE frames, the first of `unheard` is known to it.
    unheard_until: u64,
    received: u64,
    opened: Time,
}

/// Messages of one run that wait for the application.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// The index after the last of them.
    end: u32,
    /// Where the record of the first of them begins.
    at: usize,
}

/// A run of which not every message is settled.
#[derive(Debug)]
struct Held {
    run: Arc<Run>,
    /// The session that names its sender: its own, unless it came by a streamer.
    via: Session,
    /// Its sender wants to know what the application has taken.
    reports_taken: bool,
    /// The link that its settlements go to; none while its sender is away.
    link: Option<LinkId>,
    /// Where its messages stand on that link, by rising indices.
    spans: Vec<Place>,
    /// Bits of the run that the engine has seen, or has set itself.
    collected: Box<[u64]>,
    /// How many of its messages the application has taken, from the first on.
    taken: u32,
    /// At a streamer: what applications behind it have taken, as far as it was told.
    taken_behind: RangeSet,
}

/// Some messages of a run, and their positions on a link.
#[derive(Clone, Debug)]
struct Place {
    indices: Range<u32>,
    first: Delivery,
}

/// What is remembered of a session over the links that carry it.
#[derive(Debug)]
struct SessionState {
    identity: Identity,
    links: usize,
    /// Confirmed while no link of it was there, or without knowing that its sender heard of it.
    confirmed: Memory,
    /// Copies that were placed on a link that broke: their sender may come back without the messages.
    copies: Vec<Copy>,
    /// When it lost a link last.
    left: Time,
}

impl PullEngine {
    /// A socket with no links yet.
    #[must_use]
    pub fn new(config: PullConfig, peer_id: PeerId) -> Self {
        let window = Amount::new(config.window_messages, config.window_bytes);
        let pool = Pool::new(window, cost_bytes_max(config.link.message_bytes_max));
        Self {
            config,
            peer_id,
            pool,
            stopped: false,
            links: BTreeMap::new(),
            next_link: 0,
            queue: BTreeMap::new(),
            held: BTreeMap::new(),
            next_run: 0,
            expiring: BTreeSet::new(),
            sessions: BTreeMap::new(),
            away: BTreeSet::new(),
            passing: None,
            wakes: VecDeque::new(),
            events: Events::default(),
            counters: Counters::default(),
        }
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &PullConfig {
        &self.config
    }

    /// The room that is shared out among the senders.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Whether a message waits for the application.
    #[inline]
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether no more is to be taken at a time than is asked for: taking confirms it, it has a shelf life, which would go on
    /// unseen, or something better may arrive than what comes next.
    #[must_use]
    pub fn is_taken_as_asked(&self) -> bool {
        let confirms = self.config.confirm_on == ConfirmOn::Taken;
        confirms || !self.expiring.is_empty() || self.may_be_outranked()
    }

    fn may_be_outranked(&self) -> bool {
        let next = self.queue.first_key_value();
        let is_better = |link: &PullLink, key| run::key(link.priority, run::KEYS) <= key;
        next.is_some_and(|((key, _), _)| {
            *key >= run::KEYS && self.links.values().any(|link| is_better(link, *key))
        })
    }

    /// Whether every message that arrived is settled, and every settlement is sent as far as there are links.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.held.is_empty()
            && self.links.values().all(|link| {
                link.confirms.is_empty() && link.settlements.is_empty() && link.extended.is_empty()
            })
    }

    /// Messages that the application has taken, or that wait for it, and that are not settled.
    #[must_use]
    pub fn unsettled(&self) -> u64 {
        self.held.values().map(|held| u64::from(held.run.unsettled())).sum()
    }

    /// Sets the window in messages and bytes. A lower one holds once the senders have seen it.
    pub fn set_window(&mut self, messages: u64, bytes: u64) {
        self.config.window_messages = messages;
        self.config.window_bytes = bytes;
        self.pool.set_window(Amount::new(messages, bytes));
        self.wake_granted();
    }

    /// Takes all credit back, or gives it again; not once the socket takes nothing more.
    pub fn set_paused(&mut self, paused: bool) {
        self.pool.set_paused(paused || self.stopped);
        self.wake_granted();
    }

    /// How many receive calls wait: all the credit that a window of 0 gives.
    pub fn set_waiting(&mut self, calls: u64) {
        self.pool.set_waiting(calls);
        self.wake_granted();
    }

    fn wake_granted(&mut self) {
        while let Some(link) = self.pool.poll_due() {
            self.wakes.push_back(link);
        }
    }
}

impl Held {
    /// Where a range of indices stands on the link: pieces of delivery numbers.
    fn deliveries(&self, indices: &Range<u32>) -> impl Iterator<Item = Range<Delivery>> {
        let indices = indices.clone();
        let from = self.spans.partition_point(|place| place.indices.end <= indices.start);
        let places = self.spans.get(from..).unwrap_or_default().iter();
        let end = indices.end;
        places.take_while(move |place| place.indices.start < end).map(move |place| {
            let start = indices.start.max(place.indices.start);
            let end = end.min(place.indices.end);
            let at = |index: u32| place.first + u64::from(index - place.indices.start);
            at(start)..at(end)
        })
    }

    /// Ends a message in another way than by confirming it: it must not be collected as confirmed.
    fn close(&mut self, index: u32) {
        if let Some(word) = self.collected.get_mut(index as usize / 64) {
            *word |= 1 << (index % 64);
        }
        self.run.mark(index);
    }

    fn is_taken(&self, index: u32) -> bool {
        index < self.taken || self.taken_behind.contains(u64::from(index))
    }

    fn seqs(&self, indices: &Range<u32>) -> Range<Seq> {
        self.run.seq(indices.start)..self.run.seq(indices.end)
    }
}
