//! What of a ring is on disk.
//!
//! What a subscriber may see is on disk, so that a number never means two messages, whatever crashes. Blocks come and
//! go in the order of their numbers; the newest stays although it is evicted, since it says where the numbers go on.

use std::collections::VecDeque;
use std::ops::Range;

use crate::event::Event;
use crate::ids::{Seq, Session};
use crate::limits::{COMMIT_BYTES, RESERVE_SEQS, UNWRITTEN_BYTES_MAX, UNWRITTEN_MESSAGES};
use crate::push::Refusal;
use crate::queue::{Gathering, Kept};
use crate::store::{Commit, CommitWatch, StoreNeed, StoreOp, WriteBehind, store_times};
use crate::time::{Now, Time};

use super::PublishEngine;

/// How well a publisher's clock is known after a restart: what it is ahead is noted again once it has changed by as much.
const CLOCK_DRIFT_MILLIS: u64 = 100;

/// What is written, what is not, and what has to be.
#[derive(Debug)]
pub(super) struct Journal {
    session: Session,
    /// Blocks in the store, oldest first.
    blocks: VecDeque<Range<Seq>>,
    /// Blocks of evicted messages.
    removed: Vec<Seq>,
    /// Blocks from here on are being written, or are not.
    stored: Seq,
    /// Bytes of the records from there on.
    unwritten_bytes: u64,
    reserved_end: Option<Seq>,
    lineage_noted: bool,
    /// How far the publisher's clock is ahead, as it was noted last.
    clock_noted: Option<i64>,
    writing: Option<Writing>,
    behind: WriteBehind,
    failure: Option<String>,
}

/// The commit that is under way.
#[derive(Debug)]
struct Writing {
    stored: Seq,
    bytes: u64,
    reserve: Option<Seq>,
    watch: CommitWatch,
}

impl Journal {
    pub(super) fn new(session: Session, stored: Seq) -> Self {
        Self {
            session,
            blocks: VecDeque::new(),
            removed: Vec::new(),
            stored,
            unwritten_bytes: 0,
            reserved_end: None,
            lineage_noted: false,
            clock_noted: None,
            writing: None,
            behind: WriteBehind::default(),
            failure: None,
        }
    }

    pub(super) const fn session(&self) -> Session {
        self.session
    }

    /// Goes on after the journal of another session: that one's blocks are removed, and none is written before.
    pub(super) fn succeed(&mut self, before: Journal) {
        self.removed = before.removed;
        self.removed.extend(before.blocks.iter().map(|block| block.start));
        let stored = self.stored;
        self.writing =
            before.writing.map(|writing| Writing { stored, bytes: 0, reserve: None, ..writing });
        self.behind = before.behind;
        self.failure = before.failure;
    }

    /// Takes in a block that is in the store.
    pub(super) fn restore(&mut self, seqs: Range<Seq>) {
        self.stored = seqs.end;
        self.blocks.push_back(seqs);
    }

    /// Notes how far the publisher's clock is ahead, unless that is known already.
    fn note_clock(&mut self, ahead: i64) -> Option<StoreOp> {
        let noted = self.clock_noted;
        let is_known = noted.is_some_and(|noted| noted.abs_diff(ahead) < CLOCK_DRIFT_MILLIS);
        if is_known {
            return None;
        }
        self.clock_noted = Some(ahead);
        Some(StoreOp::PutClock { ahead })
    }

    /// The publisher's clock was so far ahead when it was noted last.
    pub(super) const fn restore_clock(&mut self, ahead: Option<i64>) {
        self.clock_noted = ahead;
    }

    /// Goes on with the numbers that were reserved before.
    pub(super) const fn reserved(&mut self, end: Seq) {
        self.reserved_end = Some(end);
    }

    /// The lineage is another one than was noted.
    pub(super) const fn renew_lineage(&mut self) {
        self.lineage_noted = false;
    }

    /// So many bytes were taken in that the disk does not have.
    pub(super) const fn took_in(&mut self, bytes: u64) {
        self.unwritten_bytes += bytes;
    }

