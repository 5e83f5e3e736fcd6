//! Publishers and subscribers with a peer that breaks the rules: that link ends, and nobody else notices.

mod common;

use std::collections::BTreeMap;
use std::ops::Range;

use allocation_counter::measure;
use common::raw::Raw;
use common::{encoded, filter, handshake, hello, later, peer, publish, session};
use drawdown_protocol::limits::{
    FILTERS_PER_FRAME, MARKERS_MAX, REQUESTS_MAX, SCAN_LOOKUPS, SESSIONS_MAX, TOPIC_BYTES_MAX,
    UNWRITTEN_MESSAGES,
};
use drawdown_protocol::store::StoreOp;
use drawdown_protocol::wire::{
    CloseCode, Control, End, Filter, Fingerprint, Frame, Heartbeat, Hello, More, Preface, Prefix,
    Request, Ring, Skip, StartAt,
};
use drawdown_protocol::{
    Event, Gap, Identity, Lineage, LinkState, Message, Now, ProxyConfig, ProxyEngine,
    PublishConfig, PublishEngine, RingConfig, Session, Side, SocketType, SubCursor,
    SubscribeConfig, SubscribeEngine, Taken, Transmit,
};
use proptest::prelude::*;
use uuid::Uuid;

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

#[test]
fn a_subscriber_that_breaks_the_rules_loses_its_link() {
    let lowered = More { request: 5, messages: 3, bytes: u64::MAX };
    let unknown = More { request: 9, messages: 9, bytes: u64::MAX };
    let other = Fingerprint { seq: 3, crc: 1 };
    let cases: [(Vec<u8>, CloseCode); 7] = [
        (ask(request(5, StartAt::Oldest, 1)), CloseCode::ProtocolViolation),
        (encoded(&Control::More(lowered)), CloseCode::ProtocolViolation),
        (encoded(&Control::More(unknown)), CloseCode::ProtocolViolation),
        (encoded(&Control::End(End { request: 6 })), CloseCode::ProtocolViolation),
        (
            ask(Request { last: Some(other), ..request(6, StartAt::Next(4), 1) }),
            CloseCode::Conflict,
        ),
        (
            encoded(&Control::Skip(Skip { request: 5, from: 0, next: 1 })),
            CloseCode::ProtocolViolation,
        ),
        (handshake(&subscriber_hello())[12..].to_vec(), CloseCode::ProtocolViolation),
    ];
    for (bytes, code) in cases {
        let (mut publisher, mut raw) = subscribed();
        raw.says(&mut publisher, &ask(request(5, StartAt::Oldest, 4)), NOW);
        raw.hears(&mut publisher, NOW);
        assert_eq!(close_of(&mut publisher, &mut raw, &bytes), code, "{bytes:?}");
        assert!(publisher.try_publish(b"t", Message::from("on"), || NOW).is_ok());
    }
}

#[test]
fn what_is_late_or_unknown_is_passed_over() {
    let (mut publisher, mut raw) = subscribed();
    let stranger = Session::from_uuid(Uuid::from_u128(99));
    let of_nobody = Request { session: stranger, ..request(1, StartAt::Oldest, 9) };
    raw.says(&mut publisher, &ask(of_nobody), NOW);
    raw.says(&mut publisher, &encoded(&Control::End(End { request: 1 })), NOW);
    let more = More { request: 1, messages: 9, bytes: 9 };
    raw.says(&mut publisher, &encoded(&Control::More(more)), NOW);
    raw.says(&mut publisher, &encoded(&Control::Heartbeat(Heartbeat::default())), NOW);
    let heard = raw.hears(&mut publisher, NOW);
    assert!(matches!(heard[..], [Frame::Control(Control::Ring(_))]), "what there is: {heard:?}");
    assert_eq!(publisher.link_state(raw.link), LinkState::Open);
}

