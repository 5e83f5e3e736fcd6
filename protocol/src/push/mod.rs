//! The PUSH engine: takes messages in, hands them to receivers on their credit, and keeps each until it is confirmed.
//!
//! A message that is not done is in exactly one place: the open chunk, the queue, a delay, a link's flights, the
//! flights of a receiver that is away, or, in a session that is being rebuilt, what a link gave back and has not said
//! yet that it holds. [`PushEngine`]'s parts, a file each: taking in (`admit`), handing out
//! (`dispatch`), to whom first (`levels`), who looks (`turns`), copies of what waits (`future`), what became of it
//! (`settle`, `fates`, `letters`), receivers that come and go (`link`, `attach`, `named`, `absent`), time
//! (`timeouts`), what is kept on disk (`journal`), a session whose messages are lost (`rebuild`), and what a streamer
//! does otherwise (`passing`, `passed`).

mod absent;
mod admit;
mod attach;
mod config;
mod dispatch;
mod fates;
mod future;
mod journal;
mod letters;
mod levels;
mod link;
mod named;
mod passed;
mod passing;
mod rebuild;
mod settle;
mod stats;
#[cfg(test)]
mod tests;
mod timeouts;
mod turns;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;

pub use admit::{Refusal, Refused};
pub use config::PushConfig;
pub use settle::Fate;
pub use stats::{PushLinkStats, PushStats};

use crate::collections::RangeSet;
use crate::credit::Amount;
use crate::event::Events;
use crate::ids::{Delivery, LinkId, PeerId, Seq, Session};
use crate::limits::COUNTED_CREDIT_MAX;
use crate::queue::{Chunk, Chunks, Delays, Flight, Kept};
use crate::store::{Attempts, DeadLetter, Recovered};
use crate::time::{Now, Time, WallTime};

use absent::Absentees;
use fates::Fates;
use future::Placed;
use journal::Journal;
use letters::Letters;
use levels::Levels;
use link::PushLink;
use passed::Passing;
pub(crate) use passed::Upward;
use rebuild::Rebuild;
use stats::Counters;
use turns::Cramped;

/// A PUSH socket without its I/O.
#[derive(Debug)]
pub struct PushEngine {
    config: PushConfig,
    peer_id: PeerId,
    session: Session,
    closed: bool,
    /// The application has a message that only credit makes room for.
    refused: bool,

    chunks: Chunks,
    /// Sealed messages that wait for credit.
    queued: RangeSet,
    /// Messages that wait for a moment.
    delayed: Delays,
    expiring: BTreeSet<(WallTime, Seq)>,
    /// In flight, and past their shelf life: they do not come back.
    stale: RangeSet,
    attempts: BTreeMap<Seq, Attempts>,
    dead: Letters,
    /// Everything below the next number that is not kept here any more.
    done: RangeSet,
    /// What became of messages that were done without being confirmed; the newest.
    fates: Fates,

    links: BTreeMap<LinkId, PushLink>,
    next_link: u64,
    /// Links with credit, and all that credit together.
    ready: u64,
    spare: u64,
    spare_bytes: u64,
    /// Who of them comes first.
    levels: Levels,
    placed: Placed,
    /// Links with credit that found nothing to dispatch, longest first.
    idle: VecDeque<LinkId>,
    /// Links with too few bytes of credit for what comes next.
    cramped: Cramped,
    /// Messages that links were woken for and have not looked at.
    called: u64,
    /// Links without credit that had nothing to ask any for, longest first.
    silent: VecDeque<LinkId>,
    /// Messages in flight, receivers that are away included.
    pending: u64,
    absent: Absentees,
    deadlines: BTreeSet<(Time, LinkId, Delivery)>,
    next_reassign: Option<Time>,
    /// Who gave messages back because somebody else has more time for them.
    given_back: BTreeMap<Seq, LinkId>,

    journal: Option<Journal>,
    /// Of a streamer.
    passing: Option<Passing>,
    /// Of a session whose messages were lost.
    rebuild: Option<Rebuild>,
    wakes: VecDeque<LinkId>,
    /// Progress is noted of numbers below this one.
    watched: Seq,
    progress: VecDeque<Range<Seq>>,
    events: Events,
    counters: Counters,
    scratch: Vec<(Delivery, Flight)>,
}

impl PushEngine {
    /// A socket that keeps its messages in memory only.
    #[must_use]
    pub fn new(config: PushConfig, peer_id: PeerId, session: Session) -> Self {
        Self::build(config, peer_id, session, 0)
    }

