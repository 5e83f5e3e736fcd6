//! What a PULL socket shares with the deliveries that it hands out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use drawdown_protocol::limits::CONFIRM_DELAY;
use drawdown_protocol::wire::Outcome;
use drawdown_protocol::{ConfirmOn, Confirmed, Run};

use crate::core::Core;
use crate::error::Closed;
use crate::socket::receiving::ReportAfter;

use super::state::PullState;

/// Runs with fresh confirmations after which the engine looks at them at once.
const CONFIRMED_RUNS_MAX: usize = 32;

/// Runs with fresh confirmations, which the engine has not looked at.
pub(super) type ConfirmedRuns = Arc<Mutex<Vec<Arc<Run>>>>;

/// The engine, and runs that it should look at.
pub(crate) struct PullShared {
    pub(super) core: Arc<Core<PullState>>,
    pub(super) confirm_on: ConfirmOn,
    confirmed: ConfirmedRuns,
    pub(super) report_after: ReportAfter,
    /// The socket is gone: what was not settled is on its way back.
    over: Arc<AtomicBool>,
}

impl PullShared {
    pub(super) fn new(core: Arc<Core<PullState>>, confirm_on: ConfirmOn, window: u64) -> Self {
        let (confirmed, over) = {
            let state = core.lock();
            (Arc::clone(&state.socket.confirmed), Arc::clone(&state.socket.over))
        };
        let report_after = ReportAfter::new(window);
        Self { core, confirm_on, confirmed, report_after, over }
    }

    /// From now on nothing that the application says of a message reaches its sender.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Whether what the application says of a message still counts.
    #[inline]
    pub(super) fn counts(&self) -> Result<(), Closed> {
        if self.over.load(Ordering::Acquire) { Err(Closed) } else { Ok(()) }
    }

    /// A run has fresh confirmations, or not.
    #[inline]
    pub(super) fn note(&self, run: &Arc<Run>, confirmed: Confirmed) {
        if confirmed == Confirmed::First {
            self.note_first(run);
        }
    }

    fn note_first(&self, run: &Arc<Run>) {
        let runs = {
            let mut runs = self.confirmed.lock().unwrap_or_else(PoisonError::into_inner);
            runs.push(Arc::clone(run));
            runs.len()
        };
        if runs == 1 {
            // The first of a while: it goes out soon, whatever the application does next.
            let at = self.core.clock.time() + CONFIRM_DELAY;
            self.core.with(|socket| socket.flush_at = socket.flush_at.or(Some(at)));
        } else if runs >= CONFIRMED_RUNS_MAX {
            self.core.with(PullState::collect);
        }
    }

    /// Settles one message in another way than by confirming it.
    pub(super) fn settle(&self, run: &Run, index: u32, outcome: &Outcome) -> Result<(), Closed> {
        self.counts()?;
        self.core.with(|socket| socket.engine.settle(run, index, outcome));
        Ok(())
    }
}
