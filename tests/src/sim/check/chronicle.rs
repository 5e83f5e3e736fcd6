//! Everything that was ever published, and in which incarnation of its publisher.

use std::collections::BTreeMap;
use std::ops::Range;

use drawdown_protocol::{Lineage, Seq, Session};

use super::{Verdict, ensure, payload};

/// What simulated publishers publish about.
pub(crate) const TOPICS: [&[u8]; 8] = [b"", b"a", b"ab", b"abc", b"b", b"ba", b"bb", b"c"];

/// What simulated subscribers want.
pub(crate) const PREFIXES: [&[u8]; 7] = [b"", b"a", b"ab", b"b", b"bb", b"c", b"x"];

/// One message as it was published.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) topic: Vec<u8>,
    pub(crate) pattern: u64,
    pub(crate) bytes: usize,
    /// The publisher has said that it is accepted.
    pub(crate) accepted: bool,
    /// Some publisher has sent it to somebody.
    pub(crate) seen: bool,
}

impl Publication {
    fn is(&self, topic: &[u8], found: &[u8]) -> bool {
        self.topic == topic && found == payload(self.pattern, self.bytes)
    }
}

/// All sessions. A number has more than one meaning only where two publishers have run in one session side by side.
#[derive(Default)]
pub(crate) struct Chronicle {
    published: BTreeMap<(Session, Seq, u64), Publication>,
    lineages: BTreeMap<Session, Vec<Lineage>>,
    /// Sessions in which two publishers have run side by side.
    pub(crate) doubled: Vec<Session>,
}

impl Chronicle {
    /// A publisher has started.
    pub(crate) fn begin(&mut self, lineage: Lineage) {
        self.lineages.entry(lineage.session).or_default().push(lineage);
    }

    /// A message was published. Nobody may have seen another one of that number and incarnation.
    pub(crate) fn publish(&mut self, lineage: Lineage, seq: Seq, what: Publication) -> Verdict {
        let key = (lineage.session, seq, lineage.epoch);
        let before = self.published.insert(key, what);
        let others = self.versions(lineage.session, seq).filter(|(_, other)| other.seen).count();
        let doubled = self.doubled.contains(&lineage.session);
        ensure(before.is_none() && (others == 0 || doubled), || {
            format!("number {seq} was used before, and somebody has seen it")
        })
    }

    fn versions(&self, session: Session, seq: Seq) -> impl Iterator<Item = (u64, &Publication)> {
        let range = (session, seq, 0)..=(session, seq, u64::MAX);
        self.published.range(range).map(|((.., epoch), version)| (*epoch, version))
    }

    pub(crate) fn get(&mut self, lineage: Lineage, seq: Seq) -> Option<&mut Publication> {
        self.published.get_mut(&(lineage.session, seq, lineage.epoch))
    }

    /// All that was published with these numbers of a session, whatever the incarnation.
    pub(crate) fn of(
        &mut self,
        session: Session,
        seqs: Range<Seq>,
    ) -> impl Iterator<Item = (Seq, u64, &mut Publication)> {
        let range = (session, seqs.start, 0)..(session, seqs.end.max(seqs.start), 0);
        self.published.range_mut(range).map(|((_, seq, epoch), what)| (*seq, *epoch, what))
    }

    /// What was never seen and is lost with its publisher never was.
    pub(crate) fn forget_from(&mut self, lineage: Lineage, next: Seq) -> Verdict {
        let session = lineage.session;
        let lost: Vec<_> = self
            .published
            .range((session, next, 0)..)
            .take_while(|((of, ..), _)| *of == session)
            .map(|(key, what)| (*key, what.seen, what.accepted))
            .collect();
        for (key, seen, accepted) in lost {
            let seq = key.1;
            ensure(!seen, || format!("message {seq} was sent to somebody and is lost"))?;
            ensure(!accepted, || format!("message {seq} was accepted and is lost"))?;
            self.published.remove(&key);
        }
        Ok(())
    }

    /// What somebody got is what was published; says by which incarnation: the first that it may be from `since` on.
    pub(crate) fn check(
        &mut self,
        session: Session,
        seq: Seq,
        topic: &[u8],
        found: &[u8],
        since: u64,
    ) -> Result<u64, String> {
        // Two publishers may have given one number to the same words: then it may be of either.
        let same = self.versions(session, seq).filter(|(_, what)| what.is(topic, found));
        same.map(|(epoch, _)| epoch).min_by_key(|epoch| (*epoch < since, *epoch)).ok_or_else(|| {
            format!(
                "message {seq} on {topic:?} with {} bytes is not what was published: {:?}",
                found.len(),
                self.versions(session, seq).collect::<Vec<_>>()
            )
        })
    }

    /// Some publisher or proxy sends a message: it is what was published.
    pub(crate) fn note_sent(
        &mut self,
        session: Session,
        seq: Seq,
        topic: &[u8],
        found: &[u8],
    ) -> Verdict {
        self.check(session, seq, topic, found, 0)?;
        let doubled = self.doubled.contains(&session);
        for (.., what) in self.of(session, seq..seq + 1) {
            let same = what.is(topic, found);
            ensure(doubled || same || !what.seen, || {
                format!("number {seq} was sent with two meanings")
            })?;
            what.seen |= same;
        }
        Ok(())
    }

    /// The first of these numbers that somebody with these prefixes wants.
    pub(crate) fn first_wanted(
        &self,
        session: Session,
        seqs: Range<Seq>,
        prefixes: &[Vec<u8>],
    ) -> Option<Seq> {
        if seqs.is_empty() {
            return None;
        }
        let range = (session, seqs.start, 0)..(session, seqs.end, 0);
        let mut wanted = self.published.range(range).filter(|((_, seq, _), what)| {
            // Of a number with two meanings at least one may not be wanted.
            wants(prefixes, &what.topic)
                && self.versions(session, *seq).all(|(_, other)| wants(prefixes, &other.topic))
        });
        wanted.next().map(|((_, seq, _), _)| *seq)
    }
}

/// Whether any prefix matches.
pub(crate) fn wants(prefixes: &[Vec<u8>], topic: &[u8]) -> bool {
    prefixes.iter().any(|prefix| topic.starts_with(prefix))
}
