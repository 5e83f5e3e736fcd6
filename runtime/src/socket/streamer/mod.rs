//! The streamer: receives upstream and sends the same downstream.

mod builder;

use std::sync::Arc;
use std::time::Duration;

pub use builder::StreamerBuilder;
use drawdown_protocol::{StreamerEngine, StreamerStats};

use crate::clock::Clock;
use crate::core::Core;
use crate::driver;
use crate::error::{DrainError, Undone};
use crate::socket::SocketOptions;
use crate::socket::device::{DeviceState, device_ends};
use crate::socket::drain::drained;

/// Passes messages on from any number of senders to any number of receivers, without a queue of its own: it asks its
/// senders for exactly what its receivers ask of it.
///
/// A message keeps its session and its number, stays pending at its sender until a receiver behind the streamer has settled
/// it, and whatever the receiver says of it reaches the sender. A sender shares its messages out by receivers: each of a
/// hundred behind a streamer gets as many as one beside it. What a receiver held that died is sent to others by the
/// streamer. Streamers may stand behind each other; one that stands behind itself is refused.
///
/// Dropping it ends its links at once; its ports are free a moment later. See [`StreamerSocket::close`] for the orderly way.
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
    core: Arc<Core<DeviceState<StreamerEngine>>>,
    options: SocketOptions,
}

device_ends!(
    StreamerSocket,
    StreamerStats,
    "senders and other streamers",
    "receivers and other streamers"
);

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
        let core = Core::new(DeviceState::new(engine), clock, &options.core, message_bytes_max);
        driver::spawn_timer(&core);
        Self { core, options }
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
        self.core.abandon();
    }
}
