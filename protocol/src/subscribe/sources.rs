//! Who is asked: of all that can serve a session the one that has what comes next.

use std::time::Duration;

use crate::event::{Event, NewSession};
use crate::ids::{Lineage, LinkId, Seq, Session};
use crate::limits::SESSIONS_MAX;
use crate::link::{refusal, violation};
use crate::time::Time;
use crate::wire::{Close, CloseCode, Ring};

use super::stream::Active;
use super::{OldSession, Queued, Source, Start, SubscribeEngine};

impl SubscribeEngine {
    /// A source says what it has.
    pub(super) fn handle_ring(&mut self, id: LinkId, ring: Ring, now: Time) -> Result<(), Close> {
        if ring.oldest > ring.head {
            return Err(violation("a ring that ends before it begins"));
        }
        let session = ring.lineage.session;
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if link.sources.len() >= SESSIONS_MAX && !link.sources.contains_key(&session) {
            return Err(refusal(
                CloseCode::TooMany,
                "more sessions on one link than this side follows",
            ));
        }
        link.sources.entry(session).or_insert(Source { ring, asked: 0, asked_from: None }).ring =
            ring;
        if !self.streams.contains_key(&session) {
            self.meet(session)?;
        }
        self.adopt(id, ring, now)?;
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.found.get_or_insert(now);
        }
        self.choose(session, now);
        self.grant(now);
        Ok(())
    }

    /// A session that is not followed yet.
    fn meet(&mut self, session: Session) -> Result<(), Close> {
        self.forget_ended_sessions();
        if self.streams.len() >= SESSIONS_MAX {
            return Err(refusal(CloseCode::TooMany, "more sessions than this side follows"));
        }
        if self.streams.is_empty() {
            self.follow(session, self.config.start);
            return Ok(());
        }
        let known = self.streams.values().filter(|stream| !stream.discarded);
        let ended = known.filter(|stream| !self.is_live(stream.session));
        let old = ended.max_by_key(|stream| stream.order).map(|stream| stream.session);
        self.follow(session, Start::Oldest);
        let new_session = NewSession { new: session, old };
        if let Some(old) = old.filter(|_| self.config.old_session == OldSession::Discard) {
            self.discard(old);
        }
        self.queue.push_back(Queued::NewSession(new_session));
        self.markers += 1;
        if self.current == old {
            self.current = None;
        }
        self.events.push(Event::NewSession(new_session));
        Ok(())
    }

    /// Whether any link says that this session's publisher is there.
    fn is_live(&self, session: Session) -> bool {
        let mut open = self.links.values().filter(|link| link.link.is_open());
        open.any(|link| link.sources.get(&session).is_some_and(|source| source.ring.live))
    }

    /// Drops what of a session waits for the application; where it stands is kept.
    fn discard(&mut self, session: Session) {
        self.end_request(session);
        let mut freed = crate::credit::Amount::ZERO;
        let mut markers = 0;
        self.queue.retain(|queued| match queued {
            Queued::Run(batch) if batch.run.session() == session => {
                freed += super::intake::cost_of(batch);
                false
            }
            Queued::Gap(gap) if gap.session == session => {
                markers += 1;
                false
            }
            _ => true,
        });
        self.queued -= freed;
        self.markers -= markers;
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.discard(freed.messages);
        }
    }

    /// Makes room for another session: those that nobody serves any more, and of which nothing waits, go.
    fn forget_ended_sessions(&mut self) {
        while self.streams.len() >= SESSIONS_MAX {
            let served = |session: &Session| {
                self.links.values().any(|link| link.sources.contains_key(session))
            };
            let idle = self.streams.values().filter(|stream| stream.queued == 0);
            let oldest = idle.filter(|stream| !served(&stream.session)).min_by_key(|s| s.order);
            let Some(session) = oldest.map(|stream| stream.session) else {
                return;
            };
            self.streams.remove(&session);
        }
    }

    /// Compares what a source says of its publisher with what is known, and refuses what does not go together.
    fn adopt(&mut self, id: LinkId, ring: Ring, now: Time) -> Result<(), Close> {
        let Some(stream) = self.streams.get_mut(&ring.lineage.session) else {
            return Ok(());
        };
        let Some(known) = stream.lineage else {
            stream.lineage = Some(ring.lineage);
            return Ok(());
        };
        match ring.lineage.epoch.cmp(&known.epoch) {
            std::cmp::Ordering::Equal if ring.lineage == known => Ok(()),
            std::cmp::Ordering::Equal => Err(conflict(format!(
                "two publishers of session {} claim to be one: from number {} on, and from {} on",
                known.session, known.since, ring.lineage.since
            ))),
            std::cmp::Ordering::Less if ring.head > known.since => Err(fenced(known)),
            std::cmp::Ordering::Less => Ok(()),
            std::cmp::Ordering::Greater => {
                let published = stream.published;
                if ring.lineage.since < published {
                    return Err(conflict(format!(
                        "a new publisher of session {} begins at number {}, and this subscriber has had all below \
                         {published}: start the publisher with a higher number, or a new session",
                        known.session, ring.lineage.since
                    )));
                }
                stream.lineage = Some(ring.lineage);
                self.fence_others(id, ring.lineage, now);
                Ok(())
            }
        }
    }

    /// Leaves those who still serve what an older incarnation numbers where this one has begun.
    fn fence_others(&mut self, id: LinkId, lineage: Lineage, now: Time) {
        let is_fenced = |source: &Source| {
            source.ring.lineage.epoch < lineage.epoch && source.ring.head > lineage.since
        };
        let fenced_links: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(other, link)| {
                **other != id && link.sources.get(&lineage.session).is_some_and(is_fenced)
            })
            .map(|(other, _)| *other)
            .collect();
        for other in fenced_links {
            self.end_link(other, fenced(lineage), true, now);
        }
    }

    /// Whether a source serves numbers that a newer incarnation has used anew.
    pub(super) fn is_fenced(&self, id: LinkId, session: Session, end: u64) -> Option<Lineage> {
        let source = self.links.get(&id)?.sources.get(&session)?;
        let known = self.streams.get(&session)?.lineage?;
        (source.ring.lineage.epoch < known.epoch && end > known.since).then_some(known)
    }

    /// A source has told by its answer that it has nothing below `oldest`.
    pub(super) fn note_oldest(&mut self, id: LinkId, session: Session, oldest: u64) {
        let link = self.links.get_mut(&id);
        if let Some(source) = link.and_then(|link| link.sources.get_mut(&session)) {
            source.ring.oldest = source.ring.oldest.max(oldest);
            source.ring.head = source.ring.head.max(oldest);
        }
    }

    /// Whether any source has something of a session that has not come.
    pub(super) fn has_news(&self, session: Session) -> bool {
        let next = self.streams.get(&session).and_then(|stream| stream.next).unwrap_or(0);
        let mut sources = self.links.values().filter_map(|link| link.sources.get(&session));
        sources.any(|source| source.ring.head > next)
    }

    /// Sees to it that a session is asked of the source that should be asked.
    pub(super) fn choose(&mut self, session: Session, now: Time) {
        if self.stopped || self.is_discarded(session) {
            return;
        }
        if self.is_asked(session) && !self.is_lagging(session, now) {
            return;
        }
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.behind = None;
        }
        let Some(link) = self.best_source(session) else {
            return;
        };
        let asked = self.streams.get(&session).and_then(|stream| stream.active.as_ref());
        let is_it = asked.is_some_and(|active| active.link == link);
        if !is_it && !self.waits(session, link, now) {
            self.ask(session, link, now);
        }
    }

    fn is_asked(&self, session: Session) -> bool {
        self.streams.get(&session).is_some_and(|stream| stream.active.is_some())
    }

    /// Whether the application wants no more of a session. If its publisher is back, it goes on where it was.
    fn is_discarded(&mut self, session: Session) -> bool {
        let live = self.is_live(session);
        let stream = self.streams.get_mut(&session);
        stream.is_some_and(|stream| {
            stream.discarded &= !live;
            stream.discarded
        })
    }

    /// A source has nothing of what comes next below `from`. True if another one may have some of it: then that one is
    /// asked now. Each is asked, and the one that loses least once more, before a loss is believed.
    pub(super) fn asks_elsewhere(
        &mut self,
        id: LinkId,
        session: Session,
        from: Seq,
        now: Time,
    ) -> bool {
        let stream = self.streams.get(&session);
        let Some((next, rescues)) = stream.and_then(|s| Some((s.next?, s.rescues))) else {
            return false;
        };
        if from <= next {
            return false;
        }
        self.note_oldest(id, session, from);
        let others = self.links.iter().filter(|(other, link)| **other != id && link.link.is_open());
        let sources =
            others.filter_map(|(other, link)| Some((*other, link.sources.get(&session)?)));
        let count = sources.clone().count();
        let able = sources.filter(|(_, source)| {
            let unasked = source.asked_from.is_none_or(|asked| asked < next);
            source.ring.oldest < from && (source.ring.head > next || unasked)
        });
        let best = able.min_by_key(|(_, source)| {
            (source.ring.oldest.max(next), std::cmp::Reverse(source.ring.head))
        });
        let Some((other, _)) = best.filter(|_| rescues <= count) else {
            return false;
        };
        self.ask(session, other, now);
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.rescues = rescues + 1;
        }
        self.grant(now);
        true
    }

    /// Whether the source that is asked has sent nothing for a while although another one has more.
    fn is_lagging(&mut self, session: Session, now: Time) -> bool {
        let behind = self.is_behind(session);
        let lag = self.lag_of(session);
        let Some(stream) = self.streams.get_mut(&session) else {
            return false;
        };
        if !behind {
            stream.behind = None;
            return false;
        }
        // One that was asked a moment ago has its time, too.
        let asked = stream.active.as_ref().map_or(now, |active| active.since);
        let since = stream.behind.get_or_insert(now);
        *since = asked.max(*since);
        now >= *since + lag
    }

    /// How long the source of a session may be behind another one. Where not everything is wanted, it says how far it has
    /// come only with its heartbeats.
    fn lag_of(&self, session: Session) -> Duration {
        let wants_all = self.filters.first().is_some_and(|prefix| prefix.as_bytes().is_empty());
        let stream = self.streams.get(&session).filter(|_| !wants_all);
        let link = stream.and_then(|stream| self.links.get(&stream.active.as_ref()?.link));
        let heartbeat = link.and_then(|link| link.link.peer()?.heartbeat).unwrap_or_default();
        self.config.lag.max(heartbeat * 2)
    }

    /// Whether the source that is asked could send, and another one has what comes next.
    fn is_behind(&self, session: Session) -> bool {
        let Some((stream, active)) = self
            .streams
            .get(&session)
            .and_then(|stream| stream.active.as_ref().map(|active| (stream, active)))
        else {
            return false;
        };
        let next = stream.next.unwrap_or(0);
        let could_send = active.requested && active.allowance.outstanding().messages > 0;
        let mut others = self.links.iter().filter(|(id, _)| **id != active.link);
        let has_more = others.any(|(_, link)| {
            let source = link.sources.get(&session).filter(|_| link.link.is_open());
            source.is_some_and(|source| source.ring.head > next && source.ring.oldest <= next)
        });
        could_send && has_more
    }

    /// The source that has what comes next, or else loses least; the one that has most; the one that was asked longest ago.
    fn best_source(&self, session: Session) -> Option<LinkId> {
        let stream = self.streams.get(&session)?;
        let lagging = stream.active.as_ref().map(|active| active.link);
        let from = stream.next.unwrap_or(if stream.wants_oldest() { 0 } else { u64::MAX });
        let open = self.links.iter().filter(|(_, link)| link.link.is_open());
        open.filter_map(|(id, link)| Some((*id, link.sources.get(&session)?)))
            .max_by_key(|(id, source)| {
                let lost = source.ring.oldest.saturating_sub(from);
                let epoch = source.ring.lineage.epoch;
                let other = lagging != Some(*id);
                let turn = std::cmp::Reverse(source.asked);
                (std::cmp::Reverse(lost), other, epoch, source.ring.head, turn)
            })
            .map(|(id, _)| id)
    }

    /// Whether to wait for other sources, since this one does not have all that is wanted.
    fn waits(&self, session: Session, link: LinkId, now: Time) -> bool {
        let Some(stream) = self.streams.get(&session) else {
            return false;
        };
        let known = self.links.values().filter(|link| link.sources.contains_key(&session)).count();
        let source = self.links.get(&link).and_then(|link| link.sources.get(&session));
        let oldest = source.map_or(0, |source| source.ring.oldest);
        let loses = match stream.next {
            Some(next) => oldest > next,
            None => stream.wants_oldest() && oldest > 0,
        };
        loses
            && known < self.sources_expected
            && stream.found.is_some_and(|found| now < found + self.config.patience)
    }

    /// When [`SubscribeEngine::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.stopped {
            return None;
        }
        let behind = self.streams.values().filter_map(|stream| {
            let behind = stream.behind.filter(|_| stream.active.is_some())?;
            Some(behind + self.lag_of(stream.session))
        });
        let waiting =
            self.streams.values().filter(|stream| stream.active.is_none() && !stream.discarded);
        let found = waiting.filter(|stream| self.best_source(stream.session).is_some());
        let patience = found.filter_map(|stream| Some(stream.found? + self.config.patience));
        patience.chain(behind).min()
    }

    /// Lets time pass: what was waited for long enough is not waited for any more.
    pub fn handle_timeout(&mut self, now: Time) {
        let sessions: Vec<Session> = self.streams.keys().copied().collect();
        for session in sessions {
            self.choose(session, now);
        }
        self.grant(now);
    }

    /// Asks a source for a session from where it has come to; another one that is asked is told to stop.
    fn ask(&mut self, session: Session, id: LinkId, now: Time) {
        self.end_request(session);
        self.turn += 1;
        let (Some(stream), Some(link)) = (self.streams.get_mut(&session), self.links.get_mut(&id))
        else {
            return;
        };
        let request = link.next_request;
        link.next_request += 1;
        let mut head = 0;
        if let Some(source) = link.sources.get_mut(&session) {
            source.asked = self.turn;
            source.asked_from = stream.next;
            head = source.ring.head;
        }
        stream.active = Some(Active {
            link: id,
            request,
            allowance: Default::default(),
            requested: false,
            since: now,
        });
        if let Some(next) = stream.next.filter(|next| *next > head) {
            self.events.push(Event::Ahead { session, next, head });
        }
        self.events.push(Event::SourceChanged { session, link: id });
        self.wakes.push_back(id);
    }

    /// Asks the same source again, so that credit is counted anew and nothing that is on its way counts.
    pub(super) fn ask_again(&mut self, session: Session, now: Time) {
        let Some(stream) = self.streams.get_mut(&session) else {
            return;
        };
        let Some(active) = &mut stream.active else {
            return;
        };
        if !active.requested {
            active.allowance = Default::default();
            return;
        }
        let id = active.link;
        if let Some(link) = self.links.get_mut(&id) {
            link.ends.push(active.request);
            active.request = link.next_request;
            link.next_request += 1;
        }
        active.allowance = Default::default();
        active.requested = false;
        active.since = now;
        self.wakes.push_back(id);
    }

    /// Tells the source that is asked to stop.
    pub(super) fn end_request(&mut self, session: Session) {
        let Some(active) = self.streams.get_mut(&session).and_then(|stream| stream.active.take())
        else {
            return;
        };
        if let Some(link) = self.links.get_mut(&active.link).filter(|_| active.requested) {
            link.ends.push(active.request);
            self.wakes.push_back(active.link);
        }
    }
}

fn conflict(reason: String) -> Close {
    refusal(CloseCode::Conflict, reason)
}

pub(super) fn fenced(known: Lineage) -> Close {
    refusal(
        CloseCode::Fenced,
        format!(
            "a newer publisher of session {} has begun at number {}: this one is out of date",
            known.session, known.since
        ),
    )
}
