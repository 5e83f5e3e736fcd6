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

use drawdown_protocol::wire::CloseCode;

pub(crate) use calling::is_plain;
pub(crate) use node::{RepNode, ReqNode};
pub use node::{Task, Verb};

use super::agenda::Node;
use super::check::{Verdict, ensure};
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

    pub(super) fn calls_timer(&mut self, node: Node, life: u32) {
        let now = self.agenda.now();
        let process = self.process(node);
        if process.life != life || process.timer_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        match node {
            Node::Req(req) => {
                if let Some(engine) = &mut self.reqs[req].engine {
                    engine.handle_timeout(now);
                }
            }
            Node::Rep(rep) => {
                if let Some(engine) = &mut self.reps[rep].engine {
                    engine.handle_timeout(now);
                }
            }
            Node::Router(router) => {
                if let Some(engine) = &mut self.routers[router].engine {
                    engine.handle_timeout(now);
                }
            }
            _ => {}
        }
        self.after(node);
    }
}

/// Ends of links that our own engines have no reason for.
pub(super) fn check_end(code: CloseCode, reason: &str) -> Verdict {
    use CloseCode::{Done, HandshakeTimeout, HeartbeatTimeout, Internal};
    let expected = matches!(code, Done | HeartbeatTimeout | HandshakeTimeout | Internal);
    ensure(expected, || format!("a link ended with {code:?}: {reason}"))
}
