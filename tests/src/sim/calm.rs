//! When the faults are over everything must get done, and nobody may idle beside a full queue meanwhile.

use std::time::Duration;

use drawdown_protocol::credit::Amount;
use drawdown_protocol::{Fate, PullEngine, PushEngine, Time};

use super::agenda::{Event, Node, Side};
use super::check::{Standing, Verdict, ensure};
use super::network::Network;
use super::node::Doing;
use super::report::{Failure, Report};
use super::sending::is_over;

/// How often the checker of progress looks.
const PROBE: Duration = Duration::from_millis(100);

/// After how long a receiver ends the link of a sender that does not give back what was taken from it while others wait.
const DEAD_AFTER: Duration = Duration::from_secs(33);

impl Network {
    /// Runs until everything is done.
    pub(super) fn run_to_the_end(&mut self) -> Result<Report, Failure> {
        let outcome = self.weather_and_drain().and_then(|()| self.check_the_end());
        outcome.map_err(|what| self.failure(what))?;
        Ok(self.report())
    }

    /// What has happened so far, in numbers.
    pub(super) fn report(&self) -> Report {
        Report { trace_hash: self.trace.hash(), simulated: self.elapsed(), ..self.report.clone() }
    }

    fn weather_and_drain(&mut self) -> Verdict {
        while !self.is_calm {
            self.run_until(self.agenda.now() + PROBE)?;
        }
        let deadline = self.agenda.now() + self.patience();
        self.drain(deadline)?;
        // Grace times and late confirmations come to their ends, and what is on a slow wire arrives: a call that its client
        // has given up may still be answered.
        self.run_until(self.agenda.now() + Duration::from_secs(5))?;
        self.drain(deadline)
    }

    fn drain(&mut self, deadline: Time) -> Verdict {
        while !self.is_drained() {
            ensure(self.agenda.now() < deadline, || {
                format!("not done although all is well: {}", self.describe())
            })?;
            self.run_until(self.agenda.now() + PROBE)?;
        }
        Ok(())
    }

    /// The faults are over.
    pub(super) fn calm(&mut self) {
        self.is_calm = true;
        let broken: Vec<u64> =
            self.conns.iter().filter(|(_, c)| c.broken).map(|(id, _)| *id).collect();
        for conn in broken {
            let seen = [self.dice.micros(0..=300_000), self.dice.micros(0..=300_000)];
            self.half_open(conn, [false, false], seen);
        }
        for push in 0..self.pushes.len() {
            let failed =
                self.pushes[push].engine.as_ref().is_some_and(|e| e.store_failure().is_some());
            if failed {
                self.crash(Node::Push(push));
            }
            self.restart(Node::Push(push));
        }
        for streamer in 0..self.streamers.len() {
            self.restart(Node::Streamer(streamer));
        }
        for pull in 0..self.pulls.len() {
            self.restart(Node::Pull(pull));
            self.relax(Node::Pull(pull));
            for worker in 0..self.pulls[pull].workers.len() {
                if let Doing::Busy(_, word) = &mut self.pulls[pull].workers[worker].doing {
                    *word = super::node::Word::Ack;
                    let time = self.dice.micros(0..=20_000);
                    self.turn_after(pull, worker, time);
                }
            }
        }
        self.calm_pubsub();
        self.calm_calls();
        self.agenda.after(Duration::from_secs(1), Event::Probe);
    }

    /// How long it may take to drain.
    fn patience(&self) -> Duration {
        let round_trip = self.plan.latency_max() * 2;
        let work = self.plan.pulls.iter().map(|p| p.work + p.rest).max().unwrap_or_default();
        let pace = self.plan.pushes.iter().map(|p| p.pace).max().unwrap_or_default();
        let messages: u64 = self.plan.pushes.iter().map(|p| p.messages).sum();
        let hops = 1 + self.plan.streamers.len() as u32;
        let each = round_trip * 4 * hops + work + pace + Duration::from_millis(5);
        Duration::from_secs(40) * hops
            + each * u32::try_from(messages).unwrap_or(u32::MAX)
            + self.pubsub_patience()
            + self.calls_patience()
    }

