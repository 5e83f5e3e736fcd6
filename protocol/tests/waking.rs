//! Which links of a PUSH socket are woken when there is work, and which when a woken one cannot take it.

mod common;

use std::time::Duration;

use common::raw::Raw;
use common::{attach, encoded, handshake, hello, peer, session, span, spans};
use drawdown_protocol::wire::{
    Behind, Control, Frame, Grant, Hello, Outcome, Settle, Settlement, Taken,
};
use drawdown_protocol::{Identity, LinkId, Now, Priority, PushConfig, PushEngine, SocketType};

const SOON: Duration = Duration::from_millis(10);
const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };

fn push() -> PushEngine {
    PushEngine::new(PushConfig::default(), peer(0x20), session())
}

/// An attached receiver that has granted room for 100 messages, and has so many receivers behind it; one stands for itself.
fn receiver(push: &mut PushEngine, name: u8, receivers: u32) -> Raw {
    let raw = Raw::connect(push, "receiver", NOW);
    attached(push, raw, name, receivers)
}

fn attached(push: &mut PushEngine, mut raw: Raw, name: u8, receivers: u32) -> Raw {
    let hello = Hello { features: Hello::KNOWS_STREAMERS, ..hello(SocketType::Pull, peer(name)) };
    raw.says(push, &handshake(&hello), NOW);
    let attach = attach(&[], &[], &[]);
    raw.says(push, &encoded(&Control::Attach(attach)), NOW);
    if receivers > 1 {
        let streamers = [peer(name)].into_iter().collect();
        raw.says(push, &encoded(&Control::Behind(Behind { receivers, streamers })), NOW);
    }
    grant(push, &mut raw, 1, 1 << 20);
    raw.hears(push, NOW);
    woken(push);
    raw
}

/// Room for 100 messages, and for so many bytes.
fn grant(push: &mut PushEngine, raw: &mut Raw, serial: u64, bytes: u64) {
    let grant = Grant { serial, messages: 100, bytes, contended: false, answered: 0 };
    raw.says(push, &encoded(&Control::Grant(grant)), NOW);
}

fn woken(push: &mut PushEngine) -> Vec<LinkId> {
    std::iter::from_fn(|| push.poll_wake()).collect()
}

fn send(push: &mut PushEngine) -> Vec<LinkId> {
    push.try_send("job".into(), || NOW).unwrap();
    woken(push)
}

fn messages(frames: &[Frame]) -> u32 {
    let count = |frame: &Frame| if let Frame::Data(data) = frame { data.header.count } else { 0 };
    frames.iter().map(count).sum()
}

#[test]
fn one_that_was_woken_gets_what_comes_before_it_looks_as_far_as_it_has_turns() {
    let mut push = push();
    let mut streamer = receiver(&mut push, 0x30, 3);
    let mut beside = receiver(&mut push, 0x40, 1);
    assert_eq!(send(&mut push), [streamer.link]);
    assert_eq!(send(&mut push), [], "it has a turn for this one too");
    assert_eq!(send(&mut push), []);
    assert_eq!(send(&mut push), [beside.link], "its turns are over");
    assert_eq!(messages(&streamer.hears(&mut push, NOW)), 3);
    assert_eq!(messages(&beside.hears(&mut push, NOW)), 1);
}

#[test]
fn what_one_cannot_take_since_its_connection_is_stuck_is_for_others() {
    let mut push = push();
    let mut stuck = receiver(&mut push, 0x30, 1);
    let mut other = receiver(&mut push, 0x40, 1);
    assert_eq!(send(&mut push), [stuck.link]);
    push.handle_blocked(stuck.link, NOW.time);
    assert_eq!(woken(&mut push), [other.link]);
    assert_eq!(messages(&other.hears(&mut push, NOW)), 1);
    assert_eq!(send(&mut push), [other.link], "it is not asked while it is stuck");
    assert_eq!(messages(&other.hears(&mut push, NOW)), 1);
    assert_eq!(messages(&stuck.hears(&mut push, NOW)), 0, "nothing is left, and it is not stuck");
    assert_eq!(send(&mut push), [other.link]);
    assert_eq!(send(&mut push), [stuck.link]);
}

