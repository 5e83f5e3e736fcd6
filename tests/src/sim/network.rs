//! The network, and the loop that lets time pass in it.

use std::collections::BTreeMap;
use std::time::Duration;

use drawdown_protocol::{LinkId, LinkState, PeerId, PullEngine, PushEngine, Session, Time};

use super::agenda::{Agenda, Event, Node, Side};
use super::check::{Ledger, Verdict};
use super::conn::Conn;
use super::dice::Dice;
use super::node::{Doing, Process, PullNode, PushNode, Worker};
use super::plan::{Plan, PullPlan, PushPlan};
use super::report::{Failure, Report};
use super::trace::Trace;

/// A simulated network.
pub struct Network {
    seed: Option<u64>,
    pub(super) agenda: Agenda,
    pub(super) dice: Dice,
    pub(super) trace: Trace,
    pub(super) plan: Plan,
    pub(super) pushes: Vec<PushNode>,
    pub(super) pulls: Vec<PullNode>,
    pub(super) wires: Vec<Wire>,
    pub(super) conns: BTreeMap<u64, Conn>,
    pub(super) next_conn: u64,
    pub(super) ledger: Ledger,
    pub(super) report: Report,
    pub(super) is_calm: bool,
    /// The first thing that a checker found wrong.
    wrong: Option<String>,
}

/// Two nodes that should be connected.
pub(super) struct Wire {
    /// A connection is wanted and not made yet.
    pub(super) is_dialling: bool,
    /// Nobody dials: a test has pulled the plug.
    pub(super) is_unplugged: bool,
    /// Since when its receiver waits although its sender has something.
    pub(super) idle_since: Time,
}

impl Network {
    /// A network by chance.
    pub(super) fn random(seed: u64, printed: bool) -> Self {
        let mut dice = Dice::new(seed);
        let plan = Plan::random(&mut dice);
        let mut network = Self::build(plan, Some(seed), dice, printed);
        let storm = network.plan.storm;
        network.agenda.after(storm, Event::Calm);
        if !network.plan.faults.is_empty() && !storm.is_zero() {
            network.plan_fault();
        }
        network
    }

