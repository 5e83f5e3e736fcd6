//! What a proxy does with its downstream side: it fills the rings, and fetches what they do not retain.

use std::ops::Bound;

use crate::collections::RangeSet;
use crate::credit::Amount;
use crate::ids::{Lineage, LinkId, RequestId, Seq, Session};
use crate::store::Recovered;
use crate::subscribe::SubRun;
use crate::time::{Now, Time};

use super::channel::Channel;
use super::journal::Journal;
use super::reader::{Reader, Standing};
use super::{PeerId, PublishConfig, PublishEngine};

/// What can be had of a session upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// There is a way to the publisher.
    pub(crate) live: bool,
    /// The numbers that a source has, or may have by the time that it is asked.
    pub(crate) reachable: RangeSet,
}

/// What a subscriber wants that its proxy does not retain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fetch {
    pub(crate) link: LinkId,
    pub(crate) request: RequestId,
    pub(crate) session: Session,
    pub(crate) next: Seq,
    pub(crate) room: Amount,
}

impl PublishEngine {
    /// A proxy's side that goes on with the rings that its store kept.
    pub(crate) fn restored(
        config: PublishConfig,
        peer_id: PeerId,
        recovered: Recovered,
        now: Now,
    ) -> Self {
        let mut engine = Self::without_session(config, peer_id);
        if let Some(lineage) = recovered.lineage {
            engine.restore(lineage, recovered, now);
            if let Some(channel) = engine.channels.get_mut(&lineage.session) {
                channel.live = false;
            }
        }
        engine
    }

