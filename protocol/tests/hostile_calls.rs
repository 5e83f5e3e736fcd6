//! Clients and servers with a peer that breaks the rules: that link ends, and nobody else notices.

mod common;

use bytes::Bytes;
use common::raw::Raw;
use common::{data, encoded, handshake, hello, later, peer, record, run, span, spans};
use drawdown_protocol::limits::ANSWERS_UNCONFIRMED_MAX;
use drawdown_protocol::wire::{
    CloseCode, Control, Echo, Frame, Grant, Heartbeat, Hello, Outcome, Retract, Settle, Settlement,
    Taken,
};
use drawdown_protocol::{
    CallId, CallOptions, LinkState, Message, Now, ReplyConfig, ReplyEngine, RequestConfig,
    RequestEngine, Settled, SocketType,
};
use proptest::prelude::*;

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };
const WINDOW: u64 = 8;
const CLIENT: [u8; 8] = [7; 8];

/// The attributes of a call, or of an answer to it.
fn named(number: u64) -> Vec<u8> {
    [&[4, 16][..], &CallId::new(CLIENT, number).to_bytes()].concat()
}

fn call(delivery: u64, number: u64) -> Vec<u8> {
    data(run(delivery, delivery, 1), &record(b"x", Some(&named(number))))
}

/// A frame of a call, and of so many behind it without names.
fn calls(delivery: u64, number: u64, behind: u32) -> Vec<u8> {
    let rest = record(b"x", None).repeat(behind as usize);
    let records = [record(b"x", Some(&named(number))), rest].concat();
    data(run(delivery, delivery, 1 + behind), &records)
}

/// The same call, again and again.
#[test]
fn a_client_that_confirms_nothing_costs_no_more_memory_all_the_time() {
    let (mut server, mut raw) = calling();
    raw.says(&mut server, &call(0, 0), NOW);
    let taken = server.take(NOW.time).expect("a call");
    server.answer(taken.key, Bytes::from("answer"), NOW.time).expect("somebody waits for it");
    for delivery in 1..3 * ANSWERS_UNCONFIRMED_MAX as u64 / 2 {
        raw.says(&mut server, &call(delivery, 0), NOW);
        raw.hears(&mut server, NOW);
    }
    assert_eq!(server.link_state(raw.link), LinkState::Open);
    let stats = server.stats(NOW.time);
    assert_eq!(stats.links[0].unconfirmed, ANSWERS_UNCONFIRMED_MAX as u64);
    raw.says(&mut server, &settle(0, ANSWERS_UNCONFIRMED_MAX as u64, Outcome::Confirmed), NOW);
    assert_eq!(server.link_state(raw.link), LinkState::Open, "it confirms what was forgotten");
}

#[test]
fn a_router_without_a_name_is_refused_by_both_sides() {
    let nameless =
        |socket_type| handshake(&Hello { features: 0xc, ..hello(socket_type, peer(0x40)) });
    let mut server = server();
    let mut raw = Raw::connect(&mut server, "router", NOW);
    raw.says(&mut server, &nameless(SocketType::Req), NOW);
    let close = raw.hears_close(&mut server, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::ProtocolViolation);
    let mut client = RequestEngine::new(RequestConfig::default(), peer(0x20), 1);
    let mut raw = Raw::connect(&mut client, "router", NOW);
    raw.says(&mut client, &nameless(SocketType::Rep), NOW);
    let close = raw.hears_close(&mut client, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::ProtocolViolation);
}

fn settle(first: u64, count: u64, outcome: Outcome) -> Vec<u8> {
    let settlements = [Settlement { deliveries: span(first, count), outcome }];
    encoded(&Control::Settle(Settle { settlements: settlements.into_iter().collect() }))
}

fn server() -> ReplyEngine {
    let config = ReplyConfig { window_messages: WINDOW, ..ReplyConfig::default() };
    ReplyEngine::new(config, peer(0x30))
}

/// A server, and a client that has done its handshake and was granted all there is.
fn calling() -> (ReplyEngine, Raw) {
    let mut server = server();
    let mut raw = Raw::connect(&mut server, "client", NOW);
    raw.says(&mut server, &handshake(&hello(SocketType::Req, peer(0x20))), NOW);
    let heard = raw.hears(&mut server, NOW);
    assert!(matches!(heard[2], Frame::Control(Control::Grant(Grant { messages: WINDOW, .. }))));
    (server, raw)
}

