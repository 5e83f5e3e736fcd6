//! Subscribers that break the rules.

use std::collections::BTreeMap;

use allocation_counter::measure;
use drawdown_protocol::limits::{FILTERS_PER_FRAME, REQUESTS_MAX, SCAN_LOOKUPS, TOPIC_BYTES_MAX};
use drawdown_protocol::wire::{
    CloseCode, Control, End, Filter, Fingerprint, Frame, Heartbeat, More, Prefix, Request, Skip,
    StartAt,
};
use drawdown_protocol::{LinkState, Message, PublishConfig, PublishEngine, RingConfig, Session};
use uuid::Uuid;

use crate::common::raw::Raw;
use crate::common::{encoded, filter, handshake, peer};
use crate::{NOW, ask, close_of, lineage, request, subscribed, subscriber_hello};

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
