//! PUSH: hands out jobs.

mod builder;
mod commit;
mod receipt;
mod state;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

pub use builder::PushBuilder;
use drawdown_protocol::store::DeadLetter;
use drawdown_protocol::{
    Message, PushConfig, PushEngine, PushStats, Refusal, Refused, Seq, Session,
};
pub use receipt::Receipt;

use crate::clock::Clock;
use crate::core::{Core, Keyed, WaitList, Waiting};
use crate::driver;
use crate::error::{DrainError, Error, SendError, TrySendError};
use crate::event::Events;
use crate::socket::SocketOptions;
use crate::socket::turns::Turns;
use crate::store::Store;
use crate::transport::{Endpoint, IntoEndpoint};

use state::PushState;

/// Messages that one lock of the socket takes in.
const SEND_BATCH: usize = 256;

/// Hands out jobs to PULL sockets: each to one of them, on their credit, again if it is not confirmed.
///
/// A message is *accepted* once it is in the queue (in memory) or, with a store, on disk or already confirmed. Accepted
/// messages are delivered at least once, expire, or become dead letters. All methods take `&self`; share the socket by
/// reference or in an [`Arc`]. Dropping it ends its links at once: what is not confirmed stays in its store, or is lost
/// without one. See [`PushSocket::close`] for the orderly way.
pub struct PushSocket {
    core: Arc<Core<PushState>>,
    options: SocketOptions,
    thread: Mutex<Option<JoinHandle<()>>>,
    turns: Turns,
    durable: bool,
}

impl PushSocket {
    /// Settings for a new socket.
    pub fn builder() -> PushBuilder {
        PushBuilder::default()
    }

    fn start(
        engine: PushEngine,
        store: Option<Box<dyn Store>>,
        options: SocketOptions,
    ) -> Result<Self, Error> {
        let message_bytes_max = engine.config().link.message_bytes_max;
        let state = PushState {
            engine,
            room: WaitList::default(),
            progress: Keyed::default(),
            drained: WaitList::default(),
            committer: None,
        };
        let core = Core::new(state, Clock::start(), options.access.clone(), message_bytes_max);
        let durable = store.is_some();
        let thread = match store {
            Some(store) => Some(commit::spawn(&core, store).map_err(|error| {
                Error::Settings(format!("the store's thread could not be started: {error}"))
            })?),
            None => None,
        };
        driver::spawn_timer(&core);
        Ok(Self { core, options, thread: Mutex::new(thread), turns: Turns::default(), durable })
    }

    /// Binds another endpoint; gives it as it was bound, with the port that the system chose if it was 0.
    ///
    /// # Errors
    /// If the endpoint is none, is in use, or may be reached by other machines without anyone checking who connects.
    pub async fn bind(&self, endpoint: impl IntoEndpoint) -> Result<Endpoint, Error> {
        crate::socket::bind(&self.core, &endpoint.into_endpoint()?).await
    }

    /// Connects to another endpoint, in the background, and again whenever the link is lost.
    ///
    /// # Errors
    /// If the endpoint is none.
    pub fn connect(&self, endpoint: impl IntoEndpoint) -> Result<(), Error> {
        driver::spawn_connector(&self.core, endpoint.into_endpoint()?, self.options.connect);
        Ok(())
    }

