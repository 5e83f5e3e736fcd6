//! REQ and REP sockets in a network: what drives them, what their applications do, and who looks at it all.

mod calling;
mod calm;
mod disks;
mod faults;
mod node;
mod observe;
mod scenario;
mod serving;
mod working;

pub(crate) use calling::is_plain;
pub(crate) use node::{RepNode, ReqNode};
pub use node::{Task, Verb};
pub(crate) use observe::forget_naming;

use super::agenda::Node;
use super::network::Network;

impl Network {
    /// All nodes of the plan.
    pub(super) fn add_calls(&mut self) {
        for plan in self.plan.reps.clone() {
            self.add_rep(plan);
        }
        for plan in self.plan.routers.clone() {
            self.add_router(plan);
        }
        for plan in self.plan.reqs.clone() {
            self.add_req(plan);
        }
    }

    /// Whether a node has said goodbye and is still there.
    pub(super) fn is_leaving(&self, node: Node) -> bool {
        match node {
            Node::Req(req) => self.reqs[req].is_closing,
            Node::Rep(rep) => self.reps[rep].is_stopping,
            Node::Router(router) => self.routers[router].is_closing,
            _ => false,
        }
    }
}
