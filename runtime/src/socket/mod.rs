//! The sockets that people use.

mod options;
pub(crate) mod pull;
pub(crate) mod push;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use crate::core::{Core, Socket};
use crate::driver;
use crate::error::Error;
use crate::transport::{self, Endpoint};

pub(crate) use options::{SocketOptions, builder_options};

/// How long a socket that closes waits for its last words to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

async fn bind<S: Socket>(core: &Arc<Core<S>>, endpoint: &Endpoint) -> Result<Endpoint, Error> {
    let listener = transport::bind(endpoint, core.access.bind_policy()).await?;
    let local = listener.local_endpoint().clone();
    driver::spawn_listener(core, listener);
    Ok(local)
}

/// Ends all tasks of a socket: those that bring links first, then the links, with a last word each.
async fn end_tasks<S: Socket>(
    core: &Arc<Core<S>>,
    close_links: impl FnOnce(&mut S, drawdown_protocol::Time),
) {
    core.closing.cancel();
    let now = core.clock.time();
    core.with(|socket| close_links(socket, now));
    core.tasks.close();
    // The timer and what cannot get rid of its last word are ended after a while.
    let words = async {
        while core.with(|socket| socket.has_links()) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let _ = tokio::time::timeout(LAST_WORDS, words).await;
    core.stop.cancel();
    core.tasks.wait().await;
}
