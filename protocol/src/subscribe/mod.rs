//! The SUB engine: follows sessions, each as one stream from any number of sources, and asks one of them at a time.
//!
//! A request names a position and carries credit that is counted from it; taking another source is a new request, and
//! what still comes of the old one is dropped. So nothing comes twice and nothing has to be agreed on with a source that
//! may be gone. The parts, a file each: a session (`stream`), who may be asked (`source`, `sources`), who is (`choose`),
//! how much (`credit`), what comes in (`intake`) and is handed out (`run`), links (`attach`, `transmit`), and what a proxy
//! fetches besides (`lane`).

mod attach;
mod choose;
mod config;
mod credit;
mod intake;
mod lane;
mod run;
mod source;
mod sources;
mod stats;
mod stream;
mod transmit;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub use config::{OldSession, Position, Start, SubscribeConfig};
pub(crate) use lane::{LaneId, Laned};
pub use run::{SubBatch, SubConsumed, SubCursor, SubItem, SubRun};
pub use stats::{SubscribeLinkStats, SubscribeStats};

use crate::credit::Amount;
use crate::event::{Events, Gap, NewSession};
use crate::ids::{LinkId, PeerId, RequestId, Session};
use crate::limits::SESSIONS_MAX;
use crate::link::Link;
use crate::time::Time;
use crate::wire::{Filter, Fingerprint, Prefix, PrefixTooLong};

use lane::Lane;
use source::Source;
use stats::Counters;
use stream::Stream;

/// A SUB socket without its I/O.
#[derive(Debug)]
pub struct SubscribeEngine {
    config: SubscribeConfig,
    peer_id: PeerId,
    filters: BTreeSet<Prefix>,
    stopped: bool,
    paused: bool,
    /// Credit is given by [`SubscribeEngine::demand`] alone.
    by_demand: bool,
    /// Receive calls that wait: the window of a socket whose window is 0.
    waiting_calls: u64,
    /// Endpoints that the user has named.
    sources_expected: usize,
    links: BTreeMap<LinkId, SubLink>,
    next_link: u64,
    streams: BTreeMap<Session, Stream>,
    next_stream: u64,
    lanes: BTreeMap<LaneId, Lane>,
    next_lane: u64,
    queue: VecDeque<Queued>,
    /// In the queue, or in the reader's hands and not reported.
    queued: Amount,
    /// Gaps and new sessions in the queue.
    markers: usize,
    /// Of which session the gap is that was handed out last, as long as nothing else was.
    gap_in_hand: Option<Session>,
    /// Counts choices of a source, and grants: all sources are asked in turn, and all sessions given credit.
    turn: u64,
    /// What [`SubscribeEngine::poll_positions`] gave last, by session.
    last_positions: Vec<Position>,
    /// The session whose position the application moved last.
    current: Option<Session>,
    wakes: VecDeque<LinkId>,
    events: Events,
    counters: Counters,
}

#[derive(Debug)]
struct SubLink {
    link: Link,
    sources: BTreeMap<Session, Source>,
    filters: VecDeque<Filter>,
    ends: Vec<RequestId>,
    next_request: RequestId,
    received: u64,
    opened: Time,
}

/// What waits for the application.
#[derive(Debug)]
enum Queued {
    Run(SubBatch),
    Gap(Gap),
    NewSession(NewSession),
}

/// What the application gets.
#[derive(Clone, Debug)]
pub enum Taken {
    /// Messages of one session.
    Batch(SubBatch),
    /// Messages that it will not get. That it has heard of them counts, and the position moves over them, once it takes what
    /// comes next: if it ends before that, it hears of them again.
    Gap(Gap),
    /// What follows is of a session that it has not had before.
    NewSession(NewSession),
}

impl SubscribeEngine {
    /// A socket with no links yet, that wants nothing before it is given a filter.
    #[must_use]
    pub fn new(config: SubscribeConfig, peer_id: PeerId) -> Self {
        let mut engine = Self {
            config,
            peer_id,
            filters: BTreeSet::new(),
            stopped: false,
            paused: false,
            by_demand: false,
            waiting_calls: 0,
            sources_expected: 0,
            links: BTreeMap::new(),
            next_link: 0,
            streams: BTreeMap::new(),
            next_stream: 0,
            lanes: BTreeMap::new(),
            next_lane: 0,
            queue: VecDeque::new(),
            queued: Amount::ZERO,
            markers: 0,
            gap_in_hand: None,
            turn: 0,
            last_positions: Vec::new(),
            current: None,
            wakes: VecDeque::new(),
            events: Events::default(),
            counters: Counters::default(),
        };
        engine.resume_all();
        engine
    }

    /// Follows the sessions that it goes on in.
    fn resume_all(&mut self) {
        let mut positions = self.config.positions.clone();
        if let Start::After(position) = self.config.start {
            positions.insert(0, position);
        }
        let too_many = positions.len().saturating_sub(SESSIONS_MAX);
        for position in positions.into_iter().skip(too_many) {
            self.follow(position.session, Start::After(position));
            self.current = Some(position.session);
        }
        self.last_positions = self.streams.values().filter_map(Stream::position).collect();
    }

    /// The upstream side of a proxy: with `by_demand` it asks for nothing by itself.
    pub(crate) fn for_proxy(config: SubscribeConfig, peer_id: PeerId, by_demand: bool) -> Self {
        let mut engine = Self::new(
            SubscribeConfig {
                start: Start::Oldest,
                positions: Vec::new(),
                old_session: OldSession::Keep,
                ..config
            },
            peer_id,
        );
        engine.by_demand = by_demand;
        engine
    }

