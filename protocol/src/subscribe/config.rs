//! What a SUB socket is told by its user.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{Seq, Session};
use crate::link::LinkConfig;
use crate::wire::Fingerprint;

/// The settings of a [`super::SubscribeEngine`].
#[derive(Clone, Debug)]
pub struct SubscribeConfig {
    /// What it wants of its links.
    pub link: LinkConfig,
    /// Messages that may be queued or on their way; 0: credit only while a receive call waits.
    pub window_messages: u64,
    /// Bytes of the same, by [`crate::message::cost_bytes`]; at least one message of the largest size is allowed.
    pub window_bytes: u64,
    /// Where it begins in sessions that it has not been in.
    pub start: Start,
    /// Where it was: in these sessions it goes on from there, as with [`Start::After`]. Of more than
    /// [`crate::limits::SESSIONS_MAX`] the last count.
    pub positions: Vec<Position>,
    /// What becomes of the queue when a publisher begins a new session.
    pub old_session: OldSession,
    /// A source from which nothing has come for so long is left, if another one has more.
    pub lag: Duration,
    /// How long it waits for all of its sources, from when the first came, before it puts up with a gap.
    pub patience: Duration,
    /// How long a source whose link was lost may take to come back, before what the others lack is a gap.
    pub grace: Duration,
}

impl Default for SubscribeConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            window_messages: 1_000,
            window_bytes: 32 << 20,
            start: Start::Oldest,
            positions: Vec::new(),
            old_session: OldSession::Keep,
            lag: Duration::from_millis(200),
            patience: Duration::from_secs(1),
            grace: Duration::from_secs(10),
        }
    }
}

/// Where a subscriber begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// With the oldest message that a source retains, or, a proxy, can fetch. What was published before that is no gap, since
    /// it was not asked for; [`Start::At`] with 0 asks for it, and is told what is gone.
    #[default]
    Oldest,
    /// With what is published from now on, by whomever. A session that takes the place of one that it follows is had from
    /// its oldest message on.
    Newest,
    /// With this number of the session that it meets first.
    At(Seq),
    /// Where it was before; other sessions begin with their oldest message.
    After(Position),
}

/// How far a subscriber has come in a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// The session.
    pub session: Session,
    /// The first number that it has not had.
    pub next: Seq,
    /// The newest message that it has had, to tell whether a publisher means the same one by that number.
    pub last: Option<Fingerprint>,
}

/// What becomes of messages of a session that has ended when the next one begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum OldSession {
    /// They are handed out first.
    #[default]
    Keep,
    /// Those that the application has not taken are dropped. If the publisher of that session comes back, as one does that
    /// was only away, they are asked for again.
    Discard,
}
