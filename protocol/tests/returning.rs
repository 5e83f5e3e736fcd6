//! Senders that come back to a receiver: what it tells them, and what it keeps until they have heard it.

mod common;

use common::raw::Raw;
use common::{attach, data, encoded, handshake, hello, later, peer, record, run, spans, work_off};
use drawdown_protocol::wire::{Attach, Control, Frame, Heartbeat, Taken};
use drawdown_protocol::{Now, PullConfig, PullEngine, SocketType, Time};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };

fn pull() -> PullEngine {
    PullEngine::new(PullConfig::default(), peer(0x30))
}

/// A sender in one of its lives, and what it hears first.
fn sender(pull: &mut PullEngine, life: u8, reports_taken: bool, now: Now) -> (Raw, Attach) {
    let mut raw = Raw::connect(pull, "sender", now);
    let mut hello = hello(SocketType::Push, peer(life));
    hello.reports_taken = reports_taken;
    raw.says(pull, &handshake(&hello), now);
    let attach = raw.hears(pull, now).into_iter().find_map(|frame| match frame {
        Frame::Control(Control::Attach(attach)) => Some(attach),
        _ => None,
    });
    (raw, attach.expect("ATTACH"))
}

fn small(first_delivery: u64, first_seq: u64, count: u32) -> Vec<u8> {
    data(run(first_delivery, first_seq, count), &record(b"x", None).repeat(count as usize))
}

#[test]
fn what_was_confirmed_is_named_until_its_sender_is_known_to_have_heard_it() {
    let confirmed = attach(&[], &[], &[(7, 3)]);
    let mut pull = pull();
    let (mut raw, _) = sender(&mut pull, 0x20, false, NOW);
    raw.says(&mut pull, &small(0, 7, 3), NOW);
    pull.link_lost(raw.link, "cut", NOW.time);
    work_off(&mut pull, NOW);
    // The way to the sender is stuck: it says that it lives, and has heard nothing.
    for _ in 0..2 {
        let (mut raw, named) = sender(&mut pull, 0x20, false, NOW);
        assert_eq!(named, confirmed);
        for second in 1..=3 {
            let heartbeat = Control::Heartbeat(Heartbeat { head: 10, deliveries: 0, settles: 0 });
            raw.says(&mut pull, &encoded(&heartbeat), later(NOW, second * 1_000));
        }
        pull.link_lost(raw.link, "cut", NOW.time);
    }
    // A SETTLE that it has handled came behind what was named.
    let (mut raw, _) = sender(&mut pull, 0x20, false, NOW);
    for settles in [0, 1, 1] {
        let heartbeat = Control::Heartbeat(Heartbeat { head: 10, deliveries: 0, settles });
        raw.says(&mut pull, &encoded(&heartbeat), NOW);
    }
    pull.link_lost(raw.link, "cut", NOW.time);
    let (_, named) = sender(&mut pull, 0x20, false, NOW);
    assert_eq!(named, attach(&[], &[], &[]));
}

#[test]
fn while_its_sender_is_away_too_a_message_is_taken_when_the_application_has_it() {
    let mut pull = pull();
    let (mut raw, _) = sender(&mut pull, 0x20, true, NOW);
    raw.says(&mut pull, &small(0, 0, 10), NOW);
    pull.link_lost(raw.link, "cut", NOW.time);
    // As many as there are, says a socket that has to hand out one.
    assert_eq!(pull.take(1_024).map(|batch| batch.len()), Some(1));
    let (_, named) = sender(&mut pull, 0x20, true, NOW);
    assert_eq!(named, attach(&[(0, 1), (1, 9)], &[(0, 1)], &[]), "nobody has begun with the rest");
}

#[test]
fn a_sender_is_told_what_is_taken_if_it_wants_to_know_in_this_life() {
    for wants in [false, true] {
        let mut pull = pull();
        let (mut raw, _) = sender(&mut pull, 0x20, !wants, NOW);
        raw.says(&mut pull, &small(0, 0, 10), NOW);
        pull.link_lost(raw.link, "cut", NOW.time);
        let (mut raw, named) = sender(&mut pull, 0x21, wants, NOW);
        assert_eq!(named, attach(&[(0, 10)], &[], &[]));
        assert!(pull.take(1).is_some());
        let taken = Frame::Control(Control::Taken(Taken { deliveries: spans(&[(0, 1)]) }));
        assert_eq!(raw.hears(&mut pull, NOW).contains(&taken), wants);
    }
}
