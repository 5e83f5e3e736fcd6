//! Making a streamer.

use std::time::Duration;

use drawdown_protocol::{PeerId, StreamerConfig, StreamerEngine};
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::Error;
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

/// The UUID that a name stands for: its FNV-1a hash of 128 bits. Nobody is to be kept from guessing it.
fn named(name: &str) -> Uuid {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash =
        name.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    Uuid::from_u128(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_always_the_same_uuid_and_no_other_name_is() {
        // The known hash of "foobar".
        assert_eq!(named("foobar").as_u128(), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
        assert_ne!(named("east"), named("west"));
    }
}
