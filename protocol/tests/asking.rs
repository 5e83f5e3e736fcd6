//! A client that asks, and servers in the hands of a test: which of them it asks, and when it takes a call from one.

mod common;

use std::time::Duration;

use common::raw::Raw;
use common::{data, encoded, handshake, hello, later, peer, record, run, span};
use drawdown_protocol::wire::{Control, Frame, Grant, Outcome, Settle, Settlement};
use drawdown_protocol::{
    CallId, CallOptions, Identity, LinkState, Message, Now, Priority, RequestConfig, RequestEngine,
    Settled, SocketType,
};

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };

fn client() -> RequestEngine {
    let config = RequestConfig { pending_calls: 100, ..RequestConfig::default() };
    RequestEngine::new(config, peer(0x20), 7)
}

/// A server of this level that has granted so much.
fn connect(client: &mut RequestEngine, name: u8, level: u8, messages: u64) -> Raw {
    let level = Priority::new(level).expect("a level");
    let mut raw = Raw::on(client.open_link(Identity::new("server"), level, NOW.time));
    raw.says(client, &handshake(&hello(SocketType::Rep, peer(name))), NOW);
    raw.says(client, &grant(1, messages), NOW);
    raw.hears(client, NOW);
    raw
}

fn grant(serial: u64, messages: u64) -> Vec<u8> {
    let bytes = messages << 21;
    encoded(&Control::Grant(Grant { serial, messages, bytes, contended: false, answered: 0 }))
}

/// With a second for each attempt.
fn quick() -> CallOptions {
    CallOptions {
        timeout: Duration::from_secs(100),
        attempt_timeout: Duration::from_secs(1),
        ..CallOptions::default()
    }
}

fn is_silent(client: &RequestEngine, server: &Raw, now: Now) -> bool {
    let links = client.stats(now.time).links;
    links.iter().any(|link| link.link == server.link && link.silent)
}

#[test]
fn calls_whose_time_runs_out_together_leave_their_server_out_once() {
    let mut client = client();
    let mut server = connect(&mut client, 0x30, 1, 8);
    for _ in 0..8 {
        client.call(Message::from("x"), quick(), NOW.time).expect("one more");
    }
    server.hears(&mut client, NOW);
    for (from, until) in [(1_000, 2_000), (3_000, 5_000)] {
        client.handle_timeout(later(NOW, from).time);
        let is_silent = |millis| is_silent(&client, &server, later(NOW, millis));
        assert!(is_silent(from) && is_silent(until - 1), "as long as an attempt, and then twice");
        assert!(!is_silent(until), "and not longer, however many calls it had");
        // It is given them once more, and does not answer again.
        let at = later(NOW, until);
        server.says(&mut client, &grant(from, 16), at);
        client.handle_timeout(at.time);
        server.hears(&mut client, at);
    }
}

/// A client with a call that two servers have, the second one since 900 ms after the first.
fn hedged() -> (RequestEngine, Raw, Raw) {
    let mut client = client();
    let mut first = connect(&mut client, 0x30, 1, 8);
    let mut second = connect(&mut client, 0x40, 1, 4);
    let hedge_after = Some(Duration::from_millis(900));
    let options = CallOptions { hedge_after, ..quick() };
    client.call(Message::from("x"), options, NOW.time).expect("room for one");
    assert_eq!(calls(&first.hears(&mut client, NOW)), 1, "it has more room");
    let at = later(NOW, 900);
    client.handle_timeout(at.time);
    assert_eq!(calls(&second.hears(&mut client, at)), 1);
    (client, first, second)
}

fn calls(frames: &[Frame]) -> usize {
    frames.iter().filter(|frame| matches!(frame, Frame::Data(_))).count()
}

fn is_taken_back(frames: &[Frame]) -> bool {
    frames.iter().any(|frame| matches!(frame, Frame::Control(Control::Retract(_))))
}

#[test]
fn a_second_server_has_as_much_time_as_the_first() {
    let (mut client, mut first, mut second) = hedged();
    let at = later(NOW, 1_000);
    client.handle_timeout(at.time);
    assert!(is_silent(&client, &first, at) && is_taken_back(&first.hears(&mut client, at)));
    assert!(!is_silent(&client, &second, at) && !is_taken_back(&second.hears(&mut client, at)));
    let at = later(NOW, 1_900);
    assert_eq!(client.poll_timeout(), Some(at.time));
    client.handle_timeout(at.time);
    assert!(is_silent(&client, &second, at) && is_taken_back(&second.hears(&mut client, at)));
}

