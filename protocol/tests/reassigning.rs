//! What waits behind a busy receiver while another one has nothing to do: it is asked back, and given back.

mod common;

use std::time::Duration;

use common::raw::Raw;
use common::{attach, data, encoded, handshake, hello, later, peer, record, run, session, spans};
use drawdown_protocol::wire::{
    Attach, Control, Frame, Grant, Hello, Outcome, Retract, Settle, Settlement, Span, Taken,
};
use drawdown_protocol::{Now, PullConfig, PullEngine, PushConfig, PushEngine, SocketType};

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };

fn push(config: PushConfig, messages: u64) -> PushEngine {
    let config = PushConfig { reassign_after: Some(Duration::from_millis(20)), ..config };
    let mut push = PushEngine::new(config, peer(0x20), session());
    for _ in 0..messages {
        push.try_send("job".into(), || NOW).unwrap();
    }
    push
}

/// A receiver with room for so many.
fn receiver(push: &mut PushEngine, name: u8, messages: u64) -> Raw {
    holder(push, name, &[], messages)
}

/// The same, that holds these messages already.
fn holder(push: &mut PushEngine, name: u8, held: &[(u64, u64)], messages: u64) -> Raw {
    let mut raw = Raw::connect(push, "receiver", NOW);
    raw.says(push, &handshake(&hello(SocketType::Pull, peer(name))), NOW);
    raw.says(push, &encoded(&Control::Attach(attach(held, &[], &[]))), NOW);
    let bytes = 1 << 20;
    let grant = Grant { serial: 2, messages, bytes, contended: false, answered: 0 };
    raw.says(push, &encoded(&Control::Grant(grant)), NOW);
    raw
}

fn messages(frames: &[Frame]) -> u64 {
    let count = |frame: &Frame| match frame {
        Frame::Data(data) => u64::from(data.header.count),
        _ => 0,
    };
    frames.iter().map(count).sum()
}

/// What a receiver is asked to give back.
fn asked_back(frames: &[Frame]) -> Vec<Span> {
    let spans = |frame: &Frame| match frame {
        Frame::Control(Control::Retract(Retract { deliveries })) => {
            deliveries.iter().copied().collect()
        }
        _ => Vec::new(),
    };
    frames.iter().flat_map(spans).collect()
}

fn takes(push: &mut PushEngine, raw: &mut Raw, deliveries: &[(u64, u64)], now: Now) {
    let taken = Control::Taken(Taken { deliveries: spans(deliveries) });
    raw.says(push, &encoded(&taken), now);
}

fn settles(push: &mut PushEngine, raw: &mut Raw, delivery: u64, outcome: Outcome, now: Now) {
    let settlement = Settlement { deliveries: common::span(delivery, 1), outcome };
    let settle = Settle { settlements: [settlement].into_iter().collect() };
    raw.says(push, &encoded(&Control::Settle(settle)), now);
}

#[test]
fn a_message_that_was_put_off_does_not_keep_others_behind_a_busy_receiver() {
    let mut push = push(PushConfig::default(), 4);
    let mut busy = receiver(&mut push, 0x30, 4);
    assert_eq!(messages(&busy.hears(&mut push, NOW)), 4);
    takes(&mut push, &mut busy, &[(0, 2)], NOW);
    settles(&mut push, &mut busy, 1, Outcome::RetryIn(3_600_000), NOW);
    let mut idle = receiver(&mut push, 0x31, 4);
    assert_eq!(messages(&idle.hears(&mut push, NOW)), 0);
    let now = later(NOW, 50);
    push.handle_timeout(now);
    assert_eq!(asked_back(&busy.hears(&mut push, now)), [common::span(2, 2)]);
}

#[test]
fn as_many_pending_as_may_be_are_asked_back_for_a_receiver_that_is_idle() {
    let mut push = push(PushConfig { pending_messages: 3, ..PushConfig::default() }, 5);
    let mut busy = receiver(&mut push, 0x30, 3);
    assert_eq!(messages(&busy.hears(&mut push, NOW)), 3);
    takes(&mut push, &mut busy, &[(0, 1)], NOW);
    let mut idle = receiver(&mut push, 0x31, 1);
    assert_eq!(messages(&idle.hears(&mut push, NOW)), 0, "no more may be pending");
    let now = later(NOW, 50);
    push.handle_timeout(now);
    assert_eq!(asked_back(&busy.hears(&mut push, now)), [common::span(1, 1)]);
    settles(&mut push, &mut busy, 1, Outcome::Released, now);
    assert_eq!(messages(&idle.hears(&mut push, now)), 1);
}

