//! What of a PUSH socket is on disk: the shadow queue's shadow.
//!
//! Dispatch does not wait for the disk. Each time the store is free it takes everything that is neither written nor
//! done; with receivers that keep up, most messages are confirmed before it would have got to them, and are never
//! written. While a live receiver confirms within [`AGE_GATE_MAX`], a message is left alone for twice as long as
//! confirmations take of late, but for [`AGE_GATE`] at the least and [`AGE_GATE_MAX`] at the most.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::time::Duration;

use crate::collections::RangeSet;
use crate::event::Event;
use crate::ids::{Seq, span};
use crate::limits::{AGE_GATE, AGE_GATE_MAX, COMMIT_BYTES, RESERVE_SEQS, SYNC_BEHIND};
use crate::queue::{Gathered, Gathering, Kept};
use crate::store::{
    Attempts, Commit, CommitWatch, DeadLetter, StoreNeed, StoreOp, WriteBehind, store_times,
};
use crate::time::Time;

use super::PushEngine;

/// What is written, what is not, and what has to be.
#[derive(Debug)]
pub(super) struct Journal {
    /// Sealed chunks that are in memory only, oldest first, by their first number.
    unwritten: VecDeque<Seq>,
    /// Blocks in the store, by their first number.
    blocks: BTreeMap<Seq, Block>,
    /// Blocks of which more is done than the store knows.
    dirty: BTreeSet<Seq>,
    removed: Vec<Seq>,
    /// Attempts that changed; none: forget them.
    attempts: BTreeMap<Seq, Option<Attempts>>,
    dead: Vec<StoreOp>,
    /// Dead letters that are in memory only, and their messages with them.
    burying: BTreeSet<Seq>,
    /// Dead letters that were sent again, by their new number: on disk until the new message is safe.
    replayed: BTreeMap<Seq, Seq>,
    reserved_end: Seq,
    writing: Option<Writing>,
    failure: Option<String>,
    behind: WriteBehind,
    /// Since when something is written that a crash would lose.
    unsynced: Option<Time>,
    /// How long a message has taken of late from `send` to its confirmation.
    latency: Duration,
}

#[derive(Debug)]
struct Block {
    end: Seq,
    live: u64,
}

/// The commit that is under way.
#[derive(Debug, Default)]
struct Writing {
    chunks: Vec<Range<Seq>>,
    letters: BTreeSet<Seq>,
    reserve: Option<Seq>,
    watch: CommitWatch,
}

impl Journal {
    pub(super) fn new(next_seq: Seq) -> Self {
        Self {
            unwritten: VecDeque::new(),
            blocks: BTreeMap::new(),
            dirty: BTreeSet::new(),
            removed: Vec::new(),
            attempts: BTreeMap::new(),
            dead: Vec::new(),
            burying: BTreeSet::new(),
            replayed: BTreeMap::new(),
            reserved_end: next_seq,
            writing: None,
            failure: None,
            behind: WriteBehind::default(),
            unsynced: None,
            latency: AGE_GATE,
        }
    }

    /// Takes in a block that is in the store.
    pub(super) fn restore(&mut self, seqs: Range<Seq>, live: u64) {
        if live == 0 {
            self.removed.push(seqs.start);
        } else {
            self.blocks.insert(seqs.start, Block { end: seqs.end, live });
        }
    }

    /// Numbers from here on may not be dispatched yet.
    pub(super) const fn reserved_end(&self) -> Seq {
        self.reserved_end
    }

    /// A chunk was sealed.
    pub(super) fn sealed(&mut self, first: Seq) {
        self.unwritten.push_back(first);
    }

    /// Messages are done, none of which was before.
    pub(super) fn done(&mut self, seqs: Range<Seq>) {
        let mut next = seqs.start;
        while next < seqs.end {
            // The block that holds `next`, or the one that comes after it.
            let at = self.blocks.range(..=next).next_back().filter(|(_, b)| b.end > next);
            let Some(first) =
                at.or_else(|| self.blocks.range(next..seqs.end).next()).map(|(&f, _)| f)
            else {
                return;
            };
            let Some(block) = self.blocks.get_mut(&first) else {
                return;
            };
            let end = block.end.min(seqs.end);
            block.live = block.live.saturating_sub(end - next.max(first));
            if block.live == 0 {
                self.blocks.remove(&first);
                self.dirty.remove(&first);
                self.removed.push(first);
            } else {
                self.dirty.insert(first);
            }
            next = end;
        }
    }

