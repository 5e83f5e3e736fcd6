//! A server that answers calls, and a client in the hands of a test: what goes back, what is remembered, what takes room.

mod common;

use common::raw::Raw;
use common::{data, encoded, handshake, hello, later, peer, record, run, spans};
use drawdown_protocol::limits::PUT_OFF_MAX;
use drawdown_protocol::message::Records;
use drawdown_protocol::wire::{
    Control, Demand, Echo, Frame, Outcome, Reason, Retract, Settle, Settlement,
};
use drawdown_protocol::{
    AnswerError, AnswerMemory, CallId, LinkState, Now, ReplyConfig, ReplyEngine, SocketType,
};

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };

/// The record of a call of a client, with these attributes before its name and behind it.
fn call_of(client: u8, (delivery, number): (u64, u64), before: &[u8], behind: &[u8]) -> Vec<u8> {
    let id = CallId::new([client; 8], number);
    let attributes = [before, &[4, 16], &id.to_bytes(), behind].concat();
    data(run(delivery, delivery, 1), &record(b"x", Some(&attributes)))
}

fn call(number: u64) -> Vec<u8> {
    call_of(7, (number, number), &[], &[])
}

fn connect(server: &mut ReplyEngine, name: &str) -> Raw {
    let mut raw = Raw::connect(server, name, NOW);
    raw.says(server, &handshake(&hello(SocketType::Req, peer(0x20))), NOW);
    raw.hears(server, NOW);
    raw
}

/// A server, and a client that has called so often.
fn called(config: ReplyConfig, calls: u64) -> (ReplyEngine, Raw) {
    let mut server = ReplyEngine::new(config, peer(0x30));
    let mut raw = connect(&mut server, "client");
    (0..calls).for_each(|number| raw.says(&mut server, &call(number), NOW));
    (server, raw)
}

/// What was said of calls: how many, and what.
fn outcomes(frames: &[Frame]) -> Vec<(u64, Outcome)> {
    let settles = frames.iter().filter_map(|frame| match frame {
        Frame::Control(Control::Settle(settle)) => Some(settle.settlements.iter()),
        _ => None,
    });
    settles.flatten().map(|s| (s.deliveries.count, s.outcome.clone())).collect()
}

#[test]
fn a_server_that_stops_is_drained_once_its_callers_know_what_goes_back() {
    let (mut server, mut raw) = called(ReplyConfig::default(), 2);
    server.stop(NOW.time);
    assert!(!server.is_drained(), "a last word now would be all that they hear");
    let told = outcomes(&raw.hears(&mut server, NOW));
    assert_eq!(told, [(1, Outcome::Released), (1, Outcome::Released)]);
    assert!(server.is_done() && !server.is_drained(), "more may be on its way");
    raw.says(&mut server, &call(2), NOW);
    let told = raw.hears(&mut server, NOW);
    assert_eq!(outcomes(&told), [(1, Outcome::Released)]);
    raw.says(&mut server, &encoded(&Control::Echo(echo(2, 3))), NOW);
    assert!(server.is_drained());
}

/// A client that has called so often has seen a grant.
fn echo(serial: u64, messages: u64) -> Echo {
    Echo { serial, messages, bytes: messages * 64 }
}

#[test]
fn a_server_that_stops_does_not_wait_for_ever_for_credit_that_is_not_given_back() {
    let (mut server, mut raw) = called(ReplyConfig::default(), 0);
    server.stop(NOW.time);
    raw.hears(&mut server, NOW);
    assert!(!server.is_drained());
    let at = later(NOW, 1_000);
    assert_eq!(server.poll_timeout(), Some(at.time));
    server.handle_timeout(at.time);
    assert!(server.is_drained());
    assert_eq!(server.poll_timeout(), None);
}

/// Answers that were sent, and whether each is a refusal.
fn answers(frames: &[Frame]) -> Vec<(CallId, bool)> {
    let runs = frames.iter().filter_map(|frame| match frame {
        Frame::Data(data) => Some(data),
        _ => None,
    });
    let records = runs.flat_map(|data| Records::new(&data.records));
    records.map(|(_, head)| (head.call.expect("a name"), head.rejected)).collect()
}

