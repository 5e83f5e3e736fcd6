//! Nodes: a process each, with a socket and what works on it.

use std::collections::{BTreeMap, BTreeSet};

use drawdown_protocol::{CallNumber, LinkId, ReplyEngine, RequestEngine, TakenCall, Time};

use crate::sim::check::{Incarnation, WindowWatch};
use crate::sim::node::Process;
use crate::sim::plan::{RepPlan, ReqPlan};
use crate::sim::pubsub::Disk;

/// A REQ node.
pub(crate) struct ReqNode {
    pub(crate) plan: ReqPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<RequestEngine>,
    /// Calls that it has yet to make.
    pub(crate) left: u64,
    /// The application waits for its turn.
    pub(crate) waits_for_turn: bool,
    /// The number of the next call of this life.
    pub(crate) next_call: CallNumber,
    /// It has been closed.
    pub(crate) is_closing: bool,
    /// Calls that have not ended, by their deadlines.
    pub(crate) pending: BTreeSet<(Time, CallNumber)>,
    /// Calls sent so far, and what each link had at the last look.
    pub(crate) dispatched: u64,
    pub(crate) in_flight: BTreeMap<LinkId, u64>,
}

/// A REP node.
pub(crate) struct RepNode {
    pub(crate) plan: RepPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<ReplyEngine>,
    pub(crate) disk: Option<Disk>,
    pub(crate) workers: Vec<Worker>,
    /// Receive calls that wait, beside those of the workers.
    pub(crate) callers: u64,
    pub(crate) is_paused: bool,
    /// Since when it could have taken one more call of any size.
    pub(crate) roomy_since: Option<Time>,
    /// It takes no more calls, and goes when it is done.
    pub(crate) is_stopping: bool,
    pub(crate) window: WindowWatch,
}

impl RepNode {
    /// Receive calls that wait.
    pub(crate) fn waiting(&self) -> u64 {
        let workers = self.workers.iter().filter(|w| matches!(w.doing, Doing::Waiting)).count();
        workers as u64 + self.callers
    }

    pub(crate) const fn incarnation(&self, rep: usize) -> Incarnation {
        Incarnation { rep, life: self.process.life }
    }
}

/// A call in the application's hands.
#[derive(Clone)]
pub struct Task {
    pub(crate) call: TakenCall,
    /// How often some server had begun with it before.
    pub(crate) nth: usize,
}

impl Task {
    /// The call, as its server knows it.
    #[must_use]
    pub const fn call(&self) -> &TakenCall {
        &self.call
    }
}

/// One loop of receiving and working.
pub(crate) struct Worker {
    pub(crate) doing: Doing,
    /// Tells the end of what it does now from the end of what it did before.
    pub(crate) turn: u32,
}

/// What a worker does.
pub(crate) enum Doing {
    /// It waits in a receive call.
    Waiting,
    /// It works, and will then say this.
    Busy(Task, Verb),
    /// It does something else.
    Resting,
}

/// What an application does with a call in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// It answers.
    Answer,
    /// It answers with more than is allowed, and then with less.
    AnswerTooLong,
    /// It rejects it; a call that is dropped is rejected too.
    Reject,
}
