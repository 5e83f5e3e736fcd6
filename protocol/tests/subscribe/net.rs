//! Publishers, proxies and subscribers, joined by nothing but their bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use drawdown_protocol::wire::{Decoder, Fingerprint};
use drawdown_protocol::{
    Gap, Identity, Lineage, LinkId, Message, NewSession, Now, PeerId, Position, ProxyConfig,
    ProxyEngine, PublishConfig, PublishEngine, RingConfig, RingStats, Session, Side, SubCursor,
    SubscribeConfig, SubscribeEngine, Taken, Time, Transmit,
};
use uuid::Uuid;

pub(crate) fn peer(name: u128) -> PeerId {
    PeerId::from_uuid(Uuid::from_u128(name))
}

pub(crate) fn session(name: u128) -> Session {
    Session::from_uuid(Uuid::from_u128(name))
}

pub(crate) fn lineage(epoch: u64, since: u64) -> Lineage {
    Lineage { session: session(7), epoch, since }
}

pub(crate) enum Node {
    Pub(Box<PublishEngine>),
    Sub(Box<SubscribeEngine>),
    Proxy(Box<ProxyEngine>),
}

macro_rules! each {
    ($node:expr, $engine:ident => $call:expr) => {
        match $node {
            Node::Pub($engine) => $call,
            Node::Sub($engine) => $call,
            Node::Proxy($engine) => $call,
        }
    };
}

/// One direction of a link.
pub(crate) struct Way {
    pub(crate) from: (usize, LinkId),
    to: (usize, LinkId),
    decoder: Decoder,
    input: BytesMut,
    /// Nothing arrives for now.
    is_silent: bool,
}

impl Way {
    fn joins(&self, one: usize, other: usize) -> bool {
        let ends = [self.from.0, self.to.0];
        ends == [one, other] || ends == [other, one]
    }
}

/// What a subscriber was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Got {
    Message(u64, String, String),
    Gap(u64, u64),
    NewSession(NewSession),
}

#[derive(Default)]
pub(crate) struct Net {
    pub(crate) nodes: Vec<Node>,
    pub(crate) ways: Vec<Way>,
    pub(crate) now: Now,
    /// Where each subscriber's application has come to.
    pub(crate) last: BTreeMap<usize, Vec<Position>>,
}

impl Net {
    pub(crate) fn publisher(&mut self, ring: RingConfig, lineage: Lineage) -> usize {
        let config = PublishConfig { ring, ..PublishConfig::default() };
        let name = peer(100 + self.nodes.len() as u128);
        self.nodes.push(Node::Pub(Box::new(PublishEngine::new(config, name, lineage))));
        self.nodes.len() - 1
    }

    pub(crate) fn subscriber(&mut self, config: SubscribeConfig, filters: &[&str]) -> usize {
        let name = peer(100 + self.nodes.len() as u128);
        let mut engine = SubscribeEngine::new(config, name);
        for filter in filters {
            engine.add_filter(filter.as_bytes(), Time::ZERO).unwrap();
        }
        self.nodes.push(Node::Sub(Box::new(engine)));
        self.nodes.len() - 1
    }

    /// Whether a subscriber asks one that serves it for anything.
    pub(crate) fn asks(&self, subscriber: usize, serves: usize) -> bool {
        let Node::Sub(engine) = &self.nodes[subscriber] else { panic!("not a subscriber") };
        let stats = engine.stats(self.now.time);
        let ways = self.ways.iter().filter(|way| way.from.0 == serves && way.to.0 == subscriber);
        let links: Vec<LinkId> = ways.map(|way| way.to.1).collect();
        stats.links.iter().any(|link| link.asked && links.contains(&link.link))
    }

    pub(crate) fn proxy(&mut self, messages: u64) -> usize {
        let ring = RingConfig { messages, ..RingConfig::default() };
        let down = PublishConfig { ring, ..PublishConfig::default() };
        let config = ProxyConfig { down, ..ProxyConfig::default() };
        let name = peer(100 + self.nodes.len() as u128);
        self.nodes.push(Node::Proxy(Box::new(ProxyEngine::new(config, name))));
        self.nodes.len() - 1
    }

    /// Joins one that serves with one that asks.
    pub(crate) fn join(&mut self, serves: usize, asks: usize) {
        let now = self.now.time;
        let open = |node: &mut Node, side| {
            let identity = Identity::new("the other");
            match node {
                Node::Pub(engine) => engine.open_link(identity, now),
                Node::Sub(engine) => engine.open_link(identity, now),
                Node::Proxy(engine) => engine.open_link(identity, side, now),
            }
        };
        let down = open(&mut self.nodes[serves], Side::Downstream);
        let up = open(&mut self.nodes[asks], Side::Upstream);
        for (from, to) in [((serves, down), (asks, up)), ((asks, up), (serves, down))] {
            let (decoder, input) = (Decoder::new(1 << 20), BytesMut::new());
            self.ways.push(Way { from, to, decoder, input, is_silent: false });
        }
        self.run();
    }

    /// Cuts all links between two.
    pub(crate) fn cut(&mut self, one: usize, other: usize) {
        let now = self.now.time;
        for way in self.ways.extract_if(.., |way| way.joins(one, other)) {
            let (node, link) = way.from;
            each!(&mut self.nodes[node], engine => engine.link_lost(link, "cut", now));
        }
        self.run();
    }

    /// Nothing that either of two says reaches the other, and neither notices.
    pub(crate) fn silence(&mut self, one: usize, other: usize) {
        self.between(one, other).for_each(|way| way.is_silent = true);
    }

