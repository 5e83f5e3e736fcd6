//! Publishers, proxies and subscribers, joined by nothing but their bytes.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use drawdown_protocol::limits::{ENDED_SESSIONS_MAX, SESSIONS_MAX};
use drawdown_protocol::wire::{Decoder, Fingerprint};
use drawdown_protocol::{
    Gap, Identity, Lineage, LinkId, LinkState, NewSession, Now, OldSession, PeerId, Position,
    ProxyConfig, ProxyEngine, PublishConfig, PublishEngine, RingConfig, RingStats, Session, Side,
    Start, SubCursor, SubscribeConfig, SubscribeEngine, Taken, Time, Transmit,
};
use uuid::Uuid;

fn peer(name: u128) -> PeerId {
    PeerId::from_uuid(Uuid::from_u128(name))
}

fn session(name: u128) -> Session {
    Session::from_uuid(Uuid::from_u128(name))
}

fn lineage(epoch: u64, since: u64) -> Lineage {
    Lineage { session: session(7), epoch, since }
}

enum Node {
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
struct Way {
    from: (usize, LinkId),
    to: (usize, LinkId),
    decoder: Decoder,
    input: BytesMut,
    /// Nothing arrives.
    is_silent: bool,
}

/// What a subscriber was given.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Got {
    Message(u64, String, String),
    Gap(u64, u64),
    NewSession(NewSession),
}

#[derive(Default)]
struct Net {
    nodes: Vec<Node>,
    ways: Vec<Way>,
    now: Now,
    /// Where each subscriber's application has come to.
    last: BTreeMap<usize, Vec<Position>>,
}

impl Net {
    fn publisher(&mut self, ring: RingConfig, lineage: Lineage) -> usize {
        let config = PublishConfig { ring, ..PublishConfig::default() };
        let name = peer(100 + self.nodes.len() as u128);
        self.nodes.push(Node::Pub(Box::new(PublishEngine::new(config, name, lineage))));
        self.nodes.len() - 1
    }

    fn subscriber(&mut self, config: SubscribeConfig, filters: &[&str]) -> usize {
        let name = peer(100 + self.nodes.len() as u128);
        let mut engine = SubscribeEngine::new(config, name);
        for filter in filters {
            engine.add_filter(filter.as_bytes(), Time::ZERO).unwrap();
        }
        self.nodes.push(Node::Sub(Box::new(engine)));
        self.nodes.len() - 1
    }

    /// Whether a subscriber asks one that serves it for anything.
    fn asks(&self, subscriber: usize, serves: usize) -> bool {
        let Node::Sub(engine) = &self.nodes[subscriber] else { panic!("not a subscriber") };
        let stats = engine.stats(self.now.time);
        let ways = self.ways.iter().filter(|way| way.from.0 == serves && way.to.0 == subscriber);
        let links: Vec<LinkId> = ways.map(|way| way.to.1).collect();
        stats.links.iter().any(|link| link.asked && links.contains(&link.link))
    }

    fn proxy(&mut self, messages: u64) -> usize {
        let ring = RingConfig { messages, ..RingConfig::default() };
        let down = PublishConfig { ring, ..PublishConfig::default() };
        let config = ProxyConfig { down, ..ProxyConfig::default() };
        let name = peer(100 + self.nodes.len() as u128);
        self.nodes.push(Node::Proxy(Box::new(ProxyEngine::new(config, name))));
        self.nodes.len() - 1
    }