    pub(super) fn put_attempts(&mut self, seq: Seq, attempts: Attempts) {
        self.attempts.insert(seq, Some(attempts));
    }

    pub(super) fn forget_attempts(&mut self, seq: Seq) {
        self.attempts.insert(seq, None);
    }

    /// Takes in a dead letter, which was on disk as a message or was not.
    pub(super) fn put_dead(&mut self, letter: &DeadLetter, was_kept: bool) {
        let DeadLetter { seq, attempts, record } = letter.clone();
        self.dead.push(StoreOp::PutDead { seq, attempts, record });
        if !was_kept {
            self.burying.insert(seq);
        }
    }

    /// The first dead letter of `seqs` that a crash would lose, message and all.
    pub(super) fn first_unburied(&self, seqs: Range<Seq>) -> Option<Seq> {
        let writing = self.writing.as_ref().and_then(|w| w.letters.range(seqs.clone()).next());
        self.burying.range(seqs.clone()).next().into_iter().chain(writing).min().copied()
    }

    /// A dead letter was sent again: it is forgotten once the new message is safe.
    pub(super) fn replay(&mut self, letter: Seq, new: Seq) {
        self.replayed.insert(new, letter);
    }

    pub(super) fn forget_dead(&mut self, seq: Seq) {
        self.dead.push(StoreOp::RemoveDead { seq });
    }

    pub(super) fn note_latency(&mut self, latency: Duration) {
        // An eighth of each new one: quick to notice a backlog, not thrown by one slow message.
        self.latency = (self.latency * 7 + latency.min(AGE_GATE_MAX * 64)) / 8;
    }

    /// Whether the numbers that may be used run out.
    fn is_low(&self, next_seq: Seq) -> bool {
        next_seq.saturating_add(RESERVE_SEQS / 2) > self.reserved_end
    }

    fn reserve(&self, next_seq: Seq) -> Option<Seq> {
        self.is_low(next_seq).then(|| next_seq.saturating_add(RESERVE_SEQS))
    }

    /// Changes that may be written behind.
    fn behind(&mut self, done: &RangeSet, ops: &mut Vec<StoreOp>) {
        for block in std::mem::take(&mut self.dirty) {
            if let Some(end) = self.blocks.get(&block).map(|b| b.end) {
                ops.push(StoreOp::PutDone { block, done: done.within(block..end).collect() });
            }
        }
        ops.extend(self.removed.drain(..).map(|block| StoreOp::RemoveBlock { block }));
    }

    /// A block is about to be written.
    fn note_block(&mut self, block: Gathered, done: &RangeSet) -> StoreOp {
        let (seqs, parts) = block;
        let dead: u64 = done.within(seqs.clone()).map(|part| span(&part)).sum();
        self.blocks.insert(seqs.start, Block { end: seqs.end, live: span(&seqs) - dead });
        if dead > 0 {
            self.dirty.insert(seqs.start);
        }
        StoreOp::PutBlock { seqs, parts }
    }

    fn has_behind(&self) -> bool {
        !self.dirty.is_empty() || !self.removed.is_empty()
    }

    fn has_urgent(&self) -> bool {
        !self.attempts.is_empty() || !self.dead.is_empty()
    }
}

store_times!(PushEngine);

impl PushEngine {
    /// How soon [`PushEngine::poll_store`] has something to do. Costs next to nothing.
    #[inline]
    #[must_use]
    pub fn store_need(&self) -> StoreNeed {
        let Some(journal) = &self.journal else {
            return StoreNeed::Nothing;
        };
        let unwritten = !journal.unwritten.is_empty() || self.chunks.open_len() > 0;
        match () {
            () if journal.writing.is_some() || journal.failure.is_some() => StoreNeed::Nothing,
            () if journal.is_low(self.next_seq()) || journal.has_urgent() => StoreNeed::Now,
            () if unwritten && self.gate().is_none() => StoreNeed::Now,
            () if unwritten || journal.has_behind() || self.has_safe_replays() => StoreNeed::Soon,
            () if journal.unsynced.is_some() => StoreNeed::Soon,
            () => StoreNeed::Nothing,
        }
    }

