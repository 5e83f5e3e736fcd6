//! How a thread that waits under the lock is called by those who have given it back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Duration;

/// A thread's bell. Whether it was called is said under the lock; this only wakes it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    sleeper: Condvar,
    /// It does not sleep, but looks at this again and again.
    is_watched: AtomicBool,
}

impl Bell {
    pub(super) fn ring(&self) {
        if !self.is_watched.swap(false, Ordering::AcqRel) {
            self.sleeper.notify_one();
        }
    }

    /// From now on its thread looks whether it is still watched. It says so while it holds the lock.
    pub(crate) fn watch(&self) {
        self.is_watched.store(true, Ordering::Release);
    }

    /// Whether it was not rung since.
    pub(crate) fn is_watched(&self) -> bool {
        self.is_watched.load(Ordering::Acquire)
    }

    /// Its thread sleeps on from now on.
    pub(crate) fn stop_watching(&self) {
        self.is_watched.store(false, Ordering::Release);
    }

    /// Sleeps until it is rung, for so long at the most, or for no reason.
    pub(crate) fn wait<'a, T>(
        &self,
        lock: MutexGuard<'a, T>,
        time: Option<Duration>,
    ) -> MutexGuard<'a, T> {
        match time {
            None => self.sleeper.wait(lock).unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let slept = self.sleeper.wait_timeout(lock, time);
                slept.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn who_watches_sees_that_it_was_rung_and_who_watches_no_more_is_woken() {
        let (bell, called) = (Bell::default(), Mutex::new(false));
        bell.watch();
        assert!(bell.is_watched());
        bell.ring();
        assert!(!bell.is_watched());
        bell.watch();
        bell.stop_watching();
        std::thread::scope(|scope| {
            let mut lock = called.lock().unwrap();
            scope.spawn(|| {
                *called.lock().unwrap() = true;
                bell.ring();
            });
            while !*lock {
                lock = bell.wait(lock, None);
            }
        });
    }
}