    /// Joins one that serves with one that asks.
    fn join(&mut self, serves: usize, asks: usize) {
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
    fn cut(&mut self, one: usize, other: usize) {
        let now = self.now.time;
        let between = |way: &Way| {
            [way.from.0, way.to.0] == [one, other] || [way.from.0, way.to.0] == [other, one]
        };
        for way in self.ways.extract_if(.., |way| between(way)) {
            let (node, link) = way.from;
            each!(&mut self.nodes[node], engine => engine.link_lost(link, "cut", now));
        }
        self.run();
    }

    /// Nothing that either of two says reaches the other any more, and neither notices.
    fn silence(&mut self, one: usize, other: usize) {
        let between = |way: &&mut Way| {
            [way.from.0, way.to.0] == [one, other] || [way.from.0, way.to.0] == [other, one]
        };
        self.ways.iter_mut().filter(between).for_each(|way| way.is_silent = true);
    }

    /// Carries bytes until there are none.
    fn run(&mut self) {
        for _ in 0..10_000 {
            let mut busy = false;
            for way in &mut self.ways {
                let mut out = Transmit::new();
                let (node, link) = way.from;
                each!(&mut self.nodes[node], e => e.poll_transmit(link, self.now, &mut out));
                busy |= !out.is_empty();
                if !way.is_silent {
                    out.pieces().for_each(|piece| way.input.extend_from_slice(piece));
                }
                while let Some(frame) = way.decoder.decode(&mut way.input).unwrap() {
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
    fn pass(&mut self, time: Duration) {
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

    fn publish(&mut self, node: usize, topic: &str, payload: &str) -> u64 {
        let now = self.now;
        let Node::Pub(engine) = &mut self.nodes[node] else { panic!("not a publisher") };
        let seq = engine.try_publish(topic.as_bytes(), payload.into(), || now).unwrap();
        self.run();
        seq
    }

    fn publish_many(&mut self, node: usize, count: u64) {
        for _ in 0..count {
            self.publish(node, "t", "payload");
        }
    }

    /// A publisher that a proxy is joined with says so much, and ends.
    fn publisher_ends(&mut self, proxy: usize, session: Session, messages: u64) {
        let publisher = self.publisher(ring(100), Lineage { session, ..lineage(1, 0) });
        self.join(publisher, proxy);
        self.publish_many(publisher, messages);
        self.cut(publisher, proxy);
    }

    /// What a proxy retains of each session.
    fn rings(&self, proxy: usize) -> Vec<RingStats> {
        let Node::Proxy(engine) = &self.nodes[proxy] else { panic!("not a proxy") };
        engine.stats(self.now.time).down.rings
    }

    fn sub(&mut self, node: usize) -> &mut SubscribeEngine {
        match &mut self.nodes[node] {
            Node::Sub(engine) => engine,
            _ => panic!("not a subscriber"),
        }
    }

    /// Everything that a subscriber can be given now; its application is done with all of it.
    fn take(&mut self, node: usize) -> Vec<Got> {
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

    fn seqs(&mut self, node: usize) -> Vec<u64> {
        let got = self.take(node).into_iter();
        got.map(|got| match got {
            Got::Message(seq, ..) => seq,
            other => panic!("{other:?} among the messages"),
        })
        .collect()
    }
}

fn ring(messages: u64) -> RingConfig {
    RingConfig { messages, ..RingConfig::default() }
}

fn window(messages: u64) -> SubscribeConfig {
    SubscribeConfig { window_messages: messages, ..SubscribeConfig::default() }
}

fn message(seq: u64, topic: &str, payload: &str) -> Got {
    Got::Message(seq, topic.into(), payload.into())
}

#[test]
fn a_late_subscriber_gets_what_is_retained_and_all_that_follows() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    net.publish(publisher, "a", "one");
    net.publish(publisher, "b", "two");
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(publisher, subscriber);
    net.publish(publisher, "", "three");
    let expected = [message(0, "a", "one"), message(1, "b", "two"), message(2, "", "three")];
    assert_eq!(net.take(subscriber), expected);
    net.publish_many(publisher, 50);
    assert_eq!(net.seqs(subscriber), (3..53).collect::<Vec<_>>());
}

#[test]
fn only_what_matches_comes_and_the_position_moves_on_all_the_same() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(10), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &["a.", "b"]);
    net.join(publisher, subscriber);
    for topic in ["a.x", "a", "b", "c", "bb", "", "a.y"] {
        net.publish(publisher, topic, "payload");
    }
    assert_eq!(net.seqs(subscriber), [0, 2, 4, 6]);
    for _ in 0..50 {
        net.publish(publisher, "c", "payload");
        net.pass(Duration::from_secs(1));
    }
    assert_eq!(net.seqs(subscriber), [0; 0]);
    let [last] = net.last[&subscriber][..] else { panic!("there is one session") };
    assert_eq!(last.next, 57);
    let config = SubscribeConfig { start: Start::After(last), ..window(10) };
    let resumed = net.subscriber(config, &["a."]);
    net.join(publisher, resumed);
    net.publish(publisher, "a.z", "payload");
    assert_eq!(net.take(resumed), [message(57, "a.z", "payload")], "and no gap");
    let [first] = net.sub(subscriber).positions()[..] else { panic!("there is one session") };
    assert_eq!(first.next, 57, "what waits takes it back behind nothing that was not wanted");
}

#[test]
fn what_was_evicted_is_one_exact_gap_and_the_last_loss_is_told_too() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(10), lineage(1, 0));
    let subscriber = net.subscriber(window(4), &[""]);
    net.join(publisher, subscriber);
    net.publish_many(publisher, 4);
    net.publish_many(publisher, 40);
    let got = net.take(subscriber);
    assert_eq!(got[4], Got::Gap(4, 33));
    assert_eq!(got.len(), 4 + 1 + 10, "{got:?}");

    let age = Some(Duration::from_secs(10));
    let aged = net.publisher(
        RingConfig { age, ..ring(100) },
        Lineage { session: session(8), ..lineage(1, 0) },
    );
    net.publish_many(aged, 5);
    let other = net.subscriber(window(2), &[""]);
    net.join(aged, other);
    net.pass(Duration::from_secs(20));
    assert_eq!(net.take(other).last(), Some(&Got::Gap(2, 4)), "although nothing follows");
}

#[test]
fn windows_of_one_and_none_never_stall() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let one = net.subscriber(window(1), &[""]);
    let none = net.subscriber(window(0), &[""]);
    net.join(publisher, one);
    net.join(publisher, none);
    net.publish_many(publisher, 10);
    assert_eq!(net.seqs(one), (0..10).collect::<Vec<_>>());
    assert_eq!(net.seqs(none), [0; 0]);
    for seq in 0..10 {
        let now = net.now.time;
        net.sub(none).set_waiting(1, now);
        net.run();
        assert_eq!(net.sub(none).queued().messages, 1);
        net.sub(none).set_waiting(0, now);
        net.run();
        assert_eq!(net.seqs(none), [seq]);
    }
}

#[test]
fn filters_change_while_it_runs() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &["a"]);
    net.join(publisher, subscriber);
    net.publish(publisher, "a", "");
    net.publish(publisher, "b", "");
    assert_eq!(net.seqs(subscriber), [0]);
    let now = net.now.time;
    net.pass(Duration::from_secs(2));
    net.sub(subscriber).add_filter(b"b", now).unwrap();
    assert!(net.sub(subscriber).remove_filter(b"a", now));
    net.run();
    net.publish(publisher, "a", "");
    net.publish(publisher, "b", "");
    assert_eq!(net.seqs(subscriber), [3]);
}

