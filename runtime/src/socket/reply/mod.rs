//! REP: takes calls and answers them.

mod builder;
mod call;
mod error;
mod state;
mod turn;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

pub use builder::RepBuilder;
pub use call::Call;
use drawdown_protocol::{Message, ReplyEngine, ReplyStats, Time};
pub use error::{ReplyError, ReplyErrorKind};

use crate::clock::Clock;
use crate::core::{Core, Waiting};
use crate::driver;
use crate::error::{Closed, DrainError, Error, Undone};
use crate::socket::commit::CommitThread;
use crate::socket::drain::drained;
use crate::socket::preferred::sealed::Receiver;
use crate::socket::{SocketOptions, socket_ends};
use crate::store::Store;

use call::{Replies, Together};
use state::ReplyState;

/// Takes calls from REQ sockets, as many at a time as its window has room for, and answers them in any order.
///
/// Every call has an id, the same over all its attempts. One that comes again while it is worked on joins the one that is
/// there; one that comes again after it was answered gets the first reply, as long as that is remembered (see
/// [`RepBuilder::remember`]), with a store also after a restart. A call that its caller has sent elsewhere meanwhile may
/// run there too, unless the caller asked for at most once.
///
/// All methods take `&self`: several tasks may receive from one socket, and each call goes to one of them. Dropping the
/// socket ends its links at once; callers ask elsewhere. Its store and its ports are free a moment later. See
/// [`RepSocket::close`] for the orderly way, after which they can be opened again.
///
/// That a reply is not sent, because its caller has given up, belongs to the life of a server and is no reason to end it.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use drawdown::RepSocket;
///
/// let rep = RepSocket::builder().bind("tcp://127.0.0.1:7000").await?;
/// while let Some(call) = rep.recv().await? {
///     let reply = call.payload().to_ascii_uppercase();
///     if let Err(error) = call.reply(reply) {
///         eprintln!("{error}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct RepSocket {
    core: Arc<Core<ReplyState>>,
    options: SocketOptions,
    thread: CommitThread,
    /// The links are to have their turn before more is handed out.
    gives_way: AtomicBool,
}

impl RepSocket {
    /// Settings for a new socket.
    pub fn builder() -> RepBuilder {
        RepBuilder::default()
    }

    fn start(
        engine: ReplyEngine,
        clock: Clock,
        store: Option<Box<dyn Store>>,
        options: SocketOptions,
    ) -> Result<Self, Error> {
        let message_bytes_max = engine.config().link.message_bytes_max;
        let state = ReplyState::new(engine);
        let core = Core::new(state, clock, &options.core, message_bytes_max);
        let thread = CommitThread::start(&core, store)?;
        driver::spawn_timer(&core);
        Ok(Self { core, options, thread, gives_way: AtomicBool::new(false) })
    }

    socket_ends!(core, options);

    /// The next call; `None` once the socket is [stopped](Self::stop), or its store has failed.
    ///
    /// If the future is dropped, no call is lost: one that had arrived waits for the next receive call. With a window of 0
    /// its credit is taken back.
    ///
    /// # Errors
    /// None today.
    pub async fn recv(&self) -> Result<Option<Call>, Closed> {
        self.give_way().await;
        let mut receive = Receive { rep: self, place: None };
        Ok(poll_fn(|cx| receive.poll(cx)).await)
    }

    /// The next calls that are at hand: at least one, at most `count`, and of more than 170 at most 3 in 4, so that replies to
    /// those are on their way while the rest is worked on; `None` as [`RepSocket::recv`] has it. For many small calls this,
    /// with [`RepSocket::reply_batch`], costs a fraction of receiving one by one. Dropping the future loses nothing.
    ///
    /// ```no_run
    /// # async fn example(rep: drawdown::RepSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// while let Some(calls) = rep.recv_batch(256).await? {
    ///     let replies = calls.into_iter().map(|call| {
    ///         let reply = call.payload().to_ascii_uppercase();
    ///         (call, reply)
    ///     });
    ///     for error in rep.reply_batch(replies) {
    ///         eprintln!("a caller has no reply: {error}");
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// None today.
    pub async fn recv_batch(&self, count: usize) -> Result<Option<Vec<Call>>, Closed> {
        self.give_way().await;
        let mut receive = Receive { rep: self, place: None };
        Ok(poll_fn(|cx| receive.poll_batch(count.max(1), cx)).await)
    }