    fn is_drained(&self) -> bool {
        let pushes = self
            .pushes
            .iter()
            .all(|node| node.left == 0 && node.engine.as_ref().is_some_and(PushEngine::is_drained));
        pushes
            && self.is_converged()
            && self.calls_are_done()
            && self.streamers.iter().all(|node| {
                node.engine.as_ref().is_some_and(drawdown_protocol::StreamerEngine::is_drained)
            })
            && self.pulls.iter().all(|node| {
                node.engine.as_ref().is_some_and(PullEngine::is_drained)
                    && node.workers.iter().all(|w| !matches!(w.doing, Doing::Busy(..)))
            })
    }

    /// Looks whether somebody idles beside a full queue.
    pub(super) fn probe(&mut self) {
        let now = self.agenda.now();
        // Retry delays are part of this: until they are over a message waits for nobody.
        let patience = Duration::from_secs(3) + self.plan.latency_max() * 40;
        for wire in 0..self.wires.len() {
            let plan = &self.plan.wires[wire];
            let (Node::Push(push), Node::Pull(pull)) = (plan.up, plan.down) else {
                continue;
            };
            let working = self.conns.iter().any(|(id, c)| c.wire == wire && self.is_working(*id));
            if !working || !self.has_work(push) || self.pulls[pull].waiting() == 0 {
                self.wires[wire].idle_since = now;
            }
            let since = self.wires[wire].idle_since.max(self.busy_at(wire, pull));
            let patience = match self.has_room_with_the_dead(pull) {
                true => patience + DEAD_AFTER,
                false => patience,
            };
            self.check(ensure(now <= since + patience, || {
                format!(
                    "pull-{pull} idles beside the full queue of push-{push}: {}",
                    self.describe()
                )
            }));
        }
        if !self.is_drained() {
            self.agenda.after(PROBE, Event::Probe);
        }
    }

    /// Whether room of a receiver is with a sender that cannot be heard, and that has no heartbeats to be missed by: it may be
    /// about to use it.
    fn has_room_with_the_dead(&self, pull: usize) -> bool {
        let Some(engine) = &self.pulls[pull].engine else {
            return false;
        };
        self.conns.values().filter(|conn| conn.broken).any(|conn| {
            let wire = &self.plan.wires[conn.wire];
            let end = conn.ends[Side::Down as usize].as_ref();
            let has_room =
                end.is_some_and(|end| engine.pool().outstanding_on(end.link) != Amount::ZERO);
            wire.down == Node::Pull(pull) && self.has_no_heartbeat(wire.up) && has_room
        })
    }

    /// When a receiver last got a message, or one that its sender prefers to it.
    fn busy_at(&self, wire: usize, pull: usize) -> Time {
        let own = &self.plan.wires[wire];
        let preferred = self.plan.wires.iter().filter_map(|other| match other.down {
            Node::Pull(pull) if other.up == own.up && other.priority < own.priority => Some(pull),
            _ => None,
        });
        preferred.chain([pull]).map(|pull| self.pulls[pull].busy_at).max().unwrap_or_default()
    }

    /// Whether a sender could dispatch if it had credit.
    fn has_work(&self, push: usize) -> bool {
        let node = &self.pushes[push];
        node.engine.as_ref().is_some_and(|engine| {
            let may_dispatch = engine.pending() < node.plan.config.pending_messages;
            engine.waiting() > 0 && may_dispatch && !engine.is_rebuilding()
        })
    }

    /// Whether a receiver may not have heard yet that nothing waits any more: what a sender says is on its way, or it says so
    /// with its next heartbeat and has none.
    pub(super) fn hears_late(&self, receiver: Node) -> bool {
        let mut wires =
            self.plan.wires.iter().enumerate().filter(|(_, wire)| wire.down == receiver);
        wires.any(|(index, wire)| {
            let conns = self.conns.values().filter(|conn| conn.wire == index);
            let mut under_way = conns.map(|conn| conn.pipes[Side::Up as usize].in_flight());
            self.has_no_heartbeat(wire.up) || under_way.any(|chunks| chunks > 0)
        })
    }

