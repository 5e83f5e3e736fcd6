//! The router: takes calls upstream and passes them on downstream.

mod builder;

use std::sync::Arc;
use std::time::Duration;

pub use builder::RouterBuilder;
use drawdown_protocol::{RouterEngine, RouterStats};

use crate::clock::Clock;
use crate::core::Core;
use crate::driver;
use crate::error::{DrainError, Undone};
use crate::socket::SocketOptions;
use crate::socket::device::{DeviceState, device_ends};
use crate::socket::drain::drained;

/// Passes calls on from any number of clients to any number of servers, and answers back, without a queue of its own: it
/// grants its clients what its servers have granted it.
///
/// A call keeps its name and its deadline. It is for its client to try it again: if a server goes away, the client is told,
/// and its own retries apply; a call that must run at most once does so by way of routers too. Endpoints downstream have
/// priorities, as those of a [`ReqSocket`](crate::ReqSocket): the servers of a worse level get a call only while no better
/// one has room.
///
/// Routers may stand behind each other, and two of them may be each other's clients and servers, each with servers of its
/// own that it prefers: so two sites lend to each other. What one has granted is never granted back to it, and no call
/// passes a router twice.
///
/// Dropping it ends its links at once; its ports are free a moment later. See [`RouterSocket::close`] for the orderly way.
///
/// ```no_run
/// use std::time::Duration;
///
/// use drawdown::RouterSocket;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let east = RouterSocket::builder().identity("east").build()?;
/// east.bind_upstream("tcp://127.0.0.1:7000").await?; // clients, and the other site
/// east.bind_downstream("tcp://127.0.0.1:7001").await?; // servers of its own
/// east.connect_downstream("tcp://127.0.0.1:8000?priority=2")?; // the other site
/// tokio::signal::ctrl_c().await?;
/// east.close(Duration::from_secs(30)).await?;
/// # Ok(())
/// # }
/// ```
pub struct RouterSocket {
    core: Arc<Core<DeviceState<RouterEngine>>>,
    options: SocketOptions,
}

device_ends!(RouterSocket, RouterStats, "clients and other routers", "servers and other routers");

impl RouterSocket {
    /// Settings for a new router.
    pub fn builder() -> RouterBuilder {
        RouterBuilder::default()
    }

    fn start(engine: RouterEngine, message_bytes_max: usize, options: SocketOptions) -> Self {
        let core =
            Core::new(DeviceState::new(engine), Clock::start(), &options.core, message_bytes_max);
        driver::spawn_timer(&core);
        Self { core, options }
    }

    /// Closes the router in good order: takes no more calls, gives back those that no server has, waits up to `timeout`
    /// until the others are answered and their clients have the answers, and says goodbye on both sides. The router is
    /// closed also if there is an error.
    ///
    /// # Errors
    /// If something was not answered after `timeout`: its clients try it again as they may.
    pub async fn close(self, timeout: Duration) -> Result<(), DrainError> {
        let now = self.core.clock.time();
        self.core.with(|socket| socket.engine.close_intake(now));
        let in_time = tokio::time::timeout(timeout, drained(&self.core)).await.is_ok();
        let in_time = in_time || self.core.lock().socket.engine.is_done();
        let stats = self.stats();
        crate::socket::end_tasks(&self.core).await;
        if in_time {
            return Ok(());
        }
        Err(DrainError {
            what: Undone::Calls,
            waiting: stats.down.waiting,
            pending: stats.down.pending,
            oldest: None,
            kept: false,
            waited: timeout,
        })
    }
}

impl Drop for RouterSocket {
    fn drop(&mut self) {
        self.core.abandon();
    }
}
