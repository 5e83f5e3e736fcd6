//! What a streamer has passed on and not heard the end of: whose it is, and what its numbers are here.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use crate::credit::{Amount, Want};
use crate::ids::{Seq, Session, span};
use crate::pull::{ADOPTED_KEYS, Adopted, Run, RunKey};
use crate::time::Time;
use crate::wire::Outcome;

/// What there is to be said upstream, of messages of one run.
#[derive(Debug)]
pub(crate) enum Upward {
    Outcome(RunKey, Range<u32>, Outcome),
    Taken(RunKey, Range<u32>),
    /// Somebody holds what this streamer does not have.
    Adopted(Adopted),
    /// Somebody has confirmed what this streamer does not have.
    Confirmed(Session, Range<Seq>),
}

/// Messages that arrived together and are not all done.
#[derive(Debug)]
pub(super) struct Passed {
    pub(super) run: Arc<Run>,
    pub(super) reports_taken: bool,
    left: u64,
}

/// What the downstream side of a streamer keeps besides.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// By the first of their numbers here.
    runs: BTreeMap<Seq, Passed>,
    pub(super) by_key: BTreeMap<RunKey, Seq>,
    /// Where numbers of a session are here: by their first, their end and the first number here.
    by_origin: BTreeMap<(Session, Seq), (Seq, Seq)>,
    pub(super) upward: VecDeque<Upward>,
    /// What is in the queue.
    pub(super) waiting: Amount,
    /// Since when nothing has left it.
    pub(super) parked: Option<Time>,
    /// What senders upstream want.
    pub(super) upstream_want: Want,
    pub(super) may_adopt: bool,
    /// Links came or went, or what is said of them.
    pub(super) members_changed: bool,
    pub(super) adopted_runs: u64,
    pub(super) adopted_messages: u64,
}

impl Passing {
    pub(super) fn passed(&self, seq: Seq) -> Option<(Seq, &Passed)> {
        let (&first, passed) = self.runs.range(..=seq).next_back()?;
        (seq - first < u64::from(passed.run.count)).then_some((first, passed))
    }

    /// Cuts numbers of this side by the runs that they belong to.
    pub(super) fn parts(&self, seqs: Range<Seq>) -> Vec<(RunKey, Range<u32>, Range<Seq>)> {
        let mut parts = Vec::new();
        let mut next = seqs.start;
        while next < seqs.end {
            let Some((first, passed)) = self.passed(next) else {
                break;
            };
            let end = seqs.end.min(first + u64::from(passed.run.count));
            // A run has at most u32::MAX messages.
            let indices = (next - first) as u32..(end - first) as u32;
            parts.push((passed.run.key, indices, next..end));
            next = end;
        }
        parts
    }

    /// Where messages of a session are here, in order, and which of them are not.
    pub(super) fn find(&self, session: Session, seqs: Range<Seq>) -> Vec<Named> {
        let before = self.by_origin.range(..=(session, seqs.start)).next_back();
        let from = before.filter(|((of, _), (end, _))| *of == session && *end > seqs.start);
        let from = from.map_or(seqs.start, |((_, first), _)| *first);
        let mut named = Vec::new();
        let mut next = seqs.start;
        for (&(_, first), &(end, here)) in
            self.by_origin.range((session, from)..(session, seqs.end.max(from)))
        {
            let part = first.max(seqs.start)..end.min(seqs.end);
            if next < part.start {
                named.push(Named::Unknown(next..part.start));
            }
            let at = here + (part.start - first);
            named.push(Named::Here(at..at + span(&part)));
            next = part.end;
        }
        if next < seqs.end {
            named.push(Named::Unknown(next..seqs.end));
        }
        named
    }

    /// Where messages of a run that arrives are here already: they have come before.
    pub(super) fn came_before(&self, run: &Run) -> Vec<Named> {
        let (session, seqs) = (run.session(), run.seq(0)..run.seq(run.count));
        match self.overlapping(session, seqs.start, seqs.end) {
            Some(_) => self.find(session, seqs),
            None => Vec::new(),
        }
    }

