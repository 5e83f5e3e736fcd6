//! Making a proxy.

use std::path::Path;
use std::time::Duration;

use drawdown_protocol::{PeerId, ProxyConfig, ProxyEngine, PublishConfig, SubscribeConfig};
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::Error;
use crate::socket::{OpenedStore, SocketOptions, StoreOptions, builder_options, ring_options};
use crate::store::StoreOwner;

use super::ProxySocket;

/// Settings of a [`ProxySocket`]; end with [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ProxyBuilder {
    config: PublishConfig,
    window: Option<u64>,
    grace: Option<Duration>,
    options: SocketOptions,
    store: StoreOptions,
}

impl ProxyBuilder {
    builder_options!();
    ring_options!();

    /// Messages of each session that are retained for subscribers that come later or fall behind: 65,536 unless set. The
    /// oldest goes first. With 0 nothing is retained: what a subscriber wants is asked for upstream once it has room.
    pub fn ring(mut self, messages: u64) -> Self {
        self.config.ring.messages = messages;
        self
    }

    /// Keeps the ring of the newest session in a store in this folder: it is there again after a restart. Subscribers see a
    /// message once it is on disk. One socket has a store at a time.
    pub fn store(mut self, folder: impl AsRef<Path>) -> Self {
        self.store.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// Messages that may be on their way from upstream: 1,000 unless set, at least 1.
    pub fn window(mut self, messages: u64) -> Self {
        self.window = Some(messages.max(1));
        self
    }

    /// How long a publisher whose connection was lost may take to come back, before what this proxy does not retain is gone
    /// for its subscribers: 10 s unless set.
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = Some(time);
        self
    }

    /// Makes the proxy without any link.
    ///
    /// # Errors
    /// If the store cannot be opened, or settings contradict each other or what the store holds.
    pub async fn build(self) -> Result<ProxySocket, Error> {
        if self.config.ring.messages == 0 && self.store.folder.is_some() {
            let what = "a ring of 0 has nothing to keep in a store; leave the store out, or give it a ring";
            return Err(Error::Settings(what.to_owned()));
        }
        let mut up =
            SubscribeConfig { link: self.config.link.clone(), ..SubscribeConfig::default() };
        up.window_messages = self.window.unwrap_or(up.window_messages);
        up.grace = self.grace.unwrap_or(up.grace);
        let config = ProxyConfig { up, down: self.config };
        let message_bytes_max = config.down.link.message_bytes_max;
        let peer = PeerId::from_uuid(Uuid::new_v4());
        let clock = Clock::start();
        let (engine, store) = match self.store.open(StoreOwner::Proxy, message_bytes_max).await? {
            None => (ProxyEngine::new(config, peer), None),
            Some(OpenedStore { store, recovered: None }) => {
                (ProxyEngine::with_store(config, peer), Some(store))
            }
            Some(OpenedStore { store, recovered: Some(recovered) }) => {
                (ProxyEngine::recover(config, peer, recovered, clock.now()), Some(store))
            }
        };
        ProxySocket::start(engine, clock, message_bytes_max, store, self.options)
    }
}
