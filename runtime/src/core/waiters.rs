//! Calls that wait for a change under the lock.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::task::Waker;

use super::{Bell, Signal};

/// Those to wake once the lock is free.
#[derive(Default)]
pub(crate) struct Wakes {
    signals: Vec<Arc<Signal>>,
    wakers: Vec<Waker>,
    /// By which a thread is called.
    bell: Option<Arc<Bell>>,
}

impl Wakes {
    pub(crate) fn signal(&mut self, signal: &Arc<Signal>) {
        // Who was rung and has not looked yet will look after the lock is free.
        if !signal.is_rung() {
            self.signals.push(Arc::clone(signal));
        }
    }

    pub(crate) fn waker(&mut self, waker: Waker) {
        self.wakers.push(waker);
    }

    pub(crate) fn bell(&mut self, bell: &Arc<Bell>) {
        self.bell = Some(Arc::clone(bell));
    }

    pub(super) fn wake(self) {
        self.bell.iter().for_each(|bell| bell.ring());
        self.signals.iter().for_each(|signal| signal.ring());
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

/// A place in a [`WaitList`]; given back when the call ends, however it ends.
pub(crate) type Waiting = u64;

/// Calls that wait for the same thing, served in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct WaitList {
    next: Waiting,
    /// Woken ones keep their place without a waker until they come back or give up.
    calls: BTreeMap<Waiting, Option<Waker>>,
    asleep: usize,
}

impl WaitList {
    /// Waits (on): `place` is that of an earlier call of the same waiter.
    pub(crate) fn wait(&mut self, place: &mut Option<Waiting>, waker: &Waker) {
        let id = *place.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        if self.calls.insert(id, Some(waker.clone())).flatten().is_none() {
            self.asleep += 1;
        }
    }

    /// Gives a place up.
    pub(crate) fn leave(&mut self, place: &mut Option<Waiting>) {
        if let Some(id) = place.take()
            && self.calls.remove(&id).flatten().is_some()
        {
            self.asleep -= 1;
        }
    }

    /// How many calls wait, woken ones that have not come back included.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether all that wait were woken.
    #[inline]
    pub(crate) fn is_awake(&self) -> bool {
        self.asleep == 0
    }

    /// Wakes up to `count` of those who wait, the first of them first. Woken ones that have not come back count.
    pub(crate) fn wake(&mut self, count: u64, wakes: &mut Wakes) {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        for call in self.calls.values_mut().take(count) {
            if let Some(waker) = call.take() {
                self.asleep -= 1;
                wakes.waker(waker);
            }
        }
    }

    /// What those who wait before this place, or before one that is yet to be taken, leave of so much.
    pub(crate) fn left_of(&self, count: u64, place: Option<Waiting>) -> usize {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let before = match place {
            Some(place) => self.calls.range(..place).take(count).count(),
            None => self.calls.len(),
        };
        count.saturating_sub(before)
    }

    /// Wakes the one that waits at this place.
    pub(crate) fn wake_at(&mut self, place: Waiting, wakes: &mut Wakes) {
        if let Some(waker) = self.calls.get_mut(&place).and_then(Option::take) {
            self.asleep -= 1;
            wakes.waker(waker);
        }
    }

    /// Wakes all.
    pub(crate) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.wake(u64::MAX, wakes);
    }
}

/// Calls that wait for numbers.
#[derive(Debug, Default)]
pub(crate) struct Keyed {
    next: u64,
    calls: BTreeMap<(u64, u64), Waker>,
}

impl Keyed {
    /// All numbers that are waited for are below this one.
    pub(crate) fn end(&self) -> u64 {
        self.calls.last_key_value().map_or(0, |((number, _), _)| number.saturating_add(1))
    }

    /// Waits (on) for `number`.
    pub(crate) fn wait(&mut self, number: u64, place: &mut Option<u64>, waker: &Waker) {
        let id = *place.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.calls.insert((number, id), waker.clone());
    }

    pub(crate) fn leave(&mut self, number: u64, place: &mut Option<u64>) {
        if let Some(id) = place.take() {
            self.calls.remove(&(number, id));
        }
    }

    /// Wakes those who wait for one of these numbers.
    pub(crate) fn wake(&mut self, numbers: Range<u64>, wakes: &mut Wakes) {
        while let Some((&key, _)) = self.calls.range((numbers.start, 0)..(numbers.end, 0)).next() {
            if let Some(waker) = self.calls.remove(&key) {
                wakes.waker(waker);
            }
        }
    }
}