#[test]
fn what_several_filters_match_comes_once() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let subscriber = net.subscriber(window(4), &["a", "abc", "ab", "b"]);
    net.join(publisher, subscriber);
    let mut seqs = Vec::new();
    for topic in ["abcd", "ab", "c", "b", "abc", "a"] {
        net.publish(publisher, topic, "");
        seqs.extend(net.seqs(subscriber));
    }
    assert_eq!(seqs, [0, 1, 3, 4, 5]);
    let now = net.now.time;
    assert!(net.sub(subscriber).remove_filter(b"a", now));
    net.run();
    for topic in ["a", "abc", "b"] {
        net.publish(publisher, topic, "");
    }
    assert_eq!(net.seqs(subscriber), [7, 8]);
}

#[test]
fn a_publisher_that_continues_is_no_news_and_one_that_does_not_is() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(publisher, subscriber);
    net.publish_many(publisher, 3);
    net.cut(publisher, subscriber);
    let second = net.publisher(ring(100), lineage(2, 3));
    net.join(second, subscriber);
    net.publish_many(second, 2);
    assert_eq!(net.seqs(subscriber), [0, 1, 2, 3, 4]);
    net.cut(second, subscriber);
    let new = session(9);
    let third = net.publisher(ring(100), Lineage { session: new, epoch: 3, since: 0 });
    net.join(third, subscriber);
    net.publish_many(third, 1);
    let got = net.take(subscriber);
    assert_eq!(got[0], Got::NewSession(NewSession { new, old: Some(session(7)) }));
    assert_eq!(got[1], message(0, "t", "payload"));
}