    /// Everything below `oldest` was evicted.
    pub(super) fn evicted(&mut self, oldest: Seq) {
        while self.blocks.len() > 1
            && let Some(first) = self.blocks.front()
            && first.end <= oldest
        {
            self.removed.push(first.start);
            self.blocks.pop_front();
        }
    }

    fn is_free(&self) -> bool {
        self.writing.is_none() && self.failure.is_none()
    }

    /// Whether the numbers that may be used run out.
    fn is_low(&self, next_seq: Seq) -> bool {
        self.reserved_end.is_none_or(|end| next_seq.saturating_add(RESERVE_SEQS / 2) > end)
    }
}

store_times!(PublishEngine);

impl PublishEngine {
    /// How soon [`PublishEngine::poll_store`] has something to do. Costs next to nothing.
    #[inline]
    #[must_use]
    pub fn store_need(&self) -> StoreNeed {
        let Some(journal) = self.journal.as_ref().filter(|journal| journal.is_free()) else {
            return StoreNeed::Nothing;
        };
        let next_seq = self.kept_next_seq();
        match () {
            () if next_seq > journal.stored || !journal.lineage_noted => StoreNeed::Now,
            () if journal.is_low(next_seq) => StoreNeed::Now,
            () if !journal.removed.is_empty() => StoreNeed::Soon,
            () => StoreNeed::Nothing,
        }
    }

    /// What has to be written now, if anything; answer it by [`PublishEngine::handle_stored`]. One at a time.
    pub fn poll_store(&mut self, now: Time) -> Option<Commit> {
        self.pass_hole_at_end();
        let next_seq = self.kept_next_seq();
        let journal = self.journal.as_mut().filter(|journal| journal.is_free())?;
        let session = journal.session;
        let channel = self.channels.get_mut(&session)?;
        let mut ops = Vec::new();
        // It stands before the reservation: a store that knows the session knows where its numbers begin.
        if !std::mem::replace(&mut journal.lineage_noted, true) {
            ops.push(StoreOp::PutLineage { lineage: channel.lineage });
        }
        let reserve = journal.is_low(next_seq).then(|| next_seq.saturating_add(RESERVE_SEQS));
        ops.extend(reserve.map(|end| StoreOp::Reserve { session, end }));
        // The moment is that of the chunk's first message, or later by what a commit takes.
        channel.ring.close_open();
        let (stored, bytes) = gather(journal, channel, &mut ops);
        // Shelf lives are told by that clock, so it goes with what it is told of.
        let heard = channel.clock_ahead.filter(|_| bytes > 0);
        ops.extend(heard.and_then(|ahead| journal.note_clock(ahead)));
        let sync = !ops.is_empty();
        if !sync && (journal.removed.is_empty() || !journal.behind.is_due(now)) {
            return None;
        }
        // What goes stands before what comes: in another session, blocks may have the same names.
        let removed = journal.removed.drain(..).map(|block| StoreOp::RemoveBlock { block });
        let ops = removed.chain(ops).collect();
        journal.behind.note_written(now);
        journal.writing = Some(Writing { stored, bytes, reserve, watch: CommitWatch::begin(now) });
        Some(Commit { ops, sync })
    }

    /// Where the ring ends with numbers that will never be in it, there is nothing to wait for.
    pub(super) fn pass_hole_at_end(&mut self) {
        let Some(journal) = self.journal.as_mut().filter(|journal| journal.is_free()) else {
            return;
        };
        let session = journal.session;
        let Some(channel) = self.channels.get_mut(&session) else {
            return;
        };
        let (stored, next_seq) = (journal.stored, channel.ring.next_seq());
        let is_hole = channel.ring.closed_end() == next_seq
            && channel.ring.chunks().next_chunk(stored).is_none();
        if stored < next_seq && is_hole {
            journal.stored = next_seq;
            journal.unwritten_bytes = 0;
            channel.stored = Some(next_seq);
            self.note_readable(session, stored..next_seq);
        }
    }

