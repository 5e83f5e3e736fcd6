//! PULL: takes jobs.

mod builder;
mod delivery;
mod reader;
mod shared;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use builder::PullBuilder;
pub use delivery::{Delivery, DeliveryBatch};
use drawdown_protocol::{PullEngine, PullStats};

use crate::clock::Clock;
use crate::core::{Core, WaitList};
use crate::driver;
use crate::error::{Closed, DrainError, Undone};
use crate::socket::drain::drained;
use crate::socket::preferred::sealed::Receiver;
use crate::socket::receiving::{self, ReceivingState};
use crate::socket::turns::Turns;
use crate::socket::{SocketOptions, socket_ends};

use reader::Reader;
use shared::PullShared;
use state::PullState;

/// Takes jobs from PUSH sockets, as many at a time as its window has room for.
///
/// All methods take `&self`: several tasks may receive from one socket, and each message goes to one of them. Dropping the
/// socket ends its links at once; what was not settled goes back to its senders. Its ports are free a moment later. See
/// [`PullSocket::close`] for the orderly way, after which they are free.
pub struct PullSocket {
    shared: Arc<PullShared>,
    reader: Mutex<Reader>,
    turns: Turns,
    options: SocketOptions,
}

impl PullSocket {
    /// Settings for a new socket.
    pub fn builder() -> PullBuilder {
        PullBuilder::default()
    }

    fn start(engine: PullEngine, options: SocketOptions) -> Self {
        let config = engine.config();
        let (confirm_on, window) = (config.confirm_on, config.window_messages);
        let message_bytes_max = config.link.message_bytes_max;
        let state = PullState {
            engine,
            receiving: ReceivingState::default(),
            drained: WaitList::default(),
            flush_at: None,
            confirmed: shared::ConfirmedRuns::default(),
            over: Arc::default(),
        };
        let core = Core::new(state, Clock::start(), &options.core, message_bytes_max);
        driver::spawn_timer(&core);
        let shared = Arc::new(PullShared::new(core, confirm_on, window));
        Self { shared, reader: Mutex::default(), turns: Turns::default(), options }
    }

    socket_ends!(shared.core, options);

    /// The next message; `None` once the socket is closed.
    ///
    /// If the future is dropped, no message is lost: one that had arrived waits for the next call. With a window of 0 its
    /// credit is taken back.
    ///
    /// # Errors
    /// None today.
    #[inline]
    pub async fn recv(&self) -> Result<Option<Delivery>, Closed> {
        if self.turns.is_over() {
            Turns::end().await;
        }
        // The common case, without a place in any list.
        let next = self.reader().next(&self.shared);
        match next {
            Some(delivery) => Ok(Some(delivery)),
            None => {
                let next = || self.reader().next(&self.shared);
                Ok(receiving::wait_for(&self.shared.core, next).await)
            }
        }
    }

    /// The next message, if one is there now. It asks for none: with a window of 0 only calls that wait do, and this gives
    /// nothing.
    #[must_use]
    pub fn try_recv(&self) -> Option<Delivery> {
        self.reader().next(&self.shared)
    }

    /// The next messages, as many as are at hand together: at least one, at most `count`; `None` once the socket is
    /// closed. Dropping the future loses nothing.
    ///
    /// # Errors
    /// None today.
    pub async fn recv_batch(&self, count: usize) -> Result<Option<DeliveryBatch>, Closed> {
        let count = count.max(1);
        Turns::end().await;
        let next = self.reader().next_batch(count, &self.shared);
        match next {
            Some(batch) => Ok(Some(batch)),
            None => {
                let next = || self.reader().next_batch(count, &self.shared);
                Ok(receiving::wait_for(&self.shared.core, next).await)
            }
        }
    }

    /// Sets the window while the socket runs. A lower one holds once the senders have seen it; what they had sent by then
    /// may still arrive.
    pub fn set_window(&self, messages: u64, bytes: u64) {
        self.shared.report_after.set_window(messages);
        self.shared.core.with(|socket| socket.engine.set_window(messages, bytes));
    }

    /// Takes all credit back. What has arrived can still be received.
    pub fn pause(&self) {
        self.shared.core.with(|socket| socket.engine.set_paused(true));
    }

    /// Gives credit again, unless the socket was stopped.
    pub fn resume(&self) {
        self.shared.core.with(|socket| socket.engine.set_paused(false));
    }

    /// Waits until every message that arrived is settled and its sender was told.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// If that takes longer than `timeout`: says what is left.
    pub async fn drain(&self, timeout: Duration) -> Result<(), DrainError> {
        let result = tokio::time::timeout(timeout, drained(&self.shared.core)).await;
        result.map_err(|_| {
            let pending = self.shared.core.with(|socket| socket.engine.unsettled());
            DrainError {
                what: Undone::Messages,
                waiting: 0,
                pending,
                oldest: None,
                kept: true,
                waited: timeout,
            }
        })
    }

    /// Takes nothing more: receive calls give `None`, credit is taken back, and what nobody has taken goes back to its
    /// senders. Messages in the application's hands can still be settled.
    pub fn stop(&self) {
        let mut reader = self.reader();
        self.shared.core.with(|socket| {
            socket.receiving.closed = true;
            socket.engine.stop();
        });
        reader.release(&self.shared);
    }

    /// Closes the socket in good order: [stops](Self::stop), waits up to `timeout` until the application has settled what
    /// it has, and says goodbye on its links. The socket is closed also if there is an error.
    ///
    /// # Errors
    /// If something was not settled after `timeout`: it goes back to its senders.
    pub async fn close(self, timeout: Duration) -> Result<(), DrainError> {
        self.stop();
        let drained = self.drain(timeout).await;
        self.shared.end();
        // What was confirmed until now goes out before the last words.
        self.shared.core.with(PullState::flush);
        crate::socket::end_tasks(&self.shared.core).await;
        drained
    }

    /// The socket in numbers.
    #[must_use]
    pub fn stats(&self) -> PullStats {
        let now = self.shared.core.clock.time();
        self.shared.core.lock().socket.engine.stats(now)
    }

    #[inline]
    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver for PullSocket {
    type Item = Delivery;

    fn take(&self) -> Option<Delivery> {
        self.try_recv()
    }

    async fn wait(&self) -> Option<Delivery> {
        receiving::wait_for(&self.shared.core, || self.reader().next(&self.shared)).await
    }
}

impl Drop for PullSocket {
    fn drop(&mut self) {
        self.shared.core.abandon();
    }
}

impl std::fmt::Debug for PullSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PullSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