/// A proxy with a ring of so many that has had five messages of a publisher which is gone, and a publisher after that.
fn one_after_the_other(first: Lineage, second: Lineage, messages: u64) -> (Net, usize, usize) {
    let mut net = Net::default();
    let proxy = net.proxy(messages);
    let ended = net.publisher(ring(100), first);
    net.join(ended, proxy);
    net.publish_many(ended, 5);
    net.cut(ended, proxy);
    let publisher = net.publisher(ring(100), second);
    net.join(publisher, proxy);
    (net, proxy, publisher)
}

#[test]
fn positions_in_several_sessions_are_all_gone_on_from() {
    let other = Lineage { session: session(3), ..lineage(2, 0) };
    for (first, second) in [(lineage(1, 0), other), (other, lineage(1, 0))] {
        let (mut net, proxy, publisher) = one_after_the_other(first, second, 10);
        net.publish_many(publisher, 3);
        let config = || SubscribeConfig { old_session: OldSession::Discard, ..window(100) };
        let before = net.subscriber(config(), &[""]);
        net.join(proxy, before);
        let had = net.take(before);
        let beside = |got: &&Got| matches!(got, Got::NewSession(NewSession { old: None, .. }));
        assert_eq!((had.len(), had.iter().filter(beside).count()), (9, 1), "{had:?}");
        let positions = net.last.remove(&before).expect("it has moved on");
        assert_eq!(positions.len(), 2);
        net.cut(proxy, before);
        // Of these it is not there for.
        net.publish_many(publisher, 20);
        let config = SubscribeConfig { positions, ..config() };
        let resumed = net.subscriber(config, &[""]);
        net.join(proxy, resumed);
        assert_eq!(net.seqs(resumed), (3..23).collect::<Vec<_>>(), "and nothing twice");
        assert_eq!(net.sub(resumed).poll_positions(), None);
        assert_eq!(net.sub(resumed).position().map(|position| position.next), Some(23));
    }
}

#[test]
fn from_now_on_holds_for_all_sessions_that_are_there() {
    let other = Lineage { session: session(3), ..lineage(2, 0) };
    for (first, second) in [(lineage(1, 0), other), (other, lineage(1, 0))] {
        let (mut net, proxy, publisher) = one_after_the_other(first, second, 100);
        net.publish_many(publisher, 5);
        let config = SubscribeConfig { start: Start::Newest, ..window(100) };
        let subscriber = net.subscriber(config, &[""]);
        net.join(proxy, subscriber);
        net.publish(publisher, "t", "new");
        let beside = |new| Got::NewSession(NewSession { new, old: None });
        let later = first.session.max(second.session);
        assert_eq!(net.take(subscriber), [beside(later), message(5, "t", "new")]);

        // What takes the place of one that it follows is had from its beginning.
        net.cut(publisher, proxy);
        let third = Lineage { session: session(5), ..lineage(3, 0) };
        let publisher = net.publisher(ring(100), third);
        net.publish(publisher, "t", "before");
        net.join(publisher, proxy);
        let after = NewSession { new: third.session, old: Some(later) };
        let expected = [Got::NewSession(after), message(0, "t", "before")];
        assert_eq!(net.take(subscriber), expected);
    }
}