#[test]
fn a_call_that_must_run_once_is_not_worked_on_again_when_it_comes_under_another_identity() {
    for is_answered in [false, true] {
        let (mut server, mut raw) = called(ReplyConfig::default(), 0);
        let soon = common::WALL.as_millis() + 10_000;
        raw.says(&mut server, &call_once(7, (0, 5), soon), NOW);
        let taken = server.take(NOW.time).expect("it has come");
        if is_answered {
            server
                .answer(taken.key, taken.payload_bytes(), NOW.time)
                .expect("somebody waits for it");
        }
        server.set_window(1_000, 128 << 20);
        let mut other = connect(&mut server, "client by another way");
        for delivery in 0..2 {
            other.says(&mut server, &call_once(7, (delivery, 5), soon), NOW);
            assert!(server.take(NOW.time).is_none());
            let told = answers(&other.hears(&mut server, NOW));
            assert_eq!(told, [(CallId::new([7; 8], 5), true)], "a refusal, and not the answer");
        }
        other.says(&mut server, &call_of(7, (2, 6), &[], &[]), NOW);
        assert!(server.take(NOW.time).is_some(), "it is another one");
    }
}

#[test]
fn a_call_that_came_by_two_links_is_answered_on_the_one_that_is_left() {
    let ends = |server: &mut ReplyEngine, second: &mut Raw, how: &str| match how {
        "lost" => server.link_lost(second.link, "cut", NOW.time),
        _ => {
            let retract = Retract { deliveries: spans(&[(0, 1)]) };
            second.says(server, &encoded(&Control::Retract(retract)), NOW);
        }
    };
    for (how, is_begun) in
        [("lost", false), ("lost", true), ("retracted", false), ("retracted", true)]
    {
        let (mut server, mut first) = called(ReplyConfig::default(), 1);
        server.set_window(1_000, 128 << 20);
        let mut second = connect(&mut server, "client");
        second.says(&mut server, &call_of(7, (0, 0), &[], &[]), NOW);
        assert_eq!(server.link_state(second.link), LinkState::Open);
        let mut taken = is_begun.then(|| server.take(NOW.time)).flatten();
        ends(&mut server, &mut second, how);
        let taken = taken.take().or_else(|| server.take(NOW.time)).expect("it is still wanted");
        assert!(!server.is_cancelled(taken.key));
        server.answer(taken.key, taken.payload_bytes(), NOW.time).expect("somebody waits for it");
        let told = answers(&first.hears(&mut server, NOW));
        assert_eq!(told, [(taken.id(), false)], "{how}, {is_begun}");
        assert_eq!(server.pool().queued().messages, 0);
    }
}

#[test]
fn a_server_whose_store_has_failed_waits_only_for_answers_that_the_store_has() {
    let mut server = ReplyEngine::with_store(ReplyConfig::default(), peer(0x30), common::session());
    let mut raw = connect(&mut server, "client");
    (0..3).for_each(|number| raw.says(&mut server, &call(number), NOW));
    let answer = |server: &mut ReplyEngine| {
        let call = server.take(NOW.time).expect("it has come");
        server.answer(call.key, call.payload_bytes(), NOW.time).expect("somebody waits for it");
        server.poll_store(NOW.time).expect("it is to be written")
    };
    answer(&mut server);
    server.handle_stored(Ok(()));
    answer(&mut server);
    server.handle_stored(Err("the disk is full".to_owned()));
    assert!(!server.is_done(), "the first answer goes out");
    assert_eq!(answers(&raw.hears(&mut server, NOW)).len(), 1);
    assert!(!server.is_done(), "and is confirmed");
    let deliveries = spans(&[(0, 1)]).iter().copied().next().expect("one");
    let confirmed = Settlement { deliveries, outcome: Outcome::Confirmed };
    let settle = Settle { settlements: [confirmed].into_iter().collect() };
    raw.says(&mut server, &encoded(&Control::Settle(settle)), NOW);
    assert!(server.is_done(), "nobody can be told the others");
}

#[test]
fn calls_that_are_taken_back_one_by_one_do_not_count_as_waiting() {
    let (mut server, mut raw) = called(ReplyConfig::default(), 100);
    for number in 1..100 {
        let retract = Retract { deliveries: spans(&[(number, 1)]) };
        raw.says(&mut server, &encoded(&Control::Retract(retract)), NOW);
        assert_eq!(server.queued(), 100 - number as usize);
    }
    assert_eq!(server.take(NOW.time).map(|call| call.id()), Some(CallId::new([7; 8], 0)));
    assert!(!server.has_queued() && server.take(NOW.time).is_none());
}

