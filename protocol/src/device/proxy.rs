//! The proxy: a SUB and a PUB back to back, with sessions and numbers as they came.
//!
//! What comes from upstream goes into a ring, from which all subscribers are served. What a subscriber wants that is
//! below the ring, and that upstream still has, is fetched for it alone; so it sees no difference but the time that this
//! takes. A proxy with a ring of 0 asks upstream only for what a subscriber waits for.

use std::collections::BTreeMap;

use crate::credit::Amount;
use crate::ids::{LinkId, PeerId, RequestId};
use crate::limits::{ENDED_SESSIONS_MAX, FETCH_BYTES, FETCH_MESSAGES};
use crate::link::Identity;
use crate::message::cost_bytes_max;
use crate::publish::{Fetch, PublishConfig, PublishEngine, PublishStats};
use crate::store::{Commit, Recovered, StoreNeed};
use crate::subscribe::{LaneId, Laned, SubscribeConfig, SubscribeEngine, SubscribeStats, Taken};
use crate::time::{Now, Time};

use super::{DOWNSTREAM, Side, TwoSided, device_vocabulary};

/// The settings of a [`ProxyEngine`].
#[derive(Clone, Debug, Default)]
pub struct ProxyConfig {
    /// Of the side that subscribes. It follows every session from its oldest message on, whatever `start` says.
    pub up: SubscribeConfig,
    /// Of the side that publishes. Its ring may be of 0 messages.
    pub down: PublishConfig,
}

/// A proxy in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ProxyStats {
    /// The side that subscribes.
    pub up: SubscribeStats,
    /// The side that publishes; its `published` are the messages that came through.
    pub down: PublishStats,
}

/// A proxy without its I/O.
#[derive(Debug)]
pub struct ProxyEngine {
    up: SubscribeEngine,
    down: PublishEngine,
    store: bool,
    /// A ring of 0: nothing is asked for before somebody waits for it.
    by_demand: bool,
    /// When to let go of sessions that have ended: others have come.
    tidies_at: Option<Time>,
    /// What is being fetched, by the subscriber's link and request.
    fetching: BTreeMap<(LinkId, RequestId), (LaneId, Fetch)>,
    /// Somebody waits for a lane: as much is fetched at a time as may be.
    lacks_lane: bool,
    /// The link that was looked at last to be fetched for: all have their turn.
    fetched_last: LinkId,
}

device_vocabulary!(ProxyEngine);

impl TwoSided for ProxyEngine {
    fn pass(&mut self, now: Now) {
        self.flow(now);
    }

    fn note_links(&mut self, now: Time) {
        self.note_upstream(now);
        // What is fetched for them may have to come from another source.
        for (_, fetch) in self.fetching.values() {
            self.down.wake_link(fetch.link);
        }
        if self.ends_fetches_of_the_gone() {
            self.fetch(now);
        }
    }
}

impl ProxyEngine {
    /// A proxy that keeps its ring in memory.
    #[must_use]
    pub fn new(config: ProxyConfig, peer_id: PeerId) -> Self {
        let down = PublishEngine::without_session(config.down, peer_id);
        Self::build(config.up, down, peer_id, false)
    }

    /// A proxy with a new store, in which it keeps the ring of the newest session.
    #[must_use]
    pub fn with_store(config: ProxyConfig, peer_id: PeerId) -> Self {
        let mut proxy = Self::new(config, peer_id);
        proxy.store = true;
        proxy
    }

    /// A proxy that goes on with the ring that its store kept.
    #[must_use]
    pub fn recover(config: ProxyConfig, peer_id: PeerId, recovered: Recovered, now: Now) -> Self {
        let down = PublishEngine::restored(config.down, peer_id, recovered, now);
        let mut proxy = Self::build(config.up, down, peer_id, true);
        for (lineage, next) in proxy.down.sessions() {
            proxy.up.resume(lineage, next);
        }
        proxy
    }

