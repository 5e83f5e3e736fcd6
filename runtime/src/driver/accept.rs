//! Taking peers in at a bound endpoint.

use std::sync::Arc;

use crate::core::{Core, Side, Socket};
use crate::transport::{Endpoint, Listener, Stream};

use super::link::LinkDriver;
use super::way::Way;

/// Starts a task that takes in whoever connects, until the socket closes.
pub(crate) fn spawn_listener<S: Socket>(core: &Arc<Core<S>>, side: Side<S>, listener: Listener) {
    let task = run(Arc::clone(core), side, listener);
    let closing = core.closing.clone();
    core.spawn(async move {
        tokio::select! {
            () = closing.cancelled() => {}
            () = task => {}
        }
    });
}

async fn run<S: Socket>(core: Arc<Core<S>>, side: Side<S>, mut listener: Listener) {
    loop {
        match listener.accept().await {
            Ok(stream) => admit(&core, side, stream, listener.local_endpoint()),
            Err(error) => {
                tracing::error!(endpoint = %listener.local_endpoint(), %error, "no more peers are taken in here");
                return;
            }
        }
    }
}

fn admit<S: Socket>(core: &Arc<Core<S>>, side: Side<S>, stream: Stream, endpoint: &Endpoint) {
    match core.access.identify(stream.peer()) {
        Ok(identity) => {
            let driver = LinkDriver::new(core, side, stream, identity, Way::Came(endpoint));
            let stop = core.stop.clone();
            core.spawn(async move {
                tokio::select! {
                    biased;
                    _ = driver => {}
                    () = stop.cancelled() => {}
                }
            });
        }
        Err(reason) => tracing::info!(peer = %stream.peer(), %reason, "turned a peer away"),
    }
}
