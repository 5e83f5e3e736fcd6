//! The application of a SUB node: it receives, works, acknowledges, and again.

use std::time::Duration;

use drawdown_protocol::message::crc;
use drawdown_protocol::wire::Fingerprint;
use drawdown_protocol::{Session, SubCursor, SubscribeEngine, Taken};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::Verdict;
use crate::sim::network::Network;

use super::node::{Doing, Got, SubNode};

impl Network {
    /// Gives what has come to the application, if it waits.
    pub(super) fn serve_reader(&mut self, sub: usize) {
        loop {
            let node = &self.subs[sub];
            let has_some =
                node.reader.is_some() || node.engine.as_ref().is_some_and(|e| e.has_queued());
            if !matches!(node.doing, Doing::Waiting) || !has_some {
                return;
            }
            self.subs[sub].doing = Doing::Resting;
            self.tell_sub_waiting(sub);
            match self.next_got(sub) {
                Some((Got::Message { session, .. }, Some(last))) => {
                    let time = self.dice.up_to(self.subs[sub].plan.work);
                    self.subs[sub].doing = Doing::Busy(session, last);
                    self.reader_turn_after(sub, time);
                }
                _ => self.await_more(sub),
            }
        }
    }

    fn await_more(&mut self, sub: usize) {
        self.subs[sub].doing = Doing::Waiting;
        self.tell_sub_waiting(sub);
    }

    /// The application does something else for a while.
    pub(super) fn rest_reader(&mut self, sub: usize) {
        self.subs[sub].doing = Doing::Resting;
        let time = self.dice.up_to(self.subs[sub].plan.rest);
        self.reader_turn_after(sub, time);
    }

    /// What the application does ends after this time, unless something else ends it before.
    pub(super) fn reader_turn_after(&mut self, sub: usize, time: Duration) {
        let node = &mut self.subs[sub];
        node.turn += 1;
        let (life, turn) = (node.process.life, node.turn);
        self.agenda.after(time, Event::Application { sub, life, turn });
    }

    /// The application is done with what it did.
    pub(in crate::sim) fn application(&mut self, sub: usize, life: u32, turn: u32) {
        let node = &mut self.subs[sub];
        if node.process.life != life || node.engine.is_none() || node.turn != turn {
            return;
        }
        match std::mem::replace(&mut node.doing, Doing::Resting) {
            Doing::Busy(session, last) => {
                node.unacknowledged += 1;
                if node.unacknowledged >= node.plan.ack_every || self.is_calm {
                    self.acknowledge(sub, session, last);
                }
                if self.dice.chance(30) {
                    self.rest_reader(sub);
                } else {
                    self.await_more(sub);
                }
            }
            Doing::Resting | Doing::Waiting => self.await_more(sub),
        }
        self.after_sub(sub);
    }

    /// The application is done with a message and all before it.
    pub(super) fn acknowledge(&mut self, sub: usize, session: Session, last: Fingerprint) {
        let node = &mut self.subs[sub];
        node.unacknowledged = 0;
        node.follower.acknowledge(session, last.seq);
        if let Some(engine) = &mut node.engine {
            engine.acknowledge(session, last);
        }
    }

    /// Tells the engine how many receive calls wait.
    pub(super) fn tell_sub_waiting(&mut self, sub: usize) {
        let now = self.agenda.now();
        let node = &mut self.subs[sub];
        let waiting = node.callers + u64::from(matches!(node.doing, Doing::Waiting));
        if let Some(engine) = &mut node.engine {
            engine.set_waiting(waiting, now);
        }
    }

    /// The next thing for the application, if there is one.
    pub(super) fn next_got(&mut self, sub: usize) -> Option<(Got, Option<Fingerprint>)> {
        loop {
            let SubNode { engine, reader, plan, .. } = &mut self.subs[sub];
            if reader.is_none() {
                let taken = engine
                    .as_mut()
                    .and_then(|e: &mut SubscribeEngine| e.take(plan.fetch.max(1)))?;
                match taken {
                    Taken::Batch(batch) => *reader = Some(SubCursor::new(batch)),
                    Taken::Gap(gap) => {
                        let verdict = self.subs[sub].follower.take_gap(&self.chronicle, gap);
                        self.note_got(sub, "is told of", &[gap.from, gap.to], verdict);
                        return Some((Got::Gap(gap), None));
                    }
                    Taken::NewSession(new) => {
                        let old = self.subs[sub].plan.config.old_session;
                        let verdict = self.subs[sub].follower.take_new_session(new, old);
                        self.note_got(sub, "goes on with another session", &[], verdict);
                        return Some((Got::NewSession(new), None));
                    }
                }
            }
            if let Some(found) = self.next_message(sub) {
                return Some(found);
            }
        }
    }

    /// The next message of the reader's batch; none if it is used up.
    fn next_message(&mut self, sub: usize) -> Option<(Got, Option<Fingerprint>)> {
        let now = self.agenda.now();
        let SubNode { engine, reader, .. } = &mut self.subs[sub];
        let (engine, cursor) = (engine.as_mut()?, reader.as_mut()?);
        let item = cursor.next(|| now);
        let report_after = (engine.config().window_messages / 4).max(1);
        let run = std::sync::Arc::clone(cursor.run());
        if (cursor.is_empty() || cursor.unreported() >= report_after)
            && let Some(consumed) = cursor.report()
        {
            engine.handle_consumed(&consumed, now);
        }
        if cursor.is_empty() {
            *reader = None;
        }
        let item = item?;
        let (session, seq) = (run.session(), item.seq);
        let topic = run.records()[item.topic].to_vec();
        let found = &run.records()[item.payload];
        let last = Fingerprint { seq, crc: crc(&topic, found) };
        let SubNode { follower, .. } = &mut self.subs[sub];
        let verdict = follower.take_message(&mut self.chronicle, session, seq, &topic, found);
        self.note_got(sub, "takes", &[seq], verdict);
        Some((Got::Message { session, seq, topic }, Some(last)))
    }

    fn note_got(&mut self, sub: usize, what: &'static str, numbers: &[u64], verdict: Verdict) {
        self.trace.note(self.agenda.now(), Node::Sub(sub), what, numbers);
        self.check(verdict.map_err(|why| format!("sub-{sub}: {why}")));
    }
}