    /// What has to be written now, if anything; answer it by [`PushEngine::handle_stored`]. One at a time.
    pub fn poll_store(&mut self, now: Time) -> Option<Commit> {
        let next_seq = self.next_seq();
        let born_before = self.gate().map_or(now, |gate| now - gate);
        let journal = self.journal.as_mut()?;
        if journal.writing.is_some() || journal.failure.is_some() {
            return None;
        }
        let mut ops = Vec::new();
        let reserve = journal.reserve(next_seq);
        let mut writing = Writing { reserve, watch: CommitWatch::begin(now), ..Writing::default() };
        if let Some(end) = writing.reserve {
            ops.push(StoreOp::Reserve { session: self.session, end });
        }
        if self.chunks.open_born().is_some_and(|born| born <= born_before) {
            self.seal();
        }
        self.gather(born_before, &mut writing, &mut ops);
        let replays = self.has_safe_replays();
        let journal = self.journal.as_mut()?;
        let urgent = !ops.is_empty() || journal.has_urgent();
        let behind = (journal.has_behind() || replays) && journal.behind.is_due(now);
        let overdue =
            journal.unsynced.is_some_and(|since| journal.behind.end_of(since, SYNC_BEHIND) <= now);
        let sync = urgent || overdue;
        if !sync && !behind {
            return None;
        }
        let replayed = self.take_safe_replays();
        let journal = self.journal.as_mut()?;
        // Dead letters stand before the removal of what they were, so that no crash falls between.
        ops.append(&mut journal.dead);
        ops.extend(replayed.into_iter().map(|seq| StoreOp::RemoveDead { seq }));
        writing.letters = std::mem::take(&mut journal.burying);
        ops.extend(std::mem::take(&mut journal.attempts).into_iter().map(|(seq, attempts)| {
            match attempts {
                Some(attempts) => StoreOp::PutAttempts { seq, attempts },
                None => StoreOp::RemoveAttempts { seq },
            }
        }));
        journal.behind(&self.done, &mut ops);
        journal.behind.note_written(now);
        journal.unsynced = if sync { None } else { journal.unsynced.or(Some(now)) };
        journal.writing = Some(writing);
        Some(Commit { ops, sync })
    }

    /// When [`PushEngine::poll_store`] may have something; `None`: not before something else happens.
    pub fn poll_store_timeout(&mut self) -> Option<Time> {
        let gate = self.gate().unwrap_or(Duration::ZERO);
        let next_seq = self.next_seq();
        let journal = self.journal.as_mut()?;
        if journal.writing.is_some() || journal.failure.is_some() {
            return None;
        }
        if journal.is_low(next_seq) || journal.has_urgent() {
            return Some(Time::ZERO);
        }
        while journal.unwritten.front().is_some_and(|first| self.chunks.starting(*first).is_none())
        {
            // All of it was confirmed before its turn came.
            journal.unwritten.pop_front();
        }
        let oldest = journal.unwritten.front().and_then(|first| self.chunks.starting(*first));
        let born = oldest.map(|chunk| chunk.born).or(self.chunks.open_born());
        let behind = journal.behind;
        let sync = journal.unsynced.map(|since| behind.end_of(since, SYNC_BEHIND));
        let has_behind = journal.has_behind() || self.has_safe_replays();
        let behind = has_behind.then(|| behind.due());
        Time::first_of([born.map(|born| born + gate), behind, sync])
    }

