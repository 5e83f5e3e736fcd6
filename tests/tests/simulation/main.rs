//! Simulated networks: thousands of seeds with faults, and one scenario for each behaviour that the others rest on.
//!
//! `DRAWDOWN_SEED=42 cargo test -p drawdown-tests --test simulation one_seed -- --nocapture` repeats a seed and prints all of it.

mod calls;
mod credit;
mod future;
mod levels;
mod proxies;
mod publish;
mod routers;
mod seeds;
mod shadow;
mod streamers;

use std::time::Duration;

use drawdown_protocol::{PullConfig, PushConfig};
use drawdown_tests::sim::{Job, Network, Plan, PullPlan, PushPlan, WirePlan, Word};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn push(config: PushConfig) -> PushPlan {
    PushPlan { config, ..PushPlan::default() }
}

fn durable(config: PushConfig) -> PushPlan {
    PushPlan { store: true, commit: ms(1), ..push(config) }
}

/// A receiver that the test works by hand.
fn pull(window_messages: u64) -> PullPlan {
    let config = PullConfig { window_messages, ..PullConfig::default() };
    PullPlan { config, fetch: 1, ..PullPlan::default() }
}

/// A receiver with a worker that takes a millisecond for each message, at the most.
fn worker(window_messages: u64) -> PullPlan {
    PullPlan { workers: 1, work: ms(1), ..pull(window_messages) }
}

/// Every sender connected to every receiver, and time for that to happen.
fn network(pushes: Vec<PushPlan>, pulls: Vec<PullPlan>) -> Network {
    let wires = (0..pushes.len())
        .flat_map(|push| (0..pulls.len()).map(move |pull| WirePlan::new(push, pull)))
        .collect();
    let mut network = Network::new(Plan { pushes, pulls, wires, ..Plan::default() });
    network.run_ms(20);
    network
}

fn one_to_one(config: PushConfig, window: u64) -> Network {
    network(vec![push(config)], vec![pull(window)])
}

fn take(network: &mut Network, pull: usize) -> Job {
    network.recv(pull).expect("a message has arrived")
}

/// Takes and confirms whatever arrives, until nothing does.
fn work_off(network: &mut Network, pull: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    loop {
        network.run_ms(2);
        let Some(job) = network.recv(pull) else {
            return seqs;
        };
        seqs.push(job.seq());
        network.say(pull, &job, Word::Ack);
    }
}
