//! What sources have lost between what they retain: a proxy asks each of them once, whatever their RINGs go on to say.

mod common;

use std::ops::Range;

use bytes::BytesMut;
use common::raw::Raw;
use common::{encoded, handshake, hello, peer, record, session};
use drawdown_protocol::wire::{
    Control, Filter, Frame, Prefix, PublishHeader, Request, Ring, StartAt, encode_publish_header,
};
use drawdown_protocol::{
    Identity, Lineage, Now, ProxyConfig, ProxyEngine, PublishConfig, RingConfig, Side, SocketType,
    Time,
};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };
const HOLE: Range<u64> = 50..100;
const HEAD: u64 = 200;

/// Messages of one byte; `from` says what is gone before them.
fn publish(request: u32, from: u64, seqs: Range<u64>) -> Vec<u8> {
    let count = (seqs.end - seqs.start) as u32;
    let header =
        PublishHeader { from, first_seq: seqs.start, sent_at: common::WALL, count, request };
    let records = record(b"x", None).repeat(count as usize);
    let mut out = BytesMut::new();
    encode_publish_header(header, records.len(), &mut out);
    out.extend_from_slice(&records);
    out.to_vec()
}

/// A publisher that has lost what is in the hole, and says its RING again after each answer, as with a heartbeat.
struct Source {
    raw: Raw,
    asked: usize,
}

impl Source {
    fn of(proxy: &mut ProxyEngine, name: u8) -> Self {
        let mut raw = Raw::connect(proxy, "source", NOW);
        raw.says(proxy, &handshake(&hello(SocketType::Pub, peer(name))), NOW);
        raw.says(proxy, &Self::ring(), NOW);
        Self { raw, asked: 0 }
    }

    fn ring() -> Vec<u8> {
        let lineage = Lineage { session: session(), epoch: 1, since: 0 };
        encoded(&Control::Ring(Ring { lineage, oldest: 0, head: HEAD, live: true }))
    }

    fn answers(&mut self, proxy: &mut ProxyEngine) {
        for frame in self.raw.hears(proxy, NOW) {
            let Frame::Control(Control::Request(Request { request, start, .. })) = frame else {
                continue;
            };
            self.asked += 1;
            let next = if let StartAt::Next(next) = start { next } else { 0 };
            if next < HOLE.start {
                let before = publish(request, next, next..HOLE.start);
                self.raw.says(proxy, &before, NOW);
            }
            let behind = next.max(HOLE.end);
            if behind < HEAD {
                self.raw.says(proxy, &publish(request, behind, behind..HEAD), NOW);
            }
            self.raw.says(proxy, &Self::ring(), NOW);
        }
    }
}

/// What it hears: which numbers come, and from where on each frame says that nothing is missing.
fn subscribes(proxy: &mut ProxyEngine, next: u64) -> Raw {
    let mut raw = Raw::on(proxy.open_link(Identity::new("sub"), Side::Downstream, NOW.time));
    raw.says(proxy, &handshake(&hello(SocketType::Sub, peer(0x60))), NOW);
    let add = [Prefix::new(b"").unwrap()].into_iter().collect();
    raw.says(proxy, &encoded(&Control::Filter(Filter { add, ..Filter::default() })), NOW);
    let request = Request {
        request: 1,
        session: session(),
        start: StartAt::Next(next),
        last: None,
        messages: 1_000,
        bytes: 1 << 20,
    };
    raw.says(proxy, &encoded(&Control::Request(request)), NOW);
    raw
}

#[test]
fn a_proxy_asks_no_source_again_for_what_it_has_answered_to_have_lost() {
    let ring = RingConfig { messages: 10, ..RingConfig::default() };
    let down = PublishConfig { ring, ..PublishConfig::default() };
    let config = ProxyConfig { down, ..ProxyConfig::default() };
    let mut proxy = ProxyEngine::new(config, peer(0x40));
    let mut sources = [0x50, 0x51].map(|name| Source::of(&mut proxy, name));
    let mut turns = |proxy: &mut ProxyEngine, subscriber: Option<&mut Raw>| {
        let mut heard = Vec::new();
        let mut subscriber = subscriber;
        for _ in 0..20 {
            sources.iter_mut().for_each(|source| source.answers(proxy));
            heard.extend(subscriber.iter_mut().flat_map(|raw| raw.hears(proxy, NOW)));
        }
        (heard, sources.iter_mut().map(|source| std::mem::take(&mut source.asked)).sum::<usize>())
    };
    turns(&mut proxy, None);
    for start in [70, 30] {
        let mut subscriber = subscribes(&mut proxy, start);
        let (heard, asked) = turns(&mut proxy, Some(&mut subscriber));
        let mut next = start;
        for frame in heard {
            let Frame::Publish(run) = frame else { continue };
            if run.header.from > next {
                assert_eq!(next..run.header.from, start.max(HOLE.start)..HOLE.end, "from {start}");
            }
            next = run.header.first_seq + u64::from(run.header.count);
        }
        assert_eq!(next, HEAD, "from {start}");
        assert!(asked <= 4, "sources were asked {asked} times");
    }
}
