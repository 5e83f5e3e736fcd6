//! SUB: subscribes to what is published.

mod acks;
mod builder;
mod keeper;
mod publication;
mod reader;
mod shared;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use builder::SubBuilder;
use drawdown_protocol::wire::PrefixTooLong;
use drawdown_protocol::{OldSession, Position, SubscribeEngine, SubscribeStats};
pub use publication::{Incoming, Publication};

use crate::clock::Clock;
use crate::core::Core;
use crate::driver;
use crate::error::{Closed, Error};
use crate::socket::preferred::sealed::Receiver;
use crate::socket::receiving::{self, ReceivingState, ReportAfter};
use crate::socket::turns::Turns;
use crate::socket::{LAST_WORDS, SocketOptions, socket_ends};
use crate::store::{CursorStore, StoreError};

use keeper::Keeper;
use reader::Reader;
use shared::SubShared;
use state::SubscribeState;

/// Messages that one fetch takes from the engine.
const FETCH_MAX: u32 = 4_096;

/// Subscribes to PUB sockets and proxies, on its own credit.
///
/// Endpoints of one publisher and its proxies are sources of the same session: each message comes once, from whichever
/// of them has it. What is gone for good is reported as a gap, in its place among the messages. All methods take `&self`:
/// several tasks may receive from one socket, and each message goes to one of them. Dropping the socket ends its links at
/// once; its cursor and its ports are free a moment later, and what was acknowledged last may not have been saved. See
/// [`SubSocket::close`] for the orderly way, after which they can be opened again.
pub struct SubSocket {
    shared: Arc<SubShared>,
    reader: Mutex<Reader>,
    turns: Turns,
    options: SocketOptions,
    keeper: Mutex<Option<Keeper>>,
}

impl SubSocket {
    /// Settings for a new socket.
    pub fn builder() -> SubBuilder {
        SubBuilder::default()
    }

    fn start(
        engine: SubscribeEngine,
        cursor: Option<CursorStore>,
        options: SocketOptions,
    ) -> Result<Self, Error> {
        let config = engine.config();
        let report_after = ReportAfter::new(config.window_messages);
        let message_bytes_max = config.link.message_bytes_max;
        // What is to be discarded must not be in the reader's hands.
        let fetch_max = if config.old_session == OldSession::Discard { 1 } else { FETCH_MAX };
        let acks = Arc::default();
        let is_kept = cursor.is_some();
        let state = SubscribeState {
            engine,
            receiving: ReceivingState::default(),
            keeper: is_kept.then(|| Arc::clone(&acks)),
            endpoints: 0,
        };
        let core = Core::new(state, Clock::start(), &options.core, message_bytes_max);
        driver::spawn_timer(&core);
        let shared = Arc::new(SubShared { core, acks, is_kept, report_after, fetch_max });
        let keeper = cursor.map(|cursor| Keeper::start(&shared, cursor)).transpose()?;
        Ok(Self {
            shared,
            reader: Mutex::default(),
            turns: Turns::default(),
            options,
            keeper: Mutex::new(keeper),
        })
    }

    socket_ends!(shared.core, options);

    /// The next message, gap or session; `None` once the socket is [stopped](Self::stop).
    ///
    /// If the future is dropped, nothing is lost: what had arrived waits for the next call. With a window of 0 its credit
    /// is taken back.
    ///
    /// # Errors
    /// None today.
    #[inline]
    pub async fn recv(&self) -> Result<Option<Incoming>, Closed> {
        if self.turns.is_over() {
            Turns::end().await;
        }
        // The common case, without a place in any list.
        let at_hand = self.reader().next_at_hand(&self.shared);
        match at_hand {
            Some(publication) => Ok(Some(Incoming::Message(publication))),
            None => {
                let next = || self.reader().next(&self.shared);
                Ok(receiving::wait_for(&self.shared.core, next).await)
            }
        }
    }

    /// The next message, gap or session, if one is there now. It asks for none: with a window of 0 only calls that wait do,
    /// and this gives nothing.
    #[must_use]
    pub fn try_recv(&self) -> Option<Incoming> {
        self.reader().next(&self.shared)
    }