    /// Sends a message: waits for room in the queue, then until it is accepted. Gives its number.
    ///
    /// If the future is dropped while it waits for room, nothing was sent; if it is dropped while it waits for the
    /// store, the message is on its way.
    ///
    /// # Errors
    /// If the message is over the limit, the socket is closed, or the store fails.
    pub async fn send<'a>(&self, message: impl Into<Message<'a>>) -> Result<Seq, SendError> {
        let seq = self.take_in(message).await?;
        if self.durable {
            receipt::accepted(&self.core, seq).await?;
        }
        Ok(seq)
    }

    /// Takes a message in if there is room now. It is accepted once the store has it; ask [`PushSocket::receipt`].
    ///
    /// # Errors
    /// Gives the message back if it was not taken in.
    pub fn try_send<'a>(&self, message: impl Into<Message<'a>>) -> Result<Receipt, TrySendError> {
        match self.try_take_in(message.into()) {
            Ok(seq) => Ok(self.receipt(seq)),
            Err(Refused { message, why }) => Err(TrySendError::new(message, why)),
        }
    }

    /// Waits for room only, and gives a receipt by which acceptance and confirmation can be awaited: for many messages
    /// under way at a time.
    ///
    /// If the future is dropped, nothing was sent.
    ///
    /// # Errors
    /// If the message is over the limit, the socket is closed, or the store has failed.
    pub async fn enqueue<'a>(&self, message: impl Into<Message<'a>>) -> Result<Receipt, SendError> {
        Ok(self.receipt(self.take_in(message).await?))
    }

    /// Sends many messages in order and waits until all are accepted. Gives the receipt of the last one, or `None` if
    /// there was none.
    ///
    /// If the future is dropped, some of the first ones may be on their way.
    ///
    /// # Errors
    /// As for [`PushSocket::send`], at the first message that is not accepted; those before it may be on their way.
    pub async fn send_batch<'a, M>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Option<Receipt>, SendError>
    where
        M: Into<Message<'a>>,
    {
        let (first, next) = self.take_in_batch(messages).await?;
        if self.durable {
            receipt::all_accepted(&self.core, first..next).await?;
        }
        Ok((first < next).then(|| self.receipt(next - 1)))
    }

    /// As [`PushSocket::send_batch`], but waits for room only.
    ///
    /// # Errors
    /// As for [`PushSocket::enqueue`].
    pub async fn enqueue_batch<'a, M>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<Option<Receipt>, SendError>
    where
        M: Into<Message<'a>>,
    {
        let (first, next) = self.take_in_batch(messages).await?;
        Ok((first < next).then(|| self.receipt(next - 1)))
    }

    /// Waits until all messages with these numbers are accepted: one call for many receipts.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// If the store fails before it has them.
    pub async fn accepted(&self, seqs: Range<Seq>) -> Result<(), SendError> {
        receipt::all_accepted(&self.core, seqs).await
    }

    /// The receipt of a message by its number.
    pub fn receipt(&self, seq: Seq) -> Receipt {
        Receipt::new(Arc::clone(&self.core), seq)
    }

    /// Waits until everything that was taken in is done: confirmed, expired, or a dead letter.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// If that takes longer than `timeout`: says what is left.
    pub async fn drain(&self, timeout: Duration) -> Result<(), DrainError> {
        if tokio::time::timeout(timeout, self.drained()).await.is_ok() {
            return Ok(());
        }
        let (waiting, pending, oldest) = self.core.with(|socket| {
            (socket.engine.waiting(), socket.engine.pending(), socket.engine.oldest())
        });
        Err(DrainError { waiting, pending, oldest, kept: self.durable, waited: timeout })
    }

    /// Closes the socket in good order: takes nothing more in, drains for up to `timeout`, says goodbye on its links and
    /// closes its store. The socket is closed also if there is an error.
    ///
    /// # Errors
    /// If something was left after `timeout`.
    pub async fn close(self, timeout: Duration) -> Result<(), DrainError> {
        self.stop_intake();
        let drained = self.drain(timeout).await;
        self.shut_down().await;
        // Only now it is known whether the store took the last of them.
        let failed = self.core.with(|socket| socket.engine.store_failure().is_some());
        drained.map_err(|left| DrainError { kept: left.kept && !failed, ..left })
    }

    /// Takes nothing more in: from now on every send fails. What is there still goes out.
    pub fn stop_intake(&self) {
        self.core.with(|socket| socket.engine.close_intake());
    }

    /// Ends the socket without waiting for what it holds.
    pub(crate) async fn abort(self) {
        self.shut_down().await;
    }

    async fn shut_down(&self) {
        self.stop_intake();
        crate::socket::end_tasks(&self.core, |socket: &mut PushState, now| {
            socket.engine.close_links(now);
        })
        .await;
        self.stop_store();
        if let Some(thread) = self.take_thread() {
            // It is past its last commit or about to do it; a panic in there was reported when it happened.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// What happens in the socket from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.core.subscribe())
    }

    /// The socket in numbers.
    #[must_use]
    pub fn stats(&self) -> PushStats {
        let now = self.core.clock.time();
        self.core.lock().socket.engine.stats(now)
    }

    /// The session of this socket's numbers.
    #[must_use]
    pub fn session(&self) -> Session {
        self.core.lock().socket.engine.session()
    }

    /// Changes settings while the socket runs, such as `queue_messages` or `pending_messages`. What was taken in under
    /// the old ones stays.
    pub fn reconfigure(&self, change: impl FnOnce(&mut PushConfig)) {
        self.core.with(|socket| socket.engine.reconfigure(change));
    }

    /// The dead letters, by rising number.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.core.lock().socket.engine.dead_letters().cloned().collect()
    }

    /// Sends a dead letter again, as a new message; gives its new number. `None` if there is no such letter.
    ///
    /// # Errors
    /// If there is no room for it; the letter stays.
    pub fn replay_dead_letter(&self, seq: Seq) -> Option<Result<Seq, Refusal>> {
        let clock = self.core.clock;
        self.core.with(|socket| socket.engine.replay_dead(seq, || clock.now()))
    }

    /// Forgets a dead letter for good. False if there is no such letter.
    pub fn purge_dead_letter(&self, seq: Seq) -> bool {
        self.core.with(|socket| socket.engine.purge_dead(seq))
    }

    #[inline]
    fn try_take_in<'a>(&self, message: Message<'a>) -> Result<Seq, Refused<'a>> {
        let clock = self.core.clock;
        self.core.with(|socket| socket.engine.try_send(message, || clock.now()))
    }

    /// Takes a message in, and waits for room if there is none.
    #[inline]
    async fn take_in<'a>(&self, message: impl Into<Message<'a>>) -> Result<Seq, SendError> {
        if self.turns.is_over() {
            Turns::end().await;
        }
        match self.try_take_in(message.into()) {
            Ok(seq) => Ok(seq),
            Err(refused) => self.take_in_later(refused).await,
        }
    }

    #[cold]
    async fn take_in_later(&self, mut refused: Refused<'_>) -> Result<Seq, SendError> {
        let mut place = RoomPlace { core: &self.core, place: None };
        loop {
            if let Some(error) = SendError::from_refusal(refused.why) {
                return Err(error);
            }
            place.wait().await;
            refused = match self.try_take_in(refused.message) {
                Ok(seq) => return Ok(seq),
                Err(refused) => refused,
            };
        }
    }

    async fn take_in_batch<'a, M>(
        &self,
        messages: impl IntoIterator<Item = M>,
    ) -> Result<(Seq, Seq), SendError>
    where
        M: Into<Message<'a>>,
    {
        let mut messages = messages.into_iter().map(Into::into);
        // Gathered before the lock is taken: the iterator is the caller's code.
        let mut batch = VecDeque::with_capacity(SEND_BATCH);
        let (mut first, mut next) = (None, 0);
        loop {
            batch.extend(messages.by_ref().take(SEND_BATCH));
            if batch.is_empty() {
                return Ok((first.unwrap_or(next), next));
            }
            while let Some(message) = batch.pop_front() {
                let seq = self.take_in(message).await?;
                first.get_or_insert(seq);
                next = self.try_take_in_all(&mut batch).unwrap_or(seq) + 1;
            }
        }
    }

    /// Takes in from the front of `batch` what there is room for now; gives the last number.
    fn try_take_in_all(&self, batch: &mut VecDeque<Message<'_>>) -> Option<Seq> {
        let clock = self.core.clock;
        self.core.with(|socket| {
            let mut last = None;
            while let Some(message) = batch.pop_front() {
                match socket.engine.try_send(message, || clock.now()) {
                    Ok(seq) => last = Some(seq),
                    Err(Refused { message, .. }) => {
                        batch.push_front(message);
                        break;
                    }
                }
            }
            last
        })
    }

    async fn drained(&self) {
        let mut place = DrainPlace { core: &self.core, place: None };
        poll_fn(|cx| {
            let mut state = self.core.lock();
            if state.socket.engine.is_drained() {
                return Poll::Ready(());
            }
            state.socket.drained.wait(&mut place.place, cx.waker());
            Poll::Pending
        })
        .await;
    }

    fn stop_store(&self) {
        self.core.with(|socket| {
            if let Some(committer) = &mut socket.committer {
                committer.stop();
            }
        });
    }

    fn take_thread(&self) -> Option<JoinHandle<()>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for PushSocket {
    fn drop(&mut self) {
        self.core.closing.cancel();
        self.core.stop.cancel();
        self.stop_store();
    }
}

impl std::fmt::Debug for PushSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A send's place among those that wait for room; given up when the send ends, however it ends.
struct RoomPlace<'a> {
    core: &'a Core<PushState>,
    place: Option<Waiting>,
}

impl RoomPlace<'_> {
    /// Waits until there is room, or never will be.
    async fn wait(&mut self) {
        poll_fn(|cx| {
            let mut state = self.core.lock();
            let socket = &mut state.socket;
            if socket.engine.room() > 0 || socket.engine.refuses() {
                return Poll::Ready(());
            }
            socket.room.wait(&mut self.place, cx.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for RoomPlace<'_> {
    fn drop(&mut self) {
        if self.place.is_some() {
            // The room that this one was woken for may be somebody else's now.
            self.core.with(|socket| socket.room.leave(&mut self.place));
        }
    }
}

struct DrainPlace<'a> {
    core: &'a Core<PushState>,
    place: Option<Waiting>,
}

impl Drop for DrainPlace<'_> {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.core.with(|socket| socket.drained.leave(&mut self.place));
        }
    }
}
