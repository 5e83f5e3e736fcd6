//! When the faults are over every call that has time left must be answered, and servers must drain.

use std::time::Duration;

use drawdown_protocol::{CallError, ReplyEngine, Settled};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::{End, Verdict, ensure};
use crate::sim::network::Network;
use crate::sim::plan::PATIENT;

use super::node::Doing;

impl Network {
    /// The faults are over for clients and servers too.
    pub(in crate::sim) fn calm_calls(&mut self) {
        for wire in 0..self.wires.len() {
            if !self.reqs.is_empty() {
                self.plug_in(wire);
            }
        }
        for router in 0..self.routers.len() {
            self.restart(Node::Router(router));
        }
        for req in 0..self.reqs.len() {
            self.restart(Node::Req(req));
            let node = &mut self.reqs[req];
            node.left += node.plan.last_calls;
            let life = node.process.life;
            self.agenda.after(Duration::from_millis(50), Event::MakeCalls { req, life });
        }
        for rep in 0..self.reps.len() {
            self.revive(Node::Rep(rep));
            self.relax_rep(rep);
            for worker in 0..self.reps[rep].workers.len() {
                if matches!(self.reps[rep].workers[worker].doing, Doing::Busy(..)) {
                    let time = self.dice.micros(0..=20_000);
                    self.serve_turn_after(rep, worker, time);
                }
            }
        }
    }

    /// How long it may take until every call has ended.
    pub(in crate::sim) fn calls_patience(&self) -> Duration {
        let calls: u64 = self.plan.reqs.iter().map(|plan| plan.calls + plan.last_calls).sum();
        if calls == 0 { Duration::ZERO } else { PATIENT.timeout * 4 }
    }

    /// Whether every call has ended and no server has one.
    pub(in crate::sim) fn calls_are_done(&self) -> bool {
        let made = self.reqs.iter().all(|node| {
            node.left == 0 && node.engine.as_ref().is_some_and(|engine| engine.pending() == 0)
        });
        made && self.routers_are_done()
            && self.reps.iter().all(|node| {
                let is_idle = node.workers.iter().all(|w| !matches!(w.doing, Doing::Busy(..)));
                let is_drained =
                    |engine: &ReplyEngine| engine.unanswered() == 0 && engine.is_drained();
                is_idle && node.engine.as_ref().is_some_and(is_drained)
            })
    }

    /// Who waited in patience has an answer, and nobody keeps anything.
    pub(in crate::sim) fn check_calls_end(&self) -> Verdict {
        for req in 0..self.reqs.len() {
            for (id, entry) in self.book.of(req) {
                let end = entry.end.as_ref().ok_or_else(|| format!("call {id} never ended"))?;
                let is_patient = entry.options.timeout == PATIENT.timeout;
                let is_answered = match end {
                    End::Cancelled | End::Abandoned => true,
                    End::Settled(Settled::Answered(_)) => true,
                    End::Settled(Settled::Failed(
                        CallError::Rejected(_) | CallError::Closed { .. },
                    )) => true,
                    End::Settled(Settled::Failed(_)) => false,
                };
                ensure(is_answered || !is_patient, || {
                    format!("call {id} had all the time there is, and ended in {end:?}")
                })?;
            }
        }
        for (rep, node) in self.reps.iter().enumerate() {
            let queued = node.engine.as_ref().map(|engine| engine.pool().queued().messages);
            ensure(queued.unwrap_or(0) == 0, || format!("rep-{rep} still has {queued:?}"))?;
        }
        self.check_routers_end()
    }

    /// Who has what, for people.
    pub(in crate::sim) fn describe_calls(&self, lines: &mut Vec<String>) {
        let now = self.agenda.now();
        for (req, node) in self.reqs.iter().enumerate() {
            let stats = node.engine.as_ref().map(|engine| engine.stats(now));
            lines.push(format!("req-{req} has {} calls to make: {stats:?}", node.left));
        }
        for (rep, node) in self.reps.iter().enumerate() {
            let stats = node.engine.as_ref().map(|engine| engine.stats(now));
            lines.push(format!("rep-{rep}: {stats:?}"));
        }
        self.describe_routers(lines);
    }
}
