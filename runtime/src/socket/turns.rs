//! Letting others run.

use std::sync::atomic::{AtomicU32, Ordering};

/// Calls that together count as one step of a task, of which tokio allows 128 before others on its thread have their turn.
const CALLS_PER_TURN: u32 = 64;

/// Counts calls that have nothing to wait for: a task that never waits would keep a single-threaded runtime to itself.
#[derive(Debug, Default)]
pub(super) struct Turns(AtomicU32);

impl Turns {
    /// Counts a call; true if it should await [`Turns::end`] before it goes on.
    #[inline]
    pub(super) fn is_over(&self) -> bool {
        // Tasks that call at the same time may lose a count, which does no harm.
        let calls = self.0.load(Ordering::Relaxed).wrapping_add(1);
        self.0.store(calls, Ordering::Relaxed);
        calls.is_multiple_of(CALLS_PER_TURN)
    }

    pub(super) async fn end() {
        tokio::task::coop::consume_budget().await;
    }
}