#[test]
fn a_call_that_is_taken_back_by_overlapping_spans_is_taken_back_once() {
    let (mut server, mut raw) = called(ReplyConfig::default(), 5);
    let begun = [(); 3].map(|()| server.take(NOW.time).expect("a call").key);
    let retract = Retract { deliveries: spans(&[(0, 4), (1, 3), (0, 2), (2, 2)]) };
    for _ in 0..2 {
        raw.says(&mut server, &encoded(&Control::Retract(retract.clone())), NOW);
        assert!(begun.iter().all(|key| server.is_cancelled(*key)));
        let stats = server.stats(NOW.time);
        assert_eq!((stats.cancelled, stats.released, stats.queued), (3, 1, 1));
    }
    assert_eq!(outcomes(&raw.hears(&mut server, NOW)), [(1, Outcome::Released)]);
    assert_eq!(server.take(NOW.time).map(|call| call.id()), Some(CallId::new([7; 8], 4)));
}

#[test]
fn a_call_that_was_given_up_half_done_is_worked_on_again_unless_it_must_run_at_most_once() {
    for at_most_once in [false, true] {
        let soon = NOW.wall.as_millis() + 60_000;
        let call = |delivery| match at_most_once {
            true => call_once(7, (delivery, 5), soon),
            false => call_of(7, (delivery, 5), &[], &[]),
        };
        let (mut server, mut raw) = called(ReplyConfig::default(), 0);
        server.set_window(1_000, 128 << 20);
        raw.says(&mut server, &call(0), NOW);
        let taken = server.take(NOW.time).expect("it has come");
        let retract = Retract { deliveries: spans(&[(0, 1)]) };
        raw.says(&mut server, &encoded(&Control::Retract(retract)), NOW);
        let given_up = server.put_down(taken.key, Reason::from("stopped"), NOW.time);
        assert_eq!(given_up, Err(AnswerError::Cancelled));
        raw.says(&mut server, &call(1), NOW);
        assert_eq!(server.take(NOW.time).is_none(), at_most_once);
        let told = answers(&raw.hears(&mut server, NOW));
        assert_eq!(told == [(taken.id(), true)], at_most_once, "{told:?}");
    }
}

/// A call that must run at most once, and until when its caller waits.
fn call_once(client: u8, at: (u64, u64), expires: u64) -> Vec<u8> {
    let expires = [&[1, 8], &expires.to_le_bytes()[..]].concat();
    call_of(client, at, &expires, &[6, 0])
}

/// Answers what waits; says how much that was.
fn serve(server: &mut ReplyEngine, raw: &mut Raw, now: Now) -> usize {
    let mut count = 0;
    while let Some(call) = server.take(now.time) {
        server.answer(call.key, call.payload_bytes(), now.time).expect("somebody waits for it");
        count += 1;
    }
    raw.hears(server, now);
    count
}

#[test]
fn who_says_that_it_waits_for_ever_takes_no_room_from_the_answers_of_others() {
    let memory = AnswerMemory { messages: 10, ..AnswerMemory::default() };
    let config = ReplyConfig { memory, ..ReplyConfig::default() };
    let (mut server, mut raw) = called(config, 0);
    (0..10).for_each(|n| raw.says(&mut server, &call_once(7, (n, n), u64::MAX), NOW));
    assert_eq!(serve(&mut server, &mut raw, NOW), 10);
    server.set_window(1_000, 128 << 20);
    let mut honest = connect(&mut server, "honest");
    let soon = common::WALL.as_millis() + 10_000;
    for delivery in 0..2 {
        honest.says(&mut server, &call_once(8, (delivery, 0), soon), NOW);
        let worked = serve(&mut server, &mut honest, NOW);
        assert_eq!(worked, usize::from(delivery == 0), "once");
    }
    let long = PUT_OFF_MAX + server.config().memory.age;
    server.handle_timeout(NOW.time + long);
    assert_eq!(server.stats(NOW.time + long).remembered, 0, "no call waits for ever");
}

