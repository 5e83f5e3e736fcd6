//! What a simulated network consists of, and what is done to it.

mod random;

use std::time::Duration;

use drawdown_protocol::{PullConfig, PushConfig};

/// A network, and how it is treated.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The PUSH nodes.
    pub pushes: Vec<PushPlan>,
    /// The PULL nodes.
    pub pulls: Vec<PullPlan>,
    /// Who is connected to whom; two nodes may be connected twice.
    pub wires: Vec<WirePlan>,
    /// What goes wrong, each as likely as another.
    pub faults: Vec<Fault>,
    /// How long things go wrong.
    pub storm: Duration,
    /// The longest time from one fault to the next.
    pub fault_every: Duration,
}

/// A PUSH node.
#[derive(Clone, Debug, Default)]
pub struct PushPlan {
    /// The settings of its socket.
    pub config: PushConfig,
    /// Whether it has a store.
    pub store: bool,
    /// The longest time that the store takes for a commit.
    pub commit: Duration,
    /// Messages that it sends by itself.
    pub messages: u64,
    /// Messages that it sends at a time.
    pub burst: u64,
    /// The longest time from one burst to the next.
    pub pace: Duration,
    /// The largest payload in bytes.
    pub payload_bytes: u64,
    /// How many of its messages in a hundred have a shelf life of their own.
    pub ttl_percent: u32,
}

/// A PULL node.
#[derive(Clone, Debug, Default)]
pub struct PullPlan {
    /// The settings of its socket.
    pub config: PullConfig,
    /// Receive calls that work side by side; 0: the test does it by hand.
    pub workers: usize,
    /// The longest time that a message takes a worker when all is well.
    pub work: Duration,
    /// The longest time between two messages.
    pub rest: Duration,
    /// How many messages in a hundred meet with something other than a plain confirmation.
    pub trouble_percent: u32,
    /// How many receive calls in a hundred are cancelled.
    pub cancel_percent: u32,
    /// Messages that the application's reader fetches at a time.
    pub fetch: u32,
}

/// What connects two nodes.
#[derive(Clone, Debug)]
pub struct WirePlan {
    /// Which PUSH node.
    pub push: usize,
    /// Which PULL node.
    pub pull: usize,
    /// Whether the PUSH node makes the connection.
    pub push_dials: bool,
    /// How long bytes take.
    pub latency: Duration,
    /// How much longer they may take.
    pub jitter: Duration,
    /// Bytes that are accepted and not yet read, in each direction.
    pub buffer_bytes: usize,
    /// The longest wait before a lost connection is made again.
    pub redial: Duration,
}

impl WirePlan {
    /// A quick and wide connection.
    #[must_use]
    pub const fn new(push: usize, pull: usize) -> Self {
        Self {
            push,
            pull,
            push_dials: false,
            latency: Duration::from_micros(100),
            jitter: Duration::ZERO,
            buffer_bytes: 1 << 20,
            redial: Duration::from_millis(5),
        }
    }
}

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A connection breaks; the two sides see it at different times.
    Cut,
    /// Bytes vanish in one direction or both, until somebody notices.
    HalfOpen,
    /// A PUSH process dies.
    PushCrash,
    /// A PULL process dies, with all that it held.
    PullCrash,
    /// A PULL node is closed in good order and started again.
    PullRestart,
    /// A PULL node pauses for a while.
    Pause,
    /// A PULL node changes its window for a while.
    Resize,
    /// A worker does not settle what it has for a long time.
    Stuck,
    /// A store reports an error.
    StoreFailure,
    /// Dead letters are sent again or forgotten.
    DeadLetters,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 10] = [
        Fault::Cut,
        Fault::HalfOpen,
        Fault::PushCrash,
        Fault::PullCrash,
        Fault::PullRestart,
        Fault::Pause,
        Fault::Resize,
        Fault::Stuck,
        Fault::StoreFailure,
        Fault::DeadLetters,
    ];
}

impl Plan {
    /// The longest time that bytes take on any wire.
    pub(crate) fn latency_max(&self) -> Duration {
        self.wires.iter().map(|wire| wire.latency + wire.jitter).max().unwrap_or_default()
    }
}
