//! When the faults are over every subscriber must come to the head of every session that it can reach.

use std::collections::BTreeSet;
use std::time::Duration;

use drawdown_protocol::{Seq, Session};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::{Verdict, ensure};
use crate::sim::network::Network;

use super::node::Doing;

impl Network {
    /// The faults are over for publishers, subscribers and proxies too.
    pub(in crate::sim) fn calm_pubsub(&mut self) {
        for index in 0..self.pubs.len() {
            let node = Node::Pub(index);
            if self.pubs[index].is_retired && self.is_up(node) {
                self.crash(node);
            }
            self.revive(node);
            let life = self.pubs[index].process.life;
            self.agenda.after(Duration::from_millis(50), Event::Publish { publisher: index, life });
        }
        for proxy in 0..self.proxies.len() {
            self.revive(Node::Proxy(proxy));
        }
        for sub in 0..self.subs.len() {
            self.revive(Node::Sub(sub));
            self.relax_sub(sub);
            if matches!(self.subs[sub].doing, Doing::Busy(..)) {
                let time = self.dice.micros(0..=20_000);
                self.reader_turn_after(sub, time);
            }
        }
    }

    pub(in crate::sim) fn revive(&mut self, node: Node) {
        if self.has_failed(node) {
            self.crash(node);
        }
        self.restart(node);
    }

    /// How long it may take until everybody has everything.
    pub(in crate::sim) fn pubsub_patience(&self) -> Duration {
        let messages: u64 = self.plan.pubs.iter().map(|p| p.messages + 8).sum();
        let work = self.plan.subs.iter().map(|s| s.work + s.rest).max().unwrap_or_default();
        let pace = self.plan.pubs.iter().map(|p| p.pace).max().unwrap_or_default();
        let hops = self.plan.proxies.len() as u32 + 1;
        let each = self.plan.latency_max() * 4 * hops + work + pace + Duration::from_millis(2);
        each * u32::try_from(messages).unwrap_or(u32::MAX)
    }

    /// The nodes that something of this node comes to.
    fn reached_from(&self, node: Node) -> BTreeSet<Node> {
        let mut reached = BTreeSet::from([node]);
        // Wires lead from earlier proxies to later ones, in the order of the plan.
        for wire in &self.plan.wires {
            if reached.contains(&wire.up) {
                reached.insert(wire.down);
            }
        }
        reached
    }

    /// What each subscriber should have come to: session, and its head.
    fn goals(&self) -> Vec<(usize, Session, Seq)> {
        let mut goals = Vec::new();
        for (index, node) in self.pubs.iter().enumerate() {
            let (Some(engine), Some(lineage)) = (&node.engine, node.lineage) else {
                continue;
            };
            if self.chronicle.doubled.contains(&lineage.session) {
                continue;
            }
            for reached in self.reached_from(Node::Pub(index)) {
                if let Node::Sub(sub) = reached {
                    goals.push((sub, lineage.session, engine.next_seq()));
                }
            }
        }
        goals
    }

    /// Whether positions are told where nothing matches.
    fn is_beating(&self) -> bool {
        let pubs = self.plan.pubs.iter().map(|plan| &plan.config.link);
        let mut links = pubs.chain(self.plan.proxies.iter().map(|plan| &plan.config.down.link));
        links.all(|link| !link.heartbeat.is_zero())
    }

    /// Whether everything was published and everybody has had all that he can have.
    pub(in crate::sim) fn is_converged(&self) -> bool {
        let published = self.pubs.iter().all(|node| match &node.engine {
            Some(engine) => node.is_done && engine.first_unaccepted(0..engine.next_seq()).is_none(),
            None => node.is_retired || node.lineage.is_none(),
        });
        let idle = self.subs.iter().all(|node| {
            let waits = matches!(node.doing, Doing::Waiting) || !node.plan.works;
            let empty = node.engine.as_ref().is_some_and(|engine| !engine.has_queued());
            waits && empty && node.reader.is_none()
        });
        published
            && idle
            && self.goals().into_iter().all(|(sub, session, head)| {
                self.first_lack(sub, session, head).is_ok_and(|()| true)
            })
    }

    /// What a subscriber has not had of a session.
    fn first_lack(&self, sub: usize, session: Session, head: Seq) -> Verdict {
        let stats = self.sub_stats(sub).ok_or("it is down")?;
        let next = stats.sessions.iter().find(|(of, _)| *of == session).and_then(|(_, next)| *next);
        let node = &self.subs[sub];
        let next = next.ok_or_else(|| format!("{session} is not followed"))?;
        let unmet = node.follower.first_unmet(&self.chronicle, session, head.min(next.max(head)));
        ensure(unmet.is_none() || next > head, || {
            format!("message {unmet:?} of {session} has not come; the position is {next} of {head}")
        })?;
        ensure(next >= head || !self.is_beating(), || {
            format!("the position in {session} is {next}, its head is {head}")
        })
    }

    /// Everybody is at the head, and nothing is kept of what is done.
    pub(in crate::sim) fn check_pubsub_end(&self) -> Verdict {
        for (sub, session, head) in self.goals() {
            self.first_lack(sub, session, head).map_err(|why| format!("sub-{sub}: {why}"))?;
        }
        for (sub, _) in self.subs.iter().enumerate() {
            let queued = self.sub_stats(sub).map(|stats| stats.queued.messages);
            ensure(queued.unwrap_or(0) == 0, || format!("sub-{sub} still has {queued:?}"))?;
        }
        Ok(())
    }

    /// Who has what, for people.
    pub(in crate::sim) fn describe_pubsub(&self, lines: &mut Vec<String>) {
        let now = self.agenda.now();
        for (sub, session, head) in self.goals() {
            if let Err(why) = self.first_lack(sub, session, head) {
                lines.push(format!("sub-{sub}: {why}"));
            }
        }
        for (index, node) in self.pubs.iter().enumerate() {
            let stats = node.engine.as_ref().map(|engine| engine.stats(now));
            lines.push(format!(
                "pub-{index} has {} to publish, done {}: {stats:?}",
                node.left, node.is_done
            ));
        }
        for (proxy, node) in self.proxies.iter().enumerate() {
            let stats = node.engine.as_ref().map(|engine| engine.stats(now));
            lines.push(format!("proxy-{proxy}: {stats:?}"));
        }
        for sub in 0..self.subs.len() {
            lines.push(format!("sub-{sub}: {:?}", self.sub_stats(sub)));
        }
    }
}
