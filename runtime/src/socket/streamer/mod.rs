//! The streamer: receives upstream and sends the same downstream.

mod builder;
mod state;

use std::sync::Arc;
use std::time::Duration;

pub use builder::StreamerBuilder;
use drawdown_protocol::{Side, StreamerEngine, StreamerStats};

use crate::clock::Clock;
use crate::core::Core;
use crate::driver;
use crate::error::{DrainError, Error, Undone};
use crate::event::Events;
use crate::socket::drain::drained;
use crate::socket::{OfEndpoint, SocketOptions};
use crate::transport::{Endpoint, IntoEndpoint};

use state::StreamerState;

/// Passes messages on from any number of senders to any number of receivers, without a queue of its own: it asks its
/// senders for exactly what its receivers ask of it.
///
/// A message keeps its session and its number, stays pending at its sender until a receiver behind the streamer has settled
/// it, and whatever the receiver says of it reaches the sender. A sender shares its messages out by receivers: each of a
/// hundred behind a streamer gets as many as one beside it. What a receiver held that died is sent to others by the
/// streamer. Streamers may stand behind each other; one that stands behind itself is refused.
///
/// Dropping it ends its links at once; see [`StreamerSocket::close`] for the orderly way.
///
/// ```no_run
/// use std::time::Duration;
///
/// use drawdown::StreamerSocket;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let streamer = StreamerSocket::builder().identity("east").build()?;
/// streamer.connect_upstream("tcp://127.0.0.1:7000")?;
/// streamer.bind_downstream("tcp://127.0.0.1:7001").await?;
/// tokio::signal::ctrl_c().await?;
/// streamer.close(Duration::from_secs(30)).await?;
/// # Ok(())
/// # }
/// ```
pub struct StreamerSocket {
    core: Arc<Core<StreamerState>>,
    options: SocketOptions,
}

impl StreamerSocket {
    /// Settings for a new streamer.
    pub fn builder() -> StreamerBuilder {
        StreamerBuilder::default()
    }

    fn start(
        engine: StreamerEngine,
        clock: Clock,
        message_bytes_max: usize,
        options: SocketOptions,
    ) -> Self {
        let access = options.access.clone();
        let core = Core::new(StreamerState::new(engine), clock, access, message_bytes_max);
        driver::spawn_timer(&core);
        Self { core, options }
    }

    /// Binds an endpoint to which senders and other streamers connect; gives it as it was bound, with the port that the
    /// system chose if it was 0.
    ///
    /// # Errors
    /// If the endpoint is none, is in use, or may be reached by other machines without anyone checking who connects.
    pub async fn bind_upstream(&self, endpoint: impl IntoEndpoint) -> Result<Endpoint, Error> {
        self.bind(Side::Upstream, endpoint).await
    }

    /// Connects to a sender or another streamer, in the background, and again whenever the link is lost.
    ///
    /// # Errors
    /// If the endpoint is none.
    pub fn connect_upstream(&self, endpoint: impl IntoEndpoint) -> Result<(), Error> {
        self.connect(Side::Upstream, endpoint)
    }

    /// Binds an endpoint to which receivers and other streamers connect; gives it as it was bound.
    ///
    /// # Errors
    /// As for [`StreamerSocket::bind_upstream`].
    pub async fn bind_downstream(&self, endpoint: impl IntoEndpoint) -> Result<Endpoint, Error> {
        self.bind(Side::Downstream, endpoint).await
    }

    /// Connects to a receiver or another streamer, in the background, and again whenever the link is lost.
    ///
    /// # Errors
    /// If the endpoint is none.
    pub fn connect_downstream(&self, endpoint: impl IntoEndpoint) -> Result<(), Error> {
        self.connect(Side::Downstream, endpoint)
    }

    async fn bind(&self, side: Side, endpoint: impl IntoEndpoint) -> Result<Endpoint, Error> {
        let endpoint = endpoint.into_endpoint()?;
        <()>::of(&endpoint)?;
        crate::socket::bind(&self.core, side, &endpoint).await
    }

    fn connect(&self, side: Side, endpoint: impl IntoEndpoint) -> Result<(), Error> {
        let side = move |endpoint: &Endpoint| <()>::of(endpoint).map(|()| side);
        crate::socket::connect(&self.core, side, endpoint.into_endpoint()?, &self.options)?;
        Ok(())
    }

    /// What happens in the streamer, on either side, from now on. Numbers are those that senders gave.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.core.subscribe())
    }

    /// The streamer in numbers. Costs as much as there are links.
    #[must_use]
    pub fn stats(&self) -> StreamerStats {
        let now = self.core.clock.time();
        self.core.lock().socket.engine.stats(now)
    }

    /// Closes the streamer in good order: asks for nothing more, waits up to `timeout` until its receivers have settled what
    /// they got and its senders were told, and says goodbye on both sides. Nothing is sent again then. The streamer is
    /// closed also if there is an error.
    ///
    /// # Errors
    /// If something was not settled after `timeout`: its senders send it again, to others.
    pub async fn close(self, timeout: Duration) -> Result<(), DrainError> {
        self.core.with(|socket| socket.engine.close_intake());
        let in_time = tokio::time::timeout(timeout, drained(&self.core)).await.is_ok();
        let stats = self.stats();
        crate::socket::end_tasks(&self.core).await;
        if in_time {
            return Ok(());
        }
        Err(DrainError {
            what: Undone::Messages,
            waiting: stats.down.waiting,
            pending: stats.down.pending,
            oldest: None,
            kept: true,
            waited: timeout,
        })
    }
}

impl Drop for StreamerSocket {
    fn drop(&mut self) {
        self.core.closing.cancel();
        self.core.stop.cancel();
    }
}

impl std::fmt::Debug for StreamerSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamerSocket").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
