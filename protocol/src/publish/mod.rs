//! The PUB engine: keeps what is published in a ring, and serves each subscriber from where it is, on its credit.
//!
//! Nothing waits for a subscriber. All read the same ring, each at a place of its own; who falls behind it is told which
//! numbers are gone. The parts, a file each: what is retained (`ring`, `channel`), what is wanted (`filters`), a
//! subscriber's place (`reader`), links (`attach`), what is said on them (`transmit`), what is on disk (`journal`), and what
//! a proxy does otherwise (`relay`), also with a ring of 0 (`waiting`).

mod attach;
mod channel;
mod config;
mod filters;
mod journal;
mod reader;
mod relay;
mod ring;
mod stats;
mod transmit;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

pub use config::{PublishConfig, RingConfig};
pub(crate) use relay::{Fetch, Upstream};
pub use stats::{PublishLinkStats, PublishStats, RingStats};

use crate::event::Events;
use crate::ids::{Lineage, LinkId, PeerId, Seq, Session};
use crate::limits::TOPIC_BYTES_MAX;
use crate::link::Link;
use crate::message::{Message, Records};
use crate::push::{Refusal, Refused};
use crate::queue::{Chunk, Kept};
use crate::store::Recovered;
use crate::time::{Now, Time, WallTime};

use channel::Channel;
use filters::{Filters, Index};
use journal::Journal;
use reader::Reader;
use waiting::Waiting;

/// A PUB socket without its I/O.
#[derive(Debug)]
pub struct PublishEngine {
    config: PublishConfig,
    peer_id: PeerId,
    /// What is published here; none in a proxy.
    own: Option<Session>,
    closed: bool,
    channels: BTreeMap<Session, Channel>,
    links: BTreeMap<LinkId, PubLink>,
    next_link: u64,
    index: Index,
    /// Links that want everything, have had everything, and have credit.
    hungry: Vec<LinkId>,
    /// Links that want what is not retained and can be fetched.
    cold: BTreeSet<LinkId>,
    /// Links that can take nothing more for now, and since when.
    blocked: BTreeMap<LinkId, Time>,
    waiting: Waiting,
    journal: Option<Journal>,
    wakes: VecDeque<LinkId>,
    /// Progress is noted of numbers below this one.
    watched: Seq,
    progress: VecDeque<Range<Seq>>,
    events: Events,
    published: u64,
}

#[derive(Debug)]
struct PubLink {
    link: Link,
    filters: Filters,
    readers: Vec<Reader>,
    /// What the last request of a session that has ended had passed over by these filters, and not told of.
    passed_over: BTreeMap<Session, Range<Seq>>,
    /// The highest request so far.
    last_request: Option<u32>,
    /// It has to be told what there is.
    announce: bool,
    /// What it was told that there is.
    told: BTreeSet<Session>,
    in_hungry: bool,
    sent: u64,
    opened: Time,
}

impl PublishEngine {
    /// A socket that keeps its ring in memory. Its first message gets the number `lineage.since`.
    #[must_use]
    pub fn new(config: PublishConfig, peer_id: PeerId, lineage: Lineage) -> Self {
        let mut engine = Self::without_session(config, peer_id);
        engine.own = Some(lineage.session);
        engine.channels.insert(lineage.session, Channel::new(lineage, lineage.since));
        engine
    }

    /// A socket with a new store: it accepts a message once the store has it, and subscribers see it then.
    #[must_use]
    pub fn with_store(config: PublishConfig, peer_id: PeerId, lineage: Lineage) -> Self {
        let mut engine = Self::new(config, peer_id, lineage);
        engine.keep(lineage, lineage.since);
        engine
    }