    /// A socket with a new store: it accepts a message once the store has it, or a receiver has confirmed it.
    #[must_use]
    pub fn with_store(config: PushConfig, peer_id: PeerId, session: Session) -> Self {
        let mut engine = Self::build(config, peer_id, session, 0);
        engine.journal = Some(Journal::new(0));
        engine
    }

    /// A socket that goes on where its store left off: same session, what was pending is in the queue.
    #[must_use]
    pub fn recover(config: PushConfig, peer_id: PeerId, recovered: Recovered) -> Self {
        let mut engine = Self::build(config, peer_id, recovered.session, recovered.next_seq);
        let mut journal = Journal::new(recovered.next_seq);
        let dead: RangeSet = recovered.dead.iter().map(|dead| dead.seq..dead.seq + 1).collect();
        for block in recovered.blocks {
            let mut live: RangeSet = [block.seqs.clone()].into_iter().collect();
            for done in block.done {
                live.remove(done);
            }
            // A crash may have come between a dead letter and the end of its message.
            for letters in dead.within(block.seqs.clone()) {
                live.remove(letters);
            }
            journal.restore(block.seqs.clone(), live.len());
            engine.done.remove(block.seqs.clone());
            engine.done.extend(live.missing(block.seqs.clone()));
            if live.is_empty() {
                continue;
            }
            engine.note_expiries(block.seqs.start, &block.records);
            let mut chunk = Chunk::new(block.seqs, block.records, None, Time::ZERO);
            chunk.live = live.len();
            chunk.kept = Kept::Yes;
            engine.chunks.restore(chunk);
            engine.queued.extend(live.iter());
        }
        let queued = &engine.queued;
        engine.attempts =
            recovered.attempts.into_iter().filter(|(seq, _)| queued.contains(*seq)).collect();
        engine.dead = recovered.dead.into_iter().collect();
        engine.journal = Some(journal);
        engine
    }

    fn build(config: PushConfig, peer_id: PeerId, session: Session, next_seq: Seq) -> Self {
        let mut done = RangeSet::new();
        done.insert(0..next_seq);
        Self {
            config,
            peer_id,
            session,
            closed: false,
            refused: false,
            chunks: Chunks::new(next_seq),
            queued: RangeSet::new(),
            delayed: Delays::default(),
            expiring: BTreeSet::new(),
            stale: RangeSet::new(),
            attempts: BTreeMap::new(),
            dead: Letters::default(),
            done,
            fates: Fates::default(),
            links: BTreeMap::new(),
            next_link: 0,
            ready: 0,
            spare: 0,
            spare_bytes: 0,
            levels: Levels::default(),
            placed: Placed::default(),
            idle: VecDeque::new(),
            cramped: Cramped::default(),
            called: 0,
            silent: VecDeque::new(),
            pending: 0,
            absent: Absentees::default(),
            deadlines: BTreeSet::new(),
            next_reassign: None,
            given_back: BTreeMap::new(),
            journal: None,
            passing: None,
            rebuild: None,
            wakes: VecDeque::new(),
            watched: 0,
            progress: VecDeque::new(),
            events: Events::default(),
            counters: Counters::default(),
            scratch: Vec::new(),
        }
    }

    /// The session of this socket's numbers.
    #[must_use]
    pub const fn session(&self) -> Session {
        self.session
    }

    /// The number that the next message gets.
    #[must_use]
    pub const fn next_seq(&self) -> Seq {
        self.chunks.next_seq()
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &PushConfig {
        &self.config
    }

    /// Changes settings while the socket runs: to such as [`PushConfig::check_change`] lets pass. What was taken in or
    /// dispatched under the old ones stays, and times that have begun end when they were to; only what is to be asked back
    /// by a new `reassign_after` is looked for at once.
    pub fn reconfigure(&mut self, now: Now, change: impl FnOnce(&mut PushConfig)) {
        let before = self.config.reassign_after;
        change(&mut self.config);
        if self.config.reassign_after != before {
            self.replan_reassign(now.time);
        }
        self.wake_idle();
    }

    /// Messages that wait to be dispatched, those that wait for a moment included.
    #[inline]
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.queued.len() + self.chunks.open_len() + self.delayed.len()
    }

    /// Messages that were dispatched and are not settled.
    #[must_use]
    pub const fn pending(&self) -> u64 {
        self.pending
    }

