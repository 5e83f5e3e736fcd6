//! The driver of a PUB node, and the application that publishes on it.

use std::time::Duration;

use drawdown_protocol::{
    Event as Happened, Lineage, Message, PeerId, PublishEngine, Refusal, Seq, Session,
};

use crate::sim::agenda::{Event, Node};
use crate::sim::check::{Publication, TOPICS, Verdict, ensure, payload};
use crate::sim::network::Network;
use crate::sim::node::Process;
use crate::sim::plan::{Keeps, PubPlan};

use super::node::{Disk, PubNode};

impl Network {
    pub(super) fn add_pub(&mut self, plan: PubPlan) {
        let index = self.pubs.len();
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        // A machine that takes another one's place has the same time.
        let clock_of = plan.twin_of.map(|other| self.pubs[other].process.wall_offset_ms());
        let waits = plan.twin_of.is_some();
        self.pubs.push(PubNode {
            process: Process::new(format!("pub-{index}"), clock_of.unwrap_or(offset)),
            engine: None,
            lineage: None,
            next_seq: 0,
            disk: (plan.keeps == Keeps::Store).then(|| Disk::new(plan.commit)),
            left: plan.messages,
            is_done: plan.messages == 0,
            is_retired: false,
            plan,
        });
        if !waits {
            self.start_pub(index);
        }
    }

    /// Starts a PUB process with what is left of its session.
    pub(in crate::sim) fn start_pub(&mut self, index: usize) {
        if self.pubs[index].is_retired
            || (self.pubs[index].plan.twin_of.is_some() && self.pubs[index].lineage.is_none())
        {
            return;
        }
        let peer = PeerId::from_uuid(self.dice.uuid());
        let fresh = Session::from_uuid(self.dice.uuid());
        let now = self.agenda.now();
        let node = &mut self.pubs[index];
        let clock = node.process.clock(now);
        let config = node.plan.config.clone();
        let epoch = clock.wall.as_millis();
        let epoch = node.lineage.map_or(epoch, |before| epoch.max(before.epoch + 1));
        let lineage = match (node.plan.keeps, node.lineage) {
            (Keeps::Numbers, Some(before)) => Lineage { epoch, since: node.next_seq, ..before },
            _ => Lineage { session: fresh, epoch, since: 0 },
        };
        let engine = match node.disk.as_ref().map(|disk| disk.store.recover()) {
            None => PublishEngine::new(config, peer, lineage),
            Some(None) => PublishEngine::with_store(config, peer, lineage),
            Some(Some(recovered)) => PublishEngine::recover(config, peer, epoch, recovered, clock),
        };
        self.run_pub(index, engine);
    }

    /// A publisher begins to work.
    pub(super) fn run_pub(&mut self, index: usize, mut engine: PublishEngine) {
        engine.watch(Seq::MAX);
        let node = &mut self.pubs[index];
        let lineage = engine.lineage();
        node.lineage = Some(lineage);
        node.next_seq = engine.next_seq();
        node.engine = Some(engine);
        let (life, next_seq) = (node.process.life, node.next_seq);
        self.chronicle.begin(lineage);
        let numbers = [u64::from(life), lineage.epoch, next_seq];
        self.trace.note(self.agenda.now(), Node::Pub(index), "starts", &numbers);
        let delay = self.dice.up_to(self.pubs[index].plan.pace);
        self.agenda.after(delay, Event::Publish { publisher: index, life });
        self.after_pub(index);
        self.dial_from(Node::Pub(index));
    }

    /// A publisher has died: what it had accepted must be on its disk, if it has one.
    pub(in crate::sim) fn pub_dies(&mut self, index: usize) {
        let node = &mut self.pubs[index];
        let Some(engine) = node.engine.take() else {
            return;
        };
        let oldest = engine.oldest();
        let lineage = engine.lineage();
        let Some(disk) = &mut node.disk else {
            return;
        };
        disk.look_at = None;
        let crashed = disk.store.crash(&mut self.dice);
        let recovered = disk.store.recover();
        self.check(crashed);
        let (first, next) = recovered.map_or((0, 0), |found| {
            let first = found.blocks.first().map_or(0, |block| block.seqs.start);
            (first, found.blocks.last().map_or(0, |block| block.seqs.end))
        });
        let kept = self.chronicle.forget_from(lineage, next);
        let accepted = self.chronicle.of(lineage.session, oldest..next.min(first)).next().is_some();
        self.check(kept.map_err(|why| format!("pub-{index}: {why}")));
        self.check(ensure(!accepted, || {
            format!("pub-{index} had all from {oldest} on, and its disk all from {first} on")
        }));
    }

