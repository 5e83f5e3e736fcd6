//! What a PUSH socket is told by its user.

use std::time::Duration;

use crate::link::LinkConfig;
use crate::message::cost_bytes_max;

/// The settings of a [`super::PushEngine`]. All but the size of a message can be changed while it runs, by
/// [`super::PushEngine::reconfigure`].
///
/// Receivers say when their application takes a message if `attempts_max`, `reassign_after` or `process_timeout` is set, and
/// hear that as they are connected. Where none was, `process_timeout` holds for links that are made from then on.
#[derive(Clone, Debug)]
pub struct PushConfig {
    /// What it wants of its links.
    pub link: LinkConfig,
    /// Messages that may wait for a receiver's credit; 0: a message is only taken when there is credit for it.
    pub queue_messages: u64,
    /// Bytes of all messages that are not done: waiting and dispatched. Dead letters may take as many once more.
    pub retained_bytes: u64,
    /// Messages that may be dispatched and unconfirmed.
    pub pending_messages: u64,
    /// The shelf life of messages that bring none of their own.
    pub ttl: Option<Duration>,
    /// After so many failed attempts a message becomes a dead letter; none: it is tried for ever.
    pub attempts_max: Option<u32>,
    /// Dead letters that are kept, and no more than cost `retained_bytes` on their own. While there are as many, messages
    /// that fail are tried on.
    pub dead_messages: u64,
    /// How long a message waits after its first failed attempt; doubles with each further one.
    pub retry_delay: Duration,
    /// How long it waits at the most.
    pub retry_delay_max: Duration,
    /// How long a receiver that went away without a word may take to come back for what it holds.
    pub grace: Duration,
    /// After how long a message that its receiver's application has not taken is asked back, if another receiver
    /// waits; none: never.
    pub reassign_after: Option<Duration>,
    /// How long an application may take to settle a message that it has taken; none: as long as it likes.
    pub process_timeout: Option<Duration>,
    /// Bytes of copies that are placed at receivers with room for them while nobody has credit; 0: none are.
    pub future_bytes: u64,
    /// How long messages wait, before they go to a worse level, for receivers of better ones to say whether they have room.
    pub ask_patience: Duration,
    /// For how long a receiver whose link was lost must have been well before it is used again; until then only if no other
    /// one has room. A link counts as that of a receiver that is back if as many of its level were lost and did not come
    /// back. Zero: it is used at once.
    pub fail_back_after: Duration,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            queue_messages: 65_536,
            retained_bytes: 1 << 30,
            pending_messages: u64::MAX,
            ttl: None,
            attempts_max: None,
            dead_messages: 100_000,
            retry_delay: Duration::from_millis(10),
            retry_delay_max: Duration::from_secs(10),
            grace: Duration::from_secs(1),
            reassign_after: None,
            process_timeout: None,
            future_bytes: 16 << 20,
            ask_patience: Duration::from_millis(200),
            fail_back_after: Duration::ZERO,
        }
    }
}

impl PushConfig {
    /// Whether a socket with these settings could work.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check(&self) -> Result<(), String> {
        let most = cost_bytes_max(self.link.message_bytes_max);
        if self.retained_bytes < most {
            let bytes = self.retained_bytes;
            return Err(format!(
                "max_bytes is {bytes} and one message may take {most}; raise it, or lower max_message"
            ));
        }
        if self.pending_messages == 0 {
            return Err(
                "with no message pending at a time none is ever sent; allow 1 or more".to_owned()
            );
        }
        if self.attempts_max == Some(0) {
            return Err(
                "a message that may not be tried is never sent; allow 1 attempt or more".to_owned()
            );
        }
        Ok(())
    }

    /// Whether a socket with these settings can go on with others, by [`super::PushEngine::reconfigure`].
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check_change(&self, to: &Self) -> Result<(), String> {
        self.link.check_change(&to.link)?;
        to.check()
    }

    /// Whether receivers must say when their application takes a message.
    pub(super) const fn wants_taken(&self) -> bool {
        self.attempts_max.is_some()
            || self.reassign_after.is_some()
            || self.process_timeout.is_some()
    }

    /// How long a message waits that has failed so many times.
    pub(super) fn delay_after(&self, failed: u32) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        self.retry_delay.saturating_mul(1 << doublings).min(self.retry_delay_max)
    }
}
