//! Receiving from several sockets, the better ones first.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use crate::socket::turns::Turns;

/// A socket that a [`Preferred`] can receive from: [`PullSocket`](crate::PullSocket) gives a
/// [`Delivery`](crate::Delivery), [`RepSocket`](crate::RepSocket) a [`Call`](crate::Call), and
/// [`SubSocket`](crate::SubSocket) an [`Incoming`](crate::Incoming).
pub trait Receive: sealed::Receiver {}

impl<S: sealed::Receiver> Receive for S {}

pub(crate) mod sealed {
    use std::future::Future;

    /// A socket with things to receive.
    pub trait Receiver: Sync {
        /// What comes from it.
        type Item: Send;

        /// The next one, if it is there now.
        fn take(&self) -> Option<Self::Item>;

        /// The next one; `None` once the socket is closed. Loses nothing if it is dropped.
        fn wait(&self) -> impl Future<Output = Option<Self::Item>> + Send;
    }
}

use sealed::Receiver;

/// Receives from several sockets in order of preference: what is urgent before what is not.
///
/// Each call takes from the first socket that has anything. It waits for all of them at a time, without polling, so none
/// blocks another; a socket that is closed is passed over. Urgent and normal messages come over links of their own, each
/// with its own credit: however many normal ones wait, an urgent one does not stand behind them.
///
/// A worse socket gets nothing for as long as a better one always has something; that is what it is for.
///
/// ```no_run
/// use drawdown::{Delivery, Preferred, PullSocket};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let urgent = PullSocket::builder().connect("tcp://127.0.0.1:7000").await?;
/// let normal = PullSocket::builder().window(10).connect("tcp://127.0.0.1:7001").await?;
/// let jobs = Preferred::first(&urgent, |job: Delivery| ("urgent", job)).then(&normal, |job| ("normal", job));
/// while let Some((kind, job)) = jobs.recv().await {
///     println!("{kind}: {} bytes", job.payload().len());
///     job.ack().await?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct Preferred<'a, T> {
    sources: Vec<Box<dyn Source<T> + 'a>>,
    turns: Turns,
}

impl<'a, T: Send + 'a> Preferred<'a, T> {
    /// Begins with the best socket. `into` makes of what comes from it what this gives: the name of the variant of an enum, or
    /// `|message| message`.
    #[must_use]
    pub fn first<S: Receive>(
        socket: &'a S,
        into: impl Fn(S::Item) -> T + Send + Sync + 'a,
    ) -> Self {
        Self { sources: Vec::new(), turns: Turns::default() }.then(socket, into)
    }

    /// Adds a socket that comes after those before it.
    #[must_use]
    pub fn then<S: Receive>(
        mut self,
        socket: &'a S,
        into: impl Fn(S::Item) -> T + Send + Sync + 'a,
    ) -> Self {
        self.sources.push(Box::new(Tagged { socket, into }));
        self
    }

    /// The next of the best socket that has any; `None` once all sockets are closed.
    ///
    /// If the future is dropped, nothing is lost: what had arrived waits for the next call.
    pub async fn recv(&self) -> Option<T> {
        if self.turns.is_over() {
            Turns::end().await;
        }
        match self.take() {
            Some(item) => Some(item),
            None => self.wait().await,
        }
    }

    /// What is at hand, the best first: at least one, at most `count`; `None` once all sockets are closed. Something better
    /// that arrives meanwhile comes with the next call, so a small `count` keeps urgent things urgent.
    ///
    /// If the future is dropped, nothing is lost.
    pub async fn recv_batch(&self, count: usize) -> Option<Vec<T>> {
        Turns::end().await;
        let mut items = Vec::new();
        let first = match self.take() {
            Some(item) => item,
            None => self.wait().await?,
        };
        items.push(first);
        while items.len() < count
            && let Some(item) = self.take()
        {
            items.push(item);
        }
        Some(items)
    }

    fn take(&self) -> Option<T> {
        self.sources.iter().find_map(|source| source.take())
    }

    /// Waits for all sockets, and looks at them in their order whenever one may have something.
    async fn wait(&self) -> Option<T> {
        let mut waits: Vec<Option<Wait<'_, T>>> =
            self.sources.iter().map(|source| Some(source.wait())).collect();
        poll_fn(|cx| {
            for wait in &mut waits {
                match wait.as_mut().map(|wait| wait.as_mut().poll(cx)) {
                    Some(Poll::Ready(Some(item))) => return Poll::Ready(Some(item)),
                    Some(Poll::Ready(None)) => *wait = None,
                    Some(Poll::Pending) | None => {}
                }
            }
            if waits.iter().all(Option::is_none) { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

impl<T> std::fmt::Debug for Preferred<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Preferred").field("sockets", &self.sources.len()).finish_non_exhaustive()
    }
}

type Wait<'s, T> = Pin<Box<dyn Future<Output = Option<T>> + Send + 's>>;

/// A socket, and what is made of what comes from it.
trait Source<T>: Send + Sync {
    fn take(&self) -> Option<T>;
    fn wait(&self) -> Wait<'_, T>;
}

struct Tagged<'a, S, F> {
    socket: &'a S,
    into: F,
}

impl<T, S, F> Source<T> for Tagged<'_, S, F>
where
    S: Receiver,
    F: Fn(S::Item) -> T + Send + Sync,
    T: Send,
{
    fn take(&self) -> Option<T> {
        self.socket.take().map(&self.into)
    }

    fn wait(&self) -> Wait<'_, T> {
        Box::pin(async { self.socket.wait().await.map(&self.into) })
    }
}
