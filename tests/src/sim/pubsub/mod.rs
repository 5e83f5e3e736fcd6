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
use super::check::{Verdict, ensure};
use super::network::Network;
use drawdown_protocol::wire::CloseCode;

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

    pub(super) fn pubsub_timer(&mut self, node: Node, life: u32) {
        let now = self.agenda.now();
        let process = self.process(node);
        let clock = process.clock(now);
        if process.life != life || process.timer_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        match node {
            Node::Pub(index) => {
                if let Some(engine) = &mut self.pubs[index].engine {
                    engine.handle_timeout(clock);
                }
            }
            Node::Sub(sub) => {
                if let Some(engine) = &mut self.subs[sub].engine {
                    engine.handle_timeout(now);
                }
            }
            Node::Proxy(proxy) => {
                if let Some(engine) = &mut self.proxies[proxy].engine {
                    engine.handle_timeout(clock);
                }
            }
            _ => {}
        }
        self.after(node);
    }

    /// Ends of links that our own engines have no reason for.
    fn check_end(&self, code: CloseCode, reason: &str) -> Verdict {
        use CloseCode::{Conflict, Done, Fenced, HandshakeTimeout, HeartbeatTimeout, Internal};
        let rivals = !self.chronicle.doubled.is_empty() && matches!(code, Conflict | Fenced);
        let expected = matches!(code, Done | HeartbeatTimeout | HandshakeTimeout | Internal);
        ensure(expected || rivals, || format!("a link ended with {code:?}: {reason}"))
    }
}