    /// What is at hand, in order: at least one, at most `count`; `None` once the socket is stopped. Dropping the future
    /// loses nothing.
    ///
    /// # Errors
    /// None today.
    pub async fn recv_batch(&self, count: usize) -> Result<Option<Vec<Incoming>>, Closed> {
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

    /// Wants topics that begin with this, too: from what has not arrived yet on. False if it was wanted already.
    ///
    /// A socket that was made without a filter wants everything by the empty one; remove that to want less.
    ///
    /// # Errors
    /// If the prefix is longer than any topic can be: 255 bytes.
    pub fn add_filter(&self, prefix: impl AsRef<[u8]>) -> Result<bool, PrefixTooLong> {
        let now = self.shared.core.clock.time();
        self.shared.core.with(|socket| socket.engine.add_filter(prefix.as_ref(), now))
    }

    /// Does not want topics for beginning with this any more; another filter may still match them. What has arrived is
    /// still received. False if it was no filter.
    pub fn remove_filter(&self, prefix: impl AsRef<[u8]>) -> bool {
        let now = self.shared.core.clock.time();
        self.shared.core.with(|socket| socket.engine.remove_filter(prefix.as_ref(), now))
    }

    /// Sets the window while the socket runs. A lower one holds at once: what is on its way beyond it is asked for again
    /// later.
    pub fn set_window(&self, messages: u64, bytes: u64) {
        self.shared.report_after.set_window(messages);
        let now = self.shared.core.clock.time();
        self.shared.core.with(|socket| socket.engine.set_window(messages, bytes, now));
    }

    /// Asks for nothing more. What has arrived can still be received.
    pub fn pause(&self) {
        let now = self.shared.core.clock.time();
        self.shared.core.with(|socket| socket.engine.set_paused(true, now));
    }

    /// Asks again.
    pub fn resume(&self) {
        let now = self.shared.core.clock.time();
        self.shared.core.with(|socket| socket.engine.set_paused(false, now));
    }

    /// How far the application has come, by what it has acknowledged, in the session in which it moved on last: a socket
    /// with [`Start::After`](drawdown_protocol::Start::After) goes on from there, and begins other sessions anew. `None` before
    /// anything was heard of a session.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.shared.collect();
        self.shared.core.lock().socket.engine.position()
    }

    /// The same of every session that it follows, up to 64; [`SubBuilder::positions`] goes on from them, as a
    /// [cursor](SubBuilder::cursor) does.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        self.shared.collect();
        self.shared.core.lock().socket.engine.positions()
    }

    /// Takes nothing more: receive calls give `None`, credit is taken back, and what nobody has received is dropped; its
    /// publisher, or a proxy, still retains it. What the application has can still be acknowledged.
    pub fn stop(&self) {
        let mut reader = self.reader();
        self.shared.core.with(|socket| {
            socket.receiving.closed = true;
            socket.engine.stop();
        });
        reader.clear();
    }

    /// Closes the socket in good order: [stops](Self::stop), says goodbye to its sources, and saves the position if there
    /// is a cursor. The socket is closed also if there is an error.
    ///
    /// # Errors
    /// If the position could not be saved, or not within `timeout`: one that was saved before is kept, and what was
    /// acknowledged after it is received again.
    pub async fn close(self, timeout: Duration) -> Result<(), StoreError> {
        self.stop();
        crate::socket::end_tasks(&self.shared.core).await;
        self.shared.acks.stop();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        match keeper {
            Some(keeper) => keeper.end(timeout).await,
            None => Ok(()),
        }
    }

    /// Ends a socket that was never used.
    pub(crate) async fn abort(self) {
        // Nothing was acknowledged, so nothing has to be saved.
        let _ = self.close(LAST_WORDS).await;
    }

    /// The socket in numbers. Costs as much as there are links and sessions.
    #[must_use]
    pub fn stats(&self) -> SubscribeStats {
        let now = self.shared.core.clock.time();
        self.shared.core.lock().socket.engine.stats(now)
    }

    #[inline]
    fn reader(&self) -> MutexGuard<'_, Reader> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Receiver for SubSocket {
    type Item = Incoming;

    fn take(&self) -> Option<Incoming> {
        self.try_recv()
    }

    async fn wait(&self) -> Option<Incoming> {
        receiving::wait_for(&self.shared.core, || self.reader().next(&self.shared)).await
    }
}

impl Drop for SubSocket {
    fn drop(&mut self) {
        self.shared.core.abandon();
        self.shared.acks.stop();
        if !self.shared.is_kept {
            // They keep the socket, and nobody takes them.
            drop(self.shared.acks.take());
        }
    }
}

impl std::fmt::Debug for SubSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
