//! Networks of PUB and SUB nodes and proxies, from a seed.

use std::time::Duration;

use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::{
    LinkConfig, OldSession, ProxyConfig, PublishConfig, RingConfig, Start, SubscribeConfig,
};

use crate::sim::agenda::Node;
use crate::sim::check::PREFIXES;
use crate::sim::dice::Dice;

use super::random::link;
use super::{Fault, Keeps, Plan, ProxyPlan, PubPlan, SubPlan, WirePlan};

impl Plan {
    /// A network of any shape, in which anything may go wrong.
    pub(crate) fn random_pubsub(dice: &mut Dice) -> Self {
        let message_bytes_max = dice.pick(&[64, 1_000, 16_000]);
        let publishers = dice.pick(&[1, 1, 1, 1, 2, 3]);
        let mut pubs: Vec<_> =
            (0..publishers).map(|_| PubPlan::random(dice, message_bytes_max)).collect();
        let mut proxies: Vec<_> = (0..dice.pick(&[0, 0, 1, 1, 2, 3]))
            .map(|_| ProxyPlan::random(dice, message_bytes_max))
            .collect();
        let subs: Vec<_> =
            (0..dice.between(1..=4)).map(|_| SubPlan::random(dice, message_bytes_max)).collect();
        let mut wires = topology(dice, pubs.len(), proxies.len(), subs.len());
        if dice.chance(10) && pubs[0].keeps == Keeps::Numbers {
            let twin = PubPlan { twin_of: Some(0), ..pubs[0].clone() };
            pubs.push(twin);
            let of_twin = Node::Pub(pubs.len() - 1);
            let same = wires.iter().filter(|wire| wire.up == Node::Pub(0)).cloned();
            let others: Vec<_> = same.map(|wire| WirePlan { up: of_twin, ..wire }).collect();
            wires.extend(others);
        }
        if pubs.len() > 1 {
            // Who shares a window between sessions goes by what it hears with the heartbeats.
            pubs.iter_mut().for_each(|plan| beat(&mut plan.config.link));
            proxies.iter_mut().for_each(|plan| beat(&mut plan.config.down.link));
        }
        let faults = Fault::PUB_SUB.into_iter().filter(|_| dice.chance(60)).collect();
        let storm = if dice.chance(10) { Duration::ZERO } else { dice.micros(10_000..=5_000_000) };
        let fault_every = dice.micros(1_000..=800_000);
        Self { pubs, proxies, subs, wires, faults, storm, fault_every, ..Self::default() }
    }
}

fn beat(link: &mut LinkConfig) {
    if link.heartbeat.is_zero() {
        link.heartbeat = Duration::from_millis(100);
    }
}

/// Proxies take from publishers and from proxies before them, subscribers from any; nobody is left out.
fn topology(dice: &mut Dice, pubs: usize, proxies: usize, subs: usize) -> Vec<WirePlan> {
    let density = dice.pick(&[20, 50, 90]);
    let mut wires = Vec::new();
    let mut sources: Vec<Node> = (0..pubs).map(Node::Pub).collect();
    let takers = (0..proxies).map(Node::Proxy).chain((0..subs).map(Node::Sub));
    for taker in takers {
        let needed = dice.between(0..=sources.len() as u64 - 1) as usize;
        for (at, source) in sources.iter().enumerate() {
            if at == needed || dice.chance(density) {
                wires.push(WirePlan::random(dice, *source, taker));
            }
        }
        if let Node::Proxy(_) = taker {
            sources.push(taker);
        }
    }
    wires
}

fn ring(dice: &mut Dice, message_bytes_max: usize) -> RingConfig {
    let message = cost_bytes_max(message_bytes_max);
    RingConfig {
        messages: dice.pick(&[1, 2, 10, 50, 1_000, 65_536, 65_536]),
        bytes: if dice.chance(20) { message * dice.between(1..=20) } else { 256 << 20 },
        age: dice.chance(15).then(|| dice.micros(5_000..=2_000_000)),
    }
}

impl PubPlan {
    fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        Self {
            config: PublishConfig {
                link: link(dice, message_bytes_max),
                ring: ring(dice, message_bytes_max),
                ..PublishConfig::default()
            },
            keeps: dice.pick(&[Keeps::Nothing, Keeps::Numbers, Keeps::Store, Keeps::Store]),
            commit: Duration::from_micros(dice.spread(50..=20_000)),
            messages: dice.spread(5..=800),
            burst: dice.spread(1..=100),
            pace: Duration::from_micros(dice.spread(10..=50_000)),
            payload_bytes: dice.spread(0..=message_bytes_max as u64),
            twin_of: None,
        }
    }
}

impl SubPlan {
    fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        let config = subscribe(dice, message_bytes_max);
        let filters = match dice.between(0..=3) {
            0 | 1 => vec![Vec::new()],
            2 => vec![dice.pick(&PREFIXES).to_vec()],
            _ => (0..dice.between(0..=4)).map(|_| dice.pick(&PREFIXES).to_vec()).collect(),
        };
        Self {
            config,
            filters,
            cursor: dice.chance(40),
            works: true,
            work: Duration::from_micros(dice.spread(1..=10_000)),
            rest: Duration::from_micros(dice.spread(1..=3_000)),
            fetch: dice.spread(1..=4_096) as u32,
            ack_every: dice.pick(&[1, 1, 3, 20]),
        }
    }
}

fn subscribe(dice: &mut Dice, message_bytes_max: usize) -> SubscribeConfig {
    let message = cost_bytes_max(message_bytes_max);
    let config = SubscribeConfig {
        link: link(dice, message_bytes_max),
        window_messages: dice.pick(&[0, 1, 1, 2, 5, 30, 1_000, 1_000]),
        window_bytes: if dice.chance(30) { message * dice.between(1..=3) } else { 32 << 20 },
        start: dice.pick(&[Start::Oldest, Start::Oldest, Start::Newest, Start::At(7)]),
        positions: Vec::new(),
        old_session: dice.pick(&[OldSession::Keep, OldSession::Discard]),
        lag: dice.micros(1_000..=300_000),
        patience: dice.micros(1_000..=1_000_000),
        grace: Duration::ZERO,
    };
    SubscribeConfig { grace: config.patience, ..config }
}

impl ProxyPlan {
    fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        let mut up = subscribe(dice, message_bytes_max);
        up.window_messages = up.window_messages.max(1);
        let mut ring = ring(dice, message_bytes_max);
        if dice.chance(30) {
            ring = RingConfig { messages: 0, ..RingConfig::default() };
        }
        let down =
            PublishConfig { link: link(dice, message_bytes_max), ring, ..PublishConfig::default() };
        let store = ring.messages > 0 && dice.chance(30);
        let commit = Duration::from_micros(dice.spread(50..=20_000));
        Self { config: ProxyConfig { up, down }, store, commit }
    }
}
