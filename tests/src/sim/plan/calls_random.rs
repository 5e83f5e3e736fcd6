//! Networks of REQ and REP nodes, from a seed.

use std::time::Duration;

use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::{AnswerMemory, CallOptions, Priority, ReplyConfig, RequestConfig};

use crate::sim::agenda::Node;
use crate::sim::check::SIGN_BYTES;
use crate::sim::dice::Dice;

use super::random::link;
use super::{Fault, Plan, RepPlan, ReqPlan, WirePlan};

/// A call that nothing but its server ends.
pub(crate) const PATIENT: CallOptions = CallOptions {
    timeout: Duration::from_secs(300),
    attempt_timeout: Duration::from_secs(8),
    retries: 1_000_000,
    backoff_min: Duration::from_millis(1),
    backoff_max: Duration::from_millis(500),
    hedge_after: None,
    at_most_once: false,
};

impl Plan {
    /// A network of any shape, in which anything may go wrong.
    pub(crate) fn random_calls(dice: &mut Dice) -> Self {
        let message_bytes_max = dice.pick(&[64, 1_000, 16_000]);
        let reqs: Vec<_> =
            (0..dice.between(1..=4)).map(|_| ReqPlan::random(dice, message_bytes_max)).collect();
        let reps: Vec<_> =
            (0..dice.between(1..=4)).map(|_| RepPlan::random(dice, message_bytes_max)).collect();
        let wires = wires(dice, reqs.len(), reps.len());
        let faults = Fault::CALLS.into_iter().filter(|_| dice.chance(60)).collect();
        let storm = if dice.chance(20) { Duration::ZERO } else { dice.micros(10_000..=5_000_000) };
        let fault_every = dice.micros(1_000..=800_000);
        Self { reqs, reps, wires, faults, storm, fault_every, ..Self::default() }
    }
}

impl Plan {
    /// What is made or answered together, with dice of its own: a seed gives the network that it gave before there was this.
    pub(crate) fn bring_together(&mut self, dice: &mut Dice) {
        self.reqs.iter_mut().for_each(|req| req.alike = dice.chance(50));
        self.reps.iter_mut().for_each(|rep| rep.more_at_once = dice.pick(&[0, 0, 4, 100]));
    }
}

/// Every client has a server and every server a client; some pairs are connected twice, and levels differ.
fn wires(dice: &mut Dice, reqs: usize, reps: usize) -> Vec<WirePlan> {
    let density = dice.pick(&[20, 60, 100, 100]);
    let levels = dice.pick(&[1, 2, 3, 16]);
    let mut wires = Vec::new();
    for req in 0..reqs {
        for rep in 0..reps {
            let needed = req % reps == rep || rep % reqs == req;
            let count = u64::from(needed || dice.chance(density)) + u64::from(dice.chance(8));
            for _ in 0..count {
                let level = dice.between(1..=levels) as u8;
                let priority = Priority::new(level).unwrap_or_default();
                let wire = WirePlan::random(dice, Node::Req(req), Node::Rep(rep));
                wires.push(WirePlan { priority, ..wire });
            }
        }
    }
    wires
}

fn manner(dice: &mut Dice) -> CallOptions {
    let backoff_min = Duration::from_micros(dice.spread(0..=50_000));
    CallOptions {
        timeout: Duration::from_micros(dice.spread(1_000..=3_000_000)),
        attempt_timeout: Duration::from_micros(dice.spread(1_000..=500_000)),
        retries: dice.between(0..=4) as u32,
        backoff_min,
        backoff_max: backoff_min * dice.pick(&[1, 2, 8]),
        hedge_after: hedge(dice, 30),
        at_most_once: dice.chance(35),
    }
}

fn hedge(dice: &mut Dice, percent: u32) -> Option<Duration> {
    dice.chance(percent).then(|| Duration::from_micros(dice.spread(0..=200_000)))
}

impl ReqPlan {
    pub(super) fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        let config = RequestConfig {
            link: link(dice, message_bytes_max),
            pending_calls: dice.pick(&[1, 1, 2, 5, 50, u64::MAX]),
            ..RequestConfig::default()
        };
        let manners = if dice.chance(35) {
            vec![CallOptions { hedge_after: hedge(dice, 30), ..PATIENT }]
        } else {
            (0..dice.between(1..=3)).map(|_| manner(dice)).collect()
        };
        Self {
            config,
            calls: dice.spread(3..=150),
            burst: dice.spread(1..=30),
            pace: Duration::from_micros(dice.spread(10..=50_000)),
            payload_bytes: dice.spread(SIGN_BYTES as u64..=message_bytes_max as u64),
            manners,
            cancel_percent: dice.pick(&[0, 0, 10, 50]),
            last_calls: dice.between(1..=4),
            alike: false,
        }
    }
}

impl RepPlan {
    pub(super) fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        let message = cost_bytes_max(message_bytes_max);
        let store = dice.chance(40);
        let config = ReplyConfig {
            link: link(dice, message_bytes_max),
            window_messages: dice.pick(&[0, 0, 1, 1, 2, 5, 30, 1_000]),
            window_bytes: if dice.chance(40) { message * dice.between(1..=3) } else { 32 << 20 },
            memory: memory(dice, message_bytes_max, store),
        };
        Self {
            config,
            store,
            commit: Duration::from_micros(dice.spread(50..=20_000)),
            workers: dice.between(1..=4) as usize,
            work: Duration::from_micros(dice.spread(1..=20_000)),
            rest: Duration::from_micros(dice.spread(1..=5_000)),
            trouble_percent: dice.pick(&[0, 5, 30, 80]),
            answer_bytes: dice.spread(SIGN_BYTES as u64..=message_bytes_max as u64),
            heeds_cancels: dice.chance(50),
            more_at_once: 0,
        }
    }
}

/// What is remembered, sometimes less than is answered at a time.
fn memory(dice: &mut Dice, message_bytes_max: usize, store: bool) -> AnswerMemory {
    if dice.chance(50) {
        return AnswerMemory::default();
    }
    let messages =
        if store { dice.pick(&[200, 65_536]) } else { dice.pick(&[0, 1, 20, 200, 65_536]) };
    AnswerMemory {
        messages,
        bytes: dice.pick(&[message_bytes_max as u64 * messages.min(200), 64 << 20]),
        age: dice.micros(500_000..=4_000_000),
    }
}
