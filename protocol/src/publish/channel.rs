//! One session that is served: its ring, and how much of it may be seen.

use crate::collections::RangeSet;
use crate::ids::{Lineage, Seq};
use crate::time::{Now, WallTime};
use crate::wire;

use super::ring::Ring;

/// A session and what is retained of it.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) lineage: Lineage,
    /// This side is the publisher, or has a way to it.
    pub(super) live: bool,
    pub(super) ring: Ring,
    /// With a store: everything below this is on disk.
    pub(super) stored: Option<Seq>,
    /// What can be fetched from upstream, or may yet come from there.
    pub(super) reachable: RangeSet,
    /// The number after the highest that can be fetched from upstream.
    pub(super) upstream_head: Seq,
    /// What the publisher's clock said at a moment, as far as it was heard; here it is this side's own.
    pub(super) clock: Option<Now>,
    /// How far that was ahead of this side's, in milliseconds.
    pub(super) clock_ahead: Option<i64>,
}

impl Channel {
    pub(super) fn new(lineage: Lineage, next_seq: Seq) -> Self {
        Self {
            lineage,
            live: true,
            ring: Ring::new(next_seq),
            stored: None,
            reachable: RangeSet::new(),
            upstream_head: 0,
            clock: None,
            clock_ahead: None,
        }
    }

    /// The publisher's clock was heard of.
    pub(super) fn note_clock(&mut self, sent: Now, now: Now) {
        self.clock = Some(sent);
        self.clock_ahead = Some(sent.wall_at(now.time).ahead_of(now.wall));
    }

    /// The publisher's clock was so far ahead of this side's in an earlier life.
    pub(super) fn restore_clock(&mut self, ahead: i64, now: Now) {
        self.clock = Some(Now { wall: now.wall.moved(ahead), ..now });
        self.clock_ahead = Some(ahead);
    }

    /// What the publisher's clock says now: shelf lives are told by that.
    pub(super) fn publisher_clock(&self, now: Now) -> WallTime {
        self.clock.map_or(now.wall, |clock| clock.wall_at(now.time))
    }

    /// Nobody is sent anything from here on.
    pub(super) fn visible(&self) -> Seq {
        self.stored.unwrap_or(Seq::MAX).min(self.ring.next_seq())
    }

    /// Nothing is let go of from here on: the disk does not have it yet.
    pub(super) fn evictable_below(&self) -> Seq {
        self.stored.unwrap_or(Seq::MAX)
    }

    /// The number after the highest that can be served, with what can be fetched.
    pub(super) fn head(&self) -> Seq {
        self.visible().max(self.upstream_head)
    }

    /// The lowest number that can be served, with what can be fetched.
    pub(super) fn oldest(&self) -> Seq {
        let oldest = self.ring.oldest();
        self.reachable.first().map_or(oldest, |reachable| reachable.min(oldest))
    }

    /// The first number from `position` on that is here, can be fetched, or may yet come.
    pub(super) fn servable_from(&self, position: Seq) -> Seq {
        let oldest = self.ring.oldest();
        if position >= oldest {
            return position;
        }
        self.reachable.within(position..oldest).next().map_or(oldest, |part| part.start)
    }

    /// What its subscribers are told of it.
    pub(super) fn describe(&self) -> wire::Ring {
        wire::Ring {
            lineage: self.lineage,
            // What is not on disk yet may be all that is left.
            oldest: self.oldest().min(self.head()),
            head: self.head(),
            live: self.live,
        }
    }
}
