//! What a simulated network consists of, and what is done to it.

mod calls;
mod calls_random;
mod pubsub;
mod pubsub_random;
mod random;
mod routers;
mod streamers;

use std::time::Duration;

use drawdown_protocol::{Priority, PullConfig, PushConfig};

use super::agenda::{Node, Side};

pub use calls::{RepPlan, ReqPlan};
pub(crate) use calls_random::PATIENT;
pub use pubsub::{Keeps, ProxyPlan, PubPlan, SubPlan};
pub use routers::RouterPlan;
pub use streamers::StreamerPlan;

/// A network, and how it is treated.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The PUSH nodes.
    pub pushes: Vec<PushPlan>,
    /// The PULL nodes.
    pub pulls: Vec<PullPlan>,
    /// The PUB nodes.
    pub pubs: Vec<PubPlan>,
    /// The SUB nodes.
    pub subs: Vec<SubPlan>,
    /// The proxies.
    pub proxies: Vec<ProxyPlan>,
    /// The streamers.
    pub streamers: Vec<StreamerPlan>,
    /// The routers.
    pub routers: Vec<RouterPlan>,
    /// The REQ nodes.
    pub reqs: Vec<ReqPlan>,
    /// The REP nodes.
    pub reps: Vec<RepPlan>,
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
    /// The node that messages come from.
    pub up: Node,
    /// The node that they go to.
    pub down: Node,
    /// Whether the former makes the connection.
    pub up_dials: bool,
    /// How long bytes take.
    pub latency: Duration,
    /// How much longer they may take.
    pub jitter: Duration,
    /// Bytes that are accepted and not yet read, in each direction.
    pub buffer_bytes: usize,
    /// The longest wait before a lost connection is made again.
    pub redial: Duration,
    /// The level of a server or receiver, as its client or sender sees it.
    pub priority: Priority,
    /// The level of a client or sender, as its server or receiver sees it.
    pub source_priority: Priority,
}

impl WirePlan {
    /// A quick and wide connection of a PUSH and a PULL node.
    #[must_use]
    pub const fn new(push: usize, pull: usize) -> Self {
        Self::between(Node::Push(push), Node::Pull(pull))
    }

    /// A quick and wide connection.
    #[must_use]
    pub const fn between(up: Node, down: Node) -> Self {
        Self {
            up,
            down,
            up_dials: false,
            latency: Duration::from_micros(100),
            jitter: Duration::ZERO,
            buffer_bytes: 1 << 20,
            redial: Duration::from_millis(5),
            priority: Priority::BEST,
            source_priority: Priority::BEST,
        }
    }

    /// The node on a side.
    pub(crate) const fn node(&self, side: Side) -> Node {
        match side {
            Side::Up => self.up,
            Side::Down => self.down,
        }
    }

    /// The level of the other side, as a side sees it.
    pub(crate) const fn priority(&self, side: Side) -> Priority {
        match side {
            Side::Up => self.priority,
            Side::Down => self.source_priority,
        }
    }

    /// The side that makes the connection.
    pub(crate) const fn dialler(&self) -> Side {
        if self.up_dials { Side::Up } else { Side::Down }
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
    /// A PUSH process dies, and what it had is gone for good: it goes on with its session and its last number.
    DiskLoss,
    /// Dead letters are sent again or forgotten.
    DeadLetters,
    /// A PUB process dies.
    PubCrash,
    /// A SUB process dies, with all but its cursor.
    SubCrash,
    /// A proxy dies.
    ProxyCrash,
    /// A SUB node pauses for a while.
    SubPause,
    /// A SUB node changes its window for a while.
    SubResize,
    /// A SUB node changes what it wants.
    Refilter,
    /// A SUB node's application takes long over a message.
    SubStuck,
    /// The store of a PUB node or a proxy reports an error.
    DiskFailure,
    /// A PUB node gets another ring.
    RingResize,
    /// A PUB node is taken for dead, and started again elsewhere while it still runs.
    Twin,
    /// Some of the wires lead nowhere for a while.
    Partition,
    /// A REQ process dies.
    ReqCrash,
    /// A REQ node is closed in good order and started again.
    ReqClose,
    /// A streamer dies, with all that it held.
    StreamerCrash,
    /// A streamer is closed in good order and started again.
    StreamerClose,
    /// A router dies, with all that it held.
    RouterCrash,
    /// A router is closed in good order and started again.
    RouterClose,
    /// A REP process dies, with all but its store.
    RepCrash,
    /// A REP node stops in good order and is started again.
    RepStop,
    /// A REP node pauses for a while.
    RepPause,
    /// A REP node changes its window for a while.
    RepResize,
    /// A server takes long over a call.
    RepStuck,
}

impl Fault {
    /// Those of networks of PUSH and PULL nodes.
    pub const PUSH_PULL: [Fault; 11] = [
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
        Fault::DiskLoss,
    ];

    /// Those of networks of PUSH and PULL nodes with streamers.
    pub fn streamers() -> impl Iterator<Item = Fault> {
        Self::PUSH_PULL.into_iter().chain([Fault::StreamerCrash, Fault::StreamerClose])
    }

    /// Those of networks of PUB and SUB nodes.
    pub const PUB_SUB: [Fault; 12] = [
        Fault::Cut,
        Fault::HalfOpen,
        Fault::PubCrash,
        Fault::SubCrash,
        Fault::ProxyCrash,
        Fault::SubPause,
        Fault::SubResize,
        Fault::Refilter,
        Fault::SubStuck,
        Fault::DiskFailure,
        Fault::RingResize,
        Fault::Twin,
    ];

    /// Those of networks of REQ and REP nodes.
    pub const CALLS: [Fault; 11] = [
        Fault::Cut,
        Fault::HalfOpen,
        Fault::Partition,
        Fault::ReqCrash,
        Fault::ReqClose,
        Fault::RepCrash,
        Fault::RepStop,
        Fault::RepPause,
        Fault::RepResize,
        Fault::RepStuck,
        Fault::DiskFailure,
    ];

    /// Those of networks of REQ and REP nodes with routers.
    pub fn routers() -> impl Iterator<Item = Fault> {
        Self::CALLS.into_iter().chain([Fault::RouterCrash, Fault::RouterClose])
    }
}

impl Plan {
    /// The longest time that bytes take on any wire.
    pub(crate) fn latency_max(&self) -> Duration {
        self.wires.iter().map(|wire| wire.latency + wire.jitter).max().unwrap_or_default()
    }
}
