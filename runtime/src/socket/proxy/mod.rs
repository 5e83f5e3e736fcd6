//! The proxy: subscribes upstream and publishes the same downstream.

mod builder;
mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use builder::ProxyBuilder;
use drawdown_protocol::{ProxyEngine, ProxyStats};

use crate::clock::Clock;
use crate::core::Core;
use crate::driver;
use crate::error::{DrainError, Error};
use crate::socket::SocketOptions;
use crate::socket::commit::CommitThread;
use crate::socket::device::device_ends;
use crate::socket::drain::drained;
use crate::socket::publish::{furthest_behind, undelivered};
use crate::store::Store;

use state::ProxyState;

/// Passes on what publishers upstream publish, with its sessions and numbers as they are: to a subscriber it is a source
/// like the publisher itself.
///
/// It retains a ring of its own, which outlives a publisher; what is below it and can still be had upstream is fetched for
/// those who want it. A proxy reads everything upstream, whatever is wanted downstream. Dropping it ends its links at once;
/// its store and its ports are free a moment later. See [`ProxySocket::close`] for the orderly way, after which they can be
/// opened again.
pub struct ProxySocket {
    core: Arc<Core<ProxyState>>,
    options: SocketOptions,
    thread: CommitThread,
    durable: bool,
}

device_ends!(
    ProxySocket,
    ProxyStats,
    "publishers and other proxies",
    "subscribers and other proxies"
);

impl ProxySocket {
    /// Settings for a new proxy.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::default()
    }

    fn start(
        engine: ProxyEngine,
        clock: Clock,
        message_bytes_max: usize,
        store: Option<Box<dyn Store>>,
        options: SocketOptions,
    ) -> Result<Self, Error> {
        let core = Core::new(ProxyState::new(engine), clock, &options.core, message_bytes_max);
        let durable = store.is_some();
        let thread = CommitThread::start(&core, store)?;
        driver::spawn_timer(&core);
        Ok(Self { core, options, thread, durable })
    }

    /// Closes the proxy in good order: waits up to `linger` for a moment in which every subscriber that is there has been
    /// sent all that is retained, says goodbye on both sides, and waits in what is left of `linger`, a second at least, until
    /// they have read it. With a store all of the ring is written in any case. The proxy is closed also if there is an error.
    ///
    /// # Errors
    /// If there was no such moment: says how many numbers the subscriber that is furthest behind still lacked, and from
    /// where on. It gets them from the publisher, or from another proxy.
    pub async fn close(self, linger: Duration) -> Result<(), DrainError> {
        let begun = Instant::now();
        let in_time = tokio::time::timeout(linger, drained(&self.core)).await.is_ok();
        let behind = if in_time { None } else { furthest_behind(&self.stats().down) };
        let time = linger.saturating_sub(begun.elapsed());
        crate::socket::end_tasks_within(&self.core, time).await;
        self.thread.end(&self.core).await;
        let kept = self.durable && self.core.lock().socket.engine.store_failure().is_none();
        // Who had not read all finds it elsewhere too, and which side a link was on is not known here.
        undelivered(behind, 0, kept, linger)
    }
}

impl Drop for ProxySocket {
    fn drop(&mut self) {
        self.core.abandon();
    }
}
