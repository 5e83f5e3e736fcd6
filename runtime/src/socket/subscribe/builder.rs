//! Making a SUB socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use drawdown_protocol::{
    OldSession, PeerId, Position, Start, SubscribeConfig, SubscribeEngine, Time,
};
use uuid::Uuid;

use crate::error::Error;
use crate::socket::options::{fitting_window, open_blocking};
use crate::socket::{SocketOptions, builder_ends, builder_options};
use crate::store::CursorStore;

use super::SubSocket;

/// Settings of a [`SubSocket`]; end with [`bind`](Self::bind), [`connect`](Self::connect) or [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct SubBuilder {
    config: SubscribeConfig,
    options: SocketOptions,
    filters: Vec<Vec<u8>>,
    cursor: Option<PathBuf>,
    /// As the user has set it.
    window_bytes: Option<u64>,
}

impl SubBuilder {
    builder_options!();

    /// Messages that may wait here or be on their way, over all sources: 1,000 unless set. With 0 one is asked for only
    /// while a receive call waits.
    pub fn window(mut self, messages: u64) -> Self {
        self.config.window_messages = messages;
        self
    }

    /// Bytes of the same: 32 MiB unless set, and never less than one message of the largest size.
    pub fn window_bytes(mut self, bytes: u64) -> Self {
        self.window_bytes = Some(bytes);
        self
    }

    /// Wants topics that begin with this, of up to 255 bytes; may be given many times. Without any the socket wants
    /// everything, as with the empty one.
    pub fn filter(mut self, prefix: impl AsRef<[u8]>) -> Self {
        self.filters.push(prefix.as_ref().to_owned());
        self
    }

    /// Where it begins: with the oldest message that is retained unless set. In sessions of which a [cursor](Self::cursor)
    /// holds a position it goes on from that.
    pub fn start(mut self, start: Start) -> Self {
        self.config.start = start;
        self
    }

    /// Goes on in these sessions where an application was, as [`SubSocket::positions`] gave it; others begin as
    /// [`start`](Self::start) says. A [cursor](Self::cursor) that holds any position takes the place of these.
    pub fn positions(mut self, positions: impl IntoIterator<Item = Position>) -> Self {
        self.config.positions = positions.into_iter().collect();
        self
    }

    /// Keeps how far the application has come in each session, by what it acknowledges, in this folder: a socket with the
    /// same cursor goes on from there in all of them. They are saved in the background, within 10 ms or as fast as the disk is, and once more when
    /// the socket is [closed](SubSocket::close); after a crash the messages that were acknowledged last may come again.
    /// One socket has a cursor at a time.
    pub fn cursor(mut self, folder: impl AsRef<Path>) -> Self {
        self.cursor = Some(folder.as_ref().to_owned());
        self
    }

    /// What becomes of messages of an old session that wait here when its publisher begins a new one: handed out first
    /// unless set.
    pub fn on_new_session(mut self, old_session: OldSession) -> Self {
        self.config.old_session = old_session;
        self
    }

    /// After how long a source from which nothing comes is left for another one that has more: 200 ms unless set.
    pub fn lag(mut self, lag: Duration) -> Self {
        self.config.lag = lag;
        self
    }

    /// How long it waits until all endpoints that it was given have a source, if those that are there lack messages: 1 s
    /// unless set, from when the first came. Then what none of them has is a gap.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.config.patience = patience;
        self
    }

    /// How long a source whose connection was lost may take to come back, if the others lack messages that it had: 10 s
    /// unless set. Then what none of them has is a gap.
    pub fn grace(mut self, time: Duration) -> Self {
        self.config.grace = time;
        self
    }

    builder_ends!(SubSocket);

    /// Makes the socket without any link. Like everything here it needs a tokio runtime around it.
    ///
    /// # Errors
    /// If the cursor cannot be opened, a filter is too long, or settings contradict each other.
    pub async fn build(mut self) -> Result<SubSocket, Error> {
        if let Some(bytes) = self.window_bytes {
            self.config.window_bytes = fitting_window(bytes, &self.config.link, "message")?;
        }
        let cursor = match self.cursor.take() {
            None => None,
            Some(folder) => {
                let (cursor, found) = open_blocking(move || CursorStore::open(&folder)).await?;
                if !found.is_empty() {
                    self.config.positions = found;
                }
                Some(cursor)
            }
        };
        let peer = PeerId::from_uuid(Uuid::new_v4());
        let mut engine = SubscribeEngine::new(self.config, peer);
        if self.filters.is_empty() {
            self.filters.push(Vec::new());
        }
        for prefix in &self.filters {
            let added = engine.add_filter(prefix, Time::ZERO);
            added.map_err(|error| Error::Settings(error.to_string()))?;
        }
        SubSocket::start(engine, cursor, self.options)
    }
}
