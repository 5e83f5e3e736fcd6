//! What receipts are told of messages that nobody confirmed.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::raw::Raw;
use common::{WALL, attach, encoded, handshake, hello, later, peer, record, session, span};
use drawdown_protocol::limits::OUTCOMES_MAX;
use drawdown_protocol::store::{Attempts, DeadLetter, Recovered};
use drawdown_protocol::wire::{Control, Grant, Outcome, Settle, Settlement};
use drawdown_protocol::{Fate, Message, Now, PushConfig, PushEngine, SocketType};

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: WALL };

#[test]
fn all_of_very_many_that_expire_together_are_known_to_have_expired() {
    let many = OUTCOMES_MAX as u64 + 1_000;
    let config = PushConfig { queue_messages: many, ..PushConfig::default() };
    let mut push = PushEngine::new(config, peer(0x20), session());
    for _ in 0..many {
        let message = Message::from("short-lived").with_ttl(Duration::from_millis(10));
        push.try_send(message, || NOW).unwrap();
    }
    push.handle_timeout(later(NOW, 20));
    let fates = [0, OUTCOMES_MAX as u64, many - 1].map(|seq| push.fate(seq));
    assert_eq!(fates, [Some(Fate::Expired); 3]);
}

#[test]
fn a_dead_letter_of_a_life_before_is_known_as_one() {
    let attempts = Attempts { failed: 3, reason: "bad".into() };
    let letter = DeadLetter { seq: 4, attempts, record: Bytes::from(record(b"x", None)) };
    let recovered = Recovered {
        session: session(),
        next_seq: 10,
        blocks: Vec::new(),
        attempts: Vec::new(),
        dead: vec![letter],
        lineage: None,
        clock_ahead: None,
        cut_off: false,
    };
    let push = PushEngine::recover(PushConfig::default(), peer(0x20), recovered);
    assert_eq!(push.fate(4), Some(Fate::DeadLettered));
}

#[test]
fn what_failed_before_its_shelf_life_ended_is_told_with_it() {
    let mut push = PushEngine::new(PushConfig::default(), peer(0x20), session());
    let message = Message::from("short-lived").with_ttl(Duration::from_millis(10));
    push.try_send(message, || NOW).unwrap();
    let mut raw = Raw::connect(&mut push, "receiver", NOW);
    raw.says(&mut push, &handshake(&hello(SocketType::Pull, peer(0x30))), NOW);
    raw.says(&mut push, &encoded(&Control::Attach(attach(&[], &[], &[]))), NOW);
    let grant = Grant { serial: 1, messages: 1, bytes: 1 << 20, contended: false, answered: 0 };
    raw.says(&mut push, &encoded(&Control::Grant(grant)), NOW);
    raw.hears(&mut push, NOW);
    push.handle_timeout(later(NOW, 10));
    let settlement =
        Settlement { deliveries: span(0, 1), outcome: Outcome::Rejected("broken".into()) };
    let settle = Settle { settlements: [settlement].into_iter().collect() };
    raw.says(&mut push, &encoded(&Control::Settle(settle)), later(NOW, 20));
    let told: Vec<String> =
        std::iter::from_fn(|| push.poll_event()).map(|e| e.to_string()).collect();
    assert_eq!(told.last().unwrap(), "message 0 expired after 1 failed attempt (broken)");
}