    /// Begins to follow a session.
    fn follow(&mut self, session: Session, start: Start) {
        self.next_stream += 1;
        self.streams.insert(session, Stream::new(session, start, self.next_stream));
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &SubscribeConfig {
        &self.config
    }

    /// Wants topics that begin with this, too. What has arrived is not touched; what has not is asked for anew. False if it
    /// was wanted already.
    ///
    /// # Errors
    /// If no topic can be as long.
    pub fn add_filter(&mut self, prefix: &[u8], now: Time) -> Result<bool, PrefixTooLong> {
        let prefix = Prefix::new(prefix)?;
        let is_new = self.filters.insert(prefix.clone());
        if is_new {
            let add = [prefix].into_iter().collect();
            self.send_filter(&Filter { add, ..Filter::default() }, now);
        }
        Ok(is_new)
    }

    /// Does not want topics for beginning with this any more; another filter may still match them. What has arrived
    /// stays. False if it was no filter.
    pub fn remove_filter(&mut self, prefix: &[u8], now: Time) -> bool {
        let Some(prefix) = self.filters.take(prefix) else {
            return false;
        };
        let remove = [prefix].into_iter().collect();
        self.send_filter(&Filter { remove, ..Filter::default() }, now);
        true
    }

    fn send_filter(&mut self, filter: &Filter, now: Time) {
        for link in self.links.values_mut().filter(|link| link.link.is_open()) {
            link.filters.push_back(filter.clone());
        }
        let sessions: Vec<Session> = self.streams.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.ask_again(session, now));
        self.grant(now);
        self.wakes.extend(self.links.keys());
    }

    /// How many endpoints it is to have as sources: it waits a while for all of them before it puts up with a gap.
    pub fn set_sources_expected(&mut self, sources: usize) {
        self.sources_expected = sources;
    }

    /// Whether something waits for the application.
    #[inline]
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Messages that wait for the application, those that were taken from the queue and not reported included.
    #[must_use]
    pub const fn queued(&self) -> Amount {
        self.queued
    }

    /// Takes the oldest of what waits: up to `messages_max` messages, a gap, or a new session. The room of messages is
    /// free once they are reported by [`SubscribeEngine::handle_consumed`].
    pub fn take(&mut self, messages_max: u32) -> Option<Taken> {
        let next = self.queue.pop_front()?;
        if self.gap_in_hand.is_some() {
            self.note_gap_heard();
        }
        match next {
            Queued::Gap(gap) => {
                self.markers -= 1;
                self.gap_in_hand = Some(gap.session);
                Some(Taken::Gap(gap))
            }
            Queued::NewSession(session) => {
                self.markers -= 1;
                Some(Taken::NewSession(session))
            }
            Queued::Run(batch) => {
                let count = messages_max.max(1);
                if batch.end - batch.index <= count {
                    return Some(Taken::Batch(batch));
                }
                let cut = batch.index + count;
                let at = batch.skip(count);
                let rest = SubBatch { run: Arc::clone(&batch.run), index: cut, end: batch.end, at };
                self.queue.push_front(Queued::Run(rest));
                Some(Taken::Batch(SubBatch { end: cut, ..batch }))
            }
        }
    }

    /// The application goes on after a gap that it was handed.
    fn note_gap_heard(&mut self) {
        let session = self.gap_in_hand.take();
        if let Some(stream) = session.and_then(|session| self.streams.get_mut(&session)) {
            stream.gaps = stream.gaps.saturating_sub(1);
        }
    }

    /// A reader has come so far in its batch: that room is free.
    pub fn handle_consumed(&mut self, consumed: &SubConsumed, now: Time) {
        self.counters.taken += consumed.amount.messages.saturating_sub(consumed.expired);
        self.counters.expired += consumed.expired;
        // What a socket that has stopped still reports was given up as a whole.
        self.queued = self.queued.saturating_sub(consumed.amount);
        if let Some(stream) = self.streams.get_mut(&consumed.session) {
            stream.consume(consumed.amount.messages, consumed.end);
        }
        self.grant(now);
    }

    /// The application is done with this message, and with all of its session before it.
    pub fn acknowledge(&mut self, session: Session, last: Fingerprint) {
        let stream = self.streams.get_mut(&session);
        if stream.is_some_and(|stream| stream.acknowledge(last)) {
            self.current = Some(session);
        }
    }

    /// [`SubscribeEngine::positions`], if they are news. Costs as much as there are sessions.
    pub fn poll_positions(&mut self) -> Option<Vec<Position>> {
        let positions = || self.streams.values().filter_map(Stream::position);
        if positions().eq(self.last_positions.iter().copied()) {
            return None;
        }
        self.last_positions = positions().collect();
        Some(self.positions())
    }

    /// How far the application has come in each session, that in which it moved on last at the end. Up to
    /// [`SESSIONS_MAX`]; a socket that is given all of them in its [`SubscribeConfig`] has nothing twice.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        let mut streams: Vec<&Stream> = self.streams.values().collect();
        streams.sort_unstable_by_key(|stream| (self.current == Some(stream.session), stream.order));
        streams.into_iter().filter_map(Stream::position).collect()
    }

    /// How far the application has come in the session that it moved on in last.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        let newest = || self.streams.values().max_by_key(|stream| stream.order);
        let current = self.current.and_then(|session| self.streams.get(&session));
        current.or_else(newest)?.position()
    }

    /// Takes nothing more: what is in the queue is dropped, and no source is asked any more.
    pub fn stop(&mut self) {
        self.stopped = true;
        self.queue.clear();
        self.markers = 0;
        self.queued = Amount::ZERO;
        let sessions: Vec<Session> = self.streams.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.end_request(session));
    }
}
