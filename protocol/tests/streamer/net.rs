//! Senders, streamers and receivers, joined by nothing but their bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use drawdown_protocol::wire::{CloseCode, Decoder, Outcome};
use drawdown_protocol::{
    Cursor, Event, Identity, LinkId, LinkState, Now, PeerId, PullConfig, PullEngine, PullStats,
    PushConfig, PushEngine, PushStats, Run, Session, Side, StreamerConfig, StreamerEngine,
    StreamerStats, Transmit,
};
use uuid::Uuid;

pub(crate) enum Node {
    Push(Box<PushEngine>),
    Pull(Box<PullEngine>),
    Streamer(Box<StreamerEngine>),
}

macro_rules! each {
    ($node:expr, $engine:ident => $call:expr) => {
        match $node {
            Node::Push($engine) => $call,
            Node::Pull($engine) => $call,
            Node::Streamer($engine) => $call,
        }
    };
}

/// One direction of a link.
struct Way {
    to: (usize, LinkId),
    decoder: Decoder,
    input: BytesMut,
}

/// A message that an application has.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub(crate) run: Arc<Run>,
    pub(crate) index: u32,
}

impl Job {
    pub(crate) fn name(&self) -> (Session, u64) {
        (self.run.session(), self.run.seq(self.index))
    }
}

#[derive(Default)]
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    ways: BTreeMap<(usize, LinkId), Way>,
    /// Ends of links that may have something to say.
    due: Vec<(usize, LinkId)>,
    pub(crate) now: Now,
    /// Links that ended, by code.
    pub(crate) ends: BTreeMap<usize, Vec<CloseCode>>,
    next_peer: u128,
}

impl Net {
    pub(crate) fn peer(&mut self) -> PeerId {
        self.next_peer += 1;
        PeerId::from_uuid(Uuid::from_u128(1_000 + self.next_peer))
    }

    fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(crate) fn push(&mut self, config: PushConfig) -> usize {
        let peer = self.peer();
        let session = Session::from_uuid(*self.peer().as_uuid());
        self.add(Node::Push(Box::new(PushEngine::new(config, peer, session))))
    }

    pub(crate) fn pull(&mut self, window_messages: u64) -> usize {
        let peer = self.peer();
        let config = PullConfig { window_messages, ..PullConfig::default() };
        self.add(Node::Pull(Box::new(PullEngine::new(config, peer))))
    }

    pub(crate) fn streamer(&mut self) -> usize {
        let peer = self.peer();
        let engine = StreamerEngine::new(StreamerConfig::default(), peer, self.now.time);
        self.add(Node::Streamer(Box::new(engine)))
    }

    pub(crate) fn pushes(&mut self, node: usize) -> &mut PushEngine {
        match &mut self.nodes[node] {
            Node::Push(engine) => engine,
            _ => panic!("node {node} is no sender"),
        }
    }

    pub(crate) fn pulls(&mut self, node: usize) -> &mut PullEngine {
        match &mut self.nodes[node] {
            Node::Pull(engine) => engine,
            _ => panic!("node {node} is no receiver"),
        }
    }

    pub(crate) fn streams(&mut self, node: usize) -> &mut StreamerEngine {
        match &mut self.nodes[node] {
            Node::Streamer(engine) => engine,
            _ => panic!("node {node} is no streamer"),
        }
    }

    pub(crate) fn push_stats(&mut self, node: usize) -> PushStats {
        let now = self.now.time;
        self.pushes(node).stats(now)
    }

    pub(crate) fn pull_stats(&mut self, node: usize) -> PullStats {
        let now = self.now.time;
        self.pulls(node).stats(now)
    }

    pub(crate) fn streamer_stats(&mut self, node: usize) -> StreamerStats {
        let now = self.now.time;
        self.streams(node).stats(now)
    }

    /// Puts another engine in the place of one that died.
    pub(crate) fn replace(&mut self, node: usize, engine: StreamerEngine) {
        self.nodes[node] = Node::Streamer(Box::new(engine));
    }

    /// Joins one that sends with one that receives.
    pub(crate) fn join(&mut self, sends: usize, receives: usize) {
        let now = self.now.time;
        let open = |node: &mut Node, side| {
            let identity = Identity::new("the other");
            match node {
                Node::Push(engine) => engine.open_link(identity, now),
                Node::Pull(engine) => engine.open_link(identity, now),
                Node::Streamer(engine) => engine.open_link(identity, side, now),
            }
        };
        let down = open(&mut self.nodes[sends], Side::Downstream);
        let up = open(&mut self.nodes[receives], Side::Upstream);
        for (from, to) in [((sends, down), (receives, up)), ((receives, up), (sends, down))] {
            let (decoder, input) = (Decoder::new(1 << 20), BytesMut::new());
            self.ways.insert(from, Way { to, decoder, input });
            self.due.push(from);
        }
        self.run();
    }