#[test]
fn a_second_server_has_its_time_also_if_the_first_is_gone() {
    let (mut client, first, mut second) = hedged();
    client.link_lost(first.link, "it is gone", later(NOW, 950).time);
    for (millis, is_over) in [(1_000, false), (1_900, true)] {
        let at = later(NOW, millis);
        client.handle_timeout(at.time);
        let taken_back = is_taken_back(&second.hears(&mut client, at));
        assert_eq!((is_silent(&client, &second, at), taken_back), (is_over, is_over));
    }
}

#[test]
fn no_call_waits_for_the_word_of_a_server_that_is_being_left() {
    for is_left_before in [true, false] {
        let mut client = client();
        let best = connect(&mut client, 0x30, 1, 0);
        let mut worse = connect(&mut client, 0x40, 2, 8);
        if is_left_before {
            client.leave_link(best.link, NOW.time);
        }
        client.call(Message::from("x"), quick(), NOW.time).expect("room for one");
        let at_once = calls(&worse.hears(&mut client, NOW));
        assert_eq!(at_once, usize::from(is_left_before));
        client.leave_link(best.link, NOW.time);
        assert_eq!(at_once + calls(&worse.hears(&mut client, NOW)), 1);
    }
}

#[test]
fn what_came_is_confirmed_also_on_a_link_that_ends() {
    let mut client = client();
    let mut server = connect(&mut client, 0x30, 1, 8);
    let number = client.call(Message::from("x"), quick(), NOW.time).expect("room for one");
    server.hears(&mut client, NOW);
    let name = [&[4, 16], &client.id_of(number).to_bytes()[..]].concat();
    server.says(&mut client, &data(run(0, 0, 1), &record(b"y", Some(&name))), NOW);
    client.close_links(NOW.time);
    let confirmed = Settlement { deliveries: span(0, 1), outcome: Outcome::Confirmed };
    let settle = Settle { settlements: [confirmed].into_iter().collect() };
    let heard = server.hears(&mut client, NOW);
    assert_eq!(heard.first(), Some(&Frame::Control(Control::Settle(settle))), "{heard:?}");
    assert!(matches!(heard[1..], [Frame::Control(Control::Close(_))]));
}

/// What it says of answers that came, which it has not said before.
fn confirmed(client: &mut RequestEngine, server: &mut Raw) -> Vec<Settlement> {
    let said = server.hears(client, NOW).into_iter().flat_map(|frame| match frame {
        Frame::Control(Control::Settle(settle)) => settle.settlements,
        other => panic!("{other:?}"),
    });
    said.collect()
}

#[test]
fn answers_are_confirmed_by_themselves_once_they_are_many_or_large() {
    let mut client = client();
    let mut server = connect(&mut client, 0x30, 1, 8);
    client.call(Message::from("x"), quick(), NOW.time).expect("room for one");
    server.hears(&mut client, NOW);
    // All but the first are late.
    for delivery in 0..1_023 {
        server.says(&mut client, &answer(delivery, 0), NOW);
        assert_eq!(confirmed(&mut client, &mut server), []);
    }
    let of = |deliveries| Settlement { deliveries, outcome: Outcome::Confirmed };
    server.says(&mut client, &answer(1_023, 0), NOW);
    assert_eq!(confirmed(&mut client, &mut server), [of(span(0, 1_024))]);
    let large = vec![b'y'; 256 << 10];
    server.says(&mut client, &answer_with(1_024, 0, &large), NOW);
    assert_eq!(confirmed(&mut client, &mut server), [of(span(1_024, 1))]);
    server.says(&mut client, &answer(1_025, 0), NOW);
    assert_eq!(confirmed(&mut client, &mut server), []);
}

fn answer(delivery: u64, number: u64) -> Vec<u8> {
    answer_with(delivery, number, b"y")
}

fn answer_with(delivery: u64, number: u64, payload: &[u8]) -> Vec<u8> {
    // The first half of its names is its peer id's halves and the entropy, one with the other.
    let (high, low) = peer(0x20).as_uuid().as_u64_pair();
    let id = CallId::new((high ^ low ^ 7).to_be_bytes(), number);
    let attributes = [&[4, 16], &id.to_bytes()[..]].concat();
    data(run(delivery, delivery, 1), &record(payload, Some(&attributes)))
}

