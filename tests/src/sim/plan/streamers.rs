//! Streamers, and networks with them from a seed.

use drawdown_protocol::StreamerConfig;

use crate::sim::agenda::Node;
use crate::sim::dice::Dice;

use super::random::{link, ms};
use super::{Fault, Plan, PullPlan, PushPlan, WirePlan};

/// A streamer.
#[derive(Clone, Debug, Default)]
pub struct StreamerPlan {
    /// Its settings.
    pub config: StreamerConfig,
    /// Whether it has the same name in each life.
    pub named: bool,
}

impl Plan {
    /// Senders and receivers with streamers between them, in any shape, in which anything may go wrong.
    pub(crate) fn random_streamers(dice: &mut Dice) -> Self {
        let message_bytes_max = dice.pick(&[64, 1_000, 16_000, 40_000]);
        let pulls: Vec<_> =
            (0..dice.between(1..=5)).map(|_| PullPlan::random(dice, message_bytes_max)).collect();
        let pushes: Vec<_> =
            (0..dice.between(1..=3)).map(|_| PushPlan::random(dice, message_bytes_max)).collect();
        let streamers: Vec<_> = (0..dice.between(1..=4))
            .map(|_| StreamerPlan::random(dice, message_bytes_max))
            .collect();
        let wires = topology(dice, pushes.len(), streamers.len(), pulls.len());
        let faults = Fault::streamers().filter(|_| dice.chance(60)).collect();
        let storm = if dice.chance(10) { ms(0) } else { dice.micros(10_000..=6_000_000) };
        let fault_every = dice.micros(1_000..=800_000);
        Self { pushes, pulls, streamers, wires, faults, storm, fault_every, ..Self::default() }
    }
}

/// Streamers take from senders and from streamers before them, receivers from any; nobody is left out.
fn topology(dice: &mut Dice, pushes: usize, streamers: usize, pulls: usize) -> Vec<WirePlan> {
    let density = dice.pick(&[10, 40, 90]);
    let mut wires: Vec<WirePlan> = Vec::new();
    let mut sources: Vec<Node> = (0..pushes).map(Node::Push).collect();
    let takers = (0..streamers).map(Node::Streamer).chain((0..pulls).map(Node::Pull));
    for taker in takers {
        let needed = dice.between(0..=sources.len() as u64 - 1) as usize;
        for (at, source) in sources.iter().enumerate() {
            if at == needed || dice.chance(density) {
                wires.push(WirePlan::random(dice, *source, taker));
            }
        }
        if let Node::Streamer(_) = taker {
            sources.push(taker);
        }
    }
    for source in sources {
        if wires.iter().all(|wire| wire.up != source) {
            let pull = dice.between(0..=pulls as u64 - 1) as usize;
            wires.push(WirePlan::random(dice, source, Node::Pull(pull)));
        }
    }
    wires
}

impl StreamerPlan {
    fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        Self {
            config: StreamerConfig {
                link: link(dice, message_bytes_max),
                pending_messages: dice.pick(&[1, 3, 50, u64::MAX, u64::MAX]),
                grace: dice.pick(&[ms(0), ms(20), ms(300), ms(1_500)]),
                rebuild: dice.pick(&[ms(10), ms(100), ms(400)]),
                ..StreamerConfig::default()
            },
            named: dice.chance(60),
        }
    }
}