#[test]
fn one_that_is_alone_and_stuck_is_woken_for_nothing() {
    let mut push = push();
    let mut stuck = receiver(&mut push, 0x30, 1);
    assert_eq!(send(&mut push), [stuck.link]);
    push.handle_blocked(stuck.link, NOW.time);
    assert_eq!(woken(&mut push), []);
    assert_eq!(send(&mut push), []);
    assert_eq!(messages(&stuck.hears(&mut push, NOW)), 2);
}

#[test]
fn one_with_too_few_bytes_for_a_message_gets_those_behind_it_once_another_has_that() {
    let mut push = push();
    let mut small = receiver(&mut push, 0x30, 1);
    let mut other = receiver(&mut push, 0x40, 1);
    grant(&mut push, &mut small, 2, 100);
    small.hears(&mut push, NOW);
    woken(&mut push);
    push.try_send(vec![0; 1_000].into(), || NOW).unwrap();
    assert_eq!(woken(&mut push), [small.link]);
    assert_eq!(messages(&small.hears(&mut push, NOW)), 0);
    assert_eq!(woken(&mut push), [other.link]);
    assert_eq!(messages(&other.hears(&mut push, NOW)), 1);
    assert_eq!(send(&mut push), [other.link]);
    assert_eq!(send(&mut push), [small.link], "it rests, and has its turn");
    assert_eq!(messages(&small.hears(&mut push, NOW)), 1);
}

/// A socket with two receivers that were sent a message each: the one has its own, and is first in turn again.
fn one_is_first(config: PushConfig) -> (PushEngine, Raw, Raw) {
    let mut push = PushEngine::new(config, peer(0x20), session());
    let one = receiver(&mut push, 0x30, 1);
    let other = receiver(&mut push, 0x40, 1);
    each_has_had_one(push, one, other)
}

fn each_has_had_one(mut push: PushEngine, mut one: Raw, mut other: Raw) -> (PushEngine, Raw, Raw) {
    assert_eq!(send(&mut push), [one.link]);
    assert_eq!(messages(&one.hears(&mut push, NOW)), 1);
    assert_eq!(send(&mut push), [other.link]);
    assert_eq!(messages(&other.hears(&mut push, NOW)), 1);
    taken(&mut push, &mut other);
    settle(&mut push, &mut other, Outcome::Confirmed);
    (push, one, other)
}

fn taken(push: &mut PushEngine, raw: &mut Raw) {
    raw.says(push, &encoded(&Control::Taken(Taken { deliveries: spans(&[(0, 1)]) })), NOW);
}

fn settle(push: &mut PushEngine, raw: &mut Raw, outcome: Outcome) {
    let settlement = Settlement { deliveries: span(0, 1), outcome };
    let settle = Settle { settlements: [settlement].into_iter().collect() };
    raw.says(push, &encoded(&Control::Settle(settle)), NOW);
}

/// The one is woken, and leaves what waits to the other.
fn one_leaves_it_to_other(push: &mut PushEngine, mut one: Raw, mut other: Raw) {
    assert_eq!(woken(push), [one.link]);
    assert_eq!(messages(&one.hears(push, NOW)), 0);
    assert_eq!(woken(push), [other.link]);
    assert_eq!(messages(&other.hears(push, NOW)), 1);
}

#[test]
fn what_was_asked_back_from_one_goes_to_another() {
    let config = PushConfig { reassign_after: Some(SOON), ..PushConfig::default() };
    let (mut push, mut one, other) = one_is_first(config);
    push.handle_timeout(common::later(NOW, 10));
    assert_eq!(woken(&mut push), [one.link], "it is asked for what it has not begun");
    one.hears(&mut push, NOW);
    settle(&mut push, &mut one, Outcome::Released);
    one_leaves_it_to_other(&mut push, one, other);
}

#[test]
fn what_one_did_not_settle_in_time_goes_to_another() {
    let config = PushConfig { process_timeout: Some(SOON), ..PushConfig::default() };
    let (mut push, mut one, other) = one_is_first(config);
    taken(&mut push, &mut one);
    push.handle_timeout(common::later(NOW, 10));
    one_leaves_it_to_other(&mut push, one, other);
}

