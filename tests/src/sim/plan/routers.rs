//! Routers, and networks with them from a seed.

use std::time::Duration;

use drawdown_protocol::{Priority, RouterConfig};

use crate::sim::agenda::Node;
use crate::sim::dice::Dice;

use super::random::{link, ms};
use super::{Fault, Plan, RepPlan, ReqPlan, WirePlan};

/// A router.
#[derive(Clone, Debug, Default)]
pub struct RouterPlan {
    /// Its settings.
    pub config: RouterConfig,
    /// Whether it has the same name in each life.
    pub named: bool,
}

impl Plan {
    /// Clients and servers with routers between them, in any shape, in which anything may go wrong.
    pub(crate) fn random_routers(dice: &mut Dice) -> Self {
        let message_bytes_max = dice.pick(&[64, 1_000, 16_000]);
        let shape = dice.pick(&Shape::ALL);
        let count = shape.routers(dice);
        let routers: Vec<_> =
            (0..count).map(|_| RouterPlan::random(dice, message_bytes_max)).collect();
        let reqs: Vec<_> =
            (0..dice.between(1..=4)).map(|_| ReqPlan::random(dice, message_bytes_max)).collect();
        let reps: Vec<_> = (0..shape.servers(dice, count))
            .map(|_| RepPlan::random(dice, message_bytes_max))
            .collect();
        let wires = shape.wires(dice, count, reqs.len(), reps.len());
        let faults = Fault::routers().filter(|_| dice.chance(60)).collect();
        let storm = if dice.chance(20) { Duration::ZERO } else { dice.micros(10_000..=5_000_000) };
        let fault_every = dice.micros(1_000..=800_000);
        Self { reqs, reps, routers, wires, faults, storm, fault_every, ..Self::default() }
    }
}

/// How routers stand to each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One behind the other; servers behind the last.
    Chain,
    /// One, two beside each other, and one again.
    Diamond,
    /// Sites with servers of their own; each lends to the next, and perhaps the other way round.
    Ring,
    /// The same, each lends to each.
    Mesh,
    /// None leads back to where it came from; else by chance.
    Any,
}

impl Shape {
    const ALL: [Shape; 5] = [Shape::Chain, Shape::Diamond, Shape::Ring, Shape::Mesh, Shape::Any];

    fn routers(self, dice: &mut Dice) -> usize {
        let count = match self {
            Shape::Diamond => 4,
            Shape::Ring => dice.between(2..=5),
            Shape::Mesh => dice.between(2..=3),
            Shape::Chain | Shape::Any => dice.between(1..=4),
        };
        count as usize
    }

    fn servers(self, dice: &mut Dice, routers: usize) -> usize {
        match self {
            // Each site has one of its own.
            Shape::Ring | Shape::Mesh => routers + dice.between(0..=2) as usize,
            Shape::Chain | Shape::Diamond | Shape::Any => dice.between(1..=4) as usize,
        }
    }

    /// By whom servers can be had.
    fn leads_on(self, dice: &mut Dice, from: usize, to: usize, count: usize) -> bool {
        let next = (from + 1) % count;
        match self {
            Shape::Chain => from + 1 == to,
            Shape::Diamond => matches!((from, to), (0, 1 | 2) | (1 | 2, 3)),
            Shape::Ring => next == to,
            Shape::Mesh => from != to,
            Shape::Any => from < to && dice.chance(50),
        }
    }

    fn wires(self, dice: &mut Dice, count: usize, reqs: usize, reps: usize) -> Vec<WirePlan> {
        let mut pairs = Vec::new();
        let goes_back = self == Shape::Ring && dice.chance(50);
        for from in 0..count {
            for to in 0..count {
                if from != to && self.leads_on(dice, from, to, count) {
                    pairs.push((Node::Router(from), Node::Router(to), 2));
                    if goes_back && count > 2 {
                        pairs.push((Node::Router(to), Node::Router(from), 2));
                    }
                }
            }
        }
        for rep in 0..reps {
            let at = match self {
                Shape::Ring | Shape::Mesh => rep % count,
                Shape::Chain | Shape::Diamond => count - 1,
                Shape::Any => dice.between(0..=count as u64 - 1) as usize,
            };
            pairs.push((Node::Router(at), Node::Rep(rep), 1));
            if dice.chance(10) {
                let other = dice.between(0..=count as u64 - 1) as usize;
                pairs.push((Node::Router(other), Node::Rep(rep), 3));
            }
        }
        // A router by which no server can be had has one all the same.
        for router in 0..count {
            if pairs.iter().all(|(from, ..)| *from != Node::Router(router)) {
                let rep = dice.between(0..=reps as u64 - 1) as usize;
                pairs.push((Node::Router(router), Node::Rep(rep), 1));
            }
        }
        for req in 0..reqs {
            let first = match self {
                Shape::Chain | Shape::Diamond => 0,
                _ => dice.between(0..=count as u64 - 1) as usize,
            };
            pairs.push((Node::Req(req), Node::Router(first), 1));
            if dice.chance(30) {
                let other = dice.between(0..=count as u64 - 1) as usize;
                pairs.push((Node::Req(req), Node::Router(other), dice.between(1..=2) as u8));
            }
            if dice.chance(10) {
                let rep = dice.between(0..=reps as u64 - 1) as usize;
                pairs.push((Node::Req(req), Node::Rep(rep), dice.between(1..=2) as u8));
            }
        }
        let wire = |(up, down, level)| {
            let priority = Priority::new(level).unwrap_or_default();
            WirePlan { priority, ..WirePlan::random(dice, up, down) }
        };
        pairs.into_iter().map(wire).collect()
    }
}

impl RouterPlan {
    fn random(dice: &mut Dice, message_bytes_max: usize) -> Self {
        Self {
            config: RouterConfig {
                link: link(dice, message_bytes_max),
                pending_calls: dice.pick(&[1, 3, 50, u64::MAX, u64::MAX]),
                fail_back_after: dice.pick(&[ms(0), ms(0), ms(100)]),
                ..RouterConfig::default()
            },
            named: dice.chance(50),
        }
    }
}
