//! What a server was given and what is not written on its link.

use std::collections::VecDeque;

use super::CallNumber;
use super::runs::RunKey;

/// Calls that are to be written on a link, in the order in which they were given to its server.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: VecDeque<Unwritten>,
    calls: usize,
}

/// What is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unwritten {
    Call(CallNumber),
    /// The last calls of a run: so many.
    Run(RunKey, usize),
}

impl Unwritten {
    const fn calls(self) -> usize {
        match self {
            Self::Call(_) => 1,
            Self::Run(_, calls) => calls,
        }
    }
}

impl Outbox {
    /// How many calls there are.
    pub(super) const fn len(&self) -> usize {
        self.calls
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.calls == 0
    }

    pub(super) fn push(&mut self, number: CallNumber) {
        self.entries.push_back(Unwritten::Call(number));
        self.calls += 1;
    }

    /// Whether the last of it is of this run.
    pub(super) fn ends_with(&self, key: RunKey) -> bool {
        matches!(self.entries.back(), Some(Unwritten::Run(last, _)) if *last == key)
    }

    /// So many more calls of a run.
    pub(super) fn push_of_run(&mut self, key: RunKey, more: usize) {
        self.calls += more;
        match self.entries.back_mut() {
            Some(Unwritten::Run(last, calls)) if *last == key => *calls += more,
            _ => self.entries.push_back(Unwritten::Run(key, more)),
        }
    }

    pub(super) fn pop_first(&mut self) -> Option<Unwritten> {
        let first = self.entries.pop_front()?;
        self.calls -= first.calls();
        Some(first)
    }

    pub(super) fn pop_last(&mut self) -> Option<Unwritten> {
        let last = self.entries.pop_back()?;
        self.calls -= last.calls();
        Some(last)
    }

    pub(super) fn last(&self) -> Option<Unwritten> {
        self.entries.back().copied()
    }

    /// Takes a call out that is in no run. False if it is not there.
    pub(super) fn remove(&mut self, number: CallNumber) -> bool {
        let at = self.entries.iter().position(|entry| *entry == Unwritten::Call(number));
        if let Some(at) = at {
            self.entries.remove(at);
            self.calls -= 1;
        }
        at.is_some()
    }

    /// The calls of a run are to be written one by one.
    pub(super) fn unfold(&mut self, key: RunKey, numbers: impl Iterator<Item = CallNumber>) {
        let is_it = |entry: &Unwritten| matches!(entry, Unwritten::Run(run, _) if *run == key);
        if let Some(at) = self.entries.iter().rposition(is_it) {
            let behind = self.entries.split_off(at + 1);
            self.calls -= self.entries.pop_back().map_or(0, Unwritten::calls);
            numbers.for_each(|number| self.push(number));
            self.entries.extend(behind);
        }
    }

    /// Takes all out that is in no run.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = CallNumber> + use<> {
        let all = std::mem::take(self);
        all.entries.into_iter().filter_map(|entry| match entry {
            Unwritten::Call(number) => Some(number),
            Unwritten::Run(..) => None,
        })
    }
}