    /// The answer to the last [`PushEngine::poll_store`].
    ///
    /// A failure is for good: the socket accepts nothing more, and what was not accepted yet never will be.
    pub fn handle_stored(&mut self, result: Result<(), String>) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        let mut writing = journal.writing.take().unwrap_or_default();
        if let Err(reason) = result {
            journal.failure = Some(reason.clone());
            journal.burying.append(&mut writing.letters);
            self.events.push(Event::StoreFailed { reason });
            self.note_progress(0..Seq::MAX);
            return;
        }
        if let Some(end) = writing.reserve {
            journal.reserved_end = end;
            self.wake_idle_if_work();
        }
        for seqs in writing.chunks {
            if let Some(chunk) = self.chunks.starting_mut(seqs.start) {
                chunk.kept = Kept::Yes;
            }
            self.note_progress(seqs);
        }
        for seq in writing.letters {
            self.note_progress(seq..seq + 1);
        }
    }

    /// Messages that were dead letters before, and that the store has, or will have by the end of this commit, or need
    /// not have.
    fn safe_replays(&self) -> impl Iterator<Item = Seq> {
        let replayed = self.journal.iter().flat_map(|journal| journal.replayed.keys().copied());
        replayed.filter(|new| match self.chunks.holding(*new) {
            Some(chunk) => chunk.kept != Kept::No,
            None => self.done.contains(*new),
        })
    }

    fn has_safe_replays(&self) -> bool {
        self.safe_replays().next().is_some()
    }

    /// Dead letters that have had their use.
    fn take_safe_replays(&mut self) -> Vec<Seq> {
        let safe: Vec<Seq> = self.safe_replays().collect();
        let Some(journal) = &mut self.journal else {
            return Vec::new();
        };
        safe.iter().filter_map(|new| journal.replayed.remove(new)).collect()
    }

    /// Why the store takes nothing more, if it has failed.
    #[inline]
    #[must_use]
    pub fn store_failure(&self) -> Option<&str> {
        self.journal.as_ref()?.failure.as_deref()
    }

    /// How old a message must be before it is written: twice as long as confirmations take of late, while a live receiver
    /// is likely to confirm it sooner.
    fn gate(&self) -> Option<Duration> {
        let journal = self.journal.as_ref()?;
        let live = self.pending > 0 || self.spare > 0;
        let gate = (journal.latency * 2).clamp(AGE_GATE, AGE_GATE_MAX);
        let may_wait = live && !journal.behind.hurries();
        (may_wait && journal.latency <= AGE_GATE_MAX).then_some(gate)
    }

    /// Takes the oldest unwritten chunks, as far as they are old enough and one commit holds them.
    fn gather(&mut self, born_before: Time, writing: &mut Writing, ops: &mut Vec<StoreOp>) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        let reserved_end = writing.reserve.unwrap_or(journal.reserved_end);
        let mut gathering = Gathering::default();
        let mut total = 0;
        while let Some(&first) = journal.unwritten.front() {
            let Some(chunk) = self.chunks.starting_mut(first) else {
                // All of it was confirmed before its turn came.
                journal.unwritten.pop_front();
                continue;
            };
            if total >= COMMIT_BYTES || chunk.born > born_before || chunk.seqs.end > reserved_end {
                break;
            }
            journal.unwritten.pop_front();
            chunk.kept = Kept::Writing;
            total += chunk.record_bytes();
            writing.chunks.push(chunk.seqs.clone());
            if let Some(block) = gathering.add(chunk) {
                ops.push(journal.note_block(block, &self.done));
            }
        }
        ops.extend(gathering.finish().map(|block| journal.note_block(block, &self.done)));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::ids::{PeerId, Session};
    use crate::limits::STORE_SLOW;
    use crate::push::PushConfig;
    use crate::time::Now;

    fn after(seconds: u64) -> Now {
        Now { time: Time::ZERO + Duration::from_secs(seconds), ..Now::default() }
    }

    #[test]
    fn a_store_that_does_not_answer_is_reported_once() {
        let peer = PeerId::from_uuid(Uuid::from_u128(1));
        let session = Session::from_uuid(Uuid::from_u128(2));
        let mut push = PushEngine::with_store(PushConfig::default(), peer, session);
        assert!(push.poll_store(after(1).time).is_some(), "numbers are reserved");
        assert_eq!(push.poll_timeout(after(1)), Some(after(11).time));
        push.handle_timeout(after(10));
        assert_eq!(push.poll_event(), None);
        push.handle_timeout(after(11));
        assert_eq!(push.poll_event(), Some(Event::StoreSlow { waited: STORE_SLOW }));
        push.handle_timeout(after(60));
        assert_eq!((push.poll_event(), push.poll_timeout(after(60))), (None, None));
        push.handle_stored(Ok(()));
        assert!(push.try_send("late".into(), || after(61)).is_ok());
        assert!(push.poll_store(after(61).time).is_some());
        assert_eq!(
            push.poll_timeout(after(61)),
            Some(after(71).time),
            "the next one has its own time"
        );
    }
}
