//! What receipts are told of messages that nobody confirmed.

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{WALL, later, peer, record, session};
use drawdown_protocol::limits::OUTCOMES_MAX;
use drawdown_protocol::store::{Attempts, DeadLetter, Recovered};
use drawdown_protocol::{Fate, Message, Now, PushConfig, PushEngine};

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
    };
    let push = PushEngine::recover(PushConfig::default(), peer(0x20), recovered);
    assert_eq!(push.fate(4), Some(Fate::DeadLettered));
}
