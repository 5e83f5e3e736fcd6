//! The clocks of publishers, proxies and subscribers need not agree: shelf lives are told by the publisher's.

mod common;

use std::time::Duration;

use bytes::BytesMut;
use common::raw::Raw;
use common::{encoded, filter, handshake, hello, later, peer, record, session};
use drawdown_protocol::wire::{
    Control, Frame, PublishHeader, Request, Ring, StartAt, encode_publish_header,
};
use drawdown_protocol::{
    Identity, Lineage, Now, ProxyConfig, ProxyEngine, PublishConfig, RingConfig, Side, SocketType,
    Time, WallTime,
};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };
const SHELF_LIFE: Duration = Duration::from_secs(10);

/// A publisher whose clock is not that of the proxy.
struct Source {
    raw: Raw,
    clock: WallTime,
}

impl Source {
    fn of(proxy: &mut ProxyEngine, clock: WallTime) -> Self {
        let mut raw = Raw::connect(proxy, "source", NOW);
        raw.says(proxy, &handshake(&hello(SocketType::Pub, peer(0x50))), NOW);
        let lineage = Lineage { session: session(), epoch: 1, since: 0 };
        let ring = Ring { lineage, oldest: 0, head: 20, live: true };
        raw.says(proxy, &encoded(&Control::Ring(ring)), NOW);
        Self { raw, clock }
    }

    /// Sends the first messages to whom asks; each has all of its shelf life left.
    fn answers(&mut self, proxy: &mut ProxyEngine, count: u32, now: Now) {
        let sent_at = self.clock + now.time.since(NOW.time);
        let expires = sent_at + SHELF_LIFE;
        let attributes = [&[1, 8][..], &expires.as_millis().to_le_bytes()].concat();
        let records = record(b"x", Some(&attributes)).repeat(count as usize);
        for frame in self.raw.hears(proxy, now) {
            if let Frame::Control(Control::Request(Request { request, .. })) = frame {
                let header = PublishHeader { from: 0, first_seq: 0, sent_at, count, request };
                let mut out = BytesMut::new();
                encode_publish_header(header, records.len(), &mut out);
                out.extend_from_slice(&records);
                self.raw.says(proxy, &out, now);
            }
        }
    }
}

fn subscribes(proxy: &mut ProxyEngine) -> Raw {
    let mut raw = Raw::on(proxy.open_link(Identity::new("sub"), Side::Downstream, NOW.time));
    raw.says(proxy, &handshake(&hello(SocketType::Sub, peer(0x60))), NOW);
    raw.says(proxy, &filter(b""), NOW);
    let (start, messages, bytes) = (StartAt::Next(0), 1_000, 1 << 40);
    let request = Request { request: 1, session: session(), start, last: None, messages, bytes };
    raw.says(proxy, &encoded(&Control::Request(request)), NOW);
    raw
}

/// How long each message may still wait, as far as who hears this knows.
fn shelf_lives(heard: Vec<Frame>) -> Vec<Duration> {
    let runs = heard.into_iter().filter_map(|frame| match frame {
        Frame::Publish(run) => Some(run),
        _ => None,
    });
    runs.flat_map(|run| {
        let records = drawdown_protocol::message::Records::new(&run.records);
        let expires = records.map(|(_, head)| head.expires.expect("it has a shelf life"));
        let sent_at = run.header.sent_at;
        expires.map(|expires| sent_at.until(expires)).collect::<Vec<_>>()
    })
    .collect()
}

fn clocks() -> [WallTime; 3] {
    let hour = Duration::from_secs(3_600);
    let behind = WallTime::from_millis(NOW.wall.as_millis() - hour.as_millis() as u64);
    [NOW.wall, NOW.wall + hour, behind]
}

#[test]
fn what_a_proxy_passes_on_lives_as_long_as_its_publisher_said() {
    for clock in clocks() {
        let mut proxy = ProxyEngine::new(ProxyConfig::default(), peer(0x40));
        let mut source = Source::of(&mut proxy, clock);
        let now = later(NOW, 1_000);
        source.answers(&mut proxy, 1, now);
        let now = later(now, 2_000);
        let mut subscriber = subscribes(&mut proxy);
        let left = SHELF_LIFE - Duration::from_secs(2);
        assert_eq!(shelf_lives(subscriber.hears(&mut proxy, now)), [left], "{clock:?}");
    }
}

#[test]
fn what_a_proxy_fetches_lives_as_long_as_its_publisher_said() {
    for clock in clocks() {
        let ring = RingConfig { messages: 10, ..RingConfig::default() };
        let down = PublishConfig { ring, ..PublishConfig::default() };
        let config = ProxyConfig { down, ..ProxyConfig::default() };
        let mut proxy = ProxyEngine::new(config, peer(0x40));
        let mut source = Source::of(&mut proxy, clock);
        source.answers(&mut proxy, 20, NOW);
        let mut subscriber = subscribes(&mut proxy);
        subscriber.hears(&mut proxy, NOW);
        // Its clock was set anew meanwhile.
        source.clock = source.clock + Duration::from_secs(600);
        source.answers(&mut proxy, 10, NOW);
        let lives = shelf_lives(subscriber.hears(&mut proxy, NOW));
        assert_eq!(lives[..10], [SHELF_LIFE; 10], "{clock:?}");
    }
}
