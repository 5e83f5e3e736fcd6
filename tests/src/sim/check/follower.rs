//! What a subscriber's application has had of each session, and what it may be told next.

use std::collections::{BTreeMap, BTreeSet};

use drawdown_protocol::{Gap, NewSession, OldSession, Position, RangeSet, Seq, Session};

use super::chronicle::Chronicle;
use super::{Verdict, ensure};

/// One life of a subscriber.
#[derive(Default)]
pub(crate) struct Follower {
    pub(crate) filters: Vec<Vec<u8>>,
    streams: BTreeMap<Session, Followed>,
    announced: BTreeSet<Session>,
}

/// One session.
#[derive(Default)]
struct Followed {
    /// What is wanted from these numbers on.
    filters: Vec<(Seq, Vec<Vec<u8>>)>,
    /// Where it began, once a source has told.
    base: Option<Seq>,
    /// Everything below this was had, or is not wanted, or is missing and known to be.
    position: Seq,
    acknowledged: Seq,
    missing: RangeSet,
    epoch: u64,
    /// Some of what has arrived was discarded, as the application has wished: if no publisher of it comes back.
    is_torn: bool,
}

impl Followed {
    /// The first number of these that is wanted by the filters of its time.
    fn first_wanted(
        &self,
        chronicle: &Chronicle,
        session: Session,
        seqs: std::ops::Range<Seq>,
    ) -> Option<Seq> {
        let ends = self.filters.iter().skip(1).map(|(from, _)| *from).chain([u64::MAX]);
        let mut parts = self.filters.iter().zip(ends);
        parts.find_map(|((from, prefixes), end)| {
            let part = seqs.start.max(*from)..seqs.end.min(end);
            chronicle.first_wanted(session, part, prefixes)
        })
    }
}

impl Follower {
    /// One that goes on from these positions.
    pub(crate) fn new(filters: Vec<Vec<u8>>, resumed: &[Position]) -> Self {
        let mut follower = Self { filters, ..Self::default() };
        for position in resumed {
            follower.meet(position.session);
            follower.begin(position.session, position.next);
            follower.announced.insert(position.session);
        }
        follower
    }

    /// The engine follows a session. All but the first must be announced to the application.
    pub(crate) fn meet(&mut self, session: Session) {
        if self.streams.contains_key(&session) {
            return;
        }
        if self.streams.is_empty() {
            self.announced.insert(session);
        }
        let filters = vec![(0, self.filters.clone())];
        self.streams.insert(session, Followed { filters, ..Followed::default() });
    }

    /// A source has said where a session begins.
    pub(crate) fn begin(&mut self, session: Session, base: Seq) {
        if let Some(stream) = self.streams.get_mut(&session)
            && stream.base.is_none()
        {
            stream.base = Some(base);
            stream.position = base;
            stream.acknowledged = base;
        }
    }

    pub(crate) fn has_begun(&self, session: Session) -> bool {
        self.streams.get(&session).is_some_and(|stream| stream.base.is_some())
    }

    /// From now on something else is wanted; `sessions` says where the engine stands.
    pub(crate) fn refilter(&mut self, filters: Vec<Vec<u8>>, sessions: &[(Session, Option<Seq>)]) {
        self.filters = filters;
        for (session, next) in sessions {
            self.meet(*session);
            if let Some(stream) = self.streams.get_mut(session) {
                let from = next.unwrap_or(0);
                stream.filters.retain(|(before, _)| *before < from);
                stream.filters.push((from, self.filters.clone()));
            }
        }
    }

    fn stream(&mut self, session: Session) -> Result<&mut Followed, String> {
        if !self.announced.contains(&session) {
            return Err(format!("something of {session} came before it was announced"));
        }
        self.streams.get_mut(&session).ok_or_else(|| format!("{session} is not followed"))
    }

    /// The application gets a message.
    pub(crate) fn take_message(
        &mut self,
        chronicle: &mut Chronicle,
        session: Session,
        seq: Seq,
        topic: &[u8],
        found: &[u8],
    ) -> Verdict {
        let since = self.stream(session)?.epoch;
        let epoch = chronicle.check(session, seq, topic, found, since)?;
        let stream = self.stream(session)?;
        let position = stream.position;
        ensure(seq >= position, || format!("message {seq} comes after {position} was reached"))?;
        ensure(epoch >= stream.epoch, || {
            format!("message {seq} is of an older publisher than one before")
        })?;
        stream.epoch = epoch;
        let passed = stream.first_wanted(chronicle, session, position..seq);
        ensure(passed.is_none(), || format!("message {passed:?} is wanted, and {seq} came"))?;
        let own = stream.first_wanted(chronicle, session, seq..seq + 1);
        let doubled = chronicle.doubled.contains(&session);
        ensure(own.is_some() || doubled, || format!("message {seq} is not wanted"))?;
        stream.position = seq + 1;
        Ok(())
    }

    /// The application is told of a gap.
    pub(crate) fn take_gap(&mut self, chronicle: &Chronicle, gap: Gap) -> Verdict {
        let stream = self.stream(gap.session)?;
        let position = stream.position;
        ensure(position <= gap.from && gap.from <= gap.to, || {
            format!("{gap:?} comes after {position} was reached")
        })?;
        let passed = stream.first_wanted(chronicle, gap.session, position..gap.from);
        ensure(passed.is_none(), || format!("message {passed:?} is wanted, and {gap:?} came"))?;
        stream.position = gap.to + 1;
        stream.missing.insert(gap.from..gap.to + 1);
        Ok(())
    }

    /// The application is told of a session.
    pub(crate) fn take_new_session(&mut self, what: NewSession, old: OldSession) -> Verdict {
        ensure(self.announced.insert(what.new), || format!("{:?} comes again", what))?;
        if let Some(ended) = what.old.filter(|_| old == OldSession::Discard)
            && let Some(stream) = self.streams.get_mut(&ended)
        {
            stream.is_torn = true;
        }
        Ok(())
    }

    /// The application is done with this message and all before it.
    pub(crate) fn acknowledge(&mut self, session: Session, seq: Seq) {
        if let Some(stream) = self.streams.get_mut(&session) {
            stream.acknowledged = stream.acknowledged.max(seq + 1);
        }
    }

    fn begun(&self, session: Session) -> Option<&Followed> {
        self.streams.get(&session).filter(|stream| stream.base.is_some())
    }

    /// A position skips nothing that the application has not acknowledged, or was told to be missing.
    pub(crate) fn check_position(&self, chronicle: &Chronicle, position: Position) -> Verdict {
        let Position { session, next, .. } = position;
        let Some(stream) = self.begun(session).filter(|stream| !stream.is_torn) else {
            return Ok(());
        };
        for part in stream.missing.missing(stream.acknowledged..next) {
            let skipped = stream.first_wanted(chronicle, session, part);
            ensure(skipped.is_none(), || {
                format!(
                    "a cursor at {next} skips message {skipped:?}; acknowledged is all below {}",
                    stream.acknowledged
                )
            })?;
        }
        Ok(())
    }

    /// The first message below `head` that the application has not had although it wants it.
    pub(crate) fn first_unmet(
        &self,
        chronicle: &Chronicle,
        session: Session,
        head: Seq,
    ) -> Option<Seq> {
        let stream = self.streams.get(&session).filter(|stream| !stream.is_torn)?;
        stream.first_wanted(chronicle, session, stream.position..head)
    }
}