#[test]
fn a_number_from_the_future_is_waited_for() {
    let (mut publisher, mut raw) = subscribed();
    raw.says(&mut publisher, &ask(request(1, StartAt::Next(12), 9)), NOW);
    let place = Skip { request: 1, from: 12, next: 12 };
    assert_eq!(raw.hears(&mut publisher, NOW), [Frame::Control(Control::Skip(place))]);
    for seq in 10..13 {
        assert_eq!(publisher.try_publish(b"t", Message::from("p"), || NOW).unwrap(), seq);
    }
    let heard = raw.hears(&mut publisher, NOW);
    let [Frame::Publish(run)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((run.header.from, run.header.first_seq, run.header.count), (12, 12, 1));
}

#[test]
fn requests_and_filters_are_counted() {
    let (mut publisher, mut raw) = subscribed();
    for name in 1..=REQUESTS_MAX as u32 {
        raw.says(&mut publisher, &ask(request(name, StartAt::Oldest, 0)), NOW);
    }
    assert_eq!(publisher.link_state(raw.link), LinkState::Open);
    let one_more = ask(request(1_000, StartAt::Oldest, 0));
    assert_eq!(close_of(&mut publisher, &mut raw, &one_more), CloseCode::TooMany);

    let (mut publisher, mut raw) = subscribed();
    let prefixes: Vec<Prefix> = (0..1_000u32)
        .map(|n| Prefix::new(&[&[0; TOPIC_BYTES_MAX - 4][..], &n.to_le_bytes()].concat()).unwrap())
        .collect();
    for some in prefixes.chunks(FILTERS_PER_FRAME) {
        assert_eq!(publisher.link_state(raw.link), LinkState::Open);
        let add = some.iter().cloned().collect();
        let bytes = encoded(&Control::Filter(Filter { add, ..Filter::default() }));
        assert!(bytes.len() <= 8 + drawdown_protocol::limits::CONTROL_BYTES_MAX);
        raw.says(&mut publisher, &bytes, NOW);
    }
    let close = raw.hears_close(&mut publisher, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::TooMany, "the empty prefix was there before");
    assert_eq!(close.reason.as_str(), "a subscriber may have up to 1000 filters here");
}

#[test]
fn of_what_matches_for_one_that_reads_nothing_not_every_number_is_kept() {
    let (mut publisher, mut raw) = subscribed();
    let filters = Filter {
        add: [Prefix::new(b"a").unwrap()].into_iter().collect(),
        remove: [Prefix::new(b"").unwrap()].into_iter().collect(),
    };
    raw.says(&mut publisher, &encoded(&Control::Filter(filters)), NOW);
    raw.says(&mut publisher, &ask(request(1, StartAt::Newest, 1 << 63)), NOW);
    raw.hears(&mut publisher, NOW);
    let mut publish = |count: u64| {
        for seq in 0..count {
            let topic: &[u8] = if seq % 2 == 0 { b"a" } else { b"b" };
            publisher.try_publish(topic, Message::from("payload"), || NOW).unwrap();
        }
    };
    publish(1_000);
    let kept = measure(|| publish(200_000)).bytes_current;
    assert!(kept < 100_000, "{kept} bytes for a ring of 100 messages");

    let end = publisher.next_seq();
    let heard = raw.hears(&mut publisher, NOW);
    let runs = heard.iter().filter_map(|frame| match frame {
        Frame::Publish(run) => Some(run.header.first_seq),
        _ => None,
    });
    let retained: Vec<u64> = (end - 100..end).step_by(2).collect();
    assert_eq!(runs.collect::<Vec<_>>(), retained, "what is there, it has all the same");
}

#[test]
fn requests_that_have_to_be_looked_for_share_one_turn() {
    let ring = RingConfig { messages: 100_000, ..RingConfig::default() };
    let config = PublishConfig { ring, ..PublishConfig::default() };
    let mut publisher = PublishEngine::new(config, peer(0x20), lineage(1, 0));
    for _ in 0..50_000 {
        publisher.try_publish(b"t", Message::from("payload"), || NOW).unwrap();
    }
    let mut raw = Raw::connect(&mut publisher, "subscriber", NOW);
    raw.says(&mut publisher, &handshake(&subscriber_hello()), NOW);
    raw.says(&mut publisher, &filter(b"of no message"), NOW);
    raw.hears(&mut publisher, NOW);
    for name in 1..=REQUESTS_MAX as u32 {
        raw.says(&mut publisher, &ask(request(name, StartAt::Next(0), 1)), NOW);
    }
    let mut reached = BTreeMap::new();
    while reached.len() < REQUESTS_MAX {
        let before: u64 = reached.values().sum();
        for frame in raw.hears(&mut publisher, NOW) {
            if let Frame::Control(Control::Skip(skip)) = frame {
                reached.insert(skip.request, skip.next);
            }
        }
        let looked_at = reached.values().sum::<u64>() - before;
        assert!((1..=SCAN_LOOKUPS).contains(&looked_at), "{looked_at} messages in a turn");
        assert_eq!(publisher.poll_wake(), Some(raw.link), "it goes on");
        while publisher.poll_wake().is_some() {}
    }
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

#[test]
fn a_publisher_that_breaks_the_rules_loses_its_link() {
    let cases: [(Vec<u8>, CloseCode); 8] = [
        (publish(1, 2, 2, 1), CloseCode::ProtocolViolation),
        (publish(2, 3, 3, 1), CloseCode::ProtocolViolation),
        (publish(1, 3, 3, WINDOW as u32 - 2), CloseCode::CreditExceeded),
        (
            encoded(&Control::Skip(Skip { request: 1, from: 2, next: 9 })),
            CloseCode::ProtocolViolation,
        ),
        (
            encoded(&Control::Skip(Skip { request: 1, from: 9, next: 8 })),
            CloseCode::ProtocolViolation,
        ),
        (ring(lineage(1, 0), 9, 8), CloseCode::ProtocolViolation),
        (ring(lineage(1, 1), 0, 9), CloseCode::Conflict),
        (ring(lineage(2, 2), 0, 9), CloseCode::Conflict),
    ];
    for (bytes, code) in cases {
        let (mut subscriber, mut raw) = publishing();
        raw.says(&mut subscriber, &publish(1, 0, 0, 3), NOW);
        raw.says(&mut subscriber, &bytes, NOW);
        let close = raw.hears_close(&mut subscriber, NOW).expect("a last word");
        assert_eq!(close.code, code, "{bytes:?}: {close}");
        let Some(Taken::Batch(batch)) = subscriber.take(99) else {
            panic!("what came before stays")
        };
        assert_eq!(batch.len(), 3);
        assert!(subscriber.take(99).is_none());
    }
}

#[test]
fn an_older_incarnation_is_refused_as_soon_as_it_says_too_much() {
    let (mut subscriber, _raw) = publishing();
    let mut newer = Raw::connect(&mut subscriber, "newer", NOW);
    newer.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    newer.says(&mut subscriber, &ring(lineage(2, 12), 12, 14), NOW);
    let mut older = Raw::connect(&mut subscriber, "older", NOW);
    older.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    older.says(&mut subscriber, &ring(lineage(1, 0), 0, 12), NOW);
    assert_eq!(subscriber.link_state(older.link), LinkState::Open, "it is only behind");
    older.says(&mut subscriber, &ring(lineage(1, 0), 0, 13), NOW);
    let close = older.hears_close(&mut subscriber, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::Fenced);
}

#[test]
fn sessions_and_gaps_are_counted() {
    let (mut subscriber, mut raw) = publishing();
    for name in 1..SESSIONS_MAX as u128 {
        let other = Lineage { session: Session::from_uuid(Uuid::from_u128(name)), ..lineage(1, 0) };
        raw.says(&mut subscriber, &ring(other, 0, 1), NOW);
    }
    assert_eq!(subscriber.link_state(raw.link), LinkState::Open);
    let other = Lineage { session: Session::from_uuid(Uuid::from_u128(1_000)), ..lineage(1, 0) };
    raw.says(&mut subscriber, &ring(other, 0, 1), NOW);
    let close = raw.hears_close(&mut subscriber, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::TooMany);

    // Gaps that follow each other are one; those with what was passed over between them are bounded.
    let (mut subscriber, mut raw) = publishing();
    for skip in 0..2 * MARKERS_MAX as u64 {
        let skip = Skip { request: 1, from: 4 * skip + 2, next: 4 * skip + 4 };
        raw.says(&mut subscriber, &encoded(&Control::Skip(skip)), NOW);
    }
    let close = raw.hears_close(&mut subscriber, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::TooMany);
    let (mut subscriber, mut raw) = publishing();
    for next in 1..2 * MARKERS_MAX as u64 {
        let skip = Skip { request: 1, from: 2 * next, next: 2 * next };
        raw.says(&mut subscriber, &encoded(&Control::Skip(skip)), NOW);
    }
    let gap = subscriber.take(1);
    let expected = Gap { session: session(), from: 2, to: 4 * MARKERS_MAX as u64 - 3 };
    assert!(matches!(gap, Some(Taken::Gap(gap)) if gap == expected), "{gap:?}");
    assert_eq!(subscriber.link_state(raw.link), LinkState::Open);
}

#[test]
fn a_gap_that_is_one_too_many_is_told_of_with_what_comes_after_it() {
    let many = 2 * MARKERS_MAX as u64;
    let mut subscriber = subscriber();
    subscriber.set_window(many, 4 << 20, NOW.time);
    let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
    raw.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    raw.says(&mut subscriber, &ring(lineage(1, 0), 0, 1), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &publish(1, 0, 0, 1), NOW);
    // Every other number is lost.
    for seq in (2..2 * many).step_by(2) {
        raw.says(&mut subscriber, &publish(1, seq, seq, 1), NOW);
    }
    let close = raw.hears_close(&mut subscriber, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::TooMany);
    subscriber.remove_link(raw.link);
    let had = taken(&mut subscriber);
    assert_eq!(had, 0..2 * MARKERS_MAX as u64 + 1);
    assert_eq!(subscriber.queued().messages, 0);

    let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
    raw.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    raw.says(&mut subscriber, &ring(lineage(1, 0), 2 * many - 1, 2 * many), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &publish(1, 2 * many - 1, 2 * many - 1, 1), NOW);
    assert_eq!(taken(&mut subscriber), had.end..2 * many);
    assert_eq!(subscriber.queued().messages, 0);
}

/// Takes all that waits; the numbers of messages and gaps, which follow each other.
#[test]
fn nothing_is_queued_after_a_stop() {
    let (mut subscriber, mut raw) = publishing();
    subscriber.stop();
    let other =
        Lineage { session: Session::from_uuid(Uuid::from_u128(u128::MAX)), ..lineage(1, 0) };
    for bytes in [ring(other, 0, 1), publish(1, 0, 0, 1), skip(1, 5, 5)] {
        raw.says(&mut subscriber, &bytes, NOW);
        assert!(!subscriber.has_queued());
    }
    assert_eq!(subscriber.link_state(raw.link), LinkState::Open);
}

#[test]
fn losses_are_counted_whatever_a_publisher_says() {
    let (mut subscriber, mut raw) = publishing();
    raw.says(&mut subscriber, &skip(1, 0, 0), NOW);
    raw.says(&mut subscriber, &skip(1, u64::MAX, u64::MAX), NOW);
    let other =
        Lineage { session: Session::from_uuid(Uuid::from_u128(u128::MAX)), ..lineage(1, 0) };
    raw.says(&mut subscriber, &ring(other, 0, 1), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &skip(2, 0, 0), NOW);
    raw.says(&mut subscriber, &skip(2, u64::MAX, u64::MAX), NOW);
    assert_eq!(subscriber.stats(NOW.time).missed, u64::MAX);
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

#[test]
fn sessions_that_nothing_comes_of_are_not_told_of() {
    let (mut subscriber, mut raw) = publishing();
    let of = |name: u128| Lineage {
        session: Session::from_uuid(Uuid::from_u128(name)),
        ..lineage(1, 0)
    };
    let ended = |name, head| Ring { lineage: of(name), oldest: 5, head, live: false };
    for name in 1..SESSIONS_MAX as u128 {
        raw.says(&mut subscriber, &encoded(&Control::Ring(ended(name, 5))), NOW);
    }
    assert_eq!(subscriber.link_state(raw.link), LinkState::Open);
    assert!(subscriber.take(1).is_none(), "nor is the application told");
    assert_eq!(news(&mut subscriber), 0);
    raw.says(&mut subscriber, &encoded(&Control::Ring(ended(1, 6))), NOW);
    raw.says(&mut subscriber, &ring(of(2), 5, 5), NOW);
    assert_eq!(news(&mut subscriber), 2, "one has something, the other has its publisher");
}

/// How many sessions it has told of.
fn news(subscriber: &mut SubscribeEngine) -> usize {
    let events = std::iter::from_fn(|| subscriber.poll_event());
    events.filter(|event| matches!(event, Event::NewSession(_))).count()
}

/// Without heartbeats, and with a filter, only a SKIP tells that a source has nothing more that is wanted.
#[test]
fn the_only_credit_goes_on_to_the_session_that_has_something() {
    let config = SubscribeConfig { window_messages: 1, ..SubscribeConfig::default() };
    let mut subscriber = SubscribeEngine::new(config, peer(0x30));
    subscriber.add_filter(b"b", NOW.time).unwrap();
    let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
    let silent = Hello { heartbeat_ms: 0, ..publisher_hello() };
    raw.says(&mut subscriber, &handshake(&silent), NOW);
    let other =
        Lineage { session: Session::from_uuid(Uuid::from_u128(u128::MAX)), ..lineage(1, 0) };
    raw.says(&mut subscriber, &ring(lineage(1, 0), 0, 5), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &skip(1, 0, 4), NOW);
    raw.says(&mut subscriber, &ring(other, 0, 0), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &skip(2, 0, 0), NOW);
    raw.says(&mut subscriber, &ring(other, 0, 8), NOW);
    let mut heard = raw.hears(&mut subscriber, NOW);
    // The first one may have found nothing and kept silent: it is asked once more.
    raw.says(&mut subscriber, &skip(3, 4, 5), NOW);
    let more = Control::More(More { request: 2, messages: 1, bytes: 16 << 20 });
    heard.extend(raw.hears(&mut subscriber, NOW));
    assert!(heard.contains(&Frame::Control(more)), "{heard:?}");
}

#[test]
fn a_request_that_is_given_credit_only_later_says_then_that_nothing_is_wanted() {
    let (mut publisher, mut raw) = subscribed();
    let filters = Filter {
        add: [Prefix::new(b"of no message").unwrap()].into_iter().collect(),
        remove: [Prefix::new(b"").unwrap()].into_iter().collect(),
    };
    raw.says(&mut publisher, &encoded(&Control::Filter(filters)), NOW);
    raw.says(&mut publisher, &ask(Request { bytes: 0, ..request(1, StartAt::Oldest, 0) }), NOW);
    let told = |from, next| Frame::Control(Control::Skip(Skip { request: 1, from, next }));
    assert_eq!(raw.hears(&mut publisher, NOW), [told(0, 0)], "it may not look");
    let [Frame::Control(Control::Ring(_))] = raw.hears(&mut publisher, NOW)[..] else {
        panic!("it does not say that there is something");
    };
    let more = |messages| encoded(&Control::More(More { request: 1, messages, bytes: 1 << 20 }));
    raw.says(&mut publisher, &more(1), NOW);
    assert_eq!(raw.hears(&mut publisher, NOW), [told(0, 10)]);
    raw.says(&mut publisher, &more(2), NOW);
    assert_eq!(raw.hears(&mut publisher, NOW), [], "nothing is news");
}

fn skip(request: u32, from: u64, next: u64) -> Vec<u8> {
    encoded(&Control::Skip(Skip { request, from, next }))
}

#[test]
fn sessions_without_end_do_not_pile_up_before_an_application_that_takes_nothing() {
    let (mut subscriber, raw) = publishing();
    subscriber.link_lost(raw.link, "the connection broke", NOW.time);
    let mut names = 1..;
    for _ in 0..2 * MARKERS_MAX / SESSIONS_MAX {
        let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
        raw.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
        for name in names.by_ref().take(SESSIONS_MAX) {
            let other =
                Lineage { session: Session::from_uuid(Uuid::from_u128(name)), ..lineage(1, 0) };
            raw.says(&mut subscriber, &ring(other, 0, 1), NOW);
        }
        subscriber.link_lost(raw.link, "the connection broke", NOW.time);
    }
    let waiting = std::iter::from_fn(|| subscriber.take(1)).count();
    assert!(waiting <= MARKERS_MAX, "{waiting}");
}

#[test]
fn a_publisher_at_the_end_of_all_numbers_does_not_upset_the_store_of_a_proxy() {
    let mut proxy = ProxyEngine::with_store(ProxyConfig::default(), peer(0x40));
    let link = proxy.open_link(Identity::new("publisher"), Side::Upstream, NOW.time);
    let far = Ring { lineage: lineage(1, 0), oldest: 0, head: u64::MAX, live: true };
    let skip = |from| Control::Skip(Skip { request: 1, from, next: from });
    let frames = [Control::Hello(publisher_hello()), Control::Ring(far), skip(0), skip(u64::MAX)];
    proxy.handle_frame(link, Frame::Preface(Preface::OURS), NOW);
    for frame in frames {
        proxy.handle_frame(link, Frame::Control(frame), NOW);
        proxy.poll_transmit(link, NOW, &mut Transmit::new());
    }
    let reserved = proxy.poll_store(NOW.time).and_then(|commit| {
        commit.ops.into_iter().find_map(|op| match op {
            StoreOp::Reserve { end, .. } => Some(end),
            _ => None,
        })
    });
    assert_eq!(reserved, Some(u64::MAX));
    proxy.handle_stored(Ok(()), NOW);
    assert!(proxy.poll_store(later(NOW, 1_000).time).is_none(), "nothing is left to write");
}

#[test]
fn a_proxy_takes_no_more_from_upstream_than_its_disk_keeps_up_with() {
    let ring_of_10 = RingConfig { messages: 10, ..RingConfig::default() };
    let down = PublishConfig { ring: ring_of_10, ..PublishConfig::default() };
    let config = ProxyConfig { down, ..ProxyConfig::default() };
    let window = config.up.window_messages;
    let mut proxy = ProxyEngine::with_store(config, peer(0x40));
    let mut raw = Raw::connect(&mut proxy, "publisher", NOW);
    raw.says(&mut proxy, &handshake(&publisher_hello()), NOW);
    raw.says(&mut proxy, &ring(lineage(1, 0), 0, 0), NOW);
    let mut source = Source::default();

    let unwritten = |proxy: &ProxyEngine| {
        let stats = proxy.stats(NOW.time);
        (stats.down.rings[0].messages, stats.up.queued.messages)
    };
    source.feed(&mut proxy, &mut raw);
    let (in_ring, queued) = unwritten(&proxy);
    assert!((UNWRITTEN_MESSAGES..UNWRITTEN_MESSAGES + 2 * window).contains(&in_ring), "{in_ring}");
    assert_eq!(queued, window, "the rest stays upstream");

    let had = source.sent;
    write(&mut proxy);
    source.feed(&mut proxy, &mut raw);
    assert!(source.sent >= had + UNWRITTEN_MESSAGES, "it goes on");

    // Numbers that nobody has are not waited for.
    write(&mut proxy);
    let hole = 4 * UNWRITTEN_MESSAGES;
    source.skips(&mut proxy, &mut raw, hole);
    assert_eq!(proxy.stats(NOW.time).down.rings[0].next_seq, source.next);
    let had = source.sent;
    source.feed(&mut proxy, &mut raw);
    assert!(source.sent >= had + UNWRITTEN_MESSAGES, "it goes on");

    proxy.poll_store(NOW.time).expect("there is something to write");
    let had = source.sent;
    proxy.handle_stored(Err("the disk is gone".to_owned()), NOW);
    source.feed(&mut proxy, &mut raw);
    assert_eq!(source.sent, had, "after a failure nothing is asked for");
}

/// Writes all that there is to write.
fn write(proxy: &mut ProxyEngine) {
    while proxy.poll_store(NOW.time).is_some() {
        proxy.handle_stored(Ok(()), NOW);
    }
}

/// A publisher that sends all that its credit allows.
#[derive(Default)]
struct Source {
    sent: u64,
    /// The next number.
    next: u64,
    /// The request that it answers, and the credit of that.
    asked: (u32, u64),
}

impl Source {
    fn feed(&mut self, proxy: &mut ProxyEngine, raw: &mut Raw) {
        let before = self.sent;
        loop {
            self.listen(proxy, raw);
            let (request, credit) = self.asked;
            let count = (credit - self.sent).min(1_000) as u32;
            if count == 0 || self.sent - before > 4 * UNWRITTEN_MESSAGES {
                return;
            }
            raw.says(proxy, &publish(request, self.next, self.next, count), NOW);
            self.sent += u64::from(count);
            self.next += u64::from(count);
        }
    }

    /// Tells of so many numbers that are lost.
    fn skips(&mut self, proxy: &mut ProxyEngine, raw: &mut Raw, numbers: u64) {
        self.listen(proxy, raw);
        self.next += numbers;
        raw.says(proxy, &skip(self.asked.0, self.next, self.next), NOW);
    }

    fn listen(&mut self, proxy: &mut ProxyEngine, raw: &mut Raw) {
        for frame in raw.hears(proxy, NOW) {
            match frame {
                Frame::Control(Control::Request(asked)) => {
                    assert_eq!(self.sent, 0, "it is asked once");
                    self.asked = (asked.request, asked.messages);
                }
                Frame::Control(Control::More(more)) => self.asked.1 = more.messages,
                _ => {}
            }
        }
    }
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..20, Just(u64::MAX), Just(u64::MAX - 1)]
}

fn any_control() -> impl Strategy<Value = Control> {
    let start =
        prop_oneof![Just(StartAt::Oldest), Just(StartAt::Newest), small().prop_map(StartAt::Next)];
    let last = proptest::option::of((small(), any::<u32>()))
        .prop_map(|last| last.map(|(seq, crc)| Fingerprint { seq, crc }));
    let request_frame = (0u32..6, start, last, small(), small());
    let request_frame = request_frame.prop_map(|(request, start, last, messages, bytes)| {
        Control::Request(Request { request, session: session(), start, last, messages, bytes })
    });
    prop_oneof![
        request_frame,
        (0u32..6, small(), small()).prop_map(|(request, messages, bytes)| Control::More(More {
            request,
            messages,
            bytes
        })),
        (0u32..6).prop_map(|request| Control::End(End { request })),
        (0u32..6, small(), small()).prop_map(|(request, from, next)| Control::Skip(Skip {
            request,
            from,
            next
        })),
        (0u64..4, small(), small(), small()).prop_map(|(epoch, since, oldest, head)| {
            Control::Ring(Ring { lineage: lineage(epoch, since), oldest, head, live: true })
        }),
        prop::collection::vec(0u8..3, 0..3).prop_map(|prefix| {
            let add = [Prefix::new(&prefix).unwrap()].into_iter().collect();
            Control::Filter(Filter { add, ..Filter::default() })
        }),
        Just(Control::Heartbeat(Heartbeat::default())),
    ]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let run = (0u32..4, 0u64..20, 0u64..20, 1u32..20);
    let run =
        run.prop_map(|(request, from, more, count)| publish(request, from, from + more, count));
    prop_oneof![any_control().prop_map(|control| encoded(&control)), run]
}

proptest! {
    #[test]
    fn no_subscriber_upsets_a_publisher(said in prop::collection::vec(any_bytes(), 0..40)) {
        let (mut publisher, mut raw) = subscribed();
        let mut honest = Raw::connect(&mut publisher, "honest", NOW);
        honest.says(&mut publisher, &handshake(&subscriber_hello()), NOW);
        honest.says(&mut publisher, &filter(b""), NOW);
        honest.says(&mut publisher, &ask(request(1, StartAt::Oldest, u64::MAX)), NOW);
        let mut now = NOW;
        for bytes in said {
            raw.says(&mut publisher, &bytes, now);
            raw.hears(&mut publisher, now);
            now = later(now, 100);
            publisher.try_publish(b"t", Message::from("p"), || now).unwrap();
            publisher.handle_timeout(now);
        }
        let next = publisher.next_seq();
        let heard = honest.hears(&mut publisher, now);
        let runs = heard.iter().filter_map(|frame| match frame {
            Frame::Publish(run) => Some(u64::from(run.header.count)),
            _ => None,
        });
        prop_assert_eq!(runs.sum::<u64>(), next);
    }

    #[test]
    fn no_publisher_upsets_a_subscriber(said in prop::collection::vec(any_bytes(), 0..40)) {
        let (mut subscriber, mut raw) = publishing();
        let mut now = NOW;
        for bytes in said {
            raw.says(&mut subscriber, &bytes, now);
            raw.hears(&mut subscriber, now);
            now = later(now, 100);
            subscriber.handle_timeout(now.time);
            prop_assert!(subscriber.queued().messages <= WINDOW);
        }
        let mut next = 0;
        while let Some(taken) = subscriber.take(5) {
            if let Taken::Batch(batch) = taken {
                let mut cursor = drawdown_protocol::SubCursor::new(batch);
                while let Some(item) = cursor.next(|| now.time) {
                    prop_assert!(item.seq >= next, "{} after {}", item.seq, next);
                    next = item.seq + 1;
                }
                subscriber.handle_consumed(&cursor.report().unwrap(), now.time);
            }
        }
    }
}
