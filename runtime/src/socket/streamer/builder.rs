//! Making a streamer.

use std::time::Duration;

use drawdown_protocol::{PeerId, StreamerConfig, StreamerEngine};
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::Error;
use crate::socket::device::named;
use crate::socket::{SocketOptions, builder_options};

use super::StreamerSocket;

/// How long a streamer that was started anew waits for its receivers to say what they hold: less than the grace time that
/// senders have unless they are told otherwise.
const REBUILD: Duration = Duration::from_millis(500);

/// Settings of a [`StreamerSocket`]; end with [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct StreamerBuilder {
    config: StreamerConfig,
    identity: Option<String>,
    options: SocketOptions,
}

impl StreamerBuilder {
    builder_options!();

    /// The name by which this streamer is known again after a restart, to senders and receivers. With it, a streamer that
    /// was killed and is started again within their grace time (1 s unless they are told otherwise) finds what it had passed
    /// on: nothing is lost or sent again. For half a second after its start it then only listens. Without a name, senders
    /// send again what it had when their grace time is over.
    ///
    /// No two streamers that run at one time may have the same.
    pub fn identity(mut self, name: impl Into<String>) -> Self {
        self.identity = Some(name.into());
        self
    }

    /// How long a receiver that went away without a word may take to come back for what it holds, before others get it:
    /// 1 s unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// After how long a message that its receiver's application has not taken is given to another receiver behind this
    /// streamer that waits; never unless set.
    pub fn reassign_after(mut self, time: Duration) -> Self {
        self.config.reassign_after = Some(time);
        self
    }

    /// Messages that may be passed on and not settled: 1,048,576 unless set, at least 1. No more are asked for upstream.
    pub fn pending(mut self, messages: u64) -> Self {
        self.config.pending_messages = messages.max(1);
        self
    }

    /// Makes the streamer without any link. Like everything here it needs a tokio runtime around it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Errors
    /// If its name is empty.
    pub fn build(self) -> Result<StreamerSocket, Error> {
        let mut config = self.config;
        let peer = match &self.identity {
            None => Uuid::new_v4(),
            Some(name) if name.is_empty() => {
                let what = "the identity of a streamer is empty; give it a name, or none";
                return Err(Error::Settings(what.to_owned()));
            }
            Some(name) => {
                config.rebuild = REBUILD;
                named(name)
            }
        };
        let message_bytes_max = config.link.message_bytes_max;
        let clock = Clock::start();
        let engine = StreamerEngine::new(config, PeerId::from_uuid(peer), clock.time());
        Ok(StreamerSocket::start(engine, clock, message_bytes_max, self.options))
    }
}