    fn has_no_heartbeat(&self, sender: Node) -> bool {
        match sender {
            Node::Push(push) => self.plan.pushes[push].config.link.heartbeat.is_zero(),
            Node::Streamer(streamer) => {
                self.plan.streamers[streamer].config.link.heartbeat.is_zero()
            }
            _ => false,
        }
    }

    /// Everything is done and nothing is left in memory.
    fn check_the_end(&mut self) -> Verdict {
        let now = self.agenda.now();
        for push in 0..self.pushes.len() {
            self.check_push_end(push, now).map_err(|why| format!("push-{push}: {why}"))?;
        }
        for (pull, node) in self.pulls.iter().enumerate() {
            let Some(engine) = &node.engine else {
                continue;
            };
            let stats = engine.stats(now);
            ensure(
                stats.held_runs == 0 && stats.queued == Amount::ZERO && engine.unsettled() == 0,
                || format!("pull-{pull} still has something: {stats:?}"),
            )?;
            let timeout = engine.poll_timeout();
            let hears_late = self.hears_late(Node::Pull(pull));
            ensure(timeout.is_none() || hears_late, || {
                format!("pull-{pull} waits for {timeout:?}")
            })?;
        }
        self.check_streamers_end()?;
        self.check_pubsub_end()?;
        self.check_calls_end()
    }

    fn check_push_end(&mut self, push: usize, now: Time) -> Verdict {
        let node = &self.pushes[push];
        let engine = node.engine.as_ref().ok_or("it is down")?;
        let stats = engine.stats(now);
        let flights: u64 = stats.links.iter().map(|link| link.pending).sum();
        ensure(stats.waiting == 0 && stats.pending == 0 && flights == 0, || {
            format!("still has something: {stats:?}")
        })?;
        ensure(stats.retained_bytes == 0, || format!("{} bytes are kept", stats.retained_bytes))?;
        let timeout = engine.poll_timeout(node.process.clock(now));
        let on_trial = stats.links.iter().any(|link| link.on_trial);
        ensure(timeout.is_none() || on_trial, || format!("it waits for {timeout:?}"))?;
        let durable = node.store.is_some();
        let session = node.session;
        let letters: Vec<_> = engine.dead_letters().map(|letter| letter.seq).collect();
        for (seq, entry) in self.ledger.of(session, 0..u64::MAX) {
            ensure(is_over(entry.standing), || format!("message {seq} is forgotten"))?;
            let lost = entry.standing == Standing::Lost && entry.accepted && durable;
            ensure(!lost, || format!("message {seq} is lost"))?;
            let dead = entry.standing == Standing::Done(Fate::DeadLettered) && !entry.letter_gone;
            ensure(dead == letters.contains(&seq), || {
                format!("message {seq}: {:?}, and the letters are {letters:?}", entry.standing)
            })?;
        }
        Ok(())
    }

    /// Who has what, for people.
    fn describe(&self) -> String {
        let mut lines = Vec::new();
        for (push, node) in self.pushes.iter().enumerate() {
            match &node.engine {
                None => lines.push(format!("push-{push} is down")),
                Some(engine) => lines.push(format!(
                    "push-{push} has {} to send, {} wait, {} are pending, room {}",
                    node.left,
                    engine.waiting(),
                    engine.pending(),
                    engine.room()
                )),
            }
        }
        for (pull, node) in self.pulls.iter().enumerate() {
            match &node.engine {
                None => lines.push(format!("pull-{pull} is down")),
                Some(engine) => lines.push(format!(
                    "pull-{pull} has {} unsettled, {:?} queued, {:?} granted of {:?}; {} calls wait",
                    engine.unsettled(),
                    engine.pool().queued(),
                    engine.pool().outstanding(),
                    engine.pool().window(),
                    node.waiting(),
                )),
            }
        }
        self.describe_streamers(&mut lines);
        self.describe_pubsub(&mut lines);
        self.describe_calls(&mut lines);
        for (id, conn) in &self.conns {
            lines.push(format!(
                "connection {id} on wire {}: broken {}, attached {}, sender may send {:?}",
                conn.wire,
                conn.broken,
                conn.attached.is_some(),
                conn.credit.spare()
            ));
        }
        lines.join("\n  ")
    }
}
