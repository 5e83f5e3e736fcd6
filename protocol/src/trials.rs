//! Peers that failed and are back: they have to be well for a while before they are used like others.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{LinkId, Priority};
use crate::time::Time;

/// Who is on trial until when. Who a peer was cannot be known of a new link, so the next that comes at a level where one
/// was lost is taken for it.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    /// Links that were lost at each level, less those that came since.
    lost: BTreeMap<Priority, u32>,
    until: BTreeSet<(Time, LinkId)>,
}

impl Trials {
    /// A link of this level was lost.
    pub(crate) fn note_lost(&mut self, level: Priority) {
        *self.lost.entry(level).or_default() += 1;
    }

    /// A link of this level has come; true if it is taken for one that was lost.
    pub(crate) fn note_back(&mut self, level: Priority) -> bool {
        match self.lost.get_mut(&level).filter(|lost| **lost > 0) {
            Some(lost) => {
                *lost -= 1;
                true
            }
            None => false,
        }
    }

    /// A link is on trial until then.
    pub(crate) fn start(&mut self, link: LinkId, until: Time) {
        self.until.insert((until, link));
    }

    /// A link is not on trial any more.
    pub(crate) fn forget(&mut self, link: LinkId, until: Time) {
        self.until.remove(&(until, link));
    }

    /// The next link whose trial is over.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<LinkId> {
        let due = self.until.first().is_some_and(|(until, _)| *until <= now);
        if due { self.until.pop_first().map(|(_, link)| link) } else { None }
    }

    /// When the next trial is over.
    pub(crate) fn next(&self) -> Option<Time> {
        self.until.first().map(|(until, _)| *until)
    }
}
