//! Networks from a seed.

use std::time::Duration;

use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::{ConfirmOn, LinkConfig, Priority, PullConfig, PushConfig};

use crate::sim::agenda::Node;
use crate::sim::dice::Dice;

use super::{Fault, Plan, PullPlan, PushPlan, WirePlan};

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

impl Plan {
    /// A network of any shape, in which anything may go wrong.
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let message_bytes_max = dice.pick(&[64, 1_000, 16_000, 40_000]);
        let pulls: Vec<_> =
            (0..dice.between(1..=6)).map(|_| PullPlan::random(dice, message_bytes_max)).collect();
        let pushes: Vec<_> =
            (0..dice.between(1..=4)).map(|_| PushPlan::random(dice, message_bytes_max)).collect();
        let mut wires = wires(dice, pushes.len(), pulls.len());
        rank(dice, &mut wires);
        let faults = Fault::PUSH_PULL.into_iter().filter(|_| dice.chance(60)).collect();
        let storm = if dice.chance(10) { Duration::ZERO } else { dice.micros(10_000..=6_000_000) };
        let fault_every = dice.micros(1_000..=800_000);
        Self { pushes, pulls, wires, faults, storm, fault_every, ..Self::default() }
    }
}

/// Every node has a wire; some pairs have none, some have two.
fn wires(dice: &mut Dice, pushes: usize, pulls: usize) -> Vec<WirePlan> {
    let density = dice.pick(&[20, 60, 100]);
    let mut wires = Vec::new();
    for push in 0..pushes {
        for pull in 0..pulls {
            let needed = push % pulls == pull || pull % pushes == push;
            let count = u64::from(needed || dice.chance(density)) + u64::from(dice.chance(5));
            let (up, down) = (Node::Push(push), Node::Pull(pull));
            wires.extend((0..count).map(|_| WirePlan::random(dice, up, down)));
        }
    }
    wires
}

/// In some networks receivers are of several levels, in some senders are.
fn rank(dice: &mut Dice, wires: &mut [WirePlan]) {
    let levels = |dice: &mut Dice| if dice.chance(40) { vec![1, 1, 2, 2, 16] } else { vec![1] };
    let (receivers, senders) = (levels(dice), levels(dice));
    for wire in wires {
        wire.priority = Priority::new(dice.pick(&receivers)).unwrap_or_default();
        wire.source_priority = Priority::new(dice.pick(&senders)).unwrap_or_default();
    }
}

impl WirePlan {
    pub(super) fn random(dice: &mut Dice, up: Node, down: Node) -> Self {
        let latency = Duration::from_micros(dice.spread(20..=40_000));
        Self {
            up,
            down,
            up_dials: dice.chance(50),
            latency,
            jitter: if dice.chance(50) { latency } else { Duration::ZERO },
            buffer_bytes: dice.pick(&[300, 4_000, 65_536, 1 << 20]),
            redial: dice.micros(100..=400_000),
            priority: Priority::BEST,
            source_priority: Priority::BEST,
        }
    }
}

pub(super) fn link(dice: &mut Dice, message_bytes_max: usize) -> LinkConfig {
    LinkConfig {
        message_bytes_max,
        heartbeat: dice.pick(&[ms(0), ms(60), ms(200), ms(1_000)]),
        heartbeat_misses: dice.between(2..=4) as u32,
        ..LinkConfig::default()
    }
}

impl PushPlan {
    pub(super) fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        let message = cost_bytes_max(message_bytes_max);
        let config = PushConfig {
            link: link(dice, message_bytes_max),
            queue_messages: dice.pick(&[0, 1, 2, 7, 50, 1_000, 65_536]),
            retained_bytes: if dice.chance(20) { message * dice.between(1..=4) } else { 1 << 30 },
            pending_messages: dice.pick(&[1, 2, 10, 100, u64::MAX, u64::MAX]),
            ttl: dice.chance(10).then(|| dice.micros(1_000..=3_000_000)),
            attempts_max: dice.chance(60).then(|| dice.between(1..=4) as u32),
            dead_messages: dice.pick(&[0, 2, 1_000, 1_000]),
            retry_delay: dice.pick(&[ms(0), ms(1), ms(10), ms(100)]),
            retry_delay_max: dice.pick(&[ms(100), ms(500)]),
            grace: dice.pick(&[ms(0), ms(20), ms(300), ms(1_500)]),
            reassign_after: dice.chance(50).then(|| dice.micros(1_000..=400_000)),
            process_timeout: dice.chance(40).then(|| dice.micros(5_000..=1_000_000)),
            future_bytes: dice.pick(&[0, message, 5 * message, 16 << 20]),
            ask_patience: dice.pick(&[ms(2), ms(50), ms(200), ms(200)]),
            fail_back_after: dice.pick(&[ms(0), ms(0), ms(0), ms(150)]),
        };
        Self {
            config,
            store: dice.chance(50),
            commit: Duration::from_micros(dice.spread(50..=20_000)),
            messages: dice.spread(5..=600),
            burst: dice.spread(1..=100),
            pace: Duration::from_micros(dice.spread(10..=50_000)),
            payload_bytes: dice.spread(0..=message_bytes_max as u64),
            ttl_percent: dice.pick(&[0, 0, 10, 100]),
        }
    }
}

impl PullPlan {
    pub(super) fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        let message = cost_bytes_max(message_bytes_max);
        let config = PullConfig {
            link: link(dice, message_bytes_max),
            window_messages: dice.pick(&[0, 0, 1, 1, 2, 5, 30, 1_000]),
            window_bytes: if dice.chance(40) { message * dice.between(1..=3) } else { 64 << 20 },
            future_messages: dice.pick(&[0, 0, 0, 1, 1, 3, 20]),
            future_bytes: dice.pick(&[message, 3 * message, 16 << 20]),
            confirm_on: if dice.chance(85) { ConfirmOn::Processed } else { ConfirmOn::Taken },
        };
        Self {
            config,
            workers: dice.between(1..=4) as usize,
            work: Duration::from_micros(dice.spread(1..=20_000)),
            rest: Duration::from_micros(dice.spread(1..=5_000)),
            trouble_percent: dice.pick(&[0, 5, 30, 80]),
            cancel_percent: dice.pick(&[0, 10, 50]),
            fetch: dice.spread(1..=4_096) as u32,
        }
    }
}
