//! REQ: asks, and gets replies.

mod batch;
mod batches;
mod builder;
mod call;
mod error;
mod options;
mod state;
mod unmade;

use std::sync::Arc;
use std::time::Duration;

pub use batch::RequestBatch;
pub use builder::ReqBuilder;
pub use call::{CallBuilder, Reply, Request};
use drawdown_protocol::{CallOptions, Message, RequestEngine, RequestStats};
pub use error::{RequestError, RequestErrorKind};

use crate::clock::Clock;
use crate::core::Core;
use crate::driver;
use crate::error::{DrainError, Undone};
use crate::socket::drain::drained;
use crate::socket::{SocketOptions, socket_ends};

use options::call_options;
use state::RequestState;

/// Asks REP sockets: each request goes to one with room, and again elsewhere if that one fails.
///
/// Of the servers with room the one with most is asked, those of the best [priority](crate::transport::Priority) first:
/// `tcp://127.0.0.1:7000?priority=2`, bound or connected. A worse level serves only while every better one is gone, silent
/// or without room: servers of better ones are asked for room before, which they answer within a round trip or two.
///
/// A request runs **at least once** if it is replied to: when its first server fails or is too slow, another one gets it,
/// and both may have worked on it. Its caller gets one reply. With [`at_most_once`](ReqBuilder::at_most_once) no second
/// server gets it once a first may have begun. Either way it has the same id over all attempts, and a server that
/// remembers the id (see [`RepBuilder::remember`](crate::RepBuilder::remember)) never works on it twice.
///
/// All methods take `&self`. Dropping the socket ends its links at once; requests under way fail with
/// [`RequestErrorKind::Closed`]. Its ports are free a moment later. See [`ReqSocket::close`] for the orderly way.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use drawdown::ReqSocket;
///
/// let req = ReqSocket::builder().connect("tcp://127.0.0.1:7000").await?;
/// let reply = req.request("ping").await?;
/// println!("{} bytes", reply.payload().len());
/// # Ok(())
/// # }
/// ```
pub struct ReqSocket {
    core: Arc<Core<RequestState>>,
    options: SocketOptions,
    /// How a request is made that brings nothing of its own.
    call: CallOptions,
}

impl ReqSocket {
    /// Settings for a new socket.
    pub fn builder() -> ReqBuilder {
        ReqBuilder::default()
    }

    fn start(engine: RequestEngine, options: SocketOptions) -> Self {
        let call = engine.config().call;
        let message_bytes_max = engine.config().link.message_bytes_max;
        let state = RequestState::new(engine);
        let core = Core::new(state, Clock::start(), &options.core, message_bytes_max);
        driver::spawn_timer(&core);
        Self { core, options, call }
    }

    socket_ends!(core, options);

    /// Asks, and gives the reply: `req.request("ping").await?`. The request is made when it is first polled. If a message
    /// is given that has a shelf life, the timeout counts instead of it.
    ///
    /// If the future is dropped, the request is withdrawn, and its server learns of it.
    ///
    /// # Errors
    /// The future's, see [`RequestErrorKind`].
    pub fn request<'a>(&self, payload: impl Into<Message<'a>>) -> Request {
        Request::new(&self.core, payload.into(), self.call)
    }

    /// Asks many at once, and gives their replies in the order of the requests; each has its own reply or error. For many
    /// small requests this costs a fraction of asking one by one.
    ///
    /// ```no_run
    /// # async fn example(req: drawdown::ReqSocket) -> Result<(), Box<dyn std::error::Error>> {
    /// for reply in req.request_batch(["one", "two", "three"]).await {
    ///     println!("{} bytes", reply?.payload().len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// They are made when the future is first polled, and the timeout counts from then, for each. As many are under way at a
    /// time as [`ReqBuilder::pending`] says: with 1 they go one after the other. If the future is dropped, those that have no
    /// reply are withdrawn.
    ///
    /// # Errors
    /// Of each request, see [`RequestErrorKind`].
    pub fn request_batch<'a, M>(&self, payloads: impl IntoIterator<Item = M>) -> RequestBatch
    where
        M: Into<Message<'a>>,
    {
        RequestBatch::new(&self.core, payloads, self.call)
    }

    /// A request with settings of its own: `req.call("ping").retries(0).send().await?`.
    pub fn call<'a>(&self, payload: impl Into<Message<'a>>) -> CallBuilder {
        CallBuilder::new(self.request(payload))
    }

    /// Takes no more requests: new ones, and those that wait for their turn, fail. Those under way go on.
    pub fn stop(&self) {
        self.core.with(RequestState::stop);
    }

    /// Closes the socket in good order: [stops](Self::stop), waits up to `timeout` for the requests that are under way in
    /// other tasks, and says goodbye on its links. The socket is closed also if there is an error.
    ///
    /// # Errors
    /// If some were still under way after `timeout`: they fail, and may have been worked on.
    pub async fn close(self, timeout: Duration) -> Result<(), DrainError> {
        self.stop();
        let result = tokio::time::timeout(timeout, drained(&self.core)).await;
        let left = result.map_err(|_| self.left(timeout));
        self.shut_down().await;
        left
    }

    fn left(&self, waited: Duration) -> DrainError {
        let stats = self.stats();
        let pending = stats.pending.saturating_sub(stats.waiting);
        DrainError {
            what: Undone::Requests,
            waiting: stats.waiting,
            pending,
            oldest: None,
            kept: false,
            waited,
        }
    }

    /// Ends the socket without waiting for what is under way.
    pub(crate) async fn abort(self) {
        self.stop();
        self.shut_down().await;
    }

    async fn shut_down(&self) {
        self.core.with(|socket| socket.engine.give_up_all());
        crate::socket::end_tasks(&self.core).await;
    }

    /// The socket in numbers. Costs as much as there are links.
    #[must_use]
    pub fn stats(&self) -> RequestStats {
        let now = self.core.clock.time();
        self.core.lock().socket.engine.stats(now)
    }
}

impl Drop for ReqSocket {
    fn drop(&mut self) {
        self.core.abandon();
    }
}

impl std::fmt::Debug for ReqSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReqSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
