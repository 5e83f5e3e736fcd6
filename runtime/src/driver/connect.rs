//! Keeping a link to an endpoint: connecting, and connecting again.

use std::sync::Arc;
use std::time::Duration;

use drawdown_protocol::Backoff;
use tracing::Instrument;
use uuid::Uuid;

use crate::core::{Core, Side, Socket};
use crate::transport::{Endpoint, TransportError, connect};

use super::link::LinkDriver;

/// How a socket reconnects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectOptions {
    /// How long one attempt may take.
    pub(crate) timeout: Duration,
    /// The first wait after a failure; doubles from one to the next.
    pub(crate) backoff_min: Duration,
    /// The longest wait.
    pub(crate) backoff_max: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(1),
        }
    }
}

/// Starts a task that keeps a link to `endpoint` until the socket closes.
pub(crate) fn spawn_connector<S: Socket>(
    core: &Arc<Core<S>>,
    side: Side<S>,
    endpoint: Endpoint,
    options: ConnectOptions,
) {
    let span = tracing::debug_span!("connect", %endpoint);
    let task = run(Arc::clone(core), side, endpoint, options).instrument(span);
    let stop = core.stop.clone();
    core.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = task => {}
        }
    });
}

async fn run<S: Socket>(
    core: Arc<Core<S>>,
    side: Side<S>,
    endpoint: Endpoint,
    options: ConnectOptions,
) {
    let mut backoff = Backoff::new(options.backoff_min, options.backoff_max);
    while !core.closing.is_cancelled() {
        match hold_link(&core, side, &endpoint, options.timeout).await {
            Ok(was_open) if was_open => backoff.reset(),
            Ok(_) => tracing::debug!("the peer did not finish the handshake"),
            Err(error) => tracing::debug!(%error, "could not connect; trying again"),
        }
        let (entropy, _) = Uuid::new_v4().as_u64_pair();
        tokio::select! {
            () = core.closing.cancelled() => {}
            () = tokio::time::sleep(backoff.next(entropy)) => {}
        }
    }
}

/// Connects once and serves the link to its end; says whether its handshake was done.
async fn hold_link<S: Socket>(
    core: &Arc<Core<S>>,
    side: Side<S>,
    endpoint: &Endpoint,
    timeout: Duration,
) -> Result<bool, TransportError> {
    let stream = tokio::select! {
        stream = connect(endpoint, timeout) => stream?,
        () = core.closing.cancelled() => return Ok(false),
    };
    match core.access.identify(stream.peer()) {
        Ok(identity) => Ok(LinkDriver::new(core, side, stream, identity).await),
        Err(reason) => {
            tracing::info!(peer = %stream.peer(), %reason, "turned a peer away");
            Ok(false)
        }
    }
}
