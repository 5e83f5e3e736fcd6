//! What came of a run.

use std::fmt;
use std::time::Duration;

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
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::PushPull => "push",
            Kind::PubSub => "pubsub",
            Kind::Calls => "calls",
            Kind::Streamers => "streamers",
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
}

impl Report {
    /// Adds another run's numbers; the hashes are mixed.
    pub fn add(&mut self, other: &Report) {
        self.trace_hash = self.trace_hash.rotate_left(1) ^ other.trace_hash;
        self.simulated += other.simulated;
        self.messages += other.messages;
        self.dispatched += other.dispatched;
        self.faults += other.faults;
        self.steps += other.steps;
    }
}

/// What was found wrong, when, and how to see it again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The kind of network and its seed; none for a network that was made by hand.
    pub seed: Option<(Kind, u64)>,
    /// The moment on the virtual clock, from its start.
    pub at: Duration,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { seed, at, what } = self;
        let Some((kind, seed)) = seed else {
            return write!(f, "at {:.6} s: {what}", at.as_secs_f64());
        };
        write!(
            f,
            "{kind} seed {seed} at {:.6} s: {what}\nagain: cargo run --release -p drawdown-tests --bin simulate -- --kind {kind} --seed {seed} --trace",
            at.as_secs_f64()
        )
    }
}

impl std::error::Error for Failure {}