    /// Whether everything that was taken in is done, and nothing may be given back that was lost.
    #[inline]
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.waiting() == 0
            && self.pending == 0
            && !self.is_rebuilding()
            && self.links.values().all(|link| link.returned.is_empty())
    }

    /// The lowest number that is not done.
    #[must_use]
    pub fn oldest(&self) -> Option<Seq> {
        let first = self.done.missing(0..self.next_seq()).first()?.start;
        Some(first)
    }

    /// Whether no message will be taken in any more.
    #[inline]
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.closed || self.store_failure().is_some()
    }

    /// Takes no more messages in; what is there still goes out.
    pub fn close_intake(&mut self) {
        self.closed = true;
    }

    /// Whether there is nothing to poll for: no link to wake, no event, no progress, and no time to keep.
    #[inline]
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.wakes.is_empty()
            && self.events.is_empty()
            && self.progress.is_empty()
            && !self.has_timeouts()
    }

    /// The dead letters, by rising number.
    pub fn dead_letters(&self) -> impl Iterator<Item = &DeadLetter> {
        self.dead.iter()
    }

    /// Progress of numbers below `end` is to be noted for [`PushEngine::poll_progress`]; 0: of none.
    pub fn watch(&mut self, end: Seq) {
        self.watched = end;
        if end == 0 {
            self.progress.clear();
        }
    }

    /// Numbers whose standing has changed: accepted, or done.
    #[inline]
    pub fn poll_progress(&mut self) -> Option<Range<Seq>> {
        self.progress.pop_front()
    }

    /// Whether the message is accepted: on disk (if there is a store), or done.
    #[must_use]
    pub fn is_accepted(&self, seq: Seq) -> bool {
        match &self.journal {
            None => seq < self.next_seq(),
            Some(journal) => {
                self.chunks.holding(seq).is_some_and(|chunk| chunk.kept == Kept::Yes)
                    || (self.done.contains(seq) && journal.first_unburied(seq..seq + 1).is_none())
            }
        }
    }

    /// Whether the store has the message, and it is not done.
    #[must_use]
    pub fn is_stored(&self, seq: Seq) -> bool {
        !self.done.contains(seq)
            && self.chunks.holding(seq).is_some_and(|chunk| chunk.kept == Kept::Yes)
    }

    /// The first of `seqs` that is not accepted. Costs a step for each chunk, not for each message.
    #[must_use]
    pub fn first_unaccepted(&self, mut seqs: Range<Seq>) -> Option<Seq> {
        while seqs.start < seqs.end {
            let kept = self.chunks.holding(seqs.start).filter(|chunk| chunk.kept == Kept::Yes);
            seqs.start = match (kept, self.done.within(seqs.clone()).next()) {
                (Some(chunk), _) => chunk.seqs.end,
                (None, Some(done)) if done.start == seqs.start && self.is_accepted(seqs.start) => {
                    self.accepted_up_to(done)
                }
                _ if self.is_accepted(seqs.start) => seqs.start + 1,
                _ => return Some(seqs.start),
            };
        }
        None
    }

    /// How far messages that are done are accepted: a dead letter has to be on disk first.
    fn accepted_up_to(&self, done: Range<Seq>) -> Seq {
        let journal = self.journal.as_ref();
        journal.and_then(|journal| journal.first_unburied(done.clone())).unwrap_or(done.end)
    }

    /// What became of a message; `None` while it is not done.
    #[must_use]
    pub fn fate(&self, seq: Seq) -> Option<Fate> {
        let fate = || match self.dead.get(seq).is_some() {
            true => Fate::DeadLettered,
            false => self.fates.of(seq).unwrap_or(Fate::Confirmed),
        };
        self.done.contains(seq).then(fate)
    }

    #[inline]
    fn note_progress(&mut self, seqs: Range<Seq>) {
        if seqs.start < self.watched {
            self.progress.push_back(seqs);
        }
    }

    /// Counts a link's room anew, after anything that changes it.
    fn recount(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let room = link.room().min(Amount::new(COUNTED_CREDIT_MAX, COUNTED_CREDIT_MAX));
        let counted = if room.bytes > 0 { room.messages } else { 0 };
        self.ready = self.ready + u64::from(counted > 0) - u64::from(link.counted > 0);
        self.spare = self.spare - link.counted + counted;
        link.counted = counted;
        // Also the bytes of links that are out of messages: else each message would take more away than it costs.
        self.spare_bytes = self.spare_bytes - link.counted_bytes + room.bytes;
        link.counted_bytes = room.bytes;
        let receivers = if counted > 0 { link.receivers() } else { 0 };
        let standing = Self::standing(link, receivers);
        self.levels.replace(std::mem::replace(&mut link.standing, standing), standing);
    }
}
