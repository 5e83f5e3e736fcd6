//! Messages that wait for a moment.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::ids::Seq;
use crate::time::Time;

/// Which messages wait until when, to be found by either.
#[derive(Debug, Default)]
pub(crate) struct Delays {
    by_time: BTreeSet<(Time, Seq)>,
    by_seq: BTreeMap<Seq, Time>,
}

impl Delays {
    /// How many messages wait.
    pub(crate) fn len(&self) -> u64 {
        self.by_seq.len() as u64
    }

    /// When the first of them has waited long enough.
    pub(crate) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(until, _)| *until)
    }

    pub(crate) fn contains(&self, seq: Seq) -> bool {
        self.by_seq.contains_key(&seq)
    }

    /// Lets a message wait until then, and no longer until another moment.
    pub(crate) fn insert(&mut self, seq: Seq, until: Time) {
        if let Some(before) = self.by_seq.insert(seq, until) {
            self.by_time.remove(&(before, seq));
        }
        self.by_time.insert((until, seq));
    }

    /// Takes out the message that has waited longest beyond its moment.
    pub(crate) fn pop_due(&mut self, now: Time) -> Option<Seq> {
        let (_, seq) = self.by_time.first().copied().filter(|(until, _)| *until <= now)?;
        self.by_time.pop_first();
        self.by_seq.remove(&seq);
        Some(seq)
    }

    /// Takes out the first of these messages that waits.
    pub(crate) fn take_first(&mut self, seqs: Range<Seq>) -> Option<Seq> {
        let (&seq, &until) = self.by_seq.range(seqs).next()?;
        self.by_seq.remove(&seq);
        self.by_time.remove(&(until, seq));
        Some(seq)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn messages_are_found_by_time_and_by_number() {
        let mut delays = Delays::default();
        for (seq, until) in [(5, 30), (6, 10), (7, 20), (6, 40)] {
            delays.insert(seq, at(until));
        }
        assert_eq!((delays.len(), delays.next()), (3, Some(at(20))));
        assert_eq!(delays.take_first(6..8), Some(6));
        assert_eq!(delays.pop_due(at(19)), None);
        assert_eq!(delays.pop_due(at(50)), Some(7));
        assert!(delays.contains(5) && !delays.contains(6) && !delays.contains(7));
        assert_eq!(delays.pop_due(at(50)), Some(5));
        assert_eq!((delays.len(), delays.next(), delays.pop_due(at(99))), (0, None, None));
    }
}