const ANSWER_BYTES: usize = 1 << 20;

/// A client that calls whenever it may, and reads as little as it can, as often as `rounds` says: how many answers wait for
/// it at the most.
fn calls_and_hardly_reads(server: &mut ReplyEngine, raw: &mut Raw, rounds: u64) -> u64 {
    let (mut granted, mut called, mut read, mut most) = (0, 0, 0, 0);
    for _ in 0..rounds {
        for frame in raw.hears(server, NOW) {
            match frame {
                Frame::Control(Control::Grant(grant)) => granted = grant.messages,
                Frame::Data(data) => read += u64::from(data.header.count),
                _ => {}
            }
        }
        while called < granted {
            raw.says(server, &call(called), NOW);
            called += 1;
        }
        while let Some(call) = server.take(NOW.time) {
            let answer = vec![7; ANSWER_BYTES];
            server.answer(call.key, answer, NOW.time).expect("somebody waits for it");
        }
        most = most.max(called - read);
    }
    assert_eq!(server.link_state(raw.link), drawdown_protocol::LinkState::Open);
    most
}

#[test]
fn who_does_not_read_its_answers_gets_no_more_credit_until_it_has() {
    let (window_messages, window_bytes) = (10, 16 << 20);
    let config = ReplyConfig { window_messages, window_bytes, ..ReplyConfig::default() };
    let mut server = ReplyEngine::new(config, peer(0x30));
    let mut lazy = Raw::connect(&mut server, "lazy", NOW);
    lazy.says(&mut server, &handshake(&hello(SocketType::Req, peer(0x20))), NOW);
    let most = calls_and_hardly_reads(&mut server, &mut lazy, 100);
    let fit = window_bytes / ANSWER_BYTES as u64;
    assert!((fit..=fit + window_messages).contains(&most), "{most} answers wait");
    let mut other = connect(&mut server, "other");
    other.says(&mut server, &encoded(&Control::Demand(Demand { waiting: 5, asks: true })), NOW);
    let grants = other.hears(&mut server, NOW).into_iter().filter_map(|frame| match frame {
        Frame::Control(Control::Grant(grant)) => Some(grant.messages),
        _ => None,
    });
    assert!(grants.last() >= Some(5), "it takes nothing from others");
    let made = server.stats(NOW.time).received;
    calls_and_reads_on(&mut server, &mut lazy);
    assert_eq!(server.stats(NOW.time).links[0].unconfirmed, made, "all is on its way");
}

/// Reads all that there is; then there is credit again.
fn calls_and_reads_on(server: &mut ReplyEngine, raw: &mut Raw) {
    let frames = std::iter::from_fn(|| Some(raw.hears(server, NOW)).filter(|f| !f.is_empty()));
    let frames: Vec<Frame> = frames.flatten().collect();
    let grants = frames.iter().filter_map(|frame| match frame {
        Frame::Control(Control::Grant(grant)) => Some(grant.messages),
        _ => None,
    });
    let received = server.stats(NOW.time).received;
    assert!(grants.last() > Some(received), "there is credit again");
}

#[test]
fn of_calls_that_are_taken_together_none_is_begun_with_whose_time_is_over() {
    let (mut server, mut raw) = called(ReplyConfig::default(), 0);
    let expires = |millis: u64| {
        let moment = common::WALL.as_millis() + millis;
        [&[1, 8], &moment.to_le_bytes()[..]].concat()
    };
    let named = |number: u64| {
        let millis = if number == 2 { 50 } else { 500 };
        let name = CallId::new([7; 8], number).to_bytes();
        record(b"x", Some(&[&expires(millis), &[4, 16][..], &name].concat()))
    };
    let all: Vec<u8> = (0..6).flat_map(named).collect();
    raw.says(&mut server, &data(run(0, 0, 6), &all), NOW);
    let mut taken = Vec::new();
    server.take_many(4, later(NOW, 60).time, |call| taken.push(call.taken()));
    let numbers = taken.iter().map(|call| u128::from_be_bytes(call.id().to_bytes()) as u64);
    assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 3, 4]);
    let stats = server.stats(NOW.time);
    assert_eq!((stats.expired, stats.queued, stats.working), (1, 1, 4));
}
