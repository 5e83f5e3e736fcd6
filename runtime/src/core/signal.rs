//! Waking a link's driver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use atomic_waker::AtomicWaker;

/// One driver's bell. Ringing it twice before the driver looks is ringing it once.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    rung: AtomicBool,
    driver: AtomicWaker,
}

impl Signal {
    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.driver.wake();
        }
    }

    /// Says who is to be woken from now on.
    pub(crate) fn register(&self, waker: &Waker) {
        self.driver.register(waker);
    }

    /// Whether it was rung and its driver has not looked.
    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::Acquire)
    }

    /// Whether it was rung since the last call.
    pub(crate) fn take(&self) -> bool {
        self.rung.load(Ordering::Acquire) && self.rung.swap(false, Ordering::AcqRel)
    }
}