#[test]
fn an_older_incarnation_is_fenced_and_numbers_are_not_used_again() {
    let mut net = Net::default();
    let old = net.publisher(ring(100), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(old, subscriber);
    net.publish_many(old, 3);
    let new = net.publisher(ring(100), lineage(2, 3));
    net.join(new, subscriber);
    net.publish(old, "t", "of the old one");
    net.publish(new, "t", "of the new one");
    net.pass(Duration::from_secs(3));
    let links = net.ways.iter().filter(|way| way.from.0 == old).map(|way| way.from.1);
    let Node::Pub(engine) = &net.nodes[old] else { unreachable!() };
    assert!(links.into_iter().all(|link| engine.link_state(link) == LinkState::Closing));
    let got = net.take(subscriber);
    assert!(
        !got.contains(&message(3, "t", "of the new one"))
            || !got.contains(&message(3, "t", "of the old one"))
    );
}

#[test]
fn another_message_of_the_same_number_is_a_conflict() {
    let mut net = Net::default();
    let one = net.publisher(ring(100), lineage(1, 0));
    let other = net.publisher(ring(100), lineage(1, 0));
    net.publish(one, "t", "one");
    net.publish(other, "t", "other");
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(one, subscriber);
    assert_eq!(net.take(subscriber), [message(0, "t", "one")]);
    net.cut(one, subscriber);
    net.join(other, subscriber);
    net.publish_many(other, 3);
    assert_eq!(net.take(subscriber), []);
}

#[test]
fn a_proxy_is_no_different_whatever_its_ring() {
    for messages in [0, 1, 5, 100] {
        let mut net = Net::default();
        let publisher = net.publisher(ring(100), lineage(1, 0));
        net.publish_many(publisher, 20);
        let proxy = net.proxy(messages);
        net.join(publisher, proxy);
        let first = net.subscriber(window(3), &[""]);
        net.join(proxy, first);
        assert_eq!(net.seqs(first), (0..20).collect::<Vec<_>>(), "ring of {messages}");
        net.publish_many(publisher, 20);
        net.pass(Duration::from_secs(2));
        assert_eq!(net.seqs(first), (20..40).collect::<Vec<_>>(), "ring of {messages}");
        let late = net.subscriber(window(7), &[""]);
        net.join(proxy, late);
        net.pass(Duration::from_secs(2));
        assert_eq!(net.seqs(late), (0..40).collect::<Vec<_>>(), "late, ring of {messages}");
        net.publish_many(publisher, 5);
        net.pass(Duration::from_secs(2));
        assert_eq!(net.seqs(first), (40..45).collect::<Vec<_>>(), "ring of {messages}");
        assert_eq!(net.seqs(late), (40..45).collect::<Vec<_>>(), "late, ring of {messages}");
    }
}

#[test]
fn two_proxies_survive_the_loss_of_one_and_of_the_publisher() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(5), lineage(1, 0));
    let (one, two) = (net.proxy(1_000), net.proxy(1_000));
    net.join(publisher, one);
    net.join(publisher, two);
    let subscriber = net.subscriber(window(3), &[""]);
    net.join(one, subscriber);
    net.join(two, subscriber);
    net.publish_many(publisher, 50);
    assert_eq!(net.seqs(subscriber), (0..50).collect::<Vec<_>>());
    net.publish_many(publisher, 50);
    net.cut(one, subscriber);
    net.cut(publisher, one);
    net.cut(publisher, two);
    let late = net.subscriber(window(3), &[""]);
    net.join(two, late);
    assert_eq!(net.seqs(subscriber), (50..100).collect::<Vec<_>>());
    assert_eq!(net.seqs(late), (0..100).collect::<Vec<_>>());
    let again = net.publisher(ring(5), lineage(2, 100));
    net.join(again, two);
    net.publish_many(again, 10);
    assert_eq!(net.seqs(subscriber), (100..110).collect::<Vec<_>>());
    assert_eq!(net.seqs(late), (100..110).collect::<Vec<_>>());
}

