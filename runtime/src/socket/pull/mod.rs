//! PULL: takes jobs.

mod builder;
mod delivery;
mod reader;
mod shared;
mod state;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

pub use builder::PullBuilder;
pub use delivery::{Delivery, DeliveryBatch};
use drawdown_protocol::{PullEngine, PullStats};

use crate::clock::Clock;
use crate::core::{Core, WaitList, Waiting};
use crate::driver;
use crate::error::{Closed, DrainError, Error};
use crate::event::Events;
use crate::socket::SocketOptions;
use crate::socket::turns::Turns;
use crate::transport::{Endpoint, IntoEndpoint};

use reader::Reader;
use shared::PullShared;
use state::PullState;

/// Takes jobs from PUSH sockets, as many at a time as its window has room for.
///
/// All methods take `&self`: several tasks may receive from one socket, and each message goes to one of them. Dropping the
/// socket ends its links at once; what was not settled goes back to its senders. See [`PullSocket::close`] for the
/// orderly way.
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
            receivers: WaitList::default(),
            drained: WaitList::default(),
            in_reader: 0,
            flush_at: None,
            closed: false,
            confirmed: shared::ConfirmedRuns::default(),
        };
        let core = Core::new(state, Clock::start(), options.access.clone(), message_bytes_max);
        driver::spawn_timer(&core);
        let shared = Arc::new(PullShared::new(core, confirm_on, window));
        Self { shared, reader: Mutex::default(), turns: Turns::default(), options }
    }

    /// Binds another endpoint; gives it as it was bound, with the port that the system chose if it was 0.
    ///
    /// # Errors
    /// If the endpoint is none, is in use, or may be reached by other machines without anyone checking who connects.
    pub async fn bind(&self, endpoint: impl IntoEndpoint) -> Result<Endpoint, Error> {
        crate::socket::bind(&self.shared.core, &endpoint.into_endpoint()?).await
    }

    /// Connects to another endpoint, in the background, and again whenever the link is lost.
    ///
    /// # Errors
    /// If the endpoint is none.
    pub fn connect(&self, endpoint: impl IntoEndpoint) -> Result<(), Error> {
        driver::spawn_connector(&self.shared.core, endpoint.into_endpoint()?, self.options.connect);
        Ok(())
    }

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
            None => Ok(self.wait_for(Reader::next).await),
        }
    }

    /// The next message, if one is there now.
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
            None => Ok(self.wait_for(|reader, shared| reader.next_batch(count, shared)).await),
        }
    }

    async fn wait_for<T>(
        &self,
        take: impl Fn(&mut Reader, &Arc<PullShared>) -> Option<T>,
    ) -> Option<T> {
        let mut call = Call { shared: &self.shared, place: None };
        poll_fn(|cx| {
            loop {
                // A call that is served waits no longer: its place must not earn another message.
                call.leave();
                let taken = take(&mut self.reader(), &self.shared);
                if taken.is_some() {
                    return Poll::Ready(taken);
                }
                match call.wait(cx) {
                    Poll::Ready(Go::Again) => {}
                    Poll::Ready(Go::Closed) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }

    /// Sets the window while the socket runs. A lower one holds once the senders have seen it; what they had sent by then
    /// may still arrive.
    pub fn set_window(&self, messages: u64, bytes: u64) {
        self.shared.note_window(messages);
        self.shared.core.with(|socket| socket.engine.set_window(messages, bytes));
    }

    /// Takes all credit back, or gives it again. What has arrived can still be received.
    pub fn set_paused(&self, paused: bool) {
        self.shared.core.with(|socket| socket.engine.set_paused(paused));
    }

    /// Waits until every message that arrived is settled and its sender was told.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// If that takes longer than `timeout`: says what is left.
    pub async fn drain(&self, timeout: Duration) -> Result<(), DrainError> {
        let mut place = None;
        let drained = poll_fn(|cx| {
            let mut state = self.shared.core.lock();
            state.socket.flush();
            let done = state.socket.engine.is_drained();
            if !done {
                state.socket.drained.wait(&mut place, cx.waker());
            }
            self.shared.core.release(state);
            if done { Poll::Ready(()) } else { Poll::Pending }
        });
        let result = tokio::time::timeout(timeout, drained).await;
        self.shared.core.with(|socket| socket.drained.leave(&mut place));
        result.map_err(|_| {
            let pending = self.shared.core.with(|socket| socket.engine.unsettled());
            DrainError { waiting: 0, pending, oldest: None, kept: true, waited: timeout }
        })
    }

    /// Takes nothing more: receive calls give `None`, credit is taken back, and what nobody has taken goes back to its
    /// senders. Messages in the application's hands can still be settled.
    pub fn stop(&self) {
        let mut reader = self.reader();
        self.shared.core.with(|socket| {
            socket.closed = true;
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
        crate::socket::end_tasks(&self.shared.core, |socket: &mut PullState, now| {
            socket.engine.close_links(now);
        })
        .await;
        drained
    }

    /// What happens in the socket from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.shared.core.subscribe())
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

impl Drop for PullSocket {
    fn drop(&mut self) {
        self.shared.core.closing.cancel();
        self.shared.core.stop.cancel();
    }
}

impl std::fmt::Debug for PullSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PullSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A receive call and its place among those that wait.
struct Call<'a> {
    shared: &'a PullShared,
    place: Option<Waiting>,
}

enum Go {
    Again,
    Closed,
}

impl Call<'_> {
    fn wait(&mut self, cx: &Context<'_>) -> Poll<Go> {
        let mut state = self.shared.core.lock();
        let socket = &mut state.socket;
        if socket.closed {
            return Poll::Ready(Go::Closed);
        }
        if socket.engine.has_queued() {
            return Poll::Ready(Go::Again);
        }
        socket.receivers.wait(&mut self.place, cx.waker());
        socket.engine.set_waiting(socket.receivers.len() as u64);
        // Nothing to do: what was confirmed need not wait for company.
        socket.flush();
        self.shared.core.release(state);
        Poll::Pending
    }

    fn leave(&mut self) {
        if self.place.is_some() {
            self.shared.core.with(|socket| {
                socket.receivers.leave(&mut self.place);
                socket.engine.set_waiting(socket.receivers.len() as u64);
            });
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
