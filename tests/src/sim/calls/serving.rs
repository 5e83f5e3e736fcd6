//! The driver of a REP node.

use drawdown_protocol::credit::Amount;
use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::{Event as Happened, LinkState, PeerId, ReplyEngine, Session};

use crate::sim::agenda::Node;
use crate::sim::check::{Verdict, check_end, ensure};
use crate::sim::network::Network;
use crate::sim::node::Process;
use crate::sim::plan::RepPlan;
use crate::sim::pubsub::Disk;

use super::node::{Doing, RepNode, Worker};

impl Network {
    pub(super) fn add_rep(&mut self, plan: RepPlan) {
        let rep = self.reps.len();
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        self.reps.push(RepNode {
            process: Process::new(format!("rep-{rep}"), offset),
            engine: None,
            disk: plan.store.then(|| Disk::new(plan.commit)),
            workers: Vec::new(),
            callers: 0,
            is_paused: false,
            is_stopping: false,
            roomy_since: None,
            window: Default::default(),
            plan,
        });
        self.start_rep(rep);
    }

    /// Starts a REP process, from its store if that holds anything.
    pub(in crate::sim) fn start_rep(&mut self, rep: usize) {
        let peer = PeerId::from_uuid(self.dice.uuid());
        let session = Session::from_uuid(self.dice.uuid());
        let now = self.agenda.now();
        let node = &mut self.reps[rep];
        let config = node.plan.config.clone();
        let clock = node.process.clock(now);
        let engine = match &node.disk {
            None => ReplyEngine::new(config, peer),
            Some(disk) => match disk.store.recover() {
                None => ReplyEngine::with_store(config, peer, session),
                Some(recovered) => ReplyEngine::recover(config, peer, recovered, clock),
            },
        };
        let inherited = engine.stats(now).remembered;
        let limits = node.plan.config.memory;
        self.book.memories.entry(rep).or_default().start(
            limits,
            node.disk.is_some(),
            inherited,
            now,
        );
        node.engine = Some(engine);
        node.workers =
            (0..node.plan.workers).map(|_| Worker { doing: Doing::Resting, turn: 0 }).collect();
        let life = u64::from(node.process.life);
        self.trace.note(now, Node::Rep(rep), "starts", &[life, inherited]);
        for worker in 0..self.reps[rep].workers.len() {
            self.rest_server(rep, worker);
        }
        self.after_rep(rep);
        self.dial_from(Node::Rep(rep));
    }

    pub(in crate::sim) fn rep_dies(&mut self, rep: usize) {
        let node = &mut self.reps[rep];
        node.engine = None;
        node.workers.clear();
        node.callers = 0;
        node.is_paused = false;
        node.is_stopping = false;
        node.roomy_since = None;
        node.window = Default::default();
        if let Some(disk) = &mut node.disk {
            disk.look_at = None;
            let crashed = disk.store.crash(&mut self.dice);
            self.check(crashed);
        }
    }

    /// After any call of a REP engine.
    pub(in crate::sim) fn after_rep(&mut self, rep: usize) {
        let now = self.agenda.now();
        self.hand_out(rep);
        let node = &mut self.reps[rep];
        if let Some(engine) = node.engine.as_mut().filter(|_| node.is_stopping)
            && engine.unanswered() == 0
            && engine.is_drained()
        {
            engine.close_links(now);
        }
        self.wake_links(Node::Rep(rep));
        while let Some(event) = self.next_event(Node::Rep(rep)) {
            if let Happened::Disconnected { reason, .. } = event {
                self.check(check_end(&reason));
            }
        }
        self.plan_disk(Node::Rep(rep));
        let next = self.reps[rep].engine.as_ref().and_then(ReplyEngine::poll_timeout);
        self.set_node_timer(Node::Rep(rep), next);
        let verdict = self.check_server(rep);
        self.check(verdict.map_err(|why| format!("rep-{rep}: {why}")));
    }

    /// What must hold of a server at any moment.
    fn check_server(&mut self, rep: usize) -> Verdict {
        let now = self.agenda.now();
        let node = &self.reps[rep];
        let Some(engine) = &node.engine else {
            return Ok(());
        };
        let open =
            node.process.ends.iter().filter(|(l, _)| engine.link_state(**l) == LinkState::Open);
        let conns = open.filter_map(|(_, end)| self.conns.get(&end.conn));
        let truth = conns.fold(Amount::ZERO, |sum, conn| sum + conn.credit.may_arrive());
        let (held, outstanding) = (engine.pool().queued(), engine.pool().outstanding());
        ensure(truth.fits(outstanding), || {
            format!("{truth:?} may arrive, it knows of {outstanding:?}")
        })?;
        let stats = engine.stats(now);
        let by_count = if stats.window.messages == 0 { stats.queued } else { engine.unanswered() };
        ensure(held.messages == by_count, || {
            format!("{held:?} are held of the window, and {by_count} calls are here")
        })?;
        let most = self.book.memories.get(&rep).map_or(0, |memory| memory.remembered_max(now));
        ensure(stats.remembered <= most, || {
            format!("{} answers are remembered of at most {most}", stats.remembered)
        })?;
        let one = Amount::new(1, cost_bytes_max(engine.config().link.message_bytes_max));
        let is_roomy = one.fits(engine.pool().unused()) && !node.is_stopping;
        let used = held + outstanding;
        let room = self.room_of(rep);
        let since = &mut self.reps[rep].roomy_since;
        *since = is_roomy.then(|| since.unwrap_or(now));
        let window = &mut self.reps[rep].window;
        window.resized(room, used);
        window.check(used, "it")
    }

    /// What may be here or on its way.
    fn room_of(&self, rep: usize) -> Amount {
        let node = &self.reps[rep];
        match &node.engine {
            Some(engine) if !node.is_paused => {
                let window = engine.pool().window();
                let messages = if window.messages == 0 { node.waiting() } else { window.messages };
                Amount::new(messages, window.bytes)
            }
            _ => Amount::ZERO,
        }
    }

    /// The room may have changed: what was within the old one is forgiven.
    pub(super) fn note_rep_room(&mut self, rep: usize) {
        let room = self.room_of(rep);
        let node = &mut self.reps[rep];
        if let Some(engine) = &node.engine {
            let used = engine.pool().queued() + engine.pool().outstanding();
            node.window.resized(room, used);
        }
    }

    /// Tells the engine how many receive calls wait.
    pub(super) fn tell_rep_waiting(&mut self, rep: usize) {
        let node = &mut self.reps[rep];
        let waiting = node.waiting();
        if let Some(engine) = &mut node.engine {
            engine.set_waiting(waiting);
        }
        self.note_rep_room(rep);
    }
}
