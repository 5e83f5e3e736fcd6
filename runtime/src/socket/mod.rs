//! The sockets that people use.

mod commit;
pub(crate) mod device;
mod drain;
mod ends;
mod options;
mod place;
pub(crate) mod preferred;
pub(crate) mod proxy;
pub(crate) mod publish;
pub(crate) mod pull;
pub(crate) mod push;
mod receiving;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod router;
mod sending;
pub(crate) mod streamer;
pub(crate) mod subscribe;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use crate::core::{Core, Engine, Side, Socket};
use crate::driver;
use crate::error::Error;
use crate::transport::{self, Endpoint, EndpointError};

pub(crate) use ends::{OfEndpoint, builder_ends, socket_ends};
pub(crate) use options::{
    OpenedStore, SocketOptions, StoreOptions, builder_options, check_next_seq, check_session,
    ring_options,
};

/// How long a socket that closes waits for its last words to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

async fn bind<S: Socket>(
    core: &Arc<Core<S>>,
    side: Side<S>,
    endpoint: &Endpoint,
) -> Result<Endpoint, Error> {
    if endpoint.names_others() {
        return Err(EndpointError::connect_only(endpoint).into());
    }
    let (wanted, policy) = (endpoint.clone(), core.access.bind_policy());
    let bound = core.run(async move { transport::bind(&wanted, policy).await }).await;
    let listener = bound.map_err(|error| {
        Error::system("the runtime that the socket was made on has ended; make another", error)
    })??;
    let local = listener.local_endpoint().clone();
    core.with(|socket| socket.note_endpoints(side, 1));
    driver::spawn_listener(core, side, listener);
    Ok(local)
}

/// `side` says what the engine is told of an endpoint's links, or that it is none for this socket.
fn connect<S: Socket>(
    core: &Arc<Core<S>>,
    side: impl Fn(&Endpoint) -> Result<Side<S>, EndpointError> + Send + Sync + 'static,
    endpoint: Endpoint,
    options: &SocketOptions,
) -> Result<(), EndpointError> {
    if endpoint.is_bind_only() {
        return Err(EndpointError::bind_only(&endpoint));
    }
    driver::spawn_connector(core, Arc::new(side), endpoint, &options.connect)
}

/// Ends all tasks of a socket: those that bring links first, then the links, with a last word each.
async fn end_tasks<S: Socket>(core: &Core<S>) {
    end_tasks_within(core, LAST_WORDS).await;
}

/// The same, where peers may take so long to read what they were sent before. Says how many had not; who never did its
/// handshake was sent nothing.
async fn end_tasks_within<S: Socket>(core: &Core<S>, time: Duration) -> u64 {
    core.closing.cancel();
    let now = core.clock.time();
    let members = core.members();
    core.with(|socket| socket.engine_mut().close_links(now));
    core.tasks.close();
    // The timer and what cannot get rid of its last word are ended after a while.
    let _ = tokio::time::timeout(LAST_WORDS, core.unlinked()).await;
    let rest = time.saturating_sub(LAST_WORDS);
    let _ = tokio::time::timeout(rest, core.unlinked_of(&members)).await;
    let left = core.linked_of(&members) as u64;
    core.stop.cancel();
    core.tasks.wait().await;
    left
}
