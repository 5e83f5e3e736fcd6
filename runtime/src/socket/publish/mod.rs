//! PUB: publishes to whoever subscribes, and waits for nobody.

mod builder;
mod state;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::time::{Duration, Instant};

pub use builder::PubBuilder;
use drawdown_protocol::{
    Message, Now, PublishConfig, PublishEngine, PublishStats, Refused, Seq, Session,
};

use crate::clock::Clock;
use crate::error::{DrainError, Error, SendError, TrySendError, Undone};
use crate::socket::drain::drained;
use crate::socket::sending::{self, Sender};
use crate::socket::turns::Turns;
use crate::socket::{SocketOptions, socket_ends};
use crate::store::Store;

use state::PublishState;

/// Publishes messages under topics to SUB sockets, and retains the newest of them in a ring for those who come later or
/// fall behind.
///
/// No subscriber is ever waited for. One that falls behind the ring is told exactly which numbers it has lost. A message
/// is *accepted* once it is in the ring (in memory) or, with a store, on disk; subscribers see it then, and a publisher
/// with a store goes on after a restart with the same session, numbers and ring. All methods take `&self`; share the
/// socket by reference or in an [`Arc`](std::sync::Arc). Dropping it ends its links at once; its store and its
/// ports are free a moment later. See [`PubSocket::close`] for the orderly way, after which they can be opened again.
pub struct PubSocket {
    sender: Sender<PublishState>,
}

impl PubSocket {
    /// Settings for a new socket.
    pub fn builder() -> PubBuilder {
        PubBuilder::default()
    }

    fn start(
        engine: PublishEngine,
        clock: Clock,
        store: Option<Box<dyn Store>>,
        options: SocketOptions,
    ) -> Result<Self, Error> {
        let message_bytes_max = engine.config().link.message_bytes_max;
        let state = PublishState::new(engine);
        Ok(Self { sender: Sender::start(state, clock, message_bytes_max, store, options)? })
    }

    socket_ends!(sender.core, sender.options);

