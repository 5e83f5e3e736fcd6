//! What was confirmed and may have to be said again.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::{Seq, Session};
use crate::limits::{ORIGINS_MAX, UNHEARD_RANGES_MAX};

/// Confirmed messages of a link, by the session that they are of: one, unless a streamer is at its other end.
///
/// It is bounded: it forgets the lowest numbers of a session first, and another session where there are too many, which may
/// cost redeliveries.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<Session, RangeSet>);

impl Memory {
    pub(super) fn remember(&mut self, session: Session, seqs: Range<Seq>) {
        let set = self.0.entry(session).or_default();
        set.insert(seqs);
        while set.runs() > UNHEARD_RANGES_MAX {
            if let Some(oldest) = set.first_run() {
                set.remove(oldest);
            }
        }
        if self.0.len() > ORIGINS_MAX
            && let Some(other) = self.0.keys().find(|other| **other != session).copied()
        {
            self.0.remove(&other);
        }
    }

    /// Everything in it, by session.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Session, Range<Seq>)> {
        self.0.iter().flat_map(|(&session, set)| set.iter().map(move |seqs| (session, seqs)))
    }
}