    /// After any call of a PUB engine.
    pub(in crate::sim) fn after_pub(&mut self, index: usize) {
        self.wake_links(Node::Pub(index));
        while let Some(event) = self.next_event(Node::Pub(index)) {
            if let Happened::Disconnected { reason, .. } = event {
                let verdict = self.check_end(&reason);
                self.check(verdict);
            }
        }
        self.note_accepted(index);
        let now = self.agenda.now();
        let node = &self.pubs[index];
        if let Some(engine) = &node.engine {
            let next = engine.poll_timeout(node.process.clock(now));
            self.set_node_timer(Node::Pub(index), next);
            self.plan_disk(Node::Pub(index));
        }
        let verdict = self.check_ring(index);
        self.check(verdict);
    }

    fn note_accepted(&mut self, index: usize) {
        let PubNode { engine, lineage, .. } = &mut self.pubs[index];
        let (Some(engine), Some(lineage)) = (engine, lineage) else {
            return;
        };
        while let Some(seqs) = engine.poll_progress() {
            for seq in seqs.start..seqs.end.min(engine.next_seq()) {
                if let Some(what) = self.chronicle.get(*lineage, seq) {
                    what.accepted |= engine.is_accepted(seq);
                }
            }
        }
    }

    /// A ring never holds more than its limits allow, but for what the disk does not have yet.
    fn check_ring(&self, index: usize) -> Verdict {
        let node = &self.pubs[index];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        let now = self.agenda.now();
        let limits = engine.config().ring;
        let stats = engine.stats(now);
        for ring in &stats.rings {
            let accepted =
                engine.first_unaccepted(ring.oldest..ring.next_seq).unwrap_or(ring.next_seq);
            let unwritten = ring.next_seq - accepted;
            let most = limits.messages.max(1) + unwritten;
            ensure(ring.messages <= most, || {
                format!("pub-{index} retains {ring:?}, allowed are {limits:?}")
            })?;
            let message = self.plan.pubs[index].config.link.message_bytes_max as u64 + 512;
            ensure(unwritten > 0 || ring.bytes <= limits.bytes.max(message), || {
                format!("pub-{index} retains {ring:?}, allowed are {limits:?}")
            })?;
        }
        Ok(())
    }

    /// The application publishes a burst.
    pub(in crate::sim) fn publish_some(&mut self, index: usize, life: u32) {
        let node = &self.pubs[index];
        if node.process.life != life || node.engine.is_none() || node.is_done {
            return;
        }
        if node.left == 0 {
            if self.is_calm {
                self.publish_last(index);
            }
            return;
        }
        let burst = self.dice.between(1..=node.plan.burst.max(1)).min(node.left);
        for _ in 0..burst {
            let bytes = self.dice.spread(0..=self.pubs[index].plan.payload_bytes) as usize;
            let topic = self.dice.pick(&TOPICS);
            match self.try_publish(index, topic, bytes) {
                Ok(_) => self.pubs[index].left -= 1,
                Err(Refusal::Full) => break,
                Err(_) => return,
            }
        }
        let pace = self.pubs[index].plan.pace;
        let delay = self.dice.up_to(pace) + Duration::from_micros(1);
        self.agenda.after(delay, Event::Publish { publisher: index, life });
    }

    /// The last messages, one for each topic.
    fn publish_last(&mut self, index: usize) {
        for topic in TOPICS {
            if self.try_publish(index, topic, 3).is_err() {
                let life = self.pubs[index].process.life;
                let delay = Duration::from_millis(20);
                return self.agenda.after(delay, Event::Publish { publisher: index, life });
            }
        }
        self.pubs[index].is_done = true;
    }

    /// Publishes one message of the application's.
    pub(super) fn try_publish(
        &mut self,
        index: usize,
        topic: &[u8],
        bytes: usize,
    ) -> Result<Seq, Refusal> {
        let now = self.agenda.now();
        let pattern = self.report.messages;
        let node = &mut self.pubs[index];
        let clock = node.process.clock(now);
        let (Some(engine), Some(lineage)) = (&mut node.engine, node.lineage) else {
            return Err(Refusal::Closed);
        };
        let in_memory = node.disk.is_none();
        match engine.try_publish(topic, Message::from(payload(pattern, bytes)), || clock) {
            Ok(seq) => {
                node.next_seq = engine.next_seq();
                let topic = topic.to_vec();
                let what = Publication { topic, pattern, bytes, accepted: in_memory, seen: false };
                self.report.messages += 1;
                self.trace.note(now, Node::Pub(index), "publishes", &[seq, bytes as u64]);
                let published = self.chronicle.publish(lineage, seq, what);
                self.check(published.map_err(|why| format!("pub-{index}: {why}")));
                self.after_pub(index);
                Ok(seq)
            }
            Err(refused) => {
                let why = refused.why;
                self.check(ensure(!in_memory, || format!("pub-{index} refuses: {why:?}")));
                self.after_pub(index);
                Err(why)
            }
        }
    }
}
