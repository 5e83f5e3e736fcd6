//! What sockets have in common that messages are given to.

mod state;
mod wait;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drawdown_protocol::{Now, Seq};

use crate::clock::Clock;
use crate::core::Core;
use crate::driver;
use crate::error::{Error, SendError};
use crate::store::Store;

use super::SocketOptions;
use super::commit::CommitThread;
use super::turns::Turns;

pub(crate) use state::{Sending, SendingEngine, SendingState};
pub(crate) use wait::{Progress, accepted, all_accepted};

/// A socket that sends, without the words in which it is used. Dropping it ends its links at once.
pub(crate) struct Sender<S: Sending> {
    pub(crate) core: Arc<Core<S>>,
    pub(crate) options: SocketOptions,
    thread: CommitThread,
    pub(crate) turns: Turns,
    pub(crate) durable: bool,
    /// Held while settings change.
    changes: Mutex<()>,
}

impl<S: Sending> Sender<S> {
    pub(crate) fn start(
        state: S,
        clock: Clock,
        message_bytes_max: usize,
        store: Option<Box<dyn Store>>,
        options: SocketOptions,
    ) -> Result<Self, Error> {
        let core = Core::new(state, clock, &options.core, message_bytes_max);
        let durable = store.is_some();
        let thread = CommitThread::start(&core, store)?;
        driver::spawn_timer(&core);
        Ok(Self {
            core,
            options,
            thread,
            turns: Turns::default(),
            durable,
            changes: Mutex::default(),
        })
    }

    /// What to wait for until a message that was taken in is accepted: nothing without a store, and no future to poll for
    /// each message.
    #[inline]
    pub(crate) fn acceptance(
        &self,
        seq: Seq,
    ) -> Option<impl Future<Output = Result<(), SendError>>> {
        self.durable.then(|| accepted(&self.core, seq))
    }

    /// Waits until messages with consecutive numbers are accepted: not at all without a store.
    pub(crate) async fn all_accepted(&self, seqs: Range<Seq>) -> Result<(), SendError> {
        if self.durable { all_accepted(&self.core, seqs).await } else { Ok(()) }
    }

    /// Goes on with the settings as a change makes them, if the socket can. Changes come one after another: each is made of
    /// what the one before has left.
    pub(crate) fn reconfigure<C: Clone>(
        &self,
        current: impl FnOnce(&S::Engine) -> &C,
        change: impl FnOnce(&mut C),
        check: impl FnOnce(&C, &C) -> Result<(), String>,
        take: impl FnOnce(&mut S::Engine, C, Now),
    ) -> Result<(), Error> {
        let _one_at_a_time = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        // Not under the core's lock: whatever the change calls may want that, too.
        let before = current(self.core.lock().socket.engine()).clone();
        let mut config = before.clone();
        change(&mut config);
        check(&before, &config).map_err(Error::Settings)?;
        let now = self.core.clock.now();
        self.core.with(|socket| take(socket.engine_mut(), config, now));
        Ok(())
    }

    pub(crate) fn stop_intake(&self) {
        self.core.with(|socket| socket.engine_mut().close_intake());
    }

    /// Ends the socket without waiting for what it holds.
    pub(crate) async fn shut_down(&self) {
        self.shut_down_within(Duration::ZERO).await;
    }

    /// The same, where peers may take so long to read what they were sent. Says how many had not.
    pub(crate) async fn shut_down_within(&self, time: Duration) -> u64 {
        self.stop_intake();
        let left = super::end_tasks_within(&self.core, time).await;
        self.core.with(|socket| socket.parts().1.note_closing());
        self.thread.end(&self.core).await;
        left
    }
}

impl<S: Sending> Drop for Sender<S> {
    fn drop(&mut self) {
        self.core.abandon();
    }
}
