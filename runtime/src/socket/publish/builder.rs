//! Making a PUB socket.

use std::path::Path;

use drawdown_protocol::{Lineage, PeerId, PublishConfig, PublishEngine, Seq, Session, SocketType};
use uuid::Uuid;

use crate::clock::Clock;
use crate::error::Error;
use crate::socket::{
    OpenedStore, SocketOptions, StoreOptions, builder_ends, builder_options, check_next_seq,
    check_session, ring_options,
};

use super::PubSocket;

/// Settings of a [`PubSocket`]; end with [`bind`](Self::bind), [`connect`](Self::connect) or [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct PubBuilder {
    config: PublishConfig,
    options: SocketOptions,
    store: StoreOptions,
    session: Option<(Session, Seq)>,
}

impl PubBuilder {
    builder_options!();
    ring_options!();

    /// Messages that are retained for those who come later or fall behind: 65,536 unless set, at least 1. The oldest goes
    /// first.
    pub fn ring(mut self, messages: u64) -> Self {
        self.config.ring.messages = messages;
        self
    }

    /// Keeps the ring in a store in this folder: the socket goes on after a restart with the same session, numbers and
    /// messages. Subscribers see a message once it is on disk. One socket has a store at a time.
    pub fn store(mut self, folder: impl AsRef<Path>) -> Self {
        self.store.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// Continues this session, the next message being number `next_seq`, at most 2^62: for a publisher that has no store and was started
    /// again. Subscribers then go on in their session; without this, a new one begins at number 0. Never give a number that
    /// was used before.
    ///
    /// With a store this holds for a new one; a store that holds a session already continues by itself, and must hold the
    /// same.
    pub fn session(mut self, session: Session, next_seq: Seq) -> Self {
        self.session = Some((session, next_seq));
        self
    }

    builder_ends!(PubSocket);

    /// Makes the socket without any link: what is published is retained in its ring.
    ///
    /// # Errors
    /// If the store cannot be opened, or settings contradict each other or what the store holds.
    pub async fn build(self) -> Result<PubSocket, Error> {
        self.config.check().map_err(Error::Settings)?;
        check_next_seq(self.session)?;
        let peer = PeerId::from_uuid(Uuid::new_v4());
        let clock = Clock::start();
        let epoch = clock.now().wall.as_millis();
        let (session, since) = self.session.unwrap_or((Session::from_uuid(Uuid::new_v4()), 0));
        let lineage = Lineage { session, epoch, since };
        let message_bytes_max = self.config.link.message_bytes_max;
        let (engine, store) = match self.store.open(SocketType::Pub, message_bytes_max).await? {
            None => (PublishEngine::new(self.config, peer, lineage), None),
            Some(OpenedStore { store, recovered: None }) => {
                (PublishEngine::with_store(self.config, peer, lineage), Some(store))
            }
            Some(OpenedStore { store, recovered: Some(recovered) }) => {
                check_session(&recovered, self.session)?;
                let now = clock.now();
                let engine = PublishEngine::recover(self.config, peer, epoch, recovered, now);
                check_known(&engine, self.session)?;
                (engine, Some(store))
            }
        };
        PubSocket::start(engine, clock, store, self.options)
    }
}

/// Refuses a next number that the store knows nothing of: what is between was never kept, or was lost.
fn check_known(engine: &PublishEngine, wanted: Option<(Session, Seq)>) -> Result<(), Error> {
    let next_seq = engine.next_seq();
    match wanted {
        Some((_, wanted)) if wanted > next_seq => Err(Error::Settings(format!(
            "the store goes on with number {next_seq}, and {wanted} was asked for; nothing was changed; leave the \
             session out, or start with a new store"
        ))),
        _ => Ok(()),
    }
}
