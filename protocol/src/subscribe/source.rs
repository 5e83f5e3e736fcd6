//! What one source has of a session, by its RING and by its answers.

use std::collections::VecDeque;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::Seq;
use crate::limits::HOLES_MAX;
use crate::wire::Ring;

/// What a link has said that it can serve.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) ring: Ring,
    /// Numbers that it has answered to have lost, what it was asked for last at the end: its RING tells of no holes, and says
    /// the same again. Those who ask need the newest of them, until all other sources have answered.
    holes: VecDeque<Range<Seq>>,
    /// The turn in which it was asked last.
    pub(super) asked: u64,
    /// The number from which on it was asked last.
    pub(super) asked_from: Option<Seq>,
}

impl Source {
    pub(super) const fn new(ring: Ring) -> Self {
        Self { ring, holes: VecDeque::new(), asked: 0, asked_from: None }
    }

    /// A newer RING. One that has a way to the publisher again, or to another incarnation, may fill its holes.
    pub(super) fn renew(&mut self, ring: Ring) {
        if ring.lineage != self.ring.lineage || ring.live && !self.ring.live {
            self.holes.clear();
        }
        self.holes.retain(|hole| hole.end > ring.oldest);
        self.ring = ring;
    }

    /// It has sent what is below `head`: it has had that, whatever it said before.
    pub(super) fn note_head(&mut self, head: Seq) {
        self.ring.head = self.ring.head.max(head);
    }

    /// It has told by its answer that it has none of these.
    pub(super) fn note_hole(&mut self, hole: Range<Seq>) {
        self.note_head(hole.end);
        self.holes.retain(|known| known.start < hole.start || known.end > hole.end);
        if self.holes.len() >= HOLES_MAX {
            self.holes.pop_front();
        }
        self.holes.push_back(hole);
    }

    /// The numbers that it has, or, with a way to the publisher, may have by the time that it is asked.
    pub(super) fn reach(&self) -> Vec<Range<Seq>> {
        let end = if self.ring.live { Seq::MAX } else { self.ring.head };
        let holes: RangeSet = self.holes.iter().cloned().collect();
        holes.missing(self.ring.oldest..end)
    }

    /// Whether it may have this number by the time that it is asked.
    pub(super) fn reaches(&self, seq: Seq) -> bool {
        (self.ring.live || seq < self.ring.head) && self.first_from(seq) == seq
    }

    /// The first number from this one on that it has not lost.
    pub(super) fn first_from(&self, seq: Seq) -> Seq {
        let mut first = seq.max(self.ring.oldest);
        while let Some(hole) = self.holes.iter().find(|hole| hole.contains(&first)) {
            first = hole.end;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Lineage, Session};

    fn ring(oldest: Seq, head: Seq, live: bool) -> Ring {
        let session = Session::from_uuid(uuid::Uuid::from_u128(1));
        let lineage = Lineage { session, epoch: 1, since: 0 };
        Ring { lineage, oldest, head, live }
    }

    #[test]
    fn holes_outlast_a_ring_that_does_not_know_of_them() {
        let mut source = Source::new(ring(5, 100, true));
        source.note_hole(40..60);
        source.renew(ring(6, 100, true));
        assert_eq!(source.reach(), [6..40, 60..Seq::MAX]);
        assert_eq!([5, 39, 40, 59, 60].map(|seq| source.first_from(seq)), [6, 39, 60, 60, 60]);
        assert_eq!([39, 40, 60, 100].map(|seq| source.reaches(seq)), [true, false, true, true]);
        source.renew(ring(6, 100, false));
        assert_eq!(source.reach(), [6..40, 60..100]);
        assert!(!source.reaches(100));
    }

    #[test]
    fn a_way_back_to_the_publisher_may_fill_them() {
        let mut source = Source::new(ring(5, 100, false));
        source.note_hole(40..60);
        source.renew(ring(5, 100, true));
        assert!(source.reaches(40));
        source.note_hole(40..60);
        let mut renewed = ring(5, 100, true);
        renewed.lineage.epoch = 2;
        source.renew(renewed);
        assert!(source.reaches(40));
    }

    #[test]
    fn the_newest_holes_are_known_wherever_they_are() {
        let mut source = Source::new(ring(0, 10_000, true));
        let of = |hole: u64| hole * 10..hole * 10 + 5;
        (3..HOLES_MAX as u64 + 3).for_each(|hole| source.note_hole(of(hole)));
        source.note_hole(of(1));
        assert_eq!(source.holes.len(), HOLES_MAX);
        assert_eq!([10, 30, 40].map(|seq| source.first_from(seq)), [15, 30, 45]);
        source.note_hole(40..50);
        assert_eq!(source.first_from(40), 55, "one that grows, and the next");
        source.renew(ring(47, 10_000, true));
        assert_eq!([0, 15].map(|seq| source.first_from(seq)), [55, 55]);
        assert_eq!(source.holes.len(), HOLES_MAX - 1, "what was evicted is no hole any more");
    }
}