#[test]
fn a_proxy_lets_go_of_sessions_that_have_ended_and_of_the_oldest_first() {
    let mut net = Net::default();
    let proxy = net.proxy(20);
    let slow = net.subscriber(window(1), &[""]);
    net.join(proxy, slow);
    let names = 1_000..1_070;
    for name in names.clone() {
        net.publisher_ends(proxy, session(name), 15);
        net.pass(Duration::from_secs(2));
        let rings = net.rings(proxy);
        assert!(rings.len() <= ENDED_SESSIONS_MAX + 1, "{} sessions", rings.len());
        let messages: u64 = rings.iter().map(|ring| ring.messages).sum();
        assert!(messages <= 20 + 20 + rings.len() as u64, "{messages} messages");
    }
    let got = net.take(slow);
    assert_eq!(got[0], message(0, "t", "payload"));
    assert!(got.contains(&Got::Gap(1, 14)), "it was at the first: {got:?}");
    let late = net.subscriber(window(100), &[""]);
    net.join(proxy, late);
    net.take(late);
    let newest = net.rings(proxy).iter().map(|ring| ring.lineage.session).max();
    assert_eq!(newest, Some(session(names.end - 1)));
    assert!(net.sub(late).stats(Time::ZERO).sessions.contains(&(newest.unwrap(), Some(15))));
}

#[test]
fn a_proxy_has_no_more_sessions_than_a_subscriber_follows_however_fast_they_come() {
    let mut net = Net::default();
    let proxy = net.proxy(20);
    let subscriber = net.subscriber(window(100), &[""]);
    net.join(proxy, subscriber);
    let mut seen = 0;
    for name in 1_000..1_100 {
        net.publisher_ends(proxy, session(name), 1);
        assert!(net.rings(proxy).len() <= SESSIONS_MAX);
        let got = net.take(subscriber);
        seen += got.iter().filter(|got| matches!(got, Got::Message(0, ..))).count();
    }
    assert_eq!(seen, 100);
    let links = net.sub(subscriber).stats(Time::ZERO).links;
    assert!(links[0].sessions.len() <= SESSIONS_MAX, "it forgets what its source has forgotten");
}

#[test]
fn a_proxy_keeps_what_it_has_of_publishers_that_are_away_together() {
    let mut net = Net::default();
    let proxy = net.proxy(20);
    let publishers: Vec<usize> = (0..40)
        .map(|name| {
            let lineage = Lineage { session: session(1_000 + name), ..lineage(1, 0) };
            let publisher = net.publisher(ring(1), lineage);
            net.join(publisher, proxy);
            net.publish_many(publisher, 20);
            publisher
        })
        .collect();
    net.pass(Duration::from_secs(5));
    publishers.iter().for_each(|publisher| net.cut(*publisher, proxy));
    net.pass(Duration::from_secs(60));
    publishers.iter().for_each(|publisher| net.join(*publisher, proxy));
    net.pass(Duration::from_secs(5));
    assert_eq!(net.rings(proxy).iter().map(|ring| ring.messages).sum::<u64>(), 40 * 20);
}

/// A subscriber at number 10 that takes from one that has all of 0 to 99, and knows another one, whose ring all below 90 has
/// left since it told what it has.
fn behind_at_the_better_of_two_sources() -> (Net, usize, [usize; 2]) {
    let mut net = Net::default();
    let [all, few] = [1_000, 10].map(|messages| net.publisher(ring(messages), lineage(1, 0)));
    let subscriber = net.subscriber(window(10), &[""]);
    net.sub(subscriber).set_sources_expected(2);
    for source in [all, few] {
        net.join(source, subscriber);
        net.publish_many(source, 100);
    }
    assert!(net.asks(subscriber, all) && !net.asks(subscriber, few));
    (net, subscriber, [all, few])
}

