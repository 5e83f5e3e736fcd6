//! Nodes: a process each, with a socket and what works on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use drawdown_protocol::credit::Amount;
use drawdown_protocol::{
    Cursor, Identity, LinkId, Now, PullEngine, PushEngine, Run, Seq, Session, Time, WallTime,
};

use super::agenda::EndId;
use super::check::{LeftBehind, WindowWatch};
use super::plan::{PullPlan, PushPlan};
use super::store::ModelStore;

/// What all processes have.
pub(crate) struct Process {
    pub(crate) identity: Identity,
    /// Counts restarts.
    pub(crate) life: u32,
    /// How far its wall clock is ahead, in milliseconds.
    wall_offset_ms: u64,
    pub(crate) ends: BTreeMap<LinkId, EndId>,
    pub(crate) timer_at: Option<Time>,
}

impl Process {
    pub(crate) fn new(name: String, wall_offset_ms: u64) -> Self {
        Self {
            identity: Identity::new(name),
            life: 0,
            wall_offset_ms,
            ends: BTreeMap::new(),
            timer_at: None,
        }
    }

    pub(crate) const fn wall_offset_ms(&self) -> u64 {
        self.wall_offset_ms
    }

    /// Both clocks of the process.
    pub(crate) const fn clock(&self, time: Time) -> Now {
        let wall = WallTime::from_millis(time.as_micros() / 1_000 + self.wall_offset_ms);
        Now { time, wall }
    }
}

/// A PUSH node.
pub(crate) struct PushNode {
    pub(crate) plan: PushPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<PushEngine>,
    pub(crate) session: Session,
    pub(crate) store: Option<ModelStore>,
    /// It has lost its messages, with its store if it has one, and goes on with its session from this number on.
    pub(crate) goes_on: Option<Seq>,
    /// It is about to lose them.
    pub(crate) loses_disk: bool,
    /// Messages that receivers have given back to its present life.
    pub(crate) restored: u64,
    pub(crate) store_at: Option<Time>,
    /// Messages that it has yet to send.
    pub(crate) left: u64,
    /// The application waits for room.
    pub(crate) waits_for_room: bool,
    /// The first number that this life has given out, and the highest that it has dispatched for the first time.
    pub(crate) fresh_from: Seq,
    /// Its receivers have room for copies: what is placed there may go before what comes first.
    pub(crate) places: bool,
    pub(crate) dispatched_to: Seq,
    pub(crate) left_behind: LeftBehind,
    pub(crate) letters_full: bool,
}

/// A PULL node.
pub(crate) struct PullNode {
    pub(crate) plan: PullPlan,
    pub(crate) process: Process,
    /// None while it is down.
    pub(crate) engine: Option<PullEngine>,
    pub(crate) workers: Vec<Worker>,
    pub(crate) reader: Option<(Arc<Run>, Cursor)>,
    /// Runs that the engine is to look at.
    pub(crate) confirmed: Vec<Arc<Run>>,
    pub(crate) flush_at: Option<Time>,
    pub(crate) is_paused: bool,
    /// It is being closed: it takes nothing more.
    pub(crate) is_closing: bool,
    pub(crate) window: WindowWatch,
    /// Receive calls that wait, beside those of the workers.
    pub(crate) callers: u64,
    /// When it last got a message, or began to wait.
    pub(crate) busy_at: Time,
}

impl PullNode {
    /// Receive calls that wait.
    pub(crate) fn waiting(&self) -> u64 {
        let workers = self.workers.iter().filter(|w| matches!(w.doing, Doing::Waiting)).count();
        workers as u64 + self.callers
    }

    /// What may be queued or on its way.
    pub(crate) fn room(&self) -> Amount {
        let waiting = self.waiting();
        match &self.engine {
            Some(engine) if !self.is_paused => {
                let window = engine.pool().window();
                let messages = if window.messages == 0 { waiting } else { window.messages };
                Amount::new(messages, window.bytes)
            }
            _ => Amount::ZERO,
        }
    }
}

/// A message in the application's hands.
#[derive(Clone)]
pub struct Job {
    pub(crate) run: Arc<Run>,
    pub(crate) index: u32,
}

impl Job {
    /// The message's number.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.run.seq(self.index)
    }

    /// The session of its sender.
    #[must_use]
    pub fn session(&self) -> Session {
        self.run.session()
    }

    /// How often it has failed before, as its sender counts.
    #[must_use]
    pub fn failed_attempts(&self) -> u32 {
        self.run.attempt()
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
    Busy(Job, Word),
    /// It does something else.
    Resting,
}

/// What an application says of a message in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// Done.
    Ack,
    /// Failed.
    Nack,
    /// Given back.
    Release,
    /// To be tried again after so many milliseconds.
    RetryIn(u64),
    /// More time, then done.
    Extend(u64),
    /// Nothing: the delivery is dropped, which counts as a failure.
    Forget,
}
