//! Who serves a session, and whether what they say of its publisher goes together.

use std::cmp::Reverse;
use std::ops::Range;

use crate::event::{Event, NewSession};
use crate::ids::{Lineage, LinkId, Seq, Session};
use crate::limits::{MARKERS_MAX, SESSIONS_MAX};
use crate::link::{refusal, violation};
use crate::time::Time;
use crate::wire::{Close, CloseCode, Ring};

use super::{OldSession, Queued, Source, Start, SubscribeEngine};

impl SubscribeEngine {
    /// A source says what it has.
    pub(super) fn handle_ring(&mut self, id: LinkId, ring: Ring, now: Time) -> Result<(), Close> {
        if ring.oldest > ring.head {
            return Err(violation("a ring that ends before it begins"));
        }
        let session = ring.lineage.session;
        if ring.is_forgotten() {
            self.forget_source(id, session, now);
            return Ok(());
        }
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        if link.sources.len() >= SESSIONS_MAX && !link.sources.contains_key(&session) {
            return Err(refusal(
                CloseCode::TooMany,
                "more sessions on one link than this side follows",
            ));
        }
        let source = link.sources.entry(session);
        let source = source.or_insert_with(|| Source::new(ring));
        let catches_up = ring.head > source.ring.head;
        source.renew(ring);
        if !self.streams.contains_key(&session) {
            if self.stopped {
                return Ok(());
            }
            // Nothing comes of an empty one without a publisher: whoever claims many of them must not fill an application
            // with news of them.
            if !self.streams.is_empty() && !ring.live && ring.oldest == ring.head {
                return Ok(());
            }
            self.meet(ring)?;
        }
        self.adopt(id, ring, now)?;
        if let Some(stream) = self.streams.get_mut(&session) {
            if stream.changed.is_none() {
                stream.expect(now, self.config.patience);
            }
            if catches_up && stream.active.as_ref().is_some_and(|active| active.link == id) {
                stream.behind = None;
            }
        }
        self.choose(session, now);
        self.grant(now);
        Ok(())
    }

    /// A source has let go of a session, and passes over requests for it.
    fn forget_source(&mut self, id: LinkId, session: Session, now: Time) {
        let source = self.links.get_mut(&id).and_then(|link| link.sources.remove(&session));
        if source.is_none() {
            return;
        }
        self.break_lanes(id, session);
        if self.streams.get(&session).is_some_and(|stream| stream.takes_from(id)) {
            self.end_request(session);
        }
        // What it has let go of it does not bring back, and so it is not waited for: others are believed meanwhile.
        let is_served = self.links.values().any(|link| link.sources.contains_key(&session));
        if let Some(stream) = self.streams.get_mut(&session).filter(|_| !is_served) {
            stream.expect(now, self.config.patience);
        }
        self.choose(session, now);
        self.grant(now);
    }

    /// A session that is not followed yet.
    fn meet(&mut self, ring: Ring) -> Result<(), Close> {
        let session = ring.lineage.session;
        self.forget_ended_sessions();
        if self.streams.len() >= SESSIONS_MAX {
            return Err(refusal(CloseCode::TooMany, "more sessions than this side follows"));
        }
        if self.streams.is_empty() {
            self.follow(session, self.config.start);
            return Ok(());
        }
        if self.markers >= MARKERS_MAX {
            let reason = "more new sessions than this side can keep apart";
            return Err(refusal(CloseCode::TooMany, reason));
        }
        let old = self.succeeded_by(ring);
        // One that takes the place of another is wanted as a whole, and what is published beside them from now on.
        let from_now_on = old.is_none() && self.config.start == Start::Newest;
        self.follow(session, if from_now_on { Start::Newest } else { Start::Oldest });
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

    /// The session whose place a new one takes: the last of those that were followed and have no publisher any more. Those
    /// of which a source tells in one breath take no place of each other, nor does one without a publisher take that of a
    /// session of which nobody has told yet.
    fn succeeded_by(&self, ring: Ring) -> Option<Session> {
        let ended = self.streams.values().filter(|stream| {
            let was_followed = stream.next.is_some() && (stream.lineage.is_some() || ring.live);
            was_followed && !stream.discarded && !self.is_live(stream.session)
        });
        ended.max_by_key(|stream| stream.order).map(|stream| stream.session)
    }

    /// Whether any link says that this session's publisher is there.
    pub(super) fn is_live(&self, session: Session) -> bool {
        let mut open = self.links.values().filter(|link| link.link.is_open());
        open.any(|link| link.sources.get(&session).is_some_and(|source| source.ring.live))
    }

    /// Drops what of a session waits for the application; where it stands is kept.
    fn discard(&mut self, session: Session) {
        self.end_request(session);
        let mut freed = crate::credit::Amount::ZERO;
        let (mut markers, mut missing, mut first) = (0, 0_u64, None);
        self.queue.retain(|queued| {
            let from = match queued {
                Queued::Run(batch) if batch.run.session() == session => {
                    freed += super::intake::cost_of(batch);
                    batch.run.seq(batch.index)
                }
                Queued::Gap(gap) if gap.session == session => {
                    markers += 1;
                    missing = missing.saturating_add(gap.missing());
                    gap.from
                }
                _ => return true,
            };
            first.get_or_insert(from);
            false
        });
        self.queued -= freed;
        self.markers -= markers;
        self.gap_in_hand = self.gap_in_hand.filter(|of| *of != session);
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.discard(freed.messages, first, missing);
        }
    }

    /// Makes room for another session: those that nobody serves any more, and of which nothing waits, go.
    fn forget_ended_sessions(&mut self) {
        let mut unserved = self.unserved();
        while self.streams.len() >= SESSIONS_MAX
            && let Some(session) = unserved.pop()
        {
            self.streams.remove(&session);
        }
    }

    /// The sessions that nobody serves any more, and of which nothing waits. Those come first that were served last.
    pub(crate) fn unserved(&self) -> Vec<Session> {
        let is_served =
            |session: &Session| self.links.values().any(|link| link.sources.contains_key(session));
        let idle = self.streams.values().filter(|stream| stream.queued == 0);
        let mut unserved: Vec<_> = idle.filter(|stream| !is_served(&stream.session)).collect();
        unserved.sort_unstable_by_key(|stream| Reverse((stream.changed, stream.order)));
        unserved.into_iter().map(|stream| stream.session).collect()
    }

    /// Forgets a session that nobody serves any more.
    pub(crate) fn forget(&mut self, session: Session) {
        self.streams.remove(&session);
    }

    /// Whether a session is followed.
    pub(crate) fn follows(&self, session: Session) -> bool {
        self.streams.contains_key(&session)
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
    pub(super) fn is_fenced(&self, id: LinkId, session: Session, end: Seq) -> Option<Lineage> {
        let source = self.links.get(&id)?.sources.get(&session)?;
        let known = self.streams.get(&session)?.lineage?;
        (source.ring.lineage.epoch < known.epoch && end > known.since).then_some(known)
    }

    /// A source has sent what is below `head`.
    pub(super) fn note_head(&mut self, id: LinkId, session: Session, head: Seq) {
        if let Some(source) = self.source_mut(id, session) {
            source.note_head(head);
        }
    }

    /// A source has told by its answer that it has none of these.
    pub(super) fn note_hole(&mut self, id: LinkId, session: Session, hole: Range<Seq>) {
        if let Some(source) = self.source_mut(id, session) {
            source.note_hole(hole);
        }
    }

    fn source_mut(&mut self, id: LinkId, session: Session) -> Option<&mut Source> {
        self.links.get_mut(&id)?.sources.get_mut(&session)
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
