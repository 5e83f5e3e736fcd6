//! Making a REP socket.

use std::path::Path;
use std::time::Duration;

use drawdown_protocol::{AnswerMemory, PeerId, ReplyConfig, ReplyEngine, Session, SocketType};
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::Error;
use crate::socket::options::fitting_window;
use crate::socket::{OpenedStore, SocketOptions, StoreOptions, builder_ends, builder_options};
use crate::store::Durability;

use super::RepSocket;

/// Settings of a [`RepSocket`]; end with [`bind`](Self::bind), [`connect`](Self::connect) or [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct RepBuilder {
    config: ReplyConfig,
    options: SocketOptions,
    store: StoreOptions,
    /// As the user has set it.
    window_bytes: Option<u64>,
}

impl RepBuilder {
    builder_options!();

    /// Calls that may be here, waiting or being worked on, or on their way: 100 unless set. With 1 the server gets its next
    /// call once it has answered the last one; with 0 only while a receive call waits, however many it is working on.
    pub fn window(mut self, calls: u64) -> Self {
        self.config.window_messages = calls;
        self
    }

    /// Bytes of the same: 32 MiB unless set, and never less than one call of the largest size. As many bytes of replies may
    /// wait until one client reads them; it gets no more credit while there are more.
    pub fn window_bytes(mut self, bytes: u64) -> Self {
        self.window_bytes = Some(bytes);
        self
    }

    /// What is remembered of replies: how many, how many bytes of them, and for how long; 65,536, 64 MiB and 60 s unless
    /// set. A call that comes again within these bounds gets its first reply and is not worked on twice. Replies that
    /// their callers have not confirmed are kept to the same bounds once more; and so are, for as long as their callers
    /// may ask again and as much longer as `age`, those to calls that must run at most once.
    pub fn remember(mut self, replies: u64, bytes: u64, age: Duration) -> Self {
        self.config.memory = AnswerMemory { messages: replies, bytes, age };
        self
    }

    /// Remembers replies in a store in this folder too, so that a call is not worked on twice although its server was
    /// started anew in between. A reply is then sent once it is on disk. One socket has a store at a time.
    pub fn store(mut self, folder: impl AsRef<Path>) -> Self {
        self.store.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// What a reply that was sent survives: with a store [`Durability::Synced`] unless set. Without a store it is always
    /// [`Durability::Memory`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.store.durability = durability;
        self
    }

    builder_ends!(RepSocket);

    /// Makes the socket without any link.
    ///
    /// # Errors
    /// If the store cannot be opened, or settings contradict each other or what the store holds.
    pub async fn build(mut self) -> Result<RepSocket, Error> {
        if let Some(bytes) = self.window_bytes {
            self.config.window_bytes = fitting_window(bytes, &self.config.link, "call")?;
        }
        let peer = PeerId::from_uuid(Uuid::new_v4());
        let clock = Clock::start();
        let message_bytes_max = self.config.link.message_bytes_max;
        let (engine, store) = match self.store.open(SocketType::Rep, message_bytes_max).await? {
            None => (ReplyEngine::new(self.config, peer), None),
            Some(OpenedStore { store, recovered: None }) => {
                let session = Session::from_uuid(Uuid::new_v4());
                (ReplyEngine::with_store(self.config, peer, session), Some(store))
            }
            Some(OpenedStore { store, recovered: Some(recovered) }) => {
                (ReplyEngine::recover(self.config, peer, recovered, clock.now()), Some(store))
            }
        };
        RepSocket::start(engine, clock, store, self.options)
    }
}