    /// The sessions that are served, and where each of them goes on.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (Lineage, Seq)> {
        self.channels.values().map(|channel| (channel.lineage, channel.ring.next_seq()))
    }

    /// Notes what is known of a session upstream: the incarnation, whether it can be reached, from where on. Makes its ring
    /// if it is new; `store` says whether there is a store, which then may keep this one.
    pub(crate) fn note_upstream(
        &mut self,
        lineage: Lineage,
        next_seq: Seq,
        upstream: Upstream,
        store: bool,
    ) {
        let Upstream { live, reachable } = upstream;
        let session = lineage.session;
        let is_new = !self.channels.contains_key(&session);
        let channel =
            self.channels.entry(session).or_insert_with(|| Channel::new(lineage, next_seq));
        let changed = is_new || channel.lineage != lineage || channel.live != live;
        let renewed = channel.lineage != lineage;
        let comes_to_life = live && (is_new || !channel.live);
        channel.lineage = lineage;
        channel.live = live;
        let moved = std::mem::replace(&mut channel.reachable, reachable) != channel.reachable;
        if store && self.takes_over(session, is_new, comes_to_life) {
            self.store_only(lineage);
        }
        if let Some(journal) = &mut self.journal
            && renewed
            && journal.session() == session
        {
            journal.renew_lineage();
        }
        if changed {
            let ids: Vec<LinkId> = self.links.keys().copied().collect();
            for id in ids {
                if let Some(link) = self.links.get_mut(&id) {
                    link.announce = true;
                }
                self.wakes.push_back(id);
            }
        } else if moved {
            self.wake_losers(session);
        }
    }

    /// Those who wait for what cannot be had any more are to be told so.
    fn wake_losers(&mut self, session: Session) {
        let Some(channel) = self.channels.get(&session) else {
            return;
        };
        let loses = |reader: &Reader| {
            let position = reader.position();
            reader.session == session && channel.servable_from(position) > position
        };
        let losers = self.links.iter().filter(|(_, link)| link.readers.iter().any(loses));
        self.wakes.extend(losers.map(|(id, _)| *id));
    }

    /// Lets go of a session. Its subscribers are told so, and what they have lost with it.
    pub(crate) fn forget(&mut self, session: Session) {
        let Some(channel) = self.channels.remove(&session) else {
            return;
        };
        for (id, link) in &mut self.links {
            let readers = link.readers.iter_mut().filter(|reader| reader.session == session);
            readers.for_each(|reader| reader.end(&channel));
            link.announce = true;
            self.wakes.push_back(*id);
        }
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        ids.into_iter().for_each(|id| self.note_moved(id));
    }

    /// Sees to it that the rings of these sessions are together no larger than one may be. The first keep most.
    pub(crate) fn share_ring(&mut self, sessions: &[Session], now: Now) {
        let mut left = self.config.ring;
        if left.messages == 0 {
            // What is there is on its way.
            return;
        }
        for session in sessions {
            self.evict_to(*session, left, || now);
            if let Some(channel) = self.channels.get(session) {
                left.messages = left.messages.saturating_sub(channel.ring.len());
                left.bytes = left.bytes.saturating_sub(channel.ring.bytes());
            }
        }
    }

    /// What can be fetched goes up to here: subscribers may ask for it.
    pub(crate) fn note_upstream_head(&mut self, session: Session, head: Seq) {
        let Some(channel) = self.channels.get_mut(&session) else {
            return;
        };
        if std::mem::replace(&mut channel.upstream_head, head) < head {
            self.wakes.extend(self.links.keys());
        }
    }

    /// Whether a session takes the place of the one that the store keeps: the newest of those that live, and one that comes
    /// to life while that one does not. One that has ended is kept as long as no other is.
    fn takes_over(&self, session: Session, is_new: bool, comes_to_life: bool) -> bool {
        let kept = self.journal.as_ref().map(Journal::session);
        kept.and_then(|kept| self.channels.get(&kept)).is_none_or(|kept| {
            kept.lineage.session != session && comes_to_life && (is_new || !kept.live)
        })
    }

    /// The store keeps this session from now on, and no other. What of it was there before is not written.
    fn store_only(&mut self, lineage: Lineage) {
        let before = self.journal.take();
        let kept: Vec<Session> = self.channels.keys().copied().collect();
        kept.into_iter().for_each(|session| self.show_unstored(session));
        if let Some(channel) = self.channels.get_mut(&lineage.session) {
            channel.ring.close_open();
            let next_seq = channel.ring.next_seq();
            self.keep(lineage, next_seq);
        }
        if let (Some(before), Some(journal)) = (before, &mut self.journal) {
            journal.succeed(before);
        }
    }

    /// A session that the store does not keep any more: what waited for the disk can be seen.
    fn show_unstored(&mut self, session: Session) {
        let Some(channel) = self.channels.get_mut(&session) else {
            return;
        };
        let Some(stored) = channel.stored.take() else {
            return;
        };
        channel.ring.close_open();
        let seqs = stored..channel.ring.next_seq();
        self.wake_hungry();
        self.note_readable(session, seqs);
    }

    /// Whether a session has a ring here.
    pub(crate) fn serves(&self, session: Session) -> bool {
        self.channels.contains_key(&session)
    }

    /// Whether there is room for what comes from upstream: a store that is behind, or has failed, holds it back.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.is_store_behind() {
            // Of numbers that nobody has, it need not keep any.
            self.pass_hole_at_end();
        }
        !self.is_store_behind()
    }

    fn is_store_behind(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| self.admit_to_store(journal).is_err())
    }

    /// Appends what came from upstream to a session's ring.
    pub(crate) fn ingest(&mut self, run: &SubRun, now: Now) {
        let session = run.session();
        let Some(channel) = self.channels.get_mut(&session) else {
            return;
        };
        channel.note_clock(run.sent(), now);
        let first = run.seqs().start;
        let start = first.max(channel.ring.next_seq());
        let bytes = channel.ring.bytes();
        channel.ring.extend(first, run.records(), now);
        if let Some(journal) = &mut self.journal
            && journal.session() == session
        {
            journal.took_in(channel.ring.bytes() - bytes);
        }
        let end = channel.ring.next_seq();
        self.published += end - start;
        let stored = channel.stored.is_some();
        self.evict(session, || now);
        if !stored {
            self.note_visible(session, start..end, now);
        }
    }

    /// What was written for a link is still in its way. It is looked after again with the next
    /// [`PublishEngine::poll_transmit`].
    pub(crate) fn handle_blocked(&mut self, id: LinkId, now: Time) {
        if self.links.get(&id).is_some_and(|link| link.link.is_open()) {
            self.block(id, now);
        }
    }

    /// Lets go of what everybody who waits has been sent: for a ring of 0. Whose connection is stuck is not waited for if others
    /// wait; what it wants is fetched for it when it goes on.
    pub(crate) fn evict_sent(&mut self, session: Session, now: Now) {
        let needed = self.needed_from(session, now.time);
        if let Some(channel) = self.channels.get_mut(&session) {
            channel.ring.evict_below(needed, || now.wall);
        }
    }

    /// Messages that are retained of a session.
    pub(crate) fn retained(&self, session: Session) -> u64 {
        self.channels.get(&session).map_or(0, |channel| channel.ring.len())
    }

    /// The next link after this one, in turn, that wants what is not retained here and can be fetched.
    pub(crate) fn next_cold(&mut self, after: LinkId) -> Option<LinkId> {
        loop {
            let behind = self.cold.range((Bound::Excluded(after), Bound::Unbounded)).next();
            let next = *behind.or_else(|| self.cold.first())?;
            if self.cold_requests(next).next().is_some() {
                return Some(next);
            }
            self.cold.remove(&next);
        }
    }

    /// How many links there may be for which [`PublishEngine::next_cold`] has to be asked.
    pub(crate) fn cold_links(&self) -> usize {
        self.cold.len()
    }

    /// The requests of a link for what is not retained here.
    pub(crate) fn cold_requests(&self, link: LinkId) -> impl Iterator<Item = Fetch> {
        let readers = self.links.get(&link).into_iter().flat_map(|link| &link.readers);
        readers.filter(|reader| reader.standing == Standing::Cold).map(move |reader| Fetch {
            link,
            request: reader.request,
            session: reader.session,
            next: reader.position(),
            room: reader.fetch_room(),
        })
    }

    /// Nothing of a session below this number will come any more.
    pub(crate) fn note_lost(&mut self, session: Session, next: Seq, now: Now) {
        let Some(channel) = self.channels.get_mut(&session) else {
            return;
        };
        if next <= channel.ring.next_seq() {
            return;
        }
        let visible = channel.visible();
        channel.ring.jump(next, now.wall);
        if channel.stored.is_none() {
            self.note_hole(session, visible);
        }
    }

    /// Whether a subscriber still waits for what is fetched for it.
    pub(crate) fn is_fetched_for(&self, fetch: &Fetch) -> bool {
        let readers = self.links.get(&fetch.link).map(|link| &link.readers);
        let mut readers = readers.into_iter().flatten();
        readers.any(|reader| reader.request == fetch.request && reader.wants_side())
    }

    /// Gives a subscriber what was fetched for it; false if it does not want it any more.
    pub(crate) fn handle_fetched(&mut self, fetch: &Fetch, run: &SubRun, now: Now) -> bool {
        if let Some(channel) = self.channels.get_mut(&fetch.session) {
            channel.note_clock(run.sent(), now);
        }
        // Meanwhile it may have come to what the ring has.
        let wanted = self
            .reader_mut((fetch.link, fetch.request))
            .is_some_and(|reader| reader.take_in(run.seqs(), run.records().clone(), now.time));
        if wanted {
            self.wakes.push_back(fetch.link);
        }
        wanted
    }

    /// Whether something that was fetched for a subscriber waits to be sent.
    pub(crate) fn has_fetched(&self, (link, request): (LinkId, RequestId)) -> bool {
        let readers = self.links.get(&link).into_iter().flat_map(|link| &link.readers);
        readers.filter(|reader| reader.request == request).any(Reader::has_side)
    }

    /// Lets go of what was fetched for a subscriber and waits to be sent.
    pub(crate) fn drop_fetched(&mut self, key: (LinkId, RequestId)) {
        if let Some(reader) = self.reader_mut(key) {
            reader.drop_side();
        }
    }

    fn reader_mut(&mut self, (link, request): (LinkId, RequestId)) -> Option<&mut Reader> {
        self.note_moved(link);
        let readers = &mut self.links.get_mut(&link)?.readers;
        readers.iter_mut().find(|reader| reader.request == request)
    }

    /// Lets a subscriber look again whether what it wants can be had.
    pub(crate) fn wake_link(&mut self, link: LinkId) {
        self.wakes.push_back(link);
    }
}