#[test]
fn a_source_that_is_lost_for_a_moment_is_waited_for_however_old_the_session_is() {
    for heartbeats in [true, false] {
        let (mut net, subscriber, [all, few]) = behind_at_the_better_of_two_sources();
        if heartbeats {
            net.pass(Duration::from_secs(10));
        } else {
            net.now.time = net.now.time + Duration::from_secs(10);
        }
        net.cut(all, subscriber);
        net.pass(Duration::from_millis(900));
        assert!(!net.asks(subscriber, few), "before anybody else can have come");
        net.join(all, subscriber);
        assert_eq!(net.seqs(subscriber), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn a_source_that_stays_away_is_not_waited_for_longer_than_the_patience_lasts() {
    let (mut net, subscriber, [all, few]) = behind_at_the_better_of_two_sources();
    net.pass(Duration::from_secs(10));
    net.cut(all, subscriber);
    net.pass(Duration::from_millis(1_100));
    assert!(net.asks(subscriber, few));
    let got = net.take(subscriber);
    assert_eq!(got[10], Got::Gap(10, 89));
    assert_eq!(got.len(), 10 + 1 + 10, "{got:?}");
}

/// A proxy that retains 190 to 199. It takes from another one that was cut off from the publisher, and has 0 to 49, and from
/// the publisher.
fn between_one_cut_off_and_the_publisher(retained: u64) -> (Net, usize) {
    let mut net = Net::default();
    let publisher = net.publisher(ring(retained), lineage(1, 0));
    let cut_off = net.proxy(1_000);
    net.join(publisher, cut_off);
    net.publish_many(publisher, 50);
    net.cut(publisher, cut_off);
    let proxy = net.proxy(10);
    net.join(cut_off, proxy);
    net.join(publisher, proxy);
    net.publish_many(publisher, 150);
    net.pass(Duration::from_secs(3));
    assert_eq!(net.rings(proxy)[0].oldest, 190);
    (net, proxy)
}

fn from(next: u64) -> SubscribeConfig {
    SubscribeConfig { start: Start::At(next), ..window(1_000) }
}

#[test]
fn what_a_proxy_fetches_it_asks_of_a_source_that_has_it() {
    let (mut net, proxy) = between_one_cut_off_and_the_publisher(1_000);
    let subscriber = net.subscriber(from(70), &[""]);
    net.join(proxy, subscriber);
    assert_eq!(net.seqs(subscriber), (70..200).collect::<Vec<_>>());
}

#[test]
fn what_no_source_of_a_proxy_has_is_a_gap_also_between_what_they_have() {
    let (mut net, proxy) = between_one_cut_off_and_the_publisher(100);
    let numbers = |from, to| (from..to).map(|seq| message(seq, "t", "payload"));
    for (start, before) in [(70, numbers(0, 0)), (30, numbers(30, 50))] {
        let subscriber = net.subscriber(from(start), &[""]);
        net.join(proxy, subscriber);
        let gap = Got::Gap(start.max(50), 99);
        let expected: Vec<Got> = before.chain([gap]).chain(numbers(100, 200)).collect();
        assert_eq!(net.take(subscriber), expected);
    }
}

#[test]
fn what_a_source_does_not_send_is_fetched_from_another_one() {
    for silent in [0, 1] {
        let mut net = Net::default();
        let sources = [1_000; 2].map(|messages| net.publisher(ring(messages), lineage(1, 0)));
        let proxy = net.proxy(10);
        for source in sources {
            net.publish_many(source, 200);
            net.join(source, proxy);
        }
        net.pass(Duration::from_secs(1));
        net.silence(sources[silent], proxy);
        let subscriber = net.subscriber(from(0), &[""]);
        net.join(proxy, subscriber);
        net.pass(Duration::from_secs(1));
        assert_eq!(net.seqs(subscriber), (0..200).collect::<Vec<_>>(), "source {silent} is silent");
    }
}

#[test]
fn a_source_that_is_short_of_bytes_is_given_more() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let config = SubscribeConfig { window_bytes: 1, ..window(1_000) };
    let subscriber = net.subscriber(config, &[""]);
    net.join(publisher, subscriber);
    let long = "x".repeat(900_000);
    for seq in 0..5 {
        net.publish(publisher, "t", "small");
        net.publish(publisher, "t", &long);
        assert_eq!(net.seqs(subscriber), [2 * seq, 2 * seq + 1]);
    }
}
