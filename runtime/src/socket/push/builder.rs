//! Making a PUSH socket.

use std::path::Path;
use std::time::Duration;

use drawdown_protocol::{PeerId, PushConfig, PushEngine, Seq, Session, SocketType};
use uuid::Uuid;

use crate::error::Error;
use crate::socket::{
    OpenedStore, SocketOptions, StoreOptions, builder_ends, builder_options, check_next_seq,
    check_session,
};
use crate::store::Durability;

use super::PushSocket;

/// Settings of a [`PushSocket`]; end with [`bind`](Self::bind), [`connect`](Self::connect) or [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct PushBuilder {
    pub(super) config: PushConfig,
    pub(super) options: SocketOptions,
    store: StoreOptions,
    session: Option<(Session, Seq)>,
    max_bytes: Option<u64>,
}

impl PushBuilder {
    builder_options!();

    /// Keeps messages in a store in this folder until they are confirmed: they survive the process and, unless
    /// [`durability`](Self::durability) says less, the loss of power. One socket has a store at a time.
    pub fn store(mut self, folder: impl AsRef<Path>) -> Self {
        self.store.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// What an accepted message survives: with a store [`Durability::Synced`] unless set. Without a store it is always
    /// [`Durability::Memory`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.store.durability = durability;
        self
    }

    /// Begins or continues this session, the next message being number `next_seq`, at most 2^62. Unless set a socket that has no store, or
    /// a new one, begins a session of its own at number 0.
    ///
    /// It is for a socket whose store may be lost. Begun anew with the same session, and a `next_seq` above every number
    /// that was used, it has back what its receivers have: what waits there or is worked on is pending again, and of what was
    /// placed there as a copy ([`PullBuilder::future`](crate::PullBuilder::future)) the contents are in the queue again.
    /// What only the socket had is gone. Nothing is handed out until the first receiver has been there for
    /// [`grace`](Self::grace), so that none is given what another has; [`Event::Restored`](crate::Event::Restored) tells how
    /// much a receiver had. Messages from receivers that come later are taken back too, and may by then have been done
    /// elsewhere; streamers give back what they hold themselves.
    ///
    /// With a store that holds this session the socket continues it by itself, and has back what the store does not have: so
    /// the same settings serve each start, as long as `next_seq` is not lower than at the first one after the loss.
    pub fn session(mut self, session: Session, next_seq: Seq) -> Self {
        self.session = Some((session, next_seq));
        self
    }

    /// Messages that may wait for a receiver's credit: 65,536 unless set. With 0 a message is only taken in when there is
    /// credit for it: without a receiver each send waits for one.
    pub fn queue(mut self, messages: u64) -> Self {
        self.config.queue_messages = messages;
        self
    }

    /// Bytes of all messages that are not done, waiting and dispatched: 1 GiB unless set, or a little more where that is the
    /// length of one. Dead letters may take as many once more.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Messages that may be dispatched and unconfirmed at a time, at least 1: no limit unless set. The socket blocks there.
    pub fn max_pending(mut self, messages: u64) -> Self {
        self.config.pending_messages = messages.max(1);
        self
    }

    /// The shelf life of messages that bring none of their own. One that nobody has taken by then is gone, and
    /// reported as an event.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.config.ttl = Some(ttl);
        self
    }

    /// After so many failed attempts a message becomes a dead letter; unless set it is tried for ever. Rejections count,
    /// and so does a receiver that died over it; a release or a time-out does not.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.config.attempts_max = Some(attempts.max(1));
        self
    }

    /// Dead letters that are kept: 100,000 unless set, and no more than [`max_bytes`](Self::max_bytes) on their own. While
    /// there are as many, messages that fail are tried on, which [`Event::DeadLettersFull`](crate::Event::DeadLettersFull)
    /// tells.
    pub fn max_dead_letters(mut self, messages: u64) -> Self {
        self.config.dead_messages = messages;
        self
    }

    /// How long a message waits after a failed attempt: the first time, and the longest. 10 ms and 10 s unless set; the
    /// waits double.
    pub fn retry_delay(mut self, first: Duration, longest: Duration) -> Self {
        self.config.retry_delay = first;
        self.config.retry_delay_max = longest.max(first);
        self
    }

    /// How long a receiver that went away without a word may take to come back for what it holds: 1 s unless set.
    /// Then its messages go to others.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// After how long a message that its receiver's application has not taken is given to another that waits; never
    /// unless set. To a sender all receivers behind a streamer are one: among them it is for the streamer to do
    /// ([`StreamerBuilder::reassign_after`](crate::StreamerBuilder::reassign_after)).
    pub fn reassign_after(mut self, time: Duration) -> Self {
        self.config.reassign_after = Some(time);
        self
    }

    /// How long an application may take to settle a message that it has taken; then it is given to another, and a late
    /// confirmation still counts. As long as it likes unless set.
    pub fn process_timeout(mut self, time: Duration) -> Self {
        self.config.process_timeout = Some(time);
        self
    }

    /// Bytes of copies that are placed at receivers with room for them (see [`PullBuilder::future`](crate::PullBuilder::future))
    /// while nobody has credit: 16 MiB unless set; 0: none are placed.
    pub fn future_bytes(mut self, bytes: u64) -> Self {
        self.config.future_bytes = bytes;
        self
    }

    /// How long messages wait, before they go to a receiver of a worse [priority](crate::transport::Priority), for those of
    /// better ones to say whether they have room: 200 ms unless set. They say so within a round trip or two, unless they hang;
    /// one that has no other sender is not asked.
    pub fn ask_patience(mut self, time: Duration) -> Self {
        self.config.ask_patience = time;
        self
    }

    /// For how long a receiver whose link was lost must have been well before it is used again: zero unless set, which is at
    /// once. Until then it gets messages only if no other receiver has room.
    /// [`Event::ServerOnTrial`](crate::Event::ServerOnTrial) and [`Event::ServerTrusted`](crate::Event::ServerTrusted) tell
    /// of it.
    pub fn fail_back_after(mut self, time: Duration) -> Self {
        self.config.fail_back_after = time;
        self
    }

    builder_ends!(PushSocket);

    /// Makes the socket without any link: it takes messages in up to the length of its queue.
    ///
    /// # Errors
    /// If the store cannot be opened, or settings contradict each other or what the store holds.
    pub async fn build(mut self) -> Result<PushSocket, Error> {
        let message_max =
            drawdown_protocol::message::cost_bytes_max(self.config.link.message_bytes_max);
        let retained_bytes = &mut self.config.retained_bytes;
        *retained_bytes = self.max_bytes.unwrap_or_else(|| message_max.max(*retained_bytes));
        self.config.check().map_err(Error::Settings)?;
        check_next_seq(self.session)?;
        let peer = PeerId::from_uuid(Uuid::new_v4());
        let (session, next_seq) = self.session.unwrap_or((Session::from_uuid(Uuid::new_v4()), 0));
        let message_bytes_max = self.config.link.message_bytes_max;
        let (engine, store) = match self.store.open(SocketType::Push, message_bytes_max).await? {
            None => (PushEngine::new(self.config, peer, session), None),
            Some(OpenedStore { store, recovered: None }) => {
                (PushEngine::with_store(self.config, peer, session), Some(store))
            }
            Some(OpenedStore { store, recovered: Some(recovered) }) => {
                check_session(&recovered, self.session)?;
                (PushEngine::recover(self.config, peer, recovered), Some(store))
            }
        };
        PushSocket::start(engine.rebuilding(next_seq), store, self.options)
    }
}
