//! What a PUB socket is told by its user.

use std::time::Duration;

use crate::limits::FILTERS_DEFAULT;
use crate::link::LinkConfig;

/// The settings of a [`super::PublishEngine`].
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// What it wants of its links.
    pub link: LinkConfig,
    /// What is retained.
    pub ring: RingConfig,
    /// Prefixes that one subscriber may have; more end its link.
    pub filters_max: usize,
}

impl Default for PublishConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            ring: RingConfig::default(),
            filters_max: FILTERS_DEFAULT,
        }
    }
}

impl PublishConfig {
    /// Whether a publisher with these settings could work. A proxy's ring may be of 0 messages.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check(&self) -> Result<(), String> {
        match self.ring.messages {
            0 => Err("a ring of 0 keeps nothing for anybody, not even for those who are there; set it to 1 or more"
                .to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether a publisher with these settings can go on with others, by [`super::PublishEngine::reconfigure`].
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check_change(&self, to: &Self) -> Result<(), String> {
        self.link.check_change(&to.link)?;
        to.check()
    }
}

/// What is retained for those who come later: whatever limit is reached first, the oldest message goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RingConfig {
    /// Messages.
    pub messages: u64,
    /// Bytes of their records. The newest message is retained whatever its size.
    pub bytes: u64,
    /// How long a message is retained at least; it is gone a sixteenth of this later at the most. None: for ever.
    pub age: Option<Duration>,
}

impl Default for RingConfig {
    fn default() -> Self {
        Self { messages: 65_536, bytes: 256 << 20, age: None }
    }
}