    /// What two have said meanwhile arrives.
    pub(crate) fn end_silence(&mut self, one: usize, other: usize) {
        self.between(one, other).for_each(|way| way.is_silent = false);
        self.run();
    }

    fn between(&mut self, one: usize, other: usize) -> impl Iterator<Item = &mut Way> {
        self.ways.iter_mut().filter(move |way| way.joins(one, other))
    }

    /// Carries bytes until there are none.
    pub(crate) fn run(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for way in &mut self.ways {
                let mut out = Transmit::new();
                let (node, link) = way.from;
                each!(&mut self.nodes[node], e => e.poll_transmit(link, self.now, &mut out));
                busy |= !out.is_empty();
                out.pieces().for_each(|piece| way.input.extend_from_slice(piece));
                while !way.is_silent
                    && let Some(frame) = way.decoder.decode(&mut way.input).unwrap()
                {
                    busy = true;
                    let (node, link) = way.to;
                    each!(&mut self.nodes[node], e => e.handle_frame(link, frame, self.now));
                }
            }
            for node in &mut self.nodes {
                while each!(node, engine => engine.poll_wake()).is_some() {
                    busy = true;
                }
            }
            if !busy {
                return;
            }
        }
        panic!("they never come to rest");
    }

    /// Lets time pass, with whatever is due in it.
    pub(crate) fn pass(&mut self, time: Duration) {
        for _ in 0..20 {
            self.now.time = self.now.time + time / 20;
            self.now.wall = self.now.wall + time / 20;
            let now = self.now;
            for way in &self.ways {
                let (node, link) = way.from;
                each!(&mut self.nodes[node], e => e.handle_link_timeout(link, now.time));
            }
            for node in &mut self.nodes {
                match node {
                    Node::Pub(engine) => engine.handle_timeout(now),
                    Node::Sub(engine) => engine.handle_timeout(now.time),
                    Node::Proxy(engine) => engine.handle_timeout(now),
                }
            }
            self.run();
        }
    }

    pub(crate) fn publish(&mut self, node: usize, topic: &str, payload: &str) -> u64 {
        let now = self.now;
        let Node::Pub(engine) = &mut self.nodes[node] else { panic!("not a publisher") };
        let seq = engine.try_publish(topic.as_bytes(), payload.into(), || now).unwrap();
        self.run();
        seq
    }

    /// Publishes a message with this shelf life.
    pub(crate) fn publish_for(&mut self, node: usize, ttl: Duration) {
        let now = self.now;
        let Node::Pub(engine) = &mut self.nodes[node] else { panic!("not a publisher") };
        engine.try_publish(b"t", Message::from("payload").with_ttl(ttl), || now).unwrap();
        self.run();
    }

    pub(crate) fn publish_many(&mut self, node: usize, count: u64) {
        for _ in 0..count {
            self.publish(node, "t", "payload");
        }
    }

    /// A publisher that a proxy is joined with says so much, and ends.
    pub(crate) fn publisher_ends(&mut self, proxy: usize, session: Session, messages: u64) {
        let publisher = self.publisher(ring(100), Lineage { session, ..lineage(1, 0) });
        self.join(publisher, proxy);
        self.publish_many(publisher, messages);
        self.cut(publisher, proxy);
    }

    /// What a proxy retains of each session.
    pub(crate) fn rings(&self, proxy: usize) -> Vec<RingStats> {
        let Node::Proxy(engine) = &self.nodes[proxy] else { panic!("not a proxy") };
        engine.stats(self.now.time).down.rings
    }

    pub(crate) fn sub(&mut self, node: usize) -> &mut SubscribeEngine {
        match &mut self.nodes[node] {
            Node::Sub(engine) => engine,
            _ => panic!("not a subscriber"),
        }
    }

    /// Everything that a subscriber can be given now; its application is done with all of it.
    pub(crate) fn take(&mut self, node: usize) -> Vec<Got> {
        let mut all = Vec::new();
        let now = self.now.time;
        loop {
            let Some(taken) = self.sub(node).take(3) else { break };
            match taken {
                Taken::Gap(Gap { from, to, .. }) => all.push(Got::Gap(from, to)),
                Taken::NewSession(session) => all.push(Got::NewSession(session)),
                Taken::Batch(batch) => {
                    let mut cursor = SubCursor::new(batch);
                    while let Some(item) = cursor.next(|| now) {
                        let records = cursor.run().records();
                        let (topic, payload) = (&records[item.topic], &records[item.payload]);
                        let crc = drawdown_protocol::message::crc(topic, payload);
                        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                        all.push(Got::Message(item.seq, text(topic), text(payload)));
                        let session = cursor.run().session();
                        self.sub(node).acknowledge(session, Fingerprint { seq: item.seq, crc });
                    }
                    let consumed = cursor.report().unwrap();
                    self.sub(node).handle_consumed(&consumed, now);
                }
            }
            self.run();
        }
        if let Some(positions) = self.sub(node).poll_positions() {
            self.last.insert(node, positions);
        }
        all
    }

    pub(crate) fn seqs(&mut self, node: usize) -> Vec<u64> {
        let got = self.take(node).into_iter();
        got.map(|got| match got {
            Got::Message(seq, ..) => seq,
            other => panic!("{other:?} among the messages"),
        })
        .collect()
    }
}

pub(crate) fn ring(messages: u64) -> RingConfig {
    RingConfig { messages, ..RingConfig::default() }
}

pub(crate) fn window(messages: u64) -> SubscribeConfig {
    SubscribeConfig { window_messages: messages, ..SubscribeConfig::default() }
}

pub(crate) fn message(seq: u64, topic: &str, payload: &str) -> Got {
    Got::Message(seq, topic.into(), payload.into())
}