    /// What numbers of this side that belong to one run are upstream, and in which session.
    pub(super) fn upstream_numbers(&self, seqs: &Range<Seq>) -> Option<(Session, Range<Seq>)> {
        let (first, Passed { run, .. }) = self.passed(seqs.start)?;
        let start = run.first_seq + (seqs.start - first);
        Some((run.session(), start..start + span(seqs)))
    }

    /// Cuts numbers of this side that belong to one run, by whether their messages have come again since.
    pub(super) fn by_return(&self, seqs: Range<Seq>) -> Vec<(Range<Seq>, bool)> {
        let Some((session, theirs)) = self.upstream_numbers(&seqs) else {
            return Vec::new();
        };
        let mut next = seqs.start;
        let mut parts = Vec::new();
        for named in self.find(session, theirs) {
            let part = next..next + named.len();
            next = part.end;
            let came_again = named != Named::Here(part.clone());
            parts.push((part, came_again));
        }
        parts
    }

    pub(super) fn insert(&mut self, first: Seq, run: Arc<Run>, reports_taken: bool) {
        let (session, count) = (run.session(), u64::from(run.count));
        let seqs = run.first_seq..run.first_seq + count;
        self.forget_origin(session, seqs.clone(), 0..Seq::MAX);
        self.by_origin.insert((session, seqs.start), (seqs.end, first));
        self.by_key.insert(run.key, first);
        self.runs.insert(first, Passed { run, reports_taken, left: count });
    }

    /// Forgets where numbers of a session are, as far as that is within `here`.
    fn forget_origin(&mut self, session: Session, seqs: Range<Seq>, here: Range<Seq>) {
        let mut next = seqs.start;
        while let Some((first, end, at)) = self.overlapping(session, next, seqs.end) {
            next = end;
            if !here.contains(&at) {
                continue;
            }
            self.by_origin.remove(&(session, first));
            if first < seqs.start {
                self.by_origin.insert((session, first), (seqs.start, at));
            }
            if seqs.end < end {
                self.by_origin.insert((session, seqs.end), (end, at + (seqs.end - first)));
            }
        }
    }

    fn overlapping(&self, session: Session, from: Seq, to: Seq) -> Option<(Seq, Seq, Seq)> {
        let before = self.by_origin.range(..=(session, from)).next_back();
        let spans = before.filter(|((of, _), (end, _))| *of == session && *end > from);
        let next = || self.by_origin.range((session, from)..(session, to.max(from))).next();
        let (&(_, first), &(end, at)) = spans.or_else(next)?;
        (first < to).then_some((first, end, at))
    }

    /// Counts messages as done; a run is forgotten with its last one.
    pub(super) fn done(&mut self, seqs: Range<Seq>) {
        for (key, indices, part) in self.parts(seqs) {
            let Some(&first) = self.by_key.get(&key) else {
                continue;
            };
            let Some(passed) = self.runs.get_mut(&first) else {
                continue;
            };
            passed.left = passed.left.saturating_sub(u64::from(indices.end - indices.start));
            if key >= ADOPTED_KEYS {
                self.adopted_messages = self.adopted_messages.saturating_sub(span(&part));
            }
            if passed.left > 0 {
                continue;
            }
            if let Some(Passed { run, .. }) = self.runs.remove(&first) {
                let count = u64::from(run.count);
                let seqs = run.first_seq..run.first_seq + count;
                self.forget_origin(run.session(), seqs, first..first + count);
            }
            self.by_key.remove(&key);
        }
    }
}

/// Messages that a receiver names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Named {
    /// By the numbers that they have here.
    Here(Range<Seq>),
    /// By the numbers that they have in their session, of which nothing is known here.
    Unknown(Range<Seq>),
    /// By the same numbers, once more in a list that has named them.
    Again(Range<Seq>),
}

impl Named {
    pub(super) const fn len(&self) -> u64 {
        match self {
            Named::Here(seqs) | Named::Unknown(seqs) | Named::Again(seqs) => span(seqs),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