    /// A socket that goes on where its store left off: the same session, the next number, the ring as it was. The epoch is
    /// raised above the last one. If the last of the ring may be missing it goes on behind all numbers that may have been
    /// used, and subscribers are told of a gap.
    #[must_use]
    pub fn recover(
        config: PublishConfig,
        peer_id: PeerId,
        epoch: u64,
        recovered: Recovered,
        now: Now,
    ) -> Self {
        let before = recovered.lineage.filter(|before| before.session == recovered.session);
        let first = before.map_or(0, |before| before.since);
        let next_seq = match recovered.cut_off {
            true => recovered.next_seq,
            // Numbers may have been left out, and nothing published since.
            false => recovered.blocks.last().map_or(first, |block| first.max(block.seqs.end)),
        };
        let epoch = before.map_or(epoch, |before| epoch.max(before.epoch + 1));
        let lineage = Lineage { session: recovered.session, epoch, since: next_seq };
        let mut engine = Self::new(config, peer_id, lineage);
        engine.restore(lineage, recovered, now);
        engine.leave_out(next_seq, now);
        engine
    }

    /// Goes on with this number: what is between is not here, and never will be.
    fn leave_out(&mut self, next_seq: Seq, now: Now) {
        let channel = self.own.and_then(|session| self.channels.get_mut(&session));
        if let Some(channel) = channel.filter(|channel| channel.ring.next_seq() < next_seq) {
            channel.ring.jump(next_seq, now.wall);
            self.pass_hole_at_end();
        }
    }

    /// A socket that publishes nothing itself.
    pub(crate) fn without_session(config: PublishConfig, peer_id: PeerId) -> Self {
        Self {
            config,
            peer_id,
            own: None,
            closed: false,
            channels: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            index: Index::default(),
            hungry: Vec::new(),
            cold: BTreeSet::new(),
            blocked: BTreeMap::new(),
            waiting: Waiting::default(),
            journal: None,
            wakes: VecDeque::new(),
            watched: 0,
            progress: VecDeque::new(),
            events: Events::default(),
            published: 0,
        }
    }

    /// Begins to keep a session in the store.
    fn keep(&mut self, lineage: Lineage, next_seq: Seq) {
        if let Some(channel) = self.channels.get_mut(&lineage.session) {
            channel.stored = Some(next_seq);
        }
        self.journal = Some(Journal::new(lineage.session, next_seq));
    }

    /// Fills a ring with what a store kept.
    fn restore(&mut self, lineage: Lineage, recovered: Recovered, now: Now) {
        let blocks = recovered.blocks;
        let first = blocks.first().map_or(lineage.since, |block| block.seqs.start);
        let mut channel = Channel::new(lineage, first);
        let mut journal = Journal::new(lineage.session, lineage.since);
        if recovered.session == lineage.session {
            journal.reserved(recovered.next_seq);
        }
        journal.restore_clock(recovered.clock_ahead);
        if let Some(ahead) = recovered.clock_ahead {
            channel.restore_clock(ahead, now);
        }
        // Ages are told by this side's clock.
        let ahead = recovered.clock_ahead.unwrap_or(0);
        let here = |date: WallTime| date.moved(ahead.saturating_neg());
        let mut published = None;
        for block in blocks {
            // A block that a proxy has made may begin in the midst of what its publisher dated.
            let dates = Records::new(&block.records).filter_map(|(_, head)| head.published);
            published = dates.last().map(here).or(published);
            journal.restore(block.seqs.clone());
            let mut chunk = Chunk::new(block.seqs, block.records, None, now.time);
            chunk.kept = Kept::Yes;
            channel.ring.restore(chunk, published.unwrap_or(now.wall));
        }
        channel.stored = Some(channel.ring.next_seq());
        self.channels.insert(lineage.session, channel);
        self.journal = Some(journal);
        self.evict(lineage.session, || now);
    }

    /// The session that is published here, and this incarnation of it.
    ///
    /// # Panics
    /// Never: a publisher has one.
    #[must_use]
    pub fn lineage(&self) -> Lineage {
        match self.own_channel() {
            Some(channel) => channel.lineage,
            None => unreachable!("a publisher is made with its session"),
        }
    }

