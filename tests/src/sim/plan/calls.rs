//! REQ and REP nodes.

use std::time::Duration;

use drawdown_protocol::{CallOptions, ReplyConfig, RequestConfig};

/// A REQ node.
#[derive(Clone, Debug, Default)]
pub struct ReqPlan {
    /// The settings of its socket.
    pub config: RequestConfig,
    /// Calls that it makes by itself.
    pub calls: u64,
    /// Calls that it makes at a time.
    pub burst: u64,
    /// The longest time from one burst to the next.
    pub pace: Duration,
    /// The largest payload in bytes.
    pub payload_bytes: u64,
    /// How its calls are made, each as likely as another; as its socket is set if there is none.
    pub manners: Vec<CallOptions>,
    /// How many of its calls in a hundred it cancels.
    pub cancel_percent: u32,
    /// Calls that it makes once nothing goes wrong any more, all of which must be answered.
    pub last_calls: u64,
    /// Whether those that it makes at a time are made in one manner, so that they stand in runs.
    pub alike: bool,
}

/// A REP node.
#[derive(Clone, Debug, Default)]
pub struct RepPlan {
    /// The settings of its socket.
    pub config: ReplyConfig,
    /// Whether it has a store.
    pub store: bool,
    /// The longest time that its store takes for a commit.
    pub commit: Duration,
    /// Receive calls that work side by side; 0: the test does it by hand.
    pub workers: usize,
    /// The longest time that a call takes a worker when all is well.
    pub work: Duration,
    /// The longest time between two calls.
    pub rest: Duration,
    /// How many calls in a hundred meet with something other than a plain answer in time.
    pub trouble_percent: u32,
    /// The largest answer in bytes.
    pub answer_bytes: u64,
    /// Whether its workers give up a call once its caller has.
    pub heeds_cancels: bool,
    /// Further calls that a worker that is done with one may take and answer at once, at the most.
    pub more_at_once: u64,
}
