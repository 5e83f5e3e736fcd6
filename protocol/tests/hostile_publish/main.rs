//! Publishers and subscribers with a peer that breaks the rules: that link ends, and nobody else notices.

mod any_bytes;
#[path = "../common/mod.rs"]
mod common;
mod proxies;
mod publishers;
mod subscribers;

use std::ops::Range;

use common::raw::Raw;
use common::{encoded, filter, handshake, hello, peer, session};
use drawdown_protocol::wire::{CloseCode, Control, Frame, Hello, Request, Ring, Skip, StartAt};
use drawdown_protocol::{
    Event, Lineage, Message, Now, PublishConfig, PublishEngine, RingConfig, SocketType, SubCursor,
    SubscribeConfig, SubscribeEngine, Taken,
};

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };
const WINDOW: u64 = 16;

fn lineage(epoch: u64, since: u64) -> Lineage {
    Lineage { session: session(), epoch, since }
}

fn publisher() -> PublishEngine {
    let ring = RingConfig { messages: 100, ..RingConfig::default() };
    let config = PublishConfig { ring, filters_max: 1_000, ..PublishConfig::default() };
    let mut publisher = PublishEngine::new(config, peer(0x20), lineage(1, 0));
    for _ in 0..10 {
        publisher.try_publish(b"t", Message::from("payload"), || NOW).unwrap();
    }
    publisher
}

fn subscriber_hello() -> Hello {
    hello(SocketType::Sub, peer(0x30))
}

fn publisher_hello() -> Hello {
    hello(SocketType::Pub, peer(0x20))
}

fn request(request: u32, start: StartAt, messages: u64) -> Request {
    Request { request, session: session(), start, last: None, messages, bytes: u64::MAX }
}

fn ask(request: Request) -> Vec<u8> {
    encoded(&Control::Request(request))
}

/// A publisher, and a subscriber that has done its handshake.
fn subscribed() -> (PublishEngine, Raw) {
    let mut publisher = publisher();
    let mut raw = Raw::connect(&mut publisher, "subscriber", NOW);
    raw.says(&mut publisher, &handshake(&subscriber_hello()), NOW);
    raw.says(&mut publisher, &filter(b""), NOW);
    assert_eq!(raw.hears(&mut publisher, NOW).len(), 3, "preface, HELLO, RING");
    (publisher, raw)
}

fn close_of(publisher: &mut PublishEngine, raw: &mut Raw, bytes: &[u8]) -> CloseCode {
    raw.says(publisher, bytes, NOW);
    raw.hears_close(publisher, NOW).expect("a last word").code
}

fn subscriber() -> SubscribeEngine {
    let config = SubscribeConfig {
        window_messages: WINDOW,
        window_bytes: 4 << 20,
        ..SubscribeConfig::default()
    };
    let mut subscriber = SubscribeEngine::new(config, peer(0x30));
    subscriber.add_filter(b"", NOW.time).unwrap();
    subscriber
}

fn ring(lineage: Lineage, oldest: u64, head: u64) -> Vec<u8> {
    encoded(&Control::Ring(Ring { lineage, oldest, head, live: true }))
}

/// A subscriber, and a publisher that was asked.
fn publishing() -> (SubscribeEngine, Raw) {
    let mut subscriber = subscriber();
    let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
    raw.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    raw.says(&mut subscriber, &ring(lineage(1, 0), 0, 10), NOW);
    let heard = raw.hears(&mut subscriber, NOW);
    let asked = request(1, StartAt::Oldest, WINDOW);
    let asked = Control::Request(Request { bytes: 4 << 20, ..asked });
    assert_eq!(heard.last(), Some(&Frame::Control(asked)));
    (subscriber, raw)
}

fn taken(subscriber: &mut SubscribeEngine) -> Range<u64> {
    let mut numbers: Option<Range<u64>> = None;
    while let Some(taken) = subscriber.take(u32::MAX) {
        let (first, end) = match taken {
            Taken::Gap(gap) => (gap.from, gap.to + 1),
            Taken::Batch(batch) => {
                let mut cursor = SubCursor::new(batch);
                let first = cursor.next(|| NOW.time).expect("a message").seq;
                let end = std::iter::from_fn(|| cursor.next(|| NOW.time)).last();
                let consumed = cursor.report().expect("it was taken");
                subscriber.handle_consumed(&consumed, NOW.time);
                (first, end.map_or(first, |item| item.seq) + 1)
            }
            Taken::NewSession(_) => panic!("there is one session"),
        };
        let numbers = numbers.get_or_insert(first..first);
        assert_eq!(first, numbers.end);
        numbers.end = end;
    }
    numbers.expect("something waits")
}

/// How many sessions it has told of.
fn news(subscriber: &mut SubscribeEngine) -> usize {
    let events = std::iter::from_fn(|| subscriber.poll_event());
    events.filter(|event| matches!(event, Event::NewSession(_))).count()
}

fn skip(request: u32, from: u64, next: u64) -> Vec<u8> {
    encoded(&Control::Skip(Skip { request, from, next }))
}