    /// Lets the links have their turn from time to time, see [`turn`].
    async fn give_way(&self) {
        if self.gives_way.load(Ordering::Relaxed) && self.gives_way.swap(false, Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    }

    /// Replies to many calls; gives an error for each that is not sent, see [`Call::reply`]. The iterator is called with
    /// nothing locked, so it may be what works on the calls; what it has given is sent from time to time.
    pub fn reply_batch<'a, M: Into<Message<'a>>>(
        &self,
        replies: impl IntoIterator<Item = (Call, M)>,
    ) -> Vec<ReplyError> {
        let replies = replies.into_iter();
        let mut given = Replies::new(&self.core, replies.size_hint().0);
        replies.for_each(|(call, payload)| given.push(call, payload));
        given.end()
    }

    /// Sets the window while the socket runs. A lower one holds once the clients have seen it; what they had sent by then
    /// may still arrive.
    pub fn set_window(&self, calls: u64, bytes: u64) {
        self.core.with(|socket| socket.engine.set_window(calls, bytes));
    }

    /// Takes all credit back. What has arrived can still be received.
    pub fn pause(&self) {
        self.core.with(|socket| socket.set_paused(true));
    }

    /// Gives credit again.
    pub fn resume(&self) {
        self.core.with(|socket| socket.set_paused(false));
    }

    /// Waits until every call that arrived is answered, and every reply is confirmed by its caller as far as that is there.
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Errors
    /// If that takes longer than `timeout`: says what is left.
    pub async fn drain(&self, timeout: Duration) -> Result<(), DrainError> {
        let in_time = tokio::time::timeout(timeout, drained(&self.core)).await.is_ok();
        if in_time || self.core.lock().socket.engine.is_done() {
            return Ok(());
        }
        let stats = self.stats();
        let unconfirmed: u64 = stats.links.iter().map(|link| link.unconfirmed).sum();
        Err(DrainError {
            what: Undone::Calls,
            waiting: stats.queued,
            pending: stats.working + unconfirmed,
            oldest: None,
            kept: true,
            waited: timeout,
        })
    }

    /// Takes no more calls: receive calls give `None`, credit is taken back, and what nobody has taken goes back to its
    /// callers, who ask elsewhere at once. Calls in the application's hands can still be answered.
    pub fn stop(&self) {
        let now = self.core.clock.time();
        self.core.with(|socket| socket.stop(now));
    }

    /// Closes the socket in good order: [stops](Self::stop), waits up to `timeout` until the application has answered what
    /// it has, says goodbye on its links, and closes its store. The socket is closed also if there is an error.
    ///
    /// # Errors
    /// If something was not answered, or a reply not confirmed, after `timeout`: its caller asks elsewhere.
    pub async fn close(self, timeout: Duration) -> Result<(), DrainError> {
        self.stop();
        let drained = self.drain(timeout).await;
        self.shut_down().await;
        drained
    }

    /// Ends the socket without waiting for what it has.
    pub(crate) async fn abort(self) {
        self.shut_down().await;
    }

    async fn shut_down(&self) {
        self.core.with(|socket| socket.closed = true);
        crate::socket::end_tasks(&self.core).await;
        self.thread.end(&self.core).await;
    }

    /// The socket in numbers. Costs as much as there are links and calls.
    #[must_use]
    pub fn stats(&self) -> ReplyStats {
        let now = self.core.clock.time();
        self.core.lock().socket.engine.stats(now)
    }
}

impl Receiver for RepSocket {
    type Item = Call;

    fn take(&self) -> Option<Call> {
        let now = self.core.clock.time();
        let taken = self.core.with(|socket| match socket.is_stopped() {
            true => None,
            false => socket.engine.take(now),
        });
        taken.map(|taken| Call::new(&self.core, taken))
    }

    async fn wait(&self) -> Option<Call> {
        let mut receive = Receive { rep: self, place: None };
        poll_fn(|cx| receive.poll(cx)).await
    }
}

impl Drop for RepSocket {
    fn drop(&mut self) {
        self.core.abandon();
    }
}

impl std::fmt::Debug for RepSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RepSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

/// A receive call and its place among those that wait.
struct Receive<'a> {
    rep: &'a RepSocket,
    place: Option<Waiting>,
}

impl Receive<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Option<Call>> {
        let taken = self.visit(|socket, place, now| socket.poll_take(place, now, cx.waker()));
        taken.map(|taken| taken.map(|taken| Call::new(&self.rep.core, taken)))
    }

    fn poll_batch(&mut self, count: usize, cx: &Context<'_>) -> Poll<Option<Vec<Call>>> {
        let core = &self.rep.core;
        self.visit(|socket, place, now| {
            let Some(first) = ready!(socket.poll_take(place, now, cx.waker())) else {
                return Poll::Ready(None);
            };
            let mut calls = Vec::with_capacity(count.min(1 + socket.engine.queued()));
            calls.push(Call::new(core, first));
            let mut together = Together::new(core);
            // Made where it is to stand, as replies are.
            socket.take_more(count - 1, now, |begun| {
                calls.extend(std::iter::once_with(|| together.call(begun)));
            });
            Poll::Ready(Some(calls))
        })
    }

    /// Takes something under the lock, and sees whether the links are to have their turn then.
    fn visit<T>(
        &mut self,
        take: impl FnOnce(&mut ReplyState, &mut Option<Waiting>, Time) -> T,
    ) -> T {
        let Self { rep, place } = self;
        let now = rep.core.clock.time();
        let (taken, gives_way) = rep.core.with(|socket| {
            let taken = take(socket, place, now);
            (taken, socket.gives_way())
        });
        if gives_way {
            rep.gives_way.store(true, Ordering::Relaxed);
        }
        taken
    }
}

impl Drop for Receive<'_> {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.rep.core.with(|socket| socket.leave(&mut self.place));
        }
    }
}
