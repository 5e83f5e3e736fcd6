//! What a PULL socket is told by its user.

use crate::link::LinkConfig;

/// The settings of a [`super::PullEngine`].
#[derive(Clone, Debug)]
pub struct PullConfig {
    /// What it wants of its links.
    pub link: LinkConfig,
    /// Messages that may be queued or on their way; 0: credit only while a receive call waits.
    pub window_messages: u64,
    /// Bytes of the same, by [`crate::message::cost_bytes`]; at least one message of the largest size is allowed.
    pub window_bytes: u64,
    /// What confirms a message.
    pub confirm_on: ConfirmOn,
    /// Copies of messages that wait at their senders, kept beside the window in case that this receiver gets them; 0: none.
    pub future_messages: u64,
    /// Bytes of the same.
    pub future_bytes: u64,
}

impl Default for PullConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            window_messages: 1_000,
            window_bytes: 32 << 20,
            confirm_on: ConfirmOn::Processed,
            future_messages: 0,
            future_bytes: 16 << 20,
        }
    }
}

/// What confirms a message to its sender.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ConfirmOn {
    /// The application says that it is done with it. A worker that dies loses nothing.
    #[default]
    Processed,
    /// The application takes it. What it was working on when it died is lost.
    Taken,
}