    fn build(up: SubscribeConfig, mut down: PublishEngine, peer_id: PeerId, store: bool) -> Self {
        down.number_links_from(DOWNSTREAM);
        let by_demand = down.config().ring.messages == 0;
        let mut up = SubscribeEngine::for_proxy(up, peer_id, by_demand);
        // The empty prefix is no longer than a topic can be.
        let _ = up.add_filter(b"", Time::ZERO);
        Self {
            up,
            down,
            store,
            by_demand,
            tidies_at: None,
            fetching: BTreeMap::new(),
            lacks_lane: false,
            fetched_last: LinkId(DOWNSTREAM),
        }
    }

    /// A connection was made on one side; whose it is, the transport or an authorizer says.
    pub fn open_link(&mut self, identity: Identity, side: Side, now: Time) -> LinkId {
        match side {
            Side::Upstream => self.up.open_link(identity, now),
            Side::Downstream => self.down.open_link(identity, now),
        }
    }

    /// When [`ProxyEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self, now: Now) -> Option<Time> {
        let stuck = self.by_demand.then(|| self.down.stuck_at()).flatten();
        let (up, down) = (self.up.poll_timeout(), self.down.poll_timeout(now));
        Time::first_of([up, down, self.tidies_at, stuck, self.frees_a_lane_at()])
    }

    /// Lets time pass.
    pub fn handle_timeout(&mut self, now: Now) {
        self.up.handle_timeout(now.time);
        self.down.handle_timeout(now);
        if self.tidies_at.is_some_and(|due| due <= now.time) {
            self.tidy(now);
        }
        self.flow(now);
    }

    /// What was written for a link is still in its way, so that it can take no more, whatever its credit: with a ring of 0,
    /// others do not wait for it for long. It is looked after again with the next [`ProxyEngine::poll_transmit`].
    pub fn handle_blocked(&mut self, id: LinkId, now: Time) {
        self.down.handle_blocked(id, now);
    }

    /// How many upstream endpoints it is to have: it waits a while for all of them before it puts up with a gap.
    pub fn set_sources_expected(&mut self, sources: usize) {
        self.up.set_sources_expected(sources);
    }

    /// How soon [`ProxyEngine::poll_store`] has something to do.
    #[must_use]
    pub fn store_need(&self) -> StoreNeed {
        self.down.store_need()
    }

    /// What has to be written now, if anything; answer it by [`ProxyEngine::handle_stored`]. One at a time.
    pub fn poll_store(&mut self, now: Time) -> Option<Commit> {
        self.down.poll_store(now)
    }

    /// The answer to the last [`ProxyEngine::poll_store`]. After a failure nothing new is taken from upstream, nor passed on.
    pub fn handle_stored(&mut self, result: Result<(), String>, now: Now) {
        self.down.handle_stored(result, now);
        if self.up.has_queued() {
            self.flow(now);
        }
    }

    /// Whatever is not written waits no longer: the socket closes.
    pub fn hurry_store(&mut self) {
        self.down.hurry_store();
    }

    /// Why the store takes nothing more, if it has failed.
    #[must_use]
    pub fn store_failure(&self) -> Option<&str> {
        self.down.store_failure()
    }

    /// Whether every subscriber has been sent everything that is retained.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.down.is_caught_up()
    }

    /// The proxy in numbers.
    #[must_use]
    pub fn stats(&self, now: Time) -> ProxyStats {
        ProxyStats { up: self.up.stats(now), down: self.down.stats(now) }
    }

    /// Passes on what has come, as far as the store keeps up with it, and asks for what is wanted.
    fn flow(&mut self, now: Now) {
        while self.down.has_room()
            && let Some(taken) = self.up.take(u32::MAX)
        {
            match taken {
                Taken::Batch(batch) => {
                    let run = batch.run();
                    self.note_session(run.session(), run.seqs().start, now.time);
                    self.down.ingest(run, now);
                    self.up.handle_passed_on(&batch, now.time);
                }
                Taken::Gap(gap) => {
                    self.note_session(gap.session, gap.from, now.time);
                    self.down.note_lost(gap.session, gap.to + 1, now);
                }
                // Subscribers find out by themselves, as at a publisher. A link that has come back may not have told yet
                // of all that it has.
                Taken::NewSession(_) => {
                    let due = now.time + self.up.config().patience;
                    self.tidies_at.get_or_insert(due);
                }
            }
        }
        self.note_upstream(now.time);
        if self.by_demand {
            self.demand(now);
        }
        self.pass_fetched(now);
        self.fetch(now.time);
    }

    /// Sees to it that a session has a ring, which begins with `first` if it is new.
    fn note_session(&mut self, session: crate::ids::Session, first: u64, now: Time) {
        let lineage = self.up.followed().map(|(lineage, _)| lineage);
        if let Some(lineage) = lineage.into_iter().find(|lineage| lineage.session == session) {
            let upstream = self.up.upstream(session, now);
            self.down.note_upstream(lineage, first, upstream, self.store);
        }
    }

    /// Lets go of sessions that nobody upstream has any more, those that ended first before others: of the rest, all rings
    /// together are as large as one may be. What is only away for a while, and not followed by others, keeps what it has.
    fn tidy(&mut self, now: Now) {
        self.tidies_at = None;
        let mut ended = self.up.unserved();
        while ended.len() > ENDED_SESSIONS_MAX
            && let Some(session) = ended.pop()
        {
            self.up.forget(session);
        }
        self.down.share_ring(&ended, now);
    }

    /// Tells subscribers what is known of what is upstream.
    fn note_upstream(&mut self, now: Time) {
        let sessions = self.down.sessions().map(|(lineage, _)| lineage.session);
        let unfollowed: Vec<_> = sessions.filter(|session| !self.up.follows(*session)).collect();
        unfollowed.into_iter().for_each(|session| self.down.forget(session));
        let waits = self.up.has_queued();
        for (lineage, next) in self.up.followed() {
            // Where a new session begins, what waits of it says.
            if waits && !self.down.serves(lineage.session) {
                continue;
            }
            let upstream = self.up.upstream(lineage.session, now);
            self.down.note_upstream(lineage, next, upstream, self.store);
            if self.by_demand {
                let head = self.up.upstream_head(lineage.session);
                self.down.note_upstream_head(lineage.session, head);
            }
        }
    }

    /// Asks upstream for as much as those may be sent who have had everything.
    fn demand(&mut self, now: Now) {
        let sessions: Vec<_> = self.down.sessions().map(|(lineage, _)| lineage.session).collect();
        for session in sessions {
            self.down.evict_sent(session, now);
            if self.down.retained(session) == 0
                && !self.up.has_queued()
                && let Some(room) = self.down.hungry_room(session, now.time)
            {
                self.up.demand(session, room);
            }
        }
    }

    /// Gives subscribers what was fetched for them.
    fn pass_fetched(&mut self, now: Now) {
        let lanes: Vec<_> =
            self.fetching.iter().map(|(key, (lane, fetch))| (*key, *lane, *fetch)).collect();
        for (key, lane, fetch) in lanes {
            let mut wanted = self.down.is_fetched_for(&fetch);
            while let Some(laned) = self.up.poll_lane(lane) {
                match laned {
                    Laned::Run(run) => wanted &= self.down.handle_fetched(&fetch, &run, now),
                    Laned::Broken => wanted = false,
                }
            }
            if !wanted {
                self.end_fetch(&key);
                self.down.wake_link(fetch.link);
            }
        }
    }

    /// Asks upstream for what subscribers want that the rings do not retain. Costs little while all lanes are taken, however
    /// many wait.
    fn fetch(&mut self, now: Time) {
        self.go_on_fetching(now);
        self.lacks_lane = false;
        for _ in 0..self.down.cold_links() {
            if !self.has_a_lane(now) {
                self.lacks_lane = true;
                return;
            }
            let Some(link) = self.down.next_cold(self.fetched_last) else {
                return;
            };
            self.fetched_last = link;
            self.fetch_for(link, now);
        }
    }

    /// Asks for more where there is room again, and for nothing more where that is not what is wanted.
    fn go_on_fetching(&mut self, now: Time) {
        let lanes: Vec<_> = self.fetching.iter().map(|(key, (lane, _))| (*key, *lane)).collect();
        for (key, lane) in lanes {
            let fetch = self.down.cold_requests(key.0).find(|fetch| fetch.request == key.1);
            let Some(fetch) = fetch else {
                continue;
            };
            if self.up.lane_serves(lane, fetch.next) {
                let room = self.room_for(&fetch);
                self.up.raise_lane(lane, room, now);
            } else {
                self.end_fetch(&key);
            }
        }
    }

    /// Opens lanes for a link, as far as there are any.
    fn fetch_for(&mut self, link: LinkId, now: Time) {
        let requests: Vec<_> = self.down.cold_requests(link).collect();
        for fetch in requests {
            let key = (fetch.link, fetch.request);
            if self.fetching.contains_key(&key) {
                continue;
            }
            if !self.has_a_lane(now) {
                self.lacks_lane = true;
                return;
            }
            if self.up.lanes_are_full() {
                self.free_a_lane(now);
            }
            let room = self.room_for(&fetch);
            if let Some(lane) = self.up.open_lane(fetch.session, fetch.next, room, now) {
                self.fetching.insert(key, (lane, fetch));
            }
        }
    }

    /// How much is fetched at a time: a subscriber may give credit without end, and read nothing.
    fn room_for(&self, fetch: &Fetch) -> Amount {
        let bytes = FETCH_BYTES.max(cost_bytes_max(self.up.config().link.message_bytes_max));
        fetch.room.min(Amount::new(FETCH_MESSAGES, bytes))
    }

    /// When the next of those who are fetched for may have to make way for one that waits: nothing else may happen by then.
    fn frees_a_lane_at(&self) -> Option<Time> {
        let lanes = self.fetching.values().filter(|_| self.lacks_lane);
        lanes.filter_map(|(lane, _)| self.up.lane_idle_at(*lane)).min()
    }

    /// Fetches no more for those whose request or link has ended. False if there is none.
    fn ends_fetches_of_the_gone(&mut self) -> bool {
        let fetching = self.fetching.iter();
        let gone: Vec<_> = fetching
            .filter(|(_, (_, fetch))| !self.down.is_fetched_for(fetch))
            .map(|(key, _)| *key)
            .collect();
        gone.iter().for_each(|key| self.end_fetch(key));
        !gone.is_empty()
    }

    /// Whether more can be fetched, if need be in the place of somebody who takes nothing.
    fn has_a_lane(&self, now: Time) -> bool {
        !self.up.lanes_are_full() || self.idle_lane(now).is_some()
    }

    /// For whom something is fetched who has taken nothing for longest, and had time to.
    fn idle_lane(&self, now: Time) -> Option<(LinkId, RequestId)> {
        let lag = self.up.config().lag;
        let idle = self.fetching.iter().filter_map(|(key, (lane, _))| {
            let since = self.up.lane_idle_since(*lane, now)?;
            let has_time = now < since + lag && self.down.has_fetched(*key);
            (!has_time).then_some((since, *key))
        });
        idle.min().map(|(_, key)| key)
    }

    /// Fetches no more for the subscriber that has taken nothing for longest, so that others have their turn. What came for it
    /// and waits to be taken goes, too: when it goes on, it is fetched again.
    fn free_a_lane(&mut self, now: Time) {
        if let Some(key) = self.idle_lane(now) {
            self.down.drop_fetched(key);
            self.end_fetch(&key);
        }
    }

    fn end_fetch(&mut self, key: &(LinkId, RequestId)) {
        if let Some((lane, _)) = self.fetching.remove(key) {
            self.up.close_lane(lane);
        }
    }
}