    /// Publishes a message under a topic of up to 255 bytes, the empty one included, and gives its number. With a store
    /// it waits until the message is on disk; it never waits for subscribers.
    ///
    /// If the future is dropped while the disk is so far behind that nothing more is taken in, nothing was published; if
    /// it is dropped later, the message is on its way.
    ///
    /// # Errors
    /// If the message or the topic is over its limit, the socket is closed, or the store fails.
    pub async fn publish<'a>(
        &self,
        topic: impl AsRef<[u8]>,
        message: impl Into<Message<'a>>,
    ) -> Result<Seq, SendError> {
        let seq = self.take_in(topic.as_ref(), message.into()).await?;
        if let Some(acceptance) = self.sender.acceptance(seq) {
            acceptance.await?;
        }
        Ok(seq)
    }

    /// As [`PubSocket::publish`], but does not wait until the message is on disk: for many under way at a time. Ask
    /// [`PubSocket::accepted`] for many of them together.
    ///
    /// It waits only while there is a store that is more than 16 MiB behind, or more messages than the ring holds and 65,536.
    /// If the future is dropped, nothing was published.
    ///
    /// # Errors
    /// If the message or the topic is over its limit, the socket is closed, or the store has failed.
    pub async fn enqueue<'a>(
        &self,
        topic: impl AsRef<[u8]>,
        message: impl Into<Message<'a>>,
    ) -> Result<Seq, SendError> {
        self.take_in(topic.as_ref(), message.into()).await
    }

    /// Publishes a message without waiting for anything. With a store it is accepted later; ask
    /// [`PubSocket::accepted`].
    ///
    /// # Errors
    /// Gives the message back if it was not taken in. It is [full](TrySendError::is_full) only if there is a store and
    /// the disk is behind.
    pub fn try_publish<'a>(
        &self,
        topic: impl AsRef<[u8]>,
        message: impl Into<Message<'a>>,
    ) -> Result<Seq, TrySendError> {
        self.try_take_in(topic.as_ref(), message.into())
            .map_err(|Refused { message, why }| TrySendError::new(message, why))
    }

    /// Waits until all messages with these numbers are accepted. Numbers that are not used yet are waited for too.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// If the store fails before it has them, or the socket is closed before they are used.
    pub async fn accepted(&self, seqs: Range<Seq>) -> Result<(), SendError> {
        sending::all_accepted(&self.sender.core, seqs).await
    }

    /// The session of this socket's numbers.
    #[must_use]
    pub fn session(&self) -> Session {
        self.sender.core.lock().socket.engine.lineage().session
    }

    /// The number that the next message gets. A publisher without a store that is to continue its session after a restart
    /// needs this and [`PubSocket::session`]; see [`PubBuilder::session`].
    #[must_use]
    pub fn next_seq(&self) -> Seq {
        self.sender.core.lock().socket.engine.next_seq()
    }

    /// The lowest number that is retained; [`PubSocket::next_seq`] if none is.
    #[must_use]
    pub fn oldest(&self) -> Seq {
        self.sender.core.lock().socket.engine.oldest()
    }

    /// The socket in numbers. Costs as much as there are links.
    #[must_use]
    pub fn stats(&self) -> PublishStats {
        let now = self.sender.core.clock.time();
        self.sender.core.lock().socket.engine.stats(now)
    }

    /// Changes settings while the socket runs, such as the ring's: a smaller one lets go of its oldest messages at once.
    /// Changes that are made at the same time come one after another, so that all of them hold: `change` must not make one
    /// itself.
    ///
    /// # Errors
    /// If a socket with such settings could not work, or if the largest message is another one: that stays as long as the
    /// socket runs. Nothing has changed then.
    pub fn reconfigure(&self, change: impl FnOnce(&mut PublishConfig)) -> Result<(), Error> {
        let take = |engine: &mut PublishEngine, config, now: Now| {
            engine.reconfigure(now, |before| *before = config);
        };
        self.sender.reconfigure(PublishEngine::config, change, PublishConfig::check_change, take)
    }

    /// Takes nothing more in: from now on every publish call fails. What is in the ring is still served.
    pub fn stop_intake(&self) {
        self.sender.stop_intake();
    }

    /// Closes the socket in good order: [takes nothing more in](Self::stop_intake), waits up to `linger` until every
    /// subscriber that is there has been sent all that it wants (and, with a store, the disk has all), says goodbye, and
    /// waits in what is left of `linger`, a second at least, until they have read it. Zero says goodbye at once. With a
    /// store all is written in any case. The socket is closed also if there is an error.
    ///
    /// # Errors
    /// If some subscriber had not been sent everything after `linger`: says how many numbers the one that is furthest
    /// behind still lacked, and from where on. If all were sent it and some had not read it: says how many. Or if the store
    /// failed before it had everything: says what it lacks.
    pub async fn close(self, linger: Duration) -> Result<(), DrainError> {
        self.stop_intake();
        let begun = Instant::now();
        let in_time = tokio::time::timeout(linger, drained(&self.sender.core)).await.is_ok();
        let behind = if in_time { None } else { furthest_behind(&self.stats()) };
        let unread = self.sender.shut_down_within(linger.saturating_sub(begun.elapsed())).await;
        // Only now it is known whether the store took the last of them.
        let unkept = self.unaccepted();
        let kept = self.sender.durable && unkept.is_none();
        undelivered(unkept.or(behind), unread, kept, linger)
    }

    /// The numbers that the store lacks.
    fn unaccepted(&self) -> Option<Range<Seq>> {
        let state = self.sender.core.lock();
        let end = state.socket.engine.next_seq();
        state.socket.engine.first_unaccepted(0..end).map(|first| first..end)
    }

    /// Ends the socket without waiting for what it holds.
    pub(crate) async fn abort(self) {
        self.sender.shut_down().await;
    }

    #[inline]
    fn try_take_in<'a>(&self, topic: &[u8], message: Message<'a>) -> Result<Seq, Refused<'a>> {
        let clock = self.sender.core.clock;
        self.sender.core.with(|socket| socket.engine.try_publish(topic, message, || clock.now()))
    }

    #[inline]
    async fn take_in(&self, topic: &[u8], message: Message<'_>) -> Result<Seq, SendError> {
        if self.sender.turns.is_over() {
            Turns::end().await;
        }
        match self.try_take_in(topic, message) {
            Ok(seq) => Ok(seq),
            Err(refused) => self.take_in_later(topic, refused).await,
        }
    }

    #[cold]
    async fn take_in_later(
        &self,
        topic: &[u8],
        mut refused: Refused<'_>,
    ) -> Result<Seq, SendError> {
        loop {
            if let Some(error) = SendError::from_refusal(refused.why) {
                return Err(error);
            }
            self.store_goes_on().await;
            refused = match self.try_take_in(topic, refused.message) {
                Ok(seq) => return Ok(seq),
                Err(refused) => refused,
            };
        }
    }

    /// Waits until the store has the oldest message that it lacks, or has failed. Not at all if it lacks none any more: a
    /// number that is not used yet would be waited for until somebody uses it.
    async fn store_goes_on(&self) {
        if let Some(lacking) = self.unaccepted() {
            // A failure is found again when the message is offered again.
            let _ = sending::accepted(&self.sender.core, lacking.start).await;
        }
    }
}

/// What becomes of closing when these numbers were not sent to all, and so many subscribers had not read what they were sent.
pub(crate) fn undelivered(
    unsent: Option<Range<Seq>>,
    unread: u64,
    kept: bool,
    waited: Duration,
) -> Result<(), DrainError> {
    let (what, waiting, oldest) = match unsent {
        Some(unsent) => (Undone::Messages, unsent.end - unsent.start, Some(unsent.start)),
        None if unread > 0 => (Undone::Subscribers, unread, None),
        None => return Ok(()),
    };
    Err(DrainError { what, waiting, pending: 0, oldest, kept, waited })
}

/// The numbers that the subscriber that is furthest behind has not been sent.
pub(crate) fn furthest_behind(stats: &PublishStats) -> Option<Range<Seq>> {
    let behind = stats.links.iter().filter(|link| link.behind > 0);
    let furthest = behind.max_by_key(|link| link.behind)?;
    furthest.position.map(|position| position..position.saturating_add(furthest.behind))
}

impl std::fmt::Debug for PubSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PubSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
