//! Receivers of several levels: a worse one gets nothing while a better one could have taken it.

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::{LinkId, LinkState};

use super::agenda::Node;
use super::check::{Verdict, ensure};
use super::network::Network;

/// What a link of a sender has used, and who is better and has credit for any message.
pub(crate) struct Rooms {
    used: Amount,
    better: Vec<LinkId>,
}

impl Network {
    /// How a sender's links stand before one of them transmits. Nothing if it is no such link, or if its sender may have taken
    /// messages back from better ones for others.
    pub(super) fn better_rooms(&self, node: Node, link: LinkId) -> Option<Rooms> {
        let Node::Push(push) = node else {
            return None;
        };
        let mut levels = self.plan.wires.iter().map(|wire| wire.priority);
        let first = levels.next()?;
        if levels.all(|level| level == first) {
            return None;
        }
        let engine = self.pushes[push].engine.as_ref()?;
        let config = engine.config();
        if config.reassign_after.is_some() || config.process_timeout.is_some() {
            return None;
        }
        let stats = engine.stats(self.agenda.now());
        let own = stats.links.iter().find(|other| other.link == link)?;
        let enough = Amount::new(1, cost_bytes_max(engine.config().link.message_bytes_max));
        let rank = |link: &drawdown_protocol::PushLinkStats| (link.on_trial, link.priority);
        let better = stats.links.iter().filter(|other| {
            rank(other) < rank(own)
                && engine.link_state(other.link) == LinkState::Open
                && enough.fits(other.granted.saturating_sub(other.used))
        });
        Some(Rooms { used: own.used, better: better.map(|other| other.link).collect() })
    }

    /// Checks that it used none of its credit if better ones had some.
    pub(super) fn check_levels(&self, node: Node, link: LinkId, rooms: Option<Rooms>) -> Verdict {
        let (Node::Push(push), Some(Rooms { used, better })) = (node, rooms) else {
            return Ok(());
        };
        let Some(engine) = &self.pushes[push].engine else {
            return Ok(());
        };
        let stats = engine.stats(self.agenda.now());
        let now = stats.links.iter().find(|other| other.link == link).map_or(used, |l| l.used);
        ensure(now == used || better.is_empty(), || {
            format!(
                "push-{push} gave messages to {link:?} although {better:?} are better and have credit"
            )
        })
    }
}