#[test]
fn a_client_that_breaks_the_rules_loses_its_link_and_its_room_is_free() {
    let nameless = data(run(1, 1, 1), &record(b"x", Some(&[])));
    let broken_name = data(run(1, 1, 1), &record(b"x", Some(&[4, 1, 0])));
    let too_many: Vec<u8> = (1..=WINDOW).flat_map(|at| call(at, at)).collect();
    let cases = [
        (nameless, CloseCode::ProtocolViolation),
        (broken_name, CloseCode::ProtocolViolation),
        (call(0, 1), CloseCode::ProtocolViolation),
        (call(2, 1), CloseCode::ProtocolViolation),
        (too_many, CloseCode::CreditExceeded),
        (settle(0, 1, Outcome::Confirmed), CloseCode::ProtocolViolation),
        (settle(0, 1, Outcome::Released), CloseCode::ProtocolViolation),
        (
            encoded(&Control::Echo(Echo { serial: 1, messages: 0, bytes: 0 })),
            CloseCode::ProtocolViolation,
        ),
        (encoded(&Control::Taken(Taken { deliveries: spans(&[]) })), CloseCode::ProtocolViolation),
    ];
    for (bytes, code) in cases {
        let (mut server, mut raw) = calling();
        raw.says(&mut server, &call(0, 0), NOW);
        raw.says(&mut server, &bytes, NOW);
        let close = raw.hears_close(&mut server, NOW).expect("a last word");
        assert_eq!(close.code, code, "{bytes:?}: {close}");
        assert!(server.take(NOW.time).is_none(), "nobody waits for what it asked");
        let stats = server.stats(NOW.time);
        assert_eq!((stats.queued, stats.granted.messages), (0, 0));
        let mut honest = Raw::connect(&mut server, "honest", NOW);
        honest.says(&mut server, &handshake(&hello(SocketType::Req, peer(0x40))), NOW);
        let heard = honest.hears(&mut server, NOW);
        assert!(matches!(heard[2], Frame::Control(Control::Grant(Grant { messages: WINDOW, .. }))));
    }
}

#[test]
fn a_call_without_credit_is_refused_when_it_begins_to_arrive() {
    let (mut server, mut raw) = calling();
    (0..WINDOW).for_each(|at| raw.says(&mut server, &call(at, at), NOW));
    assert_eq!(server.link_state(raw.link), LinkState::Open);
    let begun = call(WINDOW, WINDOW);
    raw.says(&mut server, &begun[..begun.len() - 1], NOW);
    let close = raw.hears_close(&mut server, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::CreditExceeded);
}

#[test]
fn who_was_never_called_answers_nothing_not_even_in_part() {
    let answer = call(0, 0);
    for bytes in [&answer[..], &answer[..answer.len() - 1]] {
        let mut client = RequestEngine::new(RequestConfig::default(), peer(0x20), 0);
        let mut raw = Raw::connect(&mut client, "server", NOW);
        raw.says(&mut client, &handshake(&hello(SocketType::Rep, peer(0x30))), NOW);
        raw.says(&mut client, bytes, NOW);
        let close = raw.hears_close(&mut client, NOW).expect("a last word");
        assert_eq!(close.code, CloseCode::ProtocolViolation);
    }
    let (mut client, mut raw) = called();
    let (begun, rest) = answer.split_at(answer.len() - 1);
    raw.says(&mut client, begun, NOW);
    assert_eq!(client.link_state(raw.link), LinkState::Open, "it was called");
    raw.says(&mut client, rest, NOW);
    assert_eq!(client.poll_settled(), Some((0, Settled::Answered(Bytes::from_static(b"x")))));
}

#[test]
fn a_call_of_the_same_name_by_somebody_else_is_another_call() {
    let (mut server, mut raw) = calling();
    raw.says(&mut server, &call(0, 0), NOW);
    let first = server.take(NOW.time).unwrap();
    let mut stranger = Raw::connect(&mut server, "stranger", NOW);
    stranger.says(&mut server, &handshake(&hello(SocketType::Req, peer(0x20))), NOW);
    server.set_window(100, 128 << 20);
    server.answer(first.key, Bytes::from_static(b"secret"), NOW.time).unwrap();
    stranger.hears(&mut server, NOW);
    stranger.says(&mut server, &call(0, 0), NOW);
    assert_eq!(server.link_state(stranger.link), LinkState::Open);
    let heard = stranger.hears(&mut server, NOW);
    assert!(!heard.iter().any(|frame| matches!(frame, Frame::Data(_))), "{heard:?}");
    let second = server.take(NOW.time).expect("it is worked on for its own caller");
    assert_eq!(second.identity().as_str(), "stranger");
}

