//! One session as its subscriber sees it: each number once, from whichever source.

use std::sync::Arc;
use std::time::Duration;

use crate::collections::RangeSet;
use crate::credit::Allowance;
use crate::event::Gap;
use crate::ids::{Lineage, LinkId, RequestId, Seq, Session};
use crate::link::violation;
use crate::time::Time;
use crate::wire::{Close, Fingerprint, StartAt};

use super::run::SubRun;
use super::{Position, Start};

/// A session that is followed.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) session: Session,
    /// The newest incarnation of its publisher, once a source has told.
    pub(super) lineage: Option<Lineage>,
    /// Later streams have higher numbers.
    pub(super) order: u64,
    begins: StartAt,
    /// The application wants no more of it unless its publisher comes back.
    pub(super) discarded: bool,
    /// The first number of what was dropped then, and how many of those were gone anyway.
    dropped: Option<(Seq, u64)>,
    /// The first number that it has not had; none before the first source has told.
    pub(super) next: Option<Seq>,
    had: Had,
    /// Everything below this has been published, as far as its sources have told.
    pub(super) published: Seq,
    pub(super) active: Option<Active>,
    /// When a source was first there, or one went last.
    pub(super) changed: Option<Time>,
    /// Until when others are waited for, that may have what is missing.
    pub(super) expects_until: Option<Time>,
    /// What those had who went not long ago, and may come back.
    pub(super) gone: RangeSet,
    /// Since when another source has more than the one that is asked.
    pub(super) behind: Option<Time>,
    /// Sources that were asked since something came last, for what the one before them had lost.
    pub(super) rescues: usize,
    /// Sources that were left since something came last, each because it lagged behind another.
    pub(super) changes: u32,
    /// Lanes that were moved to another source since one went last.
    pub(super) lanes_moved: u32,
    /// The turn in which its source was given credit last.
    pub(super) granted: u64,
    /// Messages in the queue or in the reader's hands.
    pub(super) queued: u64,
    /// Gaps in the queue, or in the application's hands.
    pub(super) gaps: usize,
    /// The number after the last that the application was given.
    taken_end: Seq,
    /// Everything below this the application is done with.
    acknowledged: Seq,
    last_acknowledged: Option<Fingerprint>,
}

/// The newest message that came.
#[derive(Debug)]
enum Had {
    Nothing,
    Known(Fingerprint),
    /// It is the last of this run.
    LastOf(Arc<SubRun>),
}

/// The source that is asked, and what it may send.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) link: LinkId,
    pub(super) request: RequestId,
    pub(super) allowance: Allowance,
    /// The request was sent.
    pub(super) requested: bool,
    /// When it was made.
    pub(super) since: Time,
    /// The first number that had not come then, and what was known to be there.
    pub(super) asked: (Option<Seq>, Seq),
}

impl Stream {
    pub(super) fn new(session: Session, start: Start, order: u64) -> Self {
        let (begins, next, last) = match start {
            Start::Oldest => (StartAt::Oldest, None, None),
            Start::Newest => (StartAt::Newest, None, None),
            Start::At(next) => (StartAt::Next(next), Some(next), None),
            Start::After(position) => {
                (StartAt::Next(position.next), Some(position.next), position.last)
            }
        };
        Self {
            session,
            lineage: None,
            order,
            begins,
            discarded: false,
            dropped: None,
            next,
            // Of which incarnation was what it had before, the publisher tells by `last_had`.
            published: 0,
            had: last.map_or(Had::Nothing, Had::Known),
            active: None,
            changed: None,
            expects_until: None,
            gone: RangeSet::new(),
            behind: None,
            rescues: 0,
            changes: 0,
            lanes_moved: 0,
            granted: 0,
            gaps: 0,
            queued: 0,
            taken_end: next.unwrap_or(0),
            acknowledged: next.unwrap_or(0),
            last_acknowledged: last,
        }
    }

    /// Whether this link's source is asked.
    pub(super) fn takes_from(&self, link: LinkId) -> bool {
        self.active.as_ref().is_some_and(|active| active.link == link)
    }

    /// Where the next request begins.
    pub(super) fn start(&self) -> StartAt {
        self.next.map_or(self.begins, StartAt::Next)
    }

    /// Whether it wants all that there is.
    pub(super) fn wants_oldest(&self) -> bool {
        self.next.is_none() && self.begins == StartAt::Oldest
    }

