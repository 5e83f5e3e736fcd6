//! PUSH: hands out jobs.

mod builder;
mod error;
mod receipt;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

pub use builder::PushBuilder;
use drawdown_protocol::store::DeadLetter;
use drawdown_protocol::{
    Message, Now, PushConfig, PushEngine, PushStats, Refusal, Refused, Seq, Session,
};
pub use error::{ConfirmError, ConfirmErrorKind};
pub use receipt::Receipt;

use crate::clock::Clock;
use crate::error::{DrainError, Error, SendError, TrySendError, Undone};
use crate::socket::drain::drained;
use crate::socket::sending::{self, Sender};
use crate::socket::turns::Turns;
use crate::socket::{SocketOptions, socket_ends};
use crate::store::Store;

use state::{PushState, RoomPlace};

/// Messages that one lock of the socket takes in.
const SEND_BATCH: usize = 256;

/// Hands out jobs to PULL sockets: each to one of them, on their credit, again if it is not confirmed.
///
/// A message is *accepted* once it is in the queue (in memory) or, with a store, on disk or already confirmed. Accepted
/// messages are delivered at least once, expire, or become dead letters. All methods take `&self`; share the socket by
/// reference or in an [`Arc`]. Dropping it ends its links at once: what is not confirmed stays in its store, or is lost
/// without one. Its store and its ports are free a moment later. See [`PushSocket::close`] for the orderly way, after which
/// they can be opened again.
pub struct PushSocket {
    sender: Sender<PushState>,
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
        let state = PushState::new(engine);
        let sender = Sender::start(state, Clock::start(), message_bytes_max, store, options)?;
        Ok(Self { sender })
    }

    socket_ends!(sender.core, sender.options);

    /// Sends a message: waits for room in the queue, then until it is accepted. Gives its number.
    ///
    /// If the future is dropped while it waits for room, nothing was sent; if it is dropped while it waits for the
    /// store, the message is on its way.
    ///
    /// # Errors
    /// If the message is over the limit, the socket is closed, or the store fails.
    pub async fn send<'a>(&self, message: impl Into<Message<'a>>) -> Result<Seq, SendError> {
        let seq = self.take_in(message).await?;
        if let Some(acceptance) = self.sender.acceptance(seq) {
            acceptance.await?;
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
        self.sender.all_accepted(first..next).await?;
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
    /// If the store fails before it has them, or the socket is closed before they are used.
    pub async fn accepted(&self, seqs: Range<Seq>) -> Result<(), SendError> {
        sending::all_accepted(&self.sender.core, seqs).await
    }

    /// The receipt of a message by its number.
    pub fn receipt(&self, seq: Seq) -> Receipt {
        Receipt::new(Arc::clone(&self.sender.core), seq)
    }

    /// Waits until everything that was taken in is done: confirmed, expired, or a dead letter.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// If that takes longer than `timeout`: says what is left.
    pub async fn drain(&self, timeout: Duration) -> Result<(), DrainError> {
        if tokio::time::timeout(timeout, drained(&self.sender.core)).await.is_ok() {
            return Ok(());
        }
        let (waiting, pending, oldest) = self.sender.core.with(|socket| {
            (socket.engine.waiting(), socket.engine.pending(), socket.engine.oldest())
        });
        Err(DrainError {
            what: Undone::Messages,
            waiting,
            pending,
            oldest,
            kept: self.is_kept(),
            waited: timeout,
        })
    }

    /// Closes the socket in good order: takes nothing more in, drains for up to `timeout`, says goodbye on its links and
    /// closes its store. The socket is closed also if there is an error.
    ///
    /// # Errors
    /// If something was left after `timeout`.
    pub async fn close(self, timeout: Duration) -> Result<(), DrainError> {
        self.stop_intake();
        let drained = self.drain(timeout).await;
        self.sender.shut_down().await;
        // Only now it is known whether the store took the last of them.
        drained.map_err(|left| DrainError { kept: self.is_kept(), ..left })
    }

    /// Whether the store has all that was taken in and is not done.
    fn is_kept(&self) -> bool {
        let state = self.sender.core.lock();
        let engine = &state.socket.engine;
        let has_all = || engine.first_unaccepted(0..engine.next_seq()).is_none();
        self.sender.durable && engine.store_failure().is_none() && has_all()
    }

    /// Takes nothing more in: from now on every send fails. What is there still goes out.
    pub fn stop_intake(&self) {
        self.sender.stop_intake();
    }

    /// Ends the socket without waiting for what it holds.
    pub(crate) async fn abort(self) {
        self.sender.shut_down().await;
    }

    /// The socket in numbers.
    #[must_use]
    pub fn stats(&self) -> PushStats {
        let now = self.sender.core.clock.time();
        self.sender.core.lock().socket.engine.stats(now)
    }

    /// The session of this socket's numbers.
    #[must_use]
    pub fn session(&self) -> Session {
        self.sender.core.lock().socket.engine.session()
    }

    /// The number that the next message gets. With a store it is above all that were ever used in the session; with each start
    /// it leaps, since numbers are taken from the disk some millions at a time.
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.sender.core.lock().socket.engine.next_seq()
    }

    /// Changes settings while the socket runs, such as `queue_messages` or `pending_messages`. What was taken in under
    /// the old ones stays, and times that have begun end when they were to. `process_timeout` holds for links that are made
    /// from then on, unless it, `attempts_max` or `reassign_after` was set when they were made. Changes that are made at the
    /// same time come one after another, so that all of them hold: `change` must not make one itself.
    ///
    /// # Errors
    /// If a socket with such settings could not work, or if the largest message is another one: that stays as long as the
    /// socket runs. Nothing has changed then.
    pub fn reconfigure(&self, change: impl FnOnce(&mut PushConfig)) -> Result<(), Error> {
        let take = |engine: &mut PushEngine, config, now: Now| {
            engine.reconfigure(now, |before| *before = config);
        };
        self.sender.reconfigure(PushEngine::config, change, PushConfig::check_change, take)
    }

    /// The dead letters, by rising number.
    #[must_use]
    pub fn dead_letters(&self) -> Vec<DeadLetter> {
        self.sender.core.lock().socket.engine.dead_letters().cloned().collect()
    }

    /// Sends a dead letter again, as a new message; gives its new number. `None` if there is no such letter.
    ///
    /// # Errors
    /// If there is no room for it; the letter stays.
    pub fn replay_dead_letter(&self, seq: Seq) -> Option<Result<Seq, Refusal>> {
        let clock = self.sender.core.clock;
        self.sender.core.with(|socket| socket.engine.replay_dead(seq, || clock.now()))
    }

    /// Forgets a dead letter for good. False if there is no such letter.
    pub fn purge_dead_letter(&self, seq: Seq) -> bool {
        self.sender.core.with(|socket| socket.engine.purge_dead(seq))
    }

    #[inline]
    fn try_take_in<'a>(&self, message: Message<'a>) -> Result<Seq, Refused<'a>> {
        let clock = self.sender.core.clock;
        // A result with room for a message would be moved as a whole for each one that is taken in.
        let mut refused = None;
        let seq = self.sender.core.with(|socket| {
            let taken = socket.engine.try_send(message, || clock.now());
            taken.map_err(|why| refused = Some(why)).unwrap_or_default()
        });
        refused.map_or(Ok(seq), Err)
    }

    /// Takes a message in, and waits for room if there is none.
    #[inline]
    async fn take_in<'a>(&self, message: impl Into<Message<'a>>) -> Result<Seq, SendError> {
        if self.sender.turns.is_over() {
            Turns::end().await;
        }
        match self.try_take_in(message.into()) {
            Ok(seq) => Ok(seq),
            Err(refused) => self.take_in_later(refused).await,
        }
    }

    #[cold]
    async fn take_in_later(&self, mut refused: Refused<'_>) -> Result<Seq, SendError> {
        let mut place = RoomPlace::new(&self.sender.core);
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
        let clock = self.sender.core.clock;
        self.sender.core.with(|socket| {
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
}

impl std::fmt::Debug for PushSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
