//! What a receiver names in ATTACH: read, and found by the numbers that it has here.

use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::{LinkId, Seq, Session};
use crate::limits::RANGES_MAX;
use crate::link::violation;
use crate::wire::{Attach, Close, Spans};

use super::PushEngine;
use super::attach::split;
use super::passed::Named;

/// What one ATTACH says.
pub(super) struct Said {
    pub(super) confirmed: Vec<Named>,
    /// In its order, which is that of delivery numbers.
    pub(super) held: Vec<Named>,
    /// What of that the application has begun with, by the numbers of the session, and by those here.
    pub(super) taken_there: RangeSet,
    pub(super) taken: RangeSet,
    /// All that the receiver of a streamer has said to hold of the session, to be kept for its next ATTACH.
    pub(super) seen: RangeSet,
}

impl PushEngine {
    /// Looks for what a receiver names; an error if that cannot be. It costs what is named and found, however often a list
    /// names the same.
    pub(super) fn read_attach(
        &mut self,
        id: LinkId,
        attach: &Attach,
        is_streamer: bool,
    ) -> Result<Said, Close> {
        let session = attach.session;
        let confirmed = self.ranges(&attach.confirmed, is_streamer)?.into_iter().collect();
        let taken_there: RangeSet = self.ranges(&attach.taken, is_streamer)?.into_iter().collect();
        let list = self.ranges(&attach.held, is_streamer)?;
        let link = self.links.get_mut(&id);
        let mut seen = link
            .map(|link| std::mem::take(link.named.entry(session).or_default()))
            .unwrap_or_default();
        let all: RangeSet = list.iter().cloned().collect();
        let fresh: Vec<_> = all.iter().flat_map(|seqs| seen.missing(seqs)).collect();
        let taken = fresh.into_iter().flat_map(|seqs| taken_there.within(seqs)).collect();
        let taken = here(&self.find_all(session, &taken)).into_iter().collect();
        let confirmed = self.find_all(session, &confirmed);
        let held = self.find_in_order(session, list, &mut seen);
        self.check_deliveries(id, &held)?;
        Ok(Said { confirmed, held, taken_there, taken, seen })
    }

    /// Keeps what the receiver of a streamer has named for its next ATTACH.
    pub(super) fn keep_seen(&mut self, id: LinkId, session: Session, seen: RangeSet) {
        if let Some(link) = self.links.get_mut(&id) {
            link.named.insert(session, seen);
        }
    }

    /// The numbers that a receiver names; an error if they cannot be.
    fn ranges(&self, spans: &Spans, is_streamer: bool) -> Result<Vec<Range<Seq>>, Close> {
        if self.passing.is_none() && !is_streamer {
            return checked(spans, self.next_seq()).ok_or_else(|| self.never_sent());
        }
        // A streamer says what others told it, which need not be true.
        let ranges: Option<Vec<Range<Seq>>> = spans.iter().map(|span| span.range()).collect();
        ranges.ok_or_else(|| violation("an empty range"))
    }

    /// Messages of a session by the numbers that they have here.
    fn find(&self, session: Session, seqs: Range<Seq>) -> Vec<Named> {
        let mut found = match &self.passing {
            Some(passing) => passing.find(session, seqs),
            None => {
                let below = self.next_seq().saturating_sub(seqs.start);
                let (known, unknown) = split(seqs, below);
                vec![Named::Here(known), Named::Unknown(unknown)]
            }
        };
        found.retain(|named| !named.is_empty());
        found
    }

    fn find_all(&self, session: Session, seqs: &RangeSet) -> Vec<Named> {
        seqs.iter().flat_map(|seqs| self.find(session, seqs)).collect()
    }

    /// The same, in the order of a list that may name them again. A streamer, to which a range may mean very many runs, looks
    /// for none of them twice.
    fn find_in_order(
        &self,
        session: Session,
        list: Vec<Range<Seq>>,
        seen: &mut RangeSet,
    ) -> Vec<Named> {
        if self.passing.is_none() {
            return list.into_iter().flat_map(|seqs| self.find(session, seqs)).collect();
        }
        let mut named = Vec::new();
        for seqs in list {
            let mut next = seqs.start;
            for again in seen.within(seqs.clone()) {
                named.extend(self.find(session, next..again.start));
                next = again.end;
                named.push(Named::Again(again));
            }
            named.extend(self.find(session, next..seqs.end));
            seen.insert(seqs);
        }
        named
    }

    /// Whether there are as many delivery numbers as a receiver needs for what it holds.
    fn check_deliveries(&self, id: LinkId, held: &[Named]) -> Result<(), Close> {
        let next = self.links.get(&id).map_or(0, |link| link.next_delivery);
        let end = held.iter().try_fold(next, |end, named| end.checked_add(named.len()));
        match end {
            Some(end) if end < u64::MAX / 2 => Ok(()),
            _ => Err(violation("it holds more than there are numbers")),
        }
    }
}

/// The ranges of a frame, if all are of numbers that were ever given out.
fn checked(spans: &Spans, next_seq: Seq) -> Option<Vec<Range<Seq>>> {
    debug_assert!(spans.len() <= RANGES_MAX);
    spans.iter().map(|span| span.range().filter(|range| range.end <= next_seq)).collect()
}

/// The numbers of those that are known here.
pub(super) fn here(named: &[Named]) -> Vec<Range<Seq>> {
    let known = named.iter().filter_map(|named| match named {
        Named::Here(seqs) => Some(seqs.clone()),
        Named::Unknown(_) | Named::Again(_) => None,
    });
    known.collect()
}