    /// What tells the newest message that it has had from others of the same number.
    pub(super) fn last_had(&self) -> Option<Fingerprint> {
        match &self.had {
            Had::Nothing => None,
            Had::Known(fingerprint) => Some(*fingerprint),
            Had::LastOf(run) => run.last_fingerprint(),
        }
    }

    /// Whether to move on to `from` is to lose something.
    pub(super) fn loses_below(&self, from: Seq) -> bool {
        self.next.is_some_and(|next| from > next)
    }

    /// Moves on to `from`: what is missing before that is lost. A source that goes back breaks the rules.
    pub(super) fn reach(&mut self, from: Seq) -> Result<Option<Gap>, Close> {
        match self.next {
            Some(next) if from < next => {
                Err(violation("numbers that this subscriber has had, or did not ask for"))
            }
            Some(next) if from > next => {
                self.settle(next);
                self.next = Some(from);
                self.published = self.published.max(from);
                self.moved_on();
                Ok(Some(Gap { session: self.session, from: next, to: from - 1 }))
            }
            Some(_) => Ok(None),
            None => {
                self.next = Some(from);
                self.published = from;
                self.taken_end = from;
                self.acknowledged = from;
                Ok(None)
            }
        }
    }

    /// Everything below `next` was had, or is not wanted.
    pub(super) fn pass(&mut self, next: Seq) {
        if self.next < Some(next) {
            self.next = Some(next);
            self.published = self.published.max(next);
            self.moved_on();
        }
    }

    /// A source came or went: others are waited for from now on for so long.
    pub(super) fn expect(&mut self, now: Time, time: Duration) {
        self.changed = Some(now);
        self.expects_until = self.expects_until.max(Some(now + time));
    }

    /// Its sources have served it: what was held against them counts no more.
    fn moved_on(&mut self) {
        self.behind = None;
        self.rescues = 0;
        self.changes = 0;
    }

    /// Messages came.
    pub(super) fn take_in(&mut self, run: &Arc<SubRun>) {
        let seqs = run.seqs();
        self.settle(seqs.start);
        self.queued += seqs.end - seqs.start;
        self.had = Had::LastOf(Arc::clone(run));
        self.pass(seqs.end);
    }

    /// The application is through with so many messages, and was given those before `end`.
    pub(super) fn consume(&mut self, messages: u64, end: Seq) {
        self.queued = self.queued.saturating_sub(messages);
        self.taken_end = self.taken_end.max(end);
    }

    /// The application is done with this message and all before it. False if it never had it.
    pub(super) fn acknowledge(&mut self, last: Fingerprint) -> bool {
        let end = last.seq.saturating_add(1);
        if self.next.is_none_or(|next| end > next) || end <= self.acknowledged {
            return false;
        }
        self.acknowledged = end;
        self.last_acknowledged = Some(last);
        true
    }

    /// What of it waited for the application is dropped: so many messages, from this number on, and gaps of so many. The
    /// position does not move over that.
    pub(super) fn discard(&mut self, messages: u64, from: Option<Seq>, missing: u64) {
        self.discarded = true;
        self.queued = self.queued.saturating_sub(messages);
        // A gap in the application's hands is not dropped, and not heard of for sure.
        let from = from.or(self.next.filter(|_| self.gaps > 0));
        self.dropped = from.map(|from| (from, missing));
        self.gaps = 0;
    }

    /// Its publisher was only away: it goes on with what was dropped meanwhile. Says how many of those were counted as gone.
    pub(super) fn come_back(&mut self) -> u64 {
        self.discarded = false;
        let Some((from, missing)) = self.dropped.take() else {
            return 0;
        };
        self.next = Some(from);
        missing
    }

    /// Something is about to come: if the application is done with all before it, what was not for it in between is behind
    /// it, too.
    fn settle(&mut self, next: Seq) {
        if self.is_done() {
            self.acknowledged = self.acknowledged.max(next);
        }
    }

    /// Whether the application is done with all that came for it.
    fn is_done(&self) -> bool {
        let waits = self.queued > 0 || self.gaps > 0 || self.dropped.is_some();
        !waits && self.acknowledged >= self.taken_end
    }

    /// How far the application has come. Beyond what it has acknowledged there may be only what is not for it.
    pub(super) fn position(&self) -> Option<Position> {
        let next = self.next?;
        let next = if self.is_done() { next } else { self.acknowledged };
        Some(Position { session: self.session, next, last: self.last_acknowledged })
    }
}
