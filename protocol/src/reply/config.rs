//! What a REP socket is told by its user.

use std::time::Duration;

use crate::link::LinkConfig;
use crate::message::cost_bytes_max;

/// The settings of a [`super::ReplyEngine`].
#[derive(Clone, Debug)]
pub struct ReplyConfig {
    /// What it wants of its links.
    pub link: LinkConfig,
    /// Calls that may be here, waiting or being worked on, or on their way; 0: one for each receive call that waits.
    pub window_messages: u64,
    /// Bytes of the same, by [`crate::message::cost_bytes`]; at least one call of the largest size is allowed. A client for
    /// which answers wait to be written that take more than this gets no more room until half of them are on their way.
    pub window_bytes: u64,
    /// What is remembered of answers.
    pub memory: AnswerMemory,
}

impl ReplyConfig {
    /// Bytes of answers that may wait to be written to a client that is to have more credit.
    pub(super) fn answers_bytes_max(&self) -> u64 {
        self.window_bytes.max(cost_bytes_max(self.link.message_bytes_max))
    }
}

impl Default for ReplyConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            window_messages: 100,
            window_bytes: 32 << 20,
            memory: AnswerMemory::default(),
        }
    }
}

/// How many answers are remembered, and for how long: a call that comes again within these bounds gets its first answer,
/// and is not worked on twice. Answers that their callers have not confirmed are kept to the same bounds once more. They are
/// forgotten some at a time, so there may be up to 64 more, or a sixteenth of these bounds, whichever is less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AnswerMemory {
    /// Answers.
    pub messages: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// How long.
    pub age: Duration,
}

impl Default for AnswerMemory {
    fn default() -> Self {
        Self { messages: 65_536, bytes: 64 << 20, age: Duration::from_secs(60) }
    }
}