#[test]
fn only_a_server_that_was_asked_answers_a_call() {
    let (mut client, mut first, mut second) = hedged();
    let mut other = connect(&mut client, 0x50, 1, 0);
    other.says(&mut client, &answer(0, 0), NOW);
    assert_eq!(client.link_state(other.link), LinkState::Closing);
    assert!(client.poll_settled().is_none());
    // The first one is too late for its attempt, and not for the call.
    let at = later(NOW, 1_000);
    client.handle_timeout(at.time);
    assert!(is_taken_back(&first.hears(&mut client, at)));
    first.says(&mut client, &answer(0, 0), at);
    assert!(matches!(client.poll_settled(), Some((0, Settled::Answered(_)))));
    assert!(is_taken_back(&second.hears(&mut client, at)));
}

#[test]
fn a_second_link_to_the_same_server_gets_no_hedge() {
    let mut client = client();
    let mut first = connect(&mut client, 0x30, 1, 8);
    let mut same = connect(&mut client, 0x30, 1, 4);
    let hedge_after = Some(Duration::from_millis(900));
    let options = CallOptions { hedge_after, ..quick() };
    client.call(Message::from("x"), options, NOW.time).expect("room for one");
    assert_eq!(calls(&first.hears(&mut client, NOW)), 1);
    let at = later(NOW, 900);
    client.handle_timeout(at.time);
    assert_eq!(calls(&same.hears(&mut client, at)), 0);
}

#[test]
fn an_attempt_that_was_never_written_is_no_attempt() {
    let mut client = client();
    let _stuck = connect(&mut client, 0x30, 1, 8);
    let mut free = connect(&mut client, 0x40, 2, 8);
    let options = CallOptions { at_most_once: true, ..quick() };
    client.call(Message::from("x"), options, NOW.time).expect("room for one");
    let at = later(NOW, 1_000);
    client.handle_timeout(at.time);
    assert_eq!(calls(&free.hears(&mut client, at)), 1, "nobody can have begun with it");
}

#[test]
fn calls_that_cannot_be_hedged_keep_no_others_from_it() {
    let mut client = client();
    let mut large = connect(&mut client, 0x30, 1, 90);
    let mut small = connect(&mut client, 0x40, 1, 0);
    let hedge_after = Some(Duration::from_millis(900));
    let options = CallOptions { hedge_after, ..quick() };
    for _ in 0..70 {
        client.call(Message::from("x"), options, NOW.time).expect("room for one");
    }
    large.hears(&mut client, NOW);
    let at = later(NOW, 10);
    large.says(&mut client, &grant(2, 70), at);
    large.hears(&mut client, at);
    small.says(&mut client, &grant(2, 1), at);
    client.call(Message::from("y"), options, at.time).expect("room for one");
    assert_eq!(calls(&small.hears(&mut client, at)), 1);
    let at = later(NOW, 950);
    client.handle_timeout(at.time);
    large.says(&mut client, &grant(3, 71), at);
    assert_eq!(calls(&large.hears(&mut client, at)), 1, "the last of 71");
}

#[test]
fn who_is_short_of_bytes_and_does_not_answer_is_waited_for_once() {
    let mut client = client();
    let mut best = connect(&mut client, 0x30, 1, 0);
    let bytes = 1_000_000;
    let small = Grant { serial: 2, messages: 10, bytes, contended: false, answered: 0 };
    best.says(&mut client, &encoded(&Control::Grant(small)), NOW);
    let mut worse = connect(&mut client, 0x40, 2, 8);
    let large = || Message::from(vec![0; 1 << 20]);
    client.call(large(), quick(), NOW.time).expect("room for one");
    assert_eq!(calls(&worse.hears(&mut client, NOW)), 0);
    best.hears(&mut client, NOW);
    let at = later(NOW, 200);
    client.handle_timeout(at.time);
    assert_eq!(calls(&worse.hears(&mut client, at)), 1, "it did not say whether it has room");
    client.call(large(), quick(), at.time).expect("room for one");
    assert_eq!(calls(&worse.hears(&mut client, at)), 1, "nor does anybody wait again");
}