    /// The answer to the last [`PublishEngine::poll_store`].
    ///
    /// A failure is for good: the socket accepts nothing more, and what was not accepted yet never will be.
    pub fn handle_stored(&mut self, result: Result<(), String>, now: Now) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        let Some(writing) = journal.writing.take() else {
            return;
        };
        if let Err(reason) = result {
            journal.failure = Some(reason.clone());
            self.events.push(Event::StoreFailed { reason });
            self.note_progress(0..Seq::MAX);
            return;
        }
        journal.reserved_end = writing.reserve.or(journal.reserved_end);
        let seqs = journal.stored..writing.stored;
        journal.stored = writing.stored;
        journal.unwritten_bytes = journal.unwritten_bytes.saturating_sub(writing.bytes);
        let session = journal.session;
        if let Some(channel) = self.channels.get_mut(&session) {
            channel.stored = Some(writing.stored);
        }
        self.note_progress(seqs.clone());
        self.note_visible(session, seqs, now);
        self.evict(session, || now);
    }

    fn kept_next_seq(&self) -> Seq {
        let session = self.journal.as_ref().map(|journal| journal.session);
        let channel = session.and_then(|session| self.channels.get(&session));
        channel.map_or(0, |channel| channel.ring.next_seq())
    }

    /// Whether there is room for what the disk does not have yet.
    pub(super) fn admit_to_store(&self, journal: &Journal) -> Result<(), Refusal> {
        if let Some(reason) = &journal.failure {
            return Err(Refusal::StoreFailed(reason.clone()));
        }
        let next_seq = self.kept_next_seq();
        let many = next_seq.saturating_sub(journal.stored)
            > self.config.ring.messages.max(UNWRITTEN_MESSAGES);
        let behind = many || journal.unwritten_bytes > UNWRITTEN_BYTES_MAX;
        if behind { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Whether the message is accepted: on disk if there is a store.
    #[must_use]
    pub fn is_accepted(&self, seq: Seq) -> bool {
        match &self.journal {
            None => seq < self.next_seq(),
            Some(journal) => seq < journal.stored,
        }
    }

    /// The first of `seqs` that is not accepted.
    #[must_use]
    pub fn first_unaccepted(&self, seqs: Range<Seq>) -> Option<Seq> {
        let accepted = self.journal.as_ref().map_or(self.next_seq(), |journal| journal.stored);
        (seqs.end > accepted).then(|| seqs.start.max(accepted))
    }

    /// Progress of numbers below `end` is to be noted for [`PublishEngine::poll_progress`]; 0: of none.
    pub fn watch(&mut self, end: Seq) {
        self.watched = end;
        if end == 0 {
            self.progress.clear();
        }
    }

    /// Numbers that are accepted, or that never will be since the store has failed.
    #[inline]
    pub fn poll_progress(&mut self) -> Option<Range<Seq>> {
        self.progress.pop_front()
    }

    #[inline]
    pub(super) fn note_progress(&mut self, seqs: Range<Seq>) {
        if seqs.start < self.watched && !seqs.is_empty() {
            self.progress.push_back(seqs);
        }
    }

    /// Why the store takes nothing more, if it has failed.
    #[inline]
    #[must_use]
    pub fn store_failure(&self) -> Option<&str> {
        self.journal.as_ref()?.failure.as_deref()
    }
}

/// Takes the oldest unwritten chunks, as many as one commit holds; says how far that is, and how many bytes.
fn gather(
    journal: &mut Journal,
    channel: &mut super::Channel,
    ops: &mut Vec<StoreOp>,
) -> (Seq, u64) {
    let mut gathering = Gathering::default();
    let mut blocks = Vec::new();
    let (mut stored, mut total) = (journal.stored, 0);
    while total < COMMIT_BYTES {
        let Some(first) = channel.ring.chunks().next_chunk(stored).map(|chunk| chunk.seqs.start)
        else {
            // What is between here and the next number will never be here.
            stored = channel.ring.next_seq();
            break;
        };
        let Some(chunk) = channel.ring.chunk_mut(first) else {
            break;
        };
        chunk.kept = Kept::Yes;
        stored = chunk.seqs.end;
        total += chunk.record_bytes();
        blocks.extend(gathering.add(chunk));
    }
    blocks.extend(gathering.finish());
    journal.blocks.extend(blocks.iter().map(|(seqs, _)| seqs.clone()));
    ops.extend(blocks.into_iter().map(|(seqs, parts)| StoreOp::PutBlock { seqs, parts }));
    (stored, total as u64)
}
