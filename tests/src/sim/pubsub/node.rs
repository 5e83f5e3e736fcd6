//! Nodes: a process each, with a socket or a device and what works on it.

use std::collections::BTreeMap;
use std::time::Duration;

use drawdown_protocol::wire::{Fingerprint, Ring};
use drawdown_protocol::{
    Event, Gap, Lineage, NewSession, Position, ProxyEngine, PublishEngine, RangeSet, Seq, Session,
    SubCursor, SubscribeEngine, Time,
};

use crate::sim::check::{Follower, WindowWatch};
use crate::sim::node::Process;
use crate::sim::plan::{ProxyPlan, PubPlan, SubPlan};
use crate::sim::store::ModelStore;

/// A PUB node.
pub(crate) struct PubNode {
    pub(crate) plan: PubPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<PublishEngine>,
    /// Its present incarnation, or the last one.
    pub(crate) lineage: Option<Lineage>,
    /// The number that its application remembers.
    pub(crate) next_seq: Seq,
    pub(crate) disk: Option<Disk>,
    /// Messages that it has yet to publish.
    pub(crate) left: u64,
    /// It has published its last messages.
    pub(crate) is_done: bool,
    /// Another one has taken its place.
    pub(crate) is_retired: bool,
}

/// A disk, and when the committer looks whether there is something for it.
pub(crate) struct Disk {
    pub(crate) store: ModelStore,
    pub(crate) look_at: Option<Time>,
    /// The longest time of a commit.
    pub(crate) commit: Duration,
}

impl Disk {
    pub(crate) fn new(commit: Duration) -> Self {
        Self { store: ModelStore::default(), look_at: None, commit }
    }
}

/// A proxy.
pub(crate) struct ProxyNode {
    pub(crate) plan: ProxyPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<ProxyEngine>,
    pub(crate) disk: Option<Disk>,
    /// Numbers that are missing in its rings.
    pub(crate) holes: BTreeMap<Session, RangeSet>,
    /// Publishers that its present life has lost a link to.
    pub(crate) lost: BTreeMap<usize, Lost>,
}

/// A link to a publisher that broke.
pub(crate) struct Lost {
    /// When the proxy was told.
    pub(crate) at: Time,
    /// What the publisher had said that it has.
    pub(crate) rings: BTreeMap<Session, Ring>,
}

/// A SUB node.
pub(crate) struct SubNode {
    pub(crate) plan: SubPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<SubscribeEngine>,
    pub(crate) follower: Follower,
    pub(crate) reader: Option<SubCursor>,
    pub(crate) doing: Doing,
    /// Tells the end of what it does now from the end of what it did before.
    pub(crate) turn: u32,
    /// Receive calls that wait, beside that of the application.
    pub(crate) callers: u64,
    pub(crate) is_paused: bool,
    pub(crate) window: WindowWatch,
    /// Where the frame that it hears at the moment goes on from.
    pub(crate) heard: Option<(Session, Seq)>,
    pub(crate) cursor: CursorDisk,
    /// What happened in its present life.
    pub(crate) events: Vec<Event>,
    /// Messages since the last acknowledgement.
    pub(crate) unacknowledged: u64,
}

/// What an application does.
pub(crate) enum Doing {
    /// It waits in a receive call.
    Waiting,
    /// It works, and is then done with this message.
    Busy(Session, Fingerprint),
    /// It does something else.
    Resting,
}

/// Where a cursor is kept: what is saved survives.
#[derive(Default)]
pub(crate) struct CursorDisk {
    pub(crate) saved: Vec<Position>,
    pub(crate) saving: Option<Vec<Position>>,
    pub(crate) waits: Option<Vec<Position>>,
}

/// What an application gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Got {
    /// A message.
    Message {
        /// Its session.
        session: Session,
        /// Its number.
        seq: Seq,
        /// Its topic.
        topic: Vec<u8>,
    },
    /// Numbers are missing.
    Gap(Gap),
    /// What follows is of another session.
    NewSession(NewSession),
}