#[test]
fn who_gives_nothing_back_is_asked_once_and_then_others_are() {
    let mut push = push(PushConfig::default(), 4);
    let mut deaf = receiver(&mut push, 0x30, 2);
    let mut other = receiver(&mut push, 0x31, 2);
    assert_eq!(messages(&deaf.hears(&mut push, NOW)), 2);
    assert_eq!(messages(&other.hears(&mut push, NOW)), 2);
    let _idle = receiver(&mut push, 0x32, 1);
    let asked = |push: &mut PushEngine, deaf: &mut Raw, other: &mut Raw, millis| {
        let now = later(NOW, millis);
        push.handle_timeout(now);
        (asked_back(&deaf.hears(push, now)), asked_back(&other.hears(push, now)))
    };
    assert_eq!(asked(&mut push, &mut deaf, &mut other, 50), (vec![common::span(0, 1)], vec![]));
    assert_eq!(asked(&mut push, &mut deaf, &mut other, 100), (vec![common::span(1, 1)], vec![]));
    assert_eq!(asked(&mut push, &mut deaf, &mut other, 150), (vec![], vec![common::span(0, 1)]));
    assert_eq!(asked(&mut push, &mut deaf, &mut other, 200), (vec![], vec![common::span(1, 1)]));
    assert_eq!(asked(&mut push, &mut deaf, &mut other, 250), (vec![], vec![]));
}

#[test]
fn each_of_many_single_messages_can_be_asked_back() {
    let config = PullConfig { window_messages: 1_000, ..PullConfig::default() };
    let mut pull = PullEngine::new(config, peer(0x30));
    let mut raw = Raw::connect(&mut pull, "sender", NOW);
    let hello = Hello { reports_taken: true, ..hello(SocketType::Push, peer(0x20)) };
    raw.says(&mut pull, &handshake(&hello), NOW);
    raw.hears(&mut pull, NOW);
    for number in 0..200 {
        raw.says(&mut pull, &data(run(number, number, 1), &record(b"x", None)), NOW);
    }
    raw.hears(&mut pull, NOW);
    let retract = Control::Retract(Retract { deliveries: spans(&[(0, 200)]) });
    raw.says(&mut pull, &encoded(&retract), NOW);
    let released = |frame: &Frame| match frame {
        Frame::Control(Control::Settle(settle)) => {
            settle.settlements.iter().map(|settlement| settlement.deliveries.count).sum()
        }
        _ => 0,
    };
    assert_eq!(raw.hears(&mut pull, NOW).iter().map(released).sum::<u64>(), 200);
}

#[test]
fn what_a_receiver_names_is_asked_back_like_what_it_was_sent() {
    // As after a start with a store: nothing was sent yet.
    let mut push = push(PushConfig::default(), 4);
    let mut busy = holder(&mut push, 0x30, &[(0, 4)], 0);
    let mut idle = receiver(&mut push, 0x31, 4);
    assert_eq!(messages(&idle.hears(&mut push, NOW)), 0);
    busy.hears(&mut push, NOW);
    let now = later(NOW, 50);
    assert!(push.poll_timeout(NOW).is_some_and(|at| at <= now.time));
    push.handle_timeout(now);
    assert_eq!(asked_back(&busy.hears(&mut push, now)), [common::span(0, 4)]);
}

/// What it costs, in bytes allocated, to ask back what a receiver has named twice in so many frames.
fn cost_of_asking(frames: u64) -> u64 {
    let mut push = push(PushConfig::default(), frames * 512);
    let mut raw = Raw::connect(&mut push, "receiver", NOW);
    raw.says(&mut push, &handshake(&hello(SocketType::Pull, peer(0x30))), NOW);
    for frame in 0..frames {
        let held: Vec<_> = (frame * 1_024..(frame + 1) * 1_024).map(|at| (at / 2, 1)).collect();
        let attach = Attach { more: true, ..attach(&held, &[], &[]) };
        raw.says(&mut push, &encoded(&Control::Attach(attach)), NOW);
    }
    let mut asked = Vec::new();
    let cost = allocation_counter::measure(|| asked = asked_back(&raw.hears(&mut push, NOW)));
    assert_eq!(asked.len() as u64, frames * 512);
    cost.bytes_total
}

#[test]
fn asking_back_costs_as_much_as_is_asked_back() {
    let (few, many) = (cost_of_asking(10), cost_of_asking(100));
    assert!(many < 20 * few, "{few} and {many} bytes");
}