    /// Cuts all links of a node, as when it dies: others lose them without a word.
    pub(crate) fn isolate(&mut self, node: usize) {
        let now = self.now.time;
        let cut: Vec<_> = self.ways.iter().map(|(from, way)| (*from, way.to)).collect();
        for ((other, link), to) in cut {
            if other == node || to.0 == node {
                self.ways.remove(&(other, link));
            }
            if other != node && to.0 == node {
                each!(&mut self.nodes[other], engine => engine.link_lost(link, "cut", now));
            }
        }
        self.run();
    }

    /// A receiver that was cut off loses its links too.
    pub(crate) fn notices(&mut self, pull: usize) {
        let now = self.now.time;
        for link in self.pull_stats(pull).links {
            self.pulls(pull).link_lost(link.link, "cut", now);
        }
    }

    /// Carries bytes until there are none, on links in the order in which they are woken.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            for (index, node) in self.nodes.iter_mut().enumerate() {
                let wakes = std::iter::from_fn(|| each!(&mut *node, engine => engine.poll_wake()));
                self.due.extend(wakes.map(|link| (index, link)));
            }
            let due = std::mem::take(&mut self.due);
            if due.is_empty() {
                return self.clear_up();
            }
            due.into_iter().for_each(|from| self.transmit(from));
        }
        panic!("they never come to rest");
    }

    /// A link says what it has to say, and the other end hears it.
    fn transmit(&mut self, from: (usize, LinkId)) {
        let Some(way) = self.ways.get_mut(&from) else {
            return;
        };
        let mut out = Transmit::new();
        each!(&mut self.nodes[from.0], e => e.poll_transmit(from.1, self.now, &mut out));
        out.pieces().for_each(|piece| way.input.extend_from_slice(piece));
        let (node, link) = way.to;
        while let Some(frame) = way.decoder.decode(&mut way.input).unwrap() {
            each!(&mut self.nodes[node], e => e.handle_frame(link, frame, self.now));
            self.due.push((node, link));
        }
    }

    /// Notes what happened, and forgets links that have ended.
    fn clear_up(&mut self) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            while let Some(event) = each!(&mut *node, engine => engine.poll_event()) {
                if let Event::Disconnected { reason, .. } = &event {
                    self.ends.entry(index).or_default().push(reason.code);
                }
            }
        }
        let nodes = &self.nodes;
        self.ways.retain(|from, way| {
            let over = |(node, link): (usize, LinkId)| {
                let state = each!(&nodes[node], engine => engine.link_state(link));
                matches!(state, LinkState::Closing | LinkState::Gone)
            };
            !(over(*from) && over(way.to))
        });
    }

    /// Lets time pass, with all timers that there are.
    pub(crate) fn pass(&mut self, millis: u64) {
        let until = self.now.time + Duration::from_millis(millis);
        while self.now.time < until {
            let step = Duration::from_millis(10);
            self.now = Now { time: self.now.time + step, wall: self.now.wall + step };
            let time = self.now.time;
            for &(node, link) in self.ways.keys() {
                each!(&mut self.nodes[node], engine => engine.handle_link_timeout(link, time));
                self.due.push((node, link));
            }
            for node in &mut self.nodes {
                match node {
                    Node::Push(engine) => engine.handle_timeout(self.now),
                    Node::Pull(engine) => engine.handle_timeout(self.now.time),
                    Node::Streamer(engine) => engine.handle_timeout(self.now),
                }
            }
            self.run();
        }
    }

    pub(crate) fn send(&mut self, node: usize, count: u64) {
        let now = self.now;
        for _ in 0..count {
            self.pushes(node).try_send("job".into(), || now).unwrap();
        }
        self.run();
    }

    /// An application takes up to so many messages.
    pub(crate) fn take(&mut self, node: usize, most: usize) -> Vec<Job> {
        let now = self.now.time;
        let engine = self.pulls(node);
        let mut jobs = VecDeque::new();
        while jobs.len() < most
            && let Some(batch) = engine.take(1)
        {
            let run = Arc::clone(batch.run());
            let mut cursor = Cursor::new(batch);
            while let Some(item) = cursor.next(|| now) {
                jobs.push_back(Job { run: Arc::clone(&run), index: item.index });
            }
            engine.handle_consumed(&cursor.report().unwrap());
        }
        self.run();
        jobs.into()
    }

    pub(crate) fn confirm(&mut self, node: usize, jobs: &[Job]) {
        for job in jobs {
            job.run.confirm(job.index);
            self.pulls(node).handle_confirmed([Arc::clone(&job.run)]);
        }
        self.pulls(node).flush();
        self.run();
    }

    pub(crate) fn settle(&mut self, node: usize, job: &Job, outcome: &Outcome) {
        self.pulls(node).settle(&job.run, job.index, outcome);
        self.run();
    }
}