/// A client with one call on its way, and a server that has done its handshake.
fn called() -> (RequestEngine, Raw) {
    let config = RequestConfig { pending_calls: 10, ..RequestConfig::default() };
    let (high, low) = peer(0x20).as_uuid().as_u64_pair();
    let mut client =
        RequestEngine::new(config, peer(0x20), high ^ low ^ u64::from_be_bytes(CLIENT));
    let mut raw = Raw::connect(&mut client, "server", NOW);
    raw.says(&mut client, &handshake(&hello(SocketType::Rep, peer(0x30))), NOW);
    let grant =
        Grant { serial: 1, messages: WINDOW, bytes: 4 << 20, contended: false, answered: 0 };
    raw.says(&mut client, &encoded(&Control::Grant(grant)), NOW);
    client.call(Message::from("x"), CallOptions::default(), NOW.time).unwrap();
    let heard = raw.hears(&mut client, NOW);
    assert!(matches!(heard.last(), Some(Frame::Data(_))), "{heard:?}");
    (client, raw)
}

#[test]
fn a_server_that_breaks_the_rules_loses_its_link_and_the_call_goes_on() {
    let stranger = [&[4, 16][..], &CallId::new([8; 8], 0).to_bytes()].concat();
    let strange = data(run(0, 0, 1), &record(b"x", Some(&stranger)));
    let cases = [
        data(run(0, 0, 1), &record(b"x", None)),
        strange,
        call(0, 1),
        call(1, 0),
        settle(1, 1, Outcome::Released),
        settle(0, 1, Outcome::Confirmed),
        settle(0, 1, Outcome::RetryIn(1)),
        encoded(&Control::Retract(Retract { deliveries: spans(&[]) })),
    ];
    for bytes in cases {
        let (mut client, mut raw) = called();
        raw.says(&mut client, &bytes, NOW);
        let close = raw.hears_close(&mut client, NOW).expect("a last word");
        assert_eq!(close.code, CloseCode::ProtocolViolation, "{bytes:?}: {close}");
        assert_eq!((client.pending(), client.poll_settled()), (1, None));
    }
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let (mut client, mut raw) = called();
    raw.says(&mut client, &call(0, 0), NOW);
    raw.says(&mut client, &call(1, 0), NOW);
    assert_eq!(client.poll_settled(), Some((0, Settled::Answered(Bytes::from_static(b"x")))));
    assert_eq!(client.poll_settled(), None);
    assert_eq!((client.link_state(raw.link), client.stats(NOW.time).late), (LinkState::Open, 1));
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..6, Just(u64::MAX)]
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let outcome = prop_oneof![
        Just(Outcome::Confirmed),
        Just(Outcome::Released),
        Just(Outcome::Expired),
        Just(Outcome::RetryIn(3))
    ];
    prop_oneof![
        (0u64..6, 0u64..6).prop_map(|(delivery, number)| call(delivery, number)),
        (0u64..6, small(), 0u32..4)
            .prop_map(|(delivery, number, behind)| calls(delivery, number, behind)),
        (small(), small(), outcome)
            .prop_map(|(first, count, outcome)| settle(first, count, outcome)),
        (0u64..6, 1u64..4).prop_map(|(first, count)| encoded(&Control::Retract(Retract {
            deliveries: spans(&[(first, count)])
        }))),
        (0u64..4, small(), small()).prop_map(|(serial, messages, bytes)| encoded(&Control::Grant(
            Grant { serial, messages, bytes, contended: true, answered: serial }
        ))),
        Just(encoded(&Control::Heartbeat(Heartbeat::default()))),
    ]
}

proptest! {
    #[test]
    fn no_client_upsets_a_server(said in prop::collection::vec(any_bytes(), 0..30)) {
        let (mut server, mut raw) = calling();
        let mut now = NOW;
        for (index, bytes) in said.iter().enumerate() {
            raw.says(&mut server, bytes, now);
            if index % 2 == 0 && let Some(call) = server.take(now.time) {
                // A caller that has gone is told nothing.
                let _ = server.answer(call.key, call.payload_bytes(), now.time);
            }
            raw.hears(&mut server, now);
            now = later(now, 100);
            server.handle_timeout(now.time);
            prop_assert!(server.unanswered() <= WINDOW);
        }
        server.link_lost(raw.link, "cut", now.time);
        while server.take(now.time).is_some() {}
        let stats = server.stats(now.time);
        prop_assert_eq!((stats.queued, stats.granted.messages), (0, 0));
    }

    #[test]
    fn no_server_upsets_a_client(said in prop::collection::vec(any_bytes(), 0..30)) {
        let (mut client, mut raw) = called();
        let mut now = NOW;
        for bytes in said {
            raw.says(&mut client, &bytes, now);
            raw.hears(&mut client, now);
            now = later(now, 100);
            client.handle_timeout(now.time);
        }
        now = later(now, 60_000);
        client.handle_timeout(now.time);
        prop_assert!(client.poll_settled().is_some(), "no call is forgotten");
        prop_assert_eq!((client.poll_settled(), client.pending()), (None, 0));
    }
}