    /// A network as planned, to be driven by hand.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let mut network = Self::build(plan, None, Dice::new(0), false);
        network.is_calm = true;
        network
    }

    fn build(plan: Plan, seed: Option<u64>, dice: Dice, printed: bool) -> Self {
        let wires = plan.wires.iter().map(|_| Wire {
            is_dialling: false,
            is_unplugged: false,
            idle_since: Time::ZERO,
        });
        let mut network = Self {
            seed,
            agenda: Agenda::new(),
            dice,
            trace: Trace::new(printed),
            pushes: Vec::new(),
            pulls: Vec::new(),
            wires: wires.collect(),
            conns: BTreeMap::new(),
            next_conn: 0,
            ledger: Ledger::default(),
            report: Report::default(),
            is_calm: false,
            wrong: None,
            plan,
        };
        if printed {
            println!("{:#?}", network.plan);
        }
        for plan in network.plan.pushes.clone() {
            network.add_push(plan);
        }
        for plan in network.plan.pulls.clone() {
            network.add_pull(plan);
        }
        for wire in 0..network.wires.len() {
            let delay = network.dice.up_to(network.plan.wires[wire].redial);
            network.dial_after(wire, delay);
        }
        network
    }

    fn add_push(&mut self, plan: PushPlan) {
        let push = self.pushes.len();
        // Clocks differ by up to eleven days.
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        let session = Session::from_uuid(self.dice.uuid());
        self.pushes.push(PushNode {
            process: Process::new(format!("push-{push}"), offset),
            engine: None,
            session,
            store: plan.store.then(Default::default),
            store_at: None,
            left: plan.messages,
            waits_for_room: false,
            fresh_from: 0,
            dispatched_to: 0,
            left_behind: Default::default(),
            letters_full: false,
            plan,
        });
        self.start_push(push);
    }

    fn add_pull(&mut self, plan: PullPlan) {
        let pull = self.pulls.len();
        let offset = self.dice.between(1_700_000_000_000..=1_701_000_000_000);
        self.pulls.push(PullNode {
            process: Process::new(format!("pull-{pull}"), offset),
            engine: None,
            workers: Vec::new(),
            reader: None,
            confirmed: Vec::new(),
            flush_at: None,
            is_paused: false,
            is_closing: false,
            window: Default::default(),
            callers: 0,
            busy_at: Time::ZERO,
            plan,
        });
        self.start_pull(pull);
    }

    /// Starts a PUSH process, from its store if that holds anything.
    pub(super) fn start_push(&mut self, push: usize) {
        let peer = PeerId::from_uuid(self.dice.uuid());
        let fresh = Session::from_uuid(self.dice.uuid());
        let node = &mut self.pushes[push];
        let config = node.plan.config.clone();
        let mut engine = match &node.store {
            None => PushEngine::new(config, peer, fresh),
            Some(store) => match store.recover() {
                None => PushEngine::with_store(config, peer, fresh),
                Some(recovered) => PushEngine::recover(config, peer, recovered),
            },
        };
        engine.watch(true);
        node.session = engine.session();
        node.fresh_from = engine.next_seq();
        node.dispatched_to = node.fresh_from;
        node.left_behind = Default::default();
        node.waits_for_room = false;
        node.engine = Some(engine);
        let life = node.process.life;
        let next_seq = node.fresh_from;
        self.trace.note(
            self.agenda.now(),
            Node::Push(push),
            "starts",
            &[u64::from(life), next_seq],
        );
        let delay = self.dice.up_to(self.pushes[push].plan.pace);
        self.agenda.after(delay, Event::Produce { push, life });
        self.after_push(push);
        self.dial_from(Node::Push(push));
    }

    /// Starts a PULL process.
    pub(super) fn start_pull(&mut self, pull: usize) {
        let peer = PeerId::from_uuid(self.dice.uuid());
        let now = self.agenda.now();
        let node = &mut self.pulls[pull];
        node.engine = Some(PullEngine::new(node.plan.config.clone(), peer));
        let life = node.process.life;
        node.workers =
            (0..node.plan.workers).map(|_| Worker { doing: Doing::Resting, turn: 0 }).collect();
        node.busy_at = now;
        self.trace.note(now, Node::Pull(pull), "starts", &[u64::from(life)]);
        for worker in 0..self.pulls[pull].workers.len() {
            self.rest(pull, worker);
        }
        self.after_pull(pull);
        self.dial_from(Node::Pull(pull));
    }

    /// Lets time pass until `until`, or until something is wrong.
    pub(super) fn run_until(&mut self, until: Time) -> Verdict {
        while let Some(event) = self.agenda.pop(until) {
            self.report.steps += 1;
            self.handle(event);
            if let Some(wrong) = self.wrong.take() {
                return Err(wrong);
            }
        }
        self.agenda.skip_to(until);
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Dial { wire } => self.dial(wire),
            Event::Accept { end } => self.accept(end),
            Event::Pump { end } => self.woken(end),
            Event::Arrive { end } => self.arrive(end),
            Event::LinkTimer { end } => self.link_timer(end),
            Event::Reset { end } => self.reset(end, "the connection was reset"),
            Event::Linger { end } => self.hang_up(end),
            Event::NodeTimer { node, life } => self.node_timer(node, life),
            Event::Produce { push, life } => self.produce(push, life),
            Event::Store { push, life } => self.look_at_store(push, life),
            Event::Stored { push, life } => self.stored(push, life),
            Event::Worker { pull, life, worker, turn } => self.worker(pull, life, worker, turn),
            Event::Restart { node } => self.restart(node),
            Event::Fault => self.fault(),
            Event::Relax { pull } => self.relax(pull),
            Event::Calm => self.calm(),
            Event::Probe => self.probe(),
        }
    }

    fn node_timer(&mut self, node: Node, life: u32) {
        let now = self.agenda.now();
        match node {
            Node::Push(push) => {
                let PushNode { process, engine, .. } = &mut self.pushes[push];
                if let Some(engine) = engine
                    && process.life == life
                    && process.timer_at.take_if(|at| *at <= now).is_some()
                {
                    engine.handle_timeout(process.clock(now));
                    self.after_push(push);
                }
            }
            Node::Pull(pull) => {
                let PullNode { process, engine, flush_at, confirmed, .. } = &mut self.pulls[pull];
                if let Some(engine) = engine
                    && process.life == life
                    && process.timer_at.take_if(|at| *at <= now).is_some()
                {
                    engine.handle_timeout(now);
                    if flush_at.take_if(|at| *at <= now).is_some() {
                        engine.handle_confirmed(confirmed.drain(..));
                        engine.flush();
                    }
                    self.after_pull(pull);
                }
            }
        }
    }

    /// Sets the timer of a node for an earlier moment, if it must be.
    pub(super) fn set_node_timer(&mut self, node: Node, next: Option<Time>) {
        let process = self.process(node);
        if let Some(next) = next
            && process.timer_at.is_none_or(|at| next < at)
        {
            process.timer_at = Some(next);
            let life = process.life;
            self.agenda.at(next, Event::NodeTimer { node, life });
        }
    }

    pub(super) fn process(&mut self, node: Node) -> &mut Process {
        match node {
            Node::Push(push) => &mut self.pushes[push].process,
            Node::Pull(pull) => &mut self.pulls[pull].process,
        }
    }

    pub(super) fn is_up(&self, node: Node) -> bool {
        match node {
            Node::Push(push) => self.pushes[push].engine.is_some(),
            Node::Pull(pull) => self.pulls[pull].engine.is_some(),
        }
    }

    /// The node at an end of a wire.
    pub(super) fn node_of(&self, wire: usize, side: Side) -> Node {
        match side {
            Side::Push => Node::Push(self.plan.wires[wire].push),
            Side::Pull => Node::Pull(self.plan.wires[wire].pull),
        }
    }

    /// Whether both sides of a connection are open and the receiver has said what it holds.
    pub(super) fn is_working(&self, conn: u64) -> bool {
        self.conns.get(&conn).is_some_and(|conn| {
            !conn.broken
                && conn.attached.is_some()
                && conn
                    .ends
                    .iter()
                    .all(|end| end.as_ref().is_some_and(|end| end.state == LinkState::Open))
        })
    }

    /// The connection that a link of a node is on.
    pub(super) fn conn_of(&self, process: &Process, link: LinkId) -> Option<&Conn> {
        self.conns.get(&process.ends.get(&link)?.conn)
    }

    /// Takes note of what a checker says.
    pub(super) fn check(&mut self, verdict: Verdict) {
        if let Err(wrong) = verdict {
            self.wrong.get_or_insert(wrong);
        }
    }

    /// How long it has run.
    pub(super) fn elapsed(&self) -> Duration {
        self.agenda.now().since(Agenda::new().now())
    }

    pub(super) fn failure(&self, what: String) -> Failure {
        Failure { seed: self.seed, at: self.elapsed(), what }
    }
}
