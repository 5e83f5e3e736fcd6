//! What a proxy fetches for subscribers that are behind its ring.

mod common;

use std::ops::Range;

use common::raw::Raw;
use common::{encoded, filter, handshake, hello, peer, publish, session};
use drawdown_protocol::limits::LANES_MAX;
use drawdown_protocol::wire::{Control, Frame, Heartbeat, Request, Ring, StartAt};
use drawdown_protocol::{
    Identity, Lineage, Now, ProxyConfig, ProxyEngine, PublishConfig, RingConfig, Side, SocketType,
    Time,
};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };
const HOLE: Range<u64> = 50..100;
const HEAD: u64 = 200;

/// A publisher that says its RING again after each answer, as with a heartbeat. What it has lost is in its hole.
struct Source {
    raw: Raw,
    hole: Range<u64>,
    asked: usize,
}

impl Source {
    fn of(proxy: &mut ProxyEngine, name: u8, hole: Range<u64>) -> Self {
        let mut raw = Raw::connect(proxy, "source", NOW);
        raw.says(proxy, &handshake(&hello(SocketType::Pub, peer(name))), NOW);
        raw.says(proxy, &Self::ring(), NOW);
        Self { raw, hole, asked: 0 }
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
            if next < self.hole.start {
                let count = (self.hole.start - next) as u32;
                self.raw.says(proxy, &publish(request, next, next, count), NOW);
            }
            let behind = next.max(self.hole.end);
            if behind < HEAD {
                let count = (HEAD - behind) as u32;
                self.raw.says(proxy, &publish(request, behind, behind, count), NOW);
            }
            self.raw.says(proxy, &Self::ring(), NOW);
        }
    }
}

/// A subscriber that asks for what is from `next` on.
fn subscribes(proxy: &mut ProxyEngine, next: u64) -> Raw {
    let mut raw = Raw::on(proxy.open_link(Identity::new("sub"), Side::Downstream, NOW.time));
    raw.says(proxy, &handshake(&hello(SocketType::Sub, peer(0x60))), NOW);
    raw.says(proxy, &filter(b""), NOW);
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

/// A proxy that retains ten messages.
fn proxy() -> ProxyEngine {
    let ring = RingConfig { messages: 10, ..RingConfig::default() };
    let down = PublishConfig { ring, ..PublishConfig::default() };
    ProxyEngine::new(ProxyConfig { down, ..ProxyConfig::default() }, peer(0x40))
}

/// What became of the numbers from `next` on: those in between that are gone, and where the rest ends.
fn received(heard: Vec<Frame>, mut next: u64) -> (Vec<Range<u64>>, u64) {
    let mut gone = Vec::new();
    for frame in heard {
        let Frame::Publish(run) = frame else { continue };
        if run.header.from > next {
            gone.push(next..run.header.from);
        }
        next = run.header.first_seq + u64::from(run.header.count);
    }
    (gone, next)
}

#[test]
fn a_proxy_asks_no_source_again_for_what_it_has_answered_to_have_lost() {
    let mut proxy = proxy();
    let mut sources = [0x50, 0x51].map(|name| Source::of(&mut proxy, name, HOLE));
    let mut turns = |proxy: &mut ProxyEngine, mut subscriber: Option<&mut Raw>| {
        let mut heard = Vec::new();
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
        let hole = start.max(HOLE.start)..HOLE.end;
        assert_eq!(received(heard, start), (vec![hole], HEAD), "from {start}");
        assert!(asked <= 4, "sources were asked {asked} times");
    }
}

/// Each of them has been sent what it has credit for, as far as the proxy can tell, and its connection takes nothing more.
#[test]
fn subscribers_that_read_nothing_keep_nobody_from_what_is_fetched() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy, 0x50, 0..0);
    source.answers(&mut proxy);
    for _ in 0..LANES_MAX {
        let mut stuck = subscribes(&mut proxy, 0);
        stuck.hears(&mut proxy, NOW);
        source.answers(&mut proxy);
    }
    let mut reading = subscribes(&mut proxy, 0);
    let mut heard = reading.hears(&mut proxy, NOW);
    let later = common::later(NOW, 1_000);
    reading.says(&mut proxy, &encoded(&Control::Heartbeat(Heartbeat::default())), later);
    for _ in 0..10 {
        source.answers(&mut proxy);
        heard.extend(reading.hears(&mut proxy, later));
    }
    assert_eq!(received(heard, 0), (vec![], HEAD));
}
