//! The network, and the loop that lets time pass in it.

use std::collections::BTreeMap;
use std::time::Duration;

use drawdown_protocol::{LinkId, LinkState, PeerId, PullEngine, PushEngine, Seq, Session, Time};

use super::agenda::{Agenda, EndId, Event, Node, Side};
use super::calls::{RepNode, ReqNode};
use super::check::{CallBook, Chronicle, Ledger, Verdict};
use super::conn::Conn;
use super::dice::Dice;
use super::node::{Doing, Process, PullNode, PushNode, Worker};
use super::plan::{Plan, PullPlan, PushPlan};
use super::pubsub::{ProxyNode, PubNode, SubNode};
use super::report::{Failure, Kind, Report};
use super::routing::RouterNode;
use super::script::Script;
use super::streaming::StreamerNode;
use super::trace::Trace;

/// Steps that may happen at one moment.
const STEPS_AT_ONCE_MAX: u32 = 100_000;

/// A simulated network.
pub struct Network {
    script: Option<Script>,
    /// A test drives it.
    by_hand: bool,
    /// Faults that were done or left out.
    pub(super) faults_met: u64,
    pub(super) agenda: Agenda,
    pub(super) dice: Dice,
    pub(super) trace: Trace,
    pub(super) plan: Plan,
    pub(super) pushes: Vec<PushNode>,
    pub(super) pulls: Vec<PullNode>,
    pub(super) pubs: Vec<PubNode>,
    pub(super) subs: Vec<SubNode>,
    pub(super) proxies: Vec<ProxyNode>,
    pub(super) reqs: Vec<ReqNode>,
    pub(super) reps: Vec<RepNode>,
    pub(super) streamers: Vec<StreamerNode>,
    pub(super) routers: Vec<RouterNode>,
    pub(super) wires: Vec<Wire>,
    pub(super) conns: BTreeMap<u64, Conn>,
    pub(super) next_conn: u64,
    pub(super) ledger: Ledger,
    pub(super) chronicle: Chronicle,
    pub(super) book: CallBook,
    pub(super) report: Report,
    pub(super) is_calm: bool,
    /// The end that hands a frame to its engine at the moment.
    pub(super) hearing: Option<EndId>,
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
    pub(super) fn random(script: &Script, printed: bool) -> Self {
        let (plan, dice) = plan_and_dice(script, Dice::new(script.seed));
        let network = Self::build(plan, Some(script.clone()), dice, printed);
        network.with_storm()
    }

    /// A network that bytes throw.
    pub(super) fn thrown(kind: Kind, throws: &[u8]) -> Self {
        let (plan, dice) = plan_and_dice(&Script::whole(kind, 0), Dice::of_bytes(throws));
        Self::build(plan, None, dice, false).with_storm()
    }

    fn with_storm(self) -> Self {
        let mut network = self;
        let storm = network.plan.storm;
        network.agenda.after(storm, Event::Calm);
        if !network.plan.faults.is_empty() && !storm.is_zero() {
            network.plan_fault();
        }
        network
    }

    /// What a script says.
    pub(super) fn plan_of(script: &Script) -> Plan {
        plan_and_dice(script, Dice::new(script.seed)).0
    }

    /// Whether the next fault happens, and which one it is by the order of all.
    pub(super) fn meets_fault(&mut self) -> Option<u64> {
        let fault = self.faults_met;
        self.faults_met += 1;
        self.script.as_ref().is_none_or(|script| script.allows(fault)).then_some(fault)
    }

