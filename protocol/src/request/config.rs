//! What a REQ socket is told by its user.

use std::time::Duration;

use crate::link::LinkConfig;

/// The settings of a [`super::RequestEngine`].
#[derive(Clone, Debug)]
pub struct RequestConfig {
    /// What it wants of its links.
    pub link: LinkConfig,
    /// Calls that may be under way at a time; more wait for their turn.
    pub pending_calls: u64,
    /// How long a call waits, before it goes to a worse level, for servers of better ones to say whether they have room.
    pub ask_patience: Duration,
    /// For how long a server that failed must have been well before it is used again; until then only if no other server has
    /// room. It failed if its link was lost, or if it let an attempt's time run out. A link counts as that of a server that
    /// is back if as many of its level were lost and did not come back. Zero: it is used at once.
    pub fail_back_after: Duration,
    /// What a call is given that brings nothing of its own.
    pub call: CallOptions,
}

impl Default for RequestConfig {
    fn default() -> Self {
        Self {
            link: LinkConfig::default(),
            pending_calls: 1,
            ask_patience: Duration::from_millis(200),
            fail_back_after: Duration::ZERO,
            call: CallOptions::default(),
        }
    }
}

/// How one call is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallOptions {
    /// How long it may take in all.
    pub timeout: Duration,
    /// How long one server may take; then another is tried.
    pub attempt_timeout: Duration,
    /// How often it is tried again.
    pub retries: u32,
    /// How long it waits before it is tried again: the first time, from the second failure on; doubled from one to the next.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// After how long without an answer a second server is asked as well; never unless set. Whoever answers first counts.
    pub hedge_after: Option<Duration>,
    /// It is not tried again once a server may have begun with it, but at that server, which knows it.
    pub at_most_once: bool,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(5),
            retries: 3,
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(1),
            hedge_after: None,
            at_most_once: false,
        }
    }
}