    /// The number that the next message gets.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.own_channel().map_or(0, |channel| channel.ring.next_seq())
    }

    /// The lowest number that is retained.
    #[must_use]
    pub fn oldest(&self) -> Seq {
        self.own_channel().map_or(0, |channel| channel.ring.oldest())
    }

    fn own_channel(&self) -> Option<&Channel> {
        self.channels.get(&self.own?)
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &PublishConfig {
        &self.config
    }

    /// Changes settings while the socket runs: to such as [`PublishConfig::check_change`] lets pass. A smaller ring lets go
    /// of what is too much at once.
    pub fn reconfigure(&mut self, now: Now, change: impl FnOnce(&mut PublishConfig)) {
        change(&mut self.config);
        let sessions: Vec<Session> = self.channels.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.evict(session, || now));
    }

    /// Publishes a message, which gets the next number. Nobody is waited for; the oldest goes if the ring is full.
    ///
    /// # Errors
    /// Gives the message back, with the reason; nothing has changed then. [`Refusal::Full`]: the store is behind, and
    /// there will be room once it has written more.
    #[inline]
    pub fn try_publish<'a>(
        &mut self,
        topic: &[u8],
        message: Message<'a>,
        clock: impl Fn() -> Now,
    ) -> Result<Seq, Refused<'a>> {
        if let Err(why) = self.admit(topic.len(), message.payload().len()) {
            return Err(Refused { message, why });
        }
        let Some(channel) = self.own.and_then(|session| self.channels.get_mut(&session)) else {
            return Err(Refused { message, why: Refusal::Closed });
        };
        let before = channel.ring.bytes();
        let seq = channel.ring.push(topic, message, &clock);
        if let Some(journal) = &mut self.journal {
            journal.took_in(channel.ring.bytes() - before);
        }
        let session = channel.lineage.session;
        self.published += 1;
        if channel.stored.is_none() {
            channel.ring.evict(&self.config.ring, Seq::MAX, || clock().wall);
            self.note_progress(seq..seq + 1);
            self.note_visible_message(session, seq, topic);
        }
        Ok(seq)
    }

    #[inline]
    fn admit(&self, topic_bytes: usize, bytes: usize) -> Result<(), Refusal> {
        let bytes_max = self.config.link.message_bytes_max;
        if bytes > bytes_max {
            return Err(Refusal::TooLong { bytes, bytes_max });
        }
        if topic_bytes > TOPIC_BYTES_MAX {
            return Err(Refusal::TopicTooLong { bytes: topic_bytes });
        }
        if self.closed {
            return Err(Refusal::Closed);
        }
        match &self.journal {
            None => Ok(()),
            Some(journal) => self.admit_to_store(journal),
        }
    }

    /// A message that can be seen from now on: those who wait for it are woken.
    #[inline]
    fn note_visible_message(&mut self, session: Session, seq: Seq, topic: &[u8]) {
        if !self.hungry.is_empty() {
            self.wake_hungry();
        }
        if !self.index.is_empty() {
            self.note_match(session, seq, topic);
        }
    }

    fn wake_hungry(&mut self) {
        for id in self.hungry.drain(..) {
            if let Some(link) = self.links.get_mut(&id) {
                link.in_hungry = false;
                self.wakes.push_back(id);
            }
        }
    }

    fn note_match(&mut self, session: Session, seq: Seq, topic: &[u8]) {
        let by_demand = self.config.ring.messages == 0;
        for id in self.index.matching(topic) {
            if by_demand {
                self.waiting.note_moved(id);
            }
            let Some(link) = self.links.get_mut(&id) else {
                continue;
            };
            for reader in link.readers.iter_mut().filter(|reader| reader.session == session) {
                if reader.note_match(seq) {
                    self.wakes.push_back(id);
                }
            }
        }
    }

    /// Messages of a ring that can be seen from now on.
    fn note_visible(&mut self, session: Session, seqs: Range<Seq>, now: Now) {
        if seqs.is_empty() {
            return;
        }
        self.wake_hungry();
        if self.index.is_empty() {
            return;
        }
        let Some(channel) = self.channels.get_mut(&session) else {
            return;
        };
        channel.ring.close_chunk(now.wall);
        self.note_readable(session, seqs);
    }

    /// The same, once the chunk that grows holds none of them.
    fn note_readable(&mut self, session: Session, seqs: Range<Seq>) {
        let Some(channel) = self.channels.get(&session) else {
            return;
        };
        let (mut matches, mut missing) = (Vec::new(), None);
        let mut mark = crate::queue::Mark::default();
        for seq in seqs {
            let chunk = channel.ring.chunks().holding(seq);
            let found = chunk.and_then(|chunk| Some((chunk, chunk.record(seq, &mut mark)?)));
            let Some((chunk, (at, head))) = found else {
                missing = Some(seq);
                break;
            };
            let topic = chunk.topic(at, &head);
            matches.extend(self.index.matching(topic).map(|id| (id, seq)));
        }
        for (id, seq) in matches {
            let Some(link) = self.links.get_mut(&id) else {
                continue;
            };
            for reader in link.readers.iter_mut().filter(|reader| reader.session == session) {
                if reader.note_match(seq) {
                    self.wakes.push_back(id);
                }
            }
            self.note_moved(id);
        }
        if let Some(missing) = missing {
            self.note_hole(session, missing);
        }
    }

    /// From this number on some are not there, or were evicted before anybody was told: everybody looks for himself.
    fn note_hole(&mut self, session: Session, at: Seq) {
        let mut moved = Vec::new();
        for (id, link) in &mut self.links {
            for reader in link.readers.iter_mut().filter(|reader| reader.session == session) {
                reader.note_hole(at);
                self.wakes.push_back(*id);
                moved.push(*id);
            }
        }
        moved.into_iter().for_each(|id| self.note_moved(id));
    }

    /// Lets go of what a session's ring has too much. A proxy that is to retain nothing has what is on its way to somebody, and
    /// lets go of that once all of them have had it.
    fn evict(&mut self, session: Session, now: impl Fn() -> Now) {
        if self.config.ring.messages > 0 {
            self.evict_to(session, self.config.ring, now);
        }
    }

    fn evict_to(&mut self, session: Session, limits: RingConfig, now: impl Fn() -> Now) {
        let Some(channel) = self.channels.get_mut(&session) else {
            return;
        };
        let below = channel.evictable_below();
        channel.ring.evict(&limits, below, || now().wall);
        if let Some(age) = limits.age {
            channel.ring.evict_aged(age, below, now().wall);
        }
        let oldest = channel.ring.oldest();
        if let Some(journal) = &mut self.journal
            && journal.session() == session
        {
            journal.evicted(oldest);
        }
    }

    /// Whether no message will be taken in any more.
    #[inline]
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.closed || self.store_failure().is_some()
    }

    /// Takes no more messages in; what is there is still served.
    pub fn close_intake(&mut self) {
        self.closed = true;
    }

    /// Whether every subscriber that has said what it wants has been sent everything, and the store has everything. What a
    /// store that has failed does not have, nobody will be sent.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        let stored = self.store_failure().is_some()
            || self.channels.values().all(|channel| channel.visible() == channel.ring.next_seq());
        let mut open = self.links.values().filter(|link| link.link.is_open());
        stored && open.all(|link| link.readers.iter().all(|reader| self.has_all(reader)))
    }

    fn has_all(&self, reader: &Reader) -> bool {
        let channel = self.channels.get(&reader.session);
        channel.is_none_or(|channel| reader.has_all(channel))
    }

    /// Whether there is nothing to poll for: no link to wake, no event, no progress, and no time to keep.
    #[inline]
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.wakes.is_empty()
            && self.events.is_empty()
            && self.progress.is_empty()
            && self.config.ring.age.is_none()
            && self.store_slow_at().is_none()
    }

    /// When [`PublishEngine::handle_timeout`] wants to be called. Links have their own times:
    /// [`PublishEngine::poll_link_timeout`].
    #[must_use]
    pub fn poll_timeout(&self, now: Now) -> Option<Time> {
        let aged = self.config.ring.age.and_then(|age| {
            let aged = |channel: &Channel| channel.ring.aged_at(age, channel.evictable_below());
            self.channels.values().filter_map(aged).min()
        });
        let aged = aged.map(|wall| now.time + now.wall.until(wall));
        Time::first_of([aged, self.store_slow_at()])
    }

    /// Lets time pass: what is too old goes.
    pub fn handle_timeout(&mut self, now: Now) {
        let sessions: Vec<Session> = self.channels.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.evict(session, || now));
        self.tell_slow_store(now.time);
    }
}
