//! When calls are to be looked at. A call that is soon over costs next to nothing here.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::collections::Rising;
use crate::time::Time;

use super::{Call, CallNumber, RequestEngine};

/// Calls among the young ones beyond twice as many as there are: those that are over.
const OVER: usize = 64;

/// What is due at some moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// The call's time is over.
    Deadline,
    /// Its server has taken too long.
    Attempt,
    /// A second server is to be asked.
    Hedge,
    /// Better servers have had time enough to say whether they have room.
    Ask,
    /// It has waited long enough to be tried again.
    Retry,
}

/// What is due when for one call; [`NEVER`] stands for what is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    due: [Time; 5],
    /// Where it stands in the agenda, once it is no longer young; never after the first of `due`.
    noted: Time,
}

/// Later than anything.
const NEVER: Time = Time::from_micros(u64::MAX);

impl Times {
    pub(super) fn new(deadline: Time) -> Self {
        // There is something to look for until the call is over.
        let deadline = deadline.min(NEVER - Duration::from_micros(1));
        Self { due: [deadline, NEVER, NEVER, NEVER, NEVER], noted: NEVER }
    }

    /// The first moment at which anything is due.
    pub(super) fn next(&self) -> Time {
        self.due.iter().min().copied().unwrap_or(NEVER)
    }

    /// There is a place for each timer.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.due[timer as usize] = at;
    }

    /// Nothing of this kind is due any more.
    pub(super) fn clear(&mut self, timer: Timer) {
        self.set(timer, NEVER);
    }

    fn is_young(&self) -> bool {
        self.noted == NEVER
    }

    /// Takes out what is due first, if that is at this moment or before.
    fn take_due(&mut self, by: Time) -> Option<Timer> {
        let timers = [Timer::Deadline, Timer::Attempt, Timer::Hedge, Timer::Ask, Timer::Retry];
        let (_, timer) = self.due.iter().zip(timers).min().filter(|(at, _)| **at <= by)?;
        self.clear(timer);
        Some(timer)
    }
}

/// What is due when, for all calls.
///
/// Most calls are over long before anything is due. So a call is young at first: of all young ones together only the first
/// moment is known. When that comes, those that are left are noted one by one. Calls in runs are young.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    noted: BTreeSet<(Time, CallNumber)>,
    /// Calls that are not noted, and some that are over.
    young: Vec<CallNumber>,
    /// Nothing is due for a young one before.
    young_due: Option<Time>,
}

impl Agenda {
    /// Takes in a call for which nothing is due before this moment.
    pub(super) fn add(&mut self, number: CallNumber, due: Time, calls: &Rising<Call>) {
        if self.young.len() > OVER + 2 * calls.len() {
            self.young.retain(|young| calls.get(young).is_some_and(|call| call.times.is_young()));
        }
        self.young.push(number);
        self.hurry(due);
    }

    /// Something is due for a young call, or one of a run, at this moment.
    pub(super) fn hurry(&mut self, at: Time) {
        self.young_due = Time::first_of([self.young_due, Some(at)]);
    }

    /// Something may be due sooner for a call than before.
    pub(super) fn hasten(&mut self, number: CallNumber, times: &mut Times) {
        let at = times.next();
        if times.is_young() {
            self.hurry(at);
        } else if at < times.noted {
            self.noted.remove(&(times.noted, number));
            self.noted.insert((at, number));
            times.noted = at;
        }
        // Else it is looked at before, and noted anew then.
    }

    /// A call is over.
    pub(super) fn remove(&mut self, number: CallNumber, times: &Times) {
        if !times.is_young() {
            self.noted.remove(&(times.noted, number));
        }
    }

    /// When something may be due.
    pub(super) fn next(&self) -> Option<Time> {
        let noted = self.noted.first().map(|(at, _)| *at);
        Time::first_of([noted, self.young_due])
    }

    /// Takes out the first call for which something may be due.
    fn pop(&mut self, now: Time) -> Option<(Time, CallNumber)> {
        self.noted.first().filter(|(at, _)| *at <= now)?;
        self.noted.pop_first()
    }
}

impl RequestEngine {
    pub(super) fn set_timer(&mut self, number: CallNumber, at: Time, timer: Timer) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.times.set(timer, at);
            self.agenda.hasten(number, &mut call.times);
        }
    }

    pub(super) fn clear_timer(&mut self, number: CallNumber, timer: Timer) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.times.clear(timer);
        }
    }

    /// The next thing that is due.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<(CallNumber, Timer)> {
        self.note_young_ones(now);
        while let Some((at, number)) = self.agenda.pop(now) {
            let Some(call) = self.calls.get_mut(&number) else {
                continue;
            };
            call.times.noted = NEVER;
            let timer = call.times.take_due(at);
            // What else is due for it has its turn in the order of time.
            self.note(number);
            if let Some(timer) = timer {
                return Some((number, timer));
            }
        }
        None
    }

    fn note_young_ones(&mut self, now: Time) {
        if self.agenda.young_due.is_some_and(|due| due <= now) {
            self.unfold_all();
            self.agenda.young_due = None;
            for number in std::mem::take(&mut self.agenda.young) {
                self.note(number);
            }
        }
    }

    fn note(&mut self, number: CallNumber) {
        if let Some(call) = self.calls.get_mut(&number)
            && call.times.is_young()
        {
            // One for which nothing is due is about to end.
            call.times.noted = call.times.next();
            if !call.times.is_young() {
                self.agenda.noted.insert((call.times.noted, number));
            }
        }
    }
}
