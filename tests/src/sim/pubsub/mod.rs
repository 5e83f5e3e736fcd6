//! PUB and SUB sockets and proxies in a network: what drives them, what their applications do, and who looks at it all.

mod calm;
mod disks;
mod faults;
mod following;
mod gaps;
mod node;
mod observe;
mod publishing;
mod reading;
mod relaying;
mod scenario;

pub(crate) use disks::Stored;
pub use node::Got;
pub(crate) use node::{Disk, ProxyNode, PubNode, SubNode};

use super::agenda::Node;
use super::check::{Verdict, check_end};
use super::network::Network;
use drawdown_protocol::wire::{Close, CloseCode};

impl Network {
    /// All nodes of the plan that are there from the beginning.
    pub(super) fn add_pubsub(&mut self) {
        for plan in self.plan.pubs.clone() {
            self.add_pub(plan);
        }
        for plan in self.plan.proxies.clone() {
            self.add_proxy(plan);
        }
        for plan in self.plan.subs.clone() {
            self.add_sub(plan);
        }
    }

    /// How many nodes a node takes from.
    fn sources_of(&self, node: Node) -> usize {
        self.plan.wires.iter().filter(|wire| wire.down == node).count()
    }

    /// The same, but for publishers that know of each other.
    fn check_end(&self, last_word: &Close) -> Verdict {
        let knows = matches!(last_word.code, CloseCode::Conflict | CloseCode::Fenced);
        if knows && !self.chronicle.doubled.is_empty() { Ok(()) } else { check_end(last_word) }
    }
}
