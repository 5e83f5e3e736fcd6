//! PUB, SUB and proxy nodes.

use std::time::Duration;

use drawdown_protocol::{ProxyConfig, PublishConfig, SubscribeConfig};

/// A PUB node.
#[derive(Clone, Debug, Default)]
pub struct PubPlan {
    /// The settings of its socket.
    pub config: PublishConfig,
    /// What is left of its session when it dies.
    pub keeps: Keeps,
    /// The longest time that its store takes for a commit.
    pub commit: Duration,
    /// Messages that it publishes by itself.
    pub messages: u64,
    /// Messages that it publishes at a time.
    pub burst: u64,
    /// The longest time from one burst to the next.
    pub pace: Duration,
    /// The largest payload in bytes.
    pub payload_bytes: u64,
    /// It is started only in the place of this other one, while that still runs.
    pub twin_of: Option<usize>,
}

/// What a publisher still has of its session when it starts again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Keeps {
    /// Nothing: it begins a new session.
    #[default]
    Nothing,
    /// Its application remembers the session and the next number.
    Numbers,
    /// A store: everything that was accepted.
    Store,
}

/// A SUB node.
#[derive(Clone, Debug, Default)]
pub struct SubPlan {
    /// The settings of its socket.
    pub config: SubscribeConfig,
    /// What it wants at first.
    pub filters: Vec<Vec<u8>>,
    /// Whether it keeps its position on a disk.
    pub cursor: bool,
    /// Whether an application works by itself; otherwise the test does it by hand.
    pub works: bool,
    /// The longest time that a message takes it.
    pub work: Duration,
    /// The longest time between two messages.
    pub rest: Duration,
    /// Messages that its reader fetches at a time.
    pub fetch: u32,
    /// It acknowledges one message of so many.
    pub ack_every: u64,
}

/// A proxy.
#[derive(Clone, Debug, Default)]
pub struct ProxyPlan {
    /// The settings of its two sides.
    pub config: ProxyConfig,
    /// Whether it has a store.
    pub store: bool,
    /// The longest time that its store takes for a commit.
    pub commit: Duration,
}