    /// A network as planned, to be driven by hand.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let mut network = Self::build(plan, None, Dice::new(0), false);
        network.is_calm = true;
        network.by_hand = true;
        network
    }

    fn build(plan: Plan, script: Option<Script>, dice: Dice, printed: bool) -> Self {
        let wires = plan.wires.iter().map(|_| Wire {
            is_dialling: false,
            is_unplugged: false,
            idle_since: Time::ZERO,
        });
        let mut network = Self {
            script,
            by_hand: false,
            faults_met: 0,
            agenda: Agenda::new(),
            dice,
            trace: Trace::new(printed),
            pushes: Vec::new(),
            pulls: Vec::new(),
            pubs: Vec::new(),
            subs: Vec::new(),
            proxies: Vec::new(),
            reqs: Vec::new(),
            reps: Vec::new(),
            streamers: Vec::new(),
            routers: Vec::new(),
            wires: wires.collect(),
            conns: BTreeMap::new(),
            next_conn: 0,
            ledger: Ledger::default(),
            chronicle: Chronicle::default(),
            book: CallBook::default(),
            report: Report::default(),
            is_calm: false,
            hearing: None,
            wrong: None,
            plan,
        };
        if printed {
            println!("{:#?}", network.plan);
        }
        for plan in network.plan.pushes.clone() {
            network.add_push(plan);
        }
        for plan in network.plan.streamers.clone() {
            network.add_streamer(plan);
        }
        for plan in network.plan.pulls.clone() {
            network.add_pull(plan);
        }
        network.add_pubsub();
        network.add_calls();
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
            goes_on: None,
            loses_disk: false,
            restored: 0,
            store_at: None,
            left: plan.messages,
            waits_for_room: false,
            fresh_from: 0,
            places: self.plan.pulls.iter().any(|pull| pull.config.future_messages > 0),
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
        let session = if node.goes_on.is_some() { node.session } else { fresh };
        let mut engine = match &node.store {
            None => PushEngine::new(config, peer, session),
            Some(store) => match store.recover() {
                None => PushEngine::with_store(config, peer, session),
                Some(recovered) => PushEngine::recover(config, peer, recovered),
            },
        };
        if let Some(next_seq) = node.goes_on {
            engine = engine.rebuilding(next_seq);
        }
        node.restored = 0;
        engine.watch(Seq::MAX);
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
        let (mut time, mut steps) = (self.agenda.now(), 0);
        while let Some(event) = self.agenda.pop(until) {
            self.report.steps += 1;
            steps = if self.agenda.now() > time { 0 } else { steps + 1 };
            time = self.agenda.now();
            if steps > STEPS_AT_ONCE_MAX {
                return Err(format!("time stands still; the next step is {event:?}"));
            }
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
            Event::Store { node, life } => self.look_at_store(node, life),
            Event::Stored { node, life } => self.stored(node, life),
            Event::Worker { pull, life, worker, turn } => self.worker(pull, life, worker, turn),
            Event::Restart { node } => self.restart(node),
            Event::Fault => self.fault(),
            Event::Relax { node } => self.relax(node),
            Event::Publish { publisher, life } => self.publish_some(publisher, life),
            Event::Application { sub, life, turn } => self.application(sub, life, turn),
            Event::CursorSaved { sub, life } => self.cursor_saved(sub, life),
            Event::MakeCalls { req, life } => self.make_calls(req, life),
            Event::CancelCall { req, life, number } => self.cancel_call(req, life, number),
            Event::Serve { rep, life, worker, turn } => self.serve_turn(rep, life, worker, turn),
            Event::PlugIn { wire } => self.plug_in(wire),
            Event::Calm => self.calm(),
            Event::Probe => self.probe(),
        }
    }

    fn node_timer(&mut self, node: Node, life: u32) {
        let now = self.agenda.now();
        let process = self.process(node);
        let clock = process.clock(now);
        if process.life != life || process.timer_at.take_if(|at| *at <= now).is_none() {
            return;
        }
        if let Some(engine) = self.socket(node) {
            engine.handle_timeout(clock);
        }
        if let Node::Pull(pull) = node {
            self.flush_when_due(pull);
        }
        self.after(node);
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
            Node::Pub(index) => &mut self.pubs[index].process,
            Node::Sub(sub) => &mut self.subs[sub].process,
            Node::Proxy(proxy) => &mut self.proxies[proxy].process,
            Node::Req(req) => &mut self.reqs[req].process,
            Node::Rep(rep) => &mut self.reps[rep].process,
            Node::Streamer(streamer) => &mut self.streamers[streamer].process,
            Node::Router(router) => &mut self.routers[router].process,
        }
    }

    pub(super) fn is_up(&self, node: Node) -> bool {
        match node {
            Node::Push(push) => self.pushes[push].engine.is_some(),
            Node::Pull(pull) => self.pulls[pull].engine.is_some(),
            Node::Pub(index) => self.pubs[index].engine.is_some(),
            Node::Sub(sub) => self.subs[sub].engine.is_some(),
            Node::Proxy(proxy) => self.proxies[proxy].engine.is_some(),
            Node::Req(req) => self.reqs[req].engine.is_some(),
            Node::Rep(rep) => self.reps[rep].engine.is_some(),
            Node::Streamer(streamer) => self.streamers[streamer].engine.is_some(),
            Node::Router(router) => self.routers[router].engine.is_some(),
        }
    }

    /// The largest payload that a node sends or takes.
    pub(super) fn message_bytes_max(&self, node: Node) -> usize {
        let link = match node {
            Node::Push(push) => &self.pushes[push].plan.config.link,
            Node::Pull(pull) => &self.pulls[pull].plan.config.link,
            Node::Pub(index) => &self.pubs[index].plan.config.link,
            Node::Sub(sub) => &self.subs[sub].plan.config.link,
            Node::Proxy(proxy) => &self.proxies[proxy].plan.config.up.link,
            Node::Req(req) => &self.reqs[req].plan.config.link,
            Node::Rep(rep) => &self.reps[rep].plan.config.link,
            Node::Streamer(streamer) => &self.streamers[streamer].plan.config.link,
            Node::Router(router) => &self.routers[router].plan.config.link,
        };
        link.message_bytes_max
    }

    /// The node at an end of a wire.
    pub(super) fn node_of(&self, wire: usize, side: Side) -> Node {
        self.plan.wires[wire].node(side)
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

    /// Whether a test drives it.
    pub(super) const fn is_by_hand(&self) -> bool {
        self.by_hand
    }

    pub(super) fn failure(&self, what: String) -> Failure {
        Failure {
            script: self.script.clone().map(Box::new),
            at: self.elapsed(),
            what,
            faults: self.report.faults_done.clone(),
        }
    }
}

/// Makes other dice of a seed.
const TOGETHER: u64 = 0x746f_6765_7468_6572;

/// What a script says, and the dice as the making of it leaves them.
fn plan_and_dice(script: &Script, mut dice: Dice) -> (Plan, Dice) {
    let mut plan = match script.kind {
        Kind::PushPull => Plan::random(&mut dice),
        Kind::PubSub => Plan::random_pubsub(&mut dice),
        Kind::Calls => Plan::random_calls(&mut dice),
        Kind::Streamers => Plan::random_streamers(&mut dice),
        Kind::Routers => Plan::random_routers(&mut dice),
    };
    plan.bring_together(&mut Dice::new(script.seed ^ TOGETHER));
    script.reduce(&mut plan);
    (plan, dice)
}