/// A socket with two receivers, of which the one let the time to process its message run out, and is first in turn.
fn one_gave_it_back() -> (PushEngine, Raw, Raw) {
    let config = PushConfig { process_timeout: Some(SOON), ..PushConfig::default() };
    let (mut push, mut one, other) = one_is_first(config);
    taken(&mut push, &mut one);
    (push, one, other)
}

/// The other leaves what waits to the one, which gave it back.
fn one_gets_it_again(push: &mut PushEngine, one: &mut Raw, other: &mut Raw) {
    push.handle_timeout(common::later(NOW, 10));
    let mut jobs = 0;
    for _ in 0..4 {
        for id in woken(push) {
            let raw = if id == one.link { &mut *one } else { &mut *other };
            let received = messages(&raw.hears(push, NOW));
            jobs += if id == one.link { received } else { 0 };
        }
    }
    assert_eq!(jobs, 1);
    assert_eq!(woken(push), []);
    assert!(!push.forgets_work());
}

#[test]
fn what_one_gave_back_is_for_it_again_while_the_other_has_too_few_bytes_for_it() {
    let (mut push, mut one, mut other) = one_gave_it_back();
    grant(&mut push, &mut other, 2, 50);
    other.hears(&mut push, NOW);
    woken(&mut push);
    one_gets_it_again(&mut push, &mut one, &mut other);
}

#[test]
fn what_one_gave_back_is_for_it_again_while_the_connection_of_the_other_is_stuck() {
    let (mut push, mut one, mut other) = one_gave_it_back();
    push.handle_blocked(other.link, NOW.time);
    one_gets_it_again(&mut push, &mut one, &mut other);
}

#[test]
fn what_one_gave_back_is_for_it_again_if_that_of_the_other_is_stuck_meanwhile() {
    let (mut push, mut one, other) = one_gave_it_back();
    push.handle_timeout(common::later(NOW, 10));
    assert_eq!(woken(&mut push), [one.link]);
    assert_eq!(messages(&one.hears(&mut push, NOW)), 0);
    assert_eq!(woken(&mut push), [other.link]);
    push.handle_blocked(other.link, NOW.time);
    assert_eq!(woken(&mut push), [one.link]);
    assert_eq!(messages(&one.hears(&mut push, NOW)), 1);
}

#[test]
fn what_one_gave_back_is_for_it_again_while_another_of_a_worse_level_has_too_few_bytes_for_it() {
    let config = PushConfig { process_timeout: Some(SOON), ..PushConfig::default() };
    let mut push = PushEngine::new(config, peer(0x20), session());
    let mut one = receiver(&mut push, 0x30, 1);
    let worse = push.open_link_at(Identity::new("receiver"), Priority::new(2).unwrap(), NOW.time);
    let mut other = attached(&mut push, Raw::on(worse), 0x40, 1);
    grant(&mut push, &mut other, 2, 10);
    other.hears(&mut push, NOW);
    assert_eq!(send(&mut push), [one.link]);
    assert_eq!(messages(&one.hears(&mut push, NOW)), 1);
    taken(&mut push, &mut one);
    one_gets_it_again(&mut push, &mut one, &mut other);
}

#[test]
fn one_that_cannot_be_asked_because_it_is_stuck_is_not_waited_for_longer_than_others() {
    let mut push = push();
    let mut stuck = receiver(&mut push, 0x30, 1);
    let worse = push.open_link_at(Identity::new("receiver"), Priority::new(2).unwrap(), NOW.time);
    let mut other = attached(&mut push, Raw::on(worse), 0x40, 1);
    let used_up = Grant { serial: 2, messages: 0, bytes: 0, contended: true, answered: 0 };
    stuck.says(&mut push, &encoded(&Control::Grant(used_up)), NOW);
    stuck.hears(&mut push, NOW);
    woken(&mut push);
    assert_eq!(send(&mut push), [stuck.link], "it is to say whether it has room");
    push.handle_blocked(stuck.link, NOW.time);
    assert_eq!(messages(&other.hears(&mut push, NOW)), 0);
    let until = push.poll_timeout(NOW).expect("nobody is waited for without end");
    push.handle_timeout(Now { time: until, ..NOW });
    assert_eq!(messages(&other.hears(&mut push, Now { time: until, ..NOW })), 1);
}
