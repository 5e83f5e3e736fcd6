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

    /// Counts what was handed out together.
    pub(super) fn count(&self, calls: usize) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(
            before.wrapping_add(u32::try_from(calls).unwrap_or(u32::MAX)),
            Ordering::Relaxed,
        );
    }

    /// Whether a turn's worth was counted since this was last true.
    pub(super) fn is_used_up(&self) -> bool {
        let is_used_up = self.0.load(Ordering::Relaxed) >= CALLS_PER_TURN;
        if is_used_up {
            self.0.store(0, Ordering::Relaxed);
        }
        is_used_up
    }

    pub(super) async fn end() {
        tokio::task::coop::consume_budget().await;
    }
}
