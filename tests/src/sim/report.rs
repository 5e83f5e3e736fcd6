//! What came of a run.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::script::Script;

/// What a network by chance consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// PUSH and PULL sockets.
    PushPull,
    /// PUB and SUB sockets, and proxies.
    PubSub,
    /// REQ and REP sockets.
    Calls,
    /// PUSH and PULL sockets with streamers between them.
    Streamers,
    /// REQ and REP sockets with routers between them.
    Routers,
}

impl Kind {
    /// All there are.
    pub const ALL: [Kind; 5] =
        [Kind::PushPull, Kind::PubSub, Kind::Calls, Kind::Streamers, Kind::Routers];
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Kind::ALL.into_iter().find(|kind| kind.to_string() == name);
        found.ok_or_else(|| format!("there are no networks of `{name}`"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::PushPull => "push",
            Kind::PubSub => "pubsub",
            Kind::Calls => "calls",
            Kind::Streamers => "streamers",
            Kind::Routers => "routers",
        })
    }
}

/// A run that went well, in numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Tells it from any other run.
    pub trace_hash: u64,
    /// How long it took on the virtual clock.
    pub simulated: Duration,
    /// Messages taken in.
    pub messages: u64,
    /// Messages dispatched, again for each redelivery.
    pub dispatched: u64,
    /// Faults that were done.
    pub faults: u64,
    /// Events on the virtual clock.
    pub steps: u64,
    /// The faults that were done, by the order in which all would have been.
    pub faults_done: Vec<u64>,
}

impl Report {
    /// Adds another run's numbers; the hashes are mixed, and which faults were done is forgotten.
    pub fn add(&mut self, other: &Report) {
        self.trace_hash = self.trace_hash.rotate_left(1) ^ other.trace_hash;
        self.simulated += other.simulated;
        self.messages += other.messages;
        self.dispatched += other.dispatched;
        self.faults += other.faults;
        self.steps += other.steps;
        self.faults_done.clear();
    }
}

/// What was found wrong, when, and how to see it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// What was run; none for a network that was made by hand.
    pub script: Option<Box<Script>>,
    /// The moment on the virtual clock, from its start.
    pub at: Duration,
    /// What is wrong.
    pub what: String,
    /// The faults that were done before, by the order in which all would have been.
    pub faults: Vec<u64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { script, at, what, .. } = self;
        let at = at.as_secs_f64();
        let Some(script) = script else {
            return write!(f, "at {at:.6} s: {what}");
        };
        write!(
            f,
            "{script} at {at:.6} s: {what}\nagain: cargo run --release -p drawdown-tests --bin simulate -- --script \
             '{script}' --trace (or --shrink, to make it small)"
        )
    }
}

impl std::error::Error for Failure {}
