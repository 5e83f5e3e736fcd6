//! What a PUSH socket keeps that nobody outside sees: it has an end.

use std::time::Duration;

use allocation_counter::measure;
use uuid::Uuid;

use super::*;
use crate::event::Event;
use crate::ids::SocketType;
use crate::limits::{ABANDONED_MAX, RANGES_MAX};
use crate::link::{Identity, Transmit};
use crate::message::cost_bytes;
use crate::wire::{
    Attach, Control, Forgot, Frame, Future, Grant, Hello, Outcome, Preface, Settle, Settlement,
    Span, Taken,
};

const SOON: Duration = Duration::from_millis(10);

fn session() -> Session {
    Session::from_uuid(Uuid::from_u128(7))
}

/// A socket whose receivers have no more than a moment to process a message.
fn push() -> PushEngine {
    let config = PushConfig { process_timeout: Some(SOON), ..PushConfig::default() };
    PushEngine::new(config, PeerId::from_uuid(Uuid::from_u128(1)), session())
}

fn says(push: &mut PushEngine, id: LinkId, control: Control, now: Now) {
    push.handle_frame(id, Frame::Control(control), now);
    assert!(push.links[&id].link.is_open());
}

/// The peer of this number is connected, and is to say what it holds.
fn connected(push: &mut PushEngine, peer: u128) -> LinkId {
    let now = Now::default();
    let id = push.open_link(Identity::new("receiver"), now.time);
    push.handle_frame(id, Frame::Preface(Preface::OURS), now);
    let hello = Hello {
        socket_type: SocketType::Pull,
        peer: PeerId::from_uuid(Uuid::from_u128(peer)),
        session: None,
        features: Hello::FUTURES,
        message_bytes_max: 1 << 20,
        heartbeat_ms: 1_000,
        reports_taken: false,
    };
    says(push, id, Control::Hello(hello), now);
    id
}

fn attach(held: &[Range<Seq>]) -> Control {
    let held = held.iter().map(|seqs| Span::from(seqs.clone())).collect();
    let (session, taken, confirmed) = (session(), Default::default(), Default::default());
    Control::Attach(Attach { session, held, taken, confirmed, more: false })
}

fn grant(messages: u64) -> Control {
    let bytes = 1 << 40;
    Control::Grant(Grant { serial: messages, messages, bytes, contended: false, answered: 0 })
}

/// Another receiver, which holds nothing and may be sent so many messages.
fn receiver(push: &mut PushEngine, peer: u128, messages: u64) -> LinkId {
    let id = connected(push, peer);
    says(push, id, attach(&[]), Now::default());
    says(push, id, grant(messages), Now::default());
    id
}

fn send(push: &mut PushEngine, messages: u64) {
    for _ in 0..messages {
        push.try_send("job".into(), Now::default).unwrap();
    }
}

/// Lets a link look, and says how many messages it was sent.
fn looks(push: &mut PushEngine, id: LinkId) -> u64 {
    let before = push.counters.dispatched;
    push.poll_transmit(id, Now::default(), &mut Transmit::new());
    push.counters.dispatched - before
}

fn taken(push: &mut PushEngine, id: LinkId, delivery: Delivery, now: Now) {
    let deliveries = std::iter::once(Span { first: delivery, count: 1 }).collect();
    says(push, id, Control::Taken(Taken { deliveries }), now);
}

fn settles(push: &mut PushEngine, id: LinkId, delivery: Delivery, outcome: Outcome) {
    let deliveries = Span { first: delivery, count: 1 };
    let settlements = std::iter::once(Settlement { deliveries, outcome }).collect();
    says(push, id, Control::Settle(Settle { settlements }), Now::default());
}

/// After so many times to process.
fn after(count: u32) -> Now {
    let now = Now::default();
    Now { time: now.time + SOON * count, ..now }
}

#[test]
fn what_receivers_have_no_bytes_for_waits_in_the_queue() {
    let mut push = PushEngine::new(
        PushConfig { queue_messages: 10, ..PushConfig::default() },
        PeerId::from_uuid(Uuid::from_u128(1)),
        session(),
    );
    let id = connected(&mut push, 0x10);
    says(&mut push, id, attach(&[]), Now::default());
    let large = [0; 1_000];
    push.try_send((&large).into(), Now::default).unwrap();
    let cost = push.chunks.bytes() + cost_bytes(1, 0);
    let grant =
        |serial, bytes| Grant { serial, messages: 500, bytes, contended: false, answered: 0 };
    says(&mut push, id, Control::Grant(grant(1, 5 * cost)), Now::default());
    let taken_in =
        1 + (1..100).take_while(|_| push.try_send((&large).into(), Now::default).is_ok()).count();
    assert_eq!(taken_in, 10 + 5, "the queue, and what there is credit for");
    assert_eq!(looks(&mut push, id), 5);
    assert_eq!(push.room(), 0);
    says(&mut push, id, Control::Grant(grant(2, 8 * cost)), Now::default());
    assert_eq!(push.room(), 3);
}

#[test]
fn what_is_done_by_the_time_that_it_is_given_back_is_not_kept_in_mind() {
    let mut push = push();
    let one = receiver(&mut push, 0x10, 1);
    let other = receiver(&mut push, 0x20, 1);
    send(&mut push, 1);
    assert_eq!(looks(&mut push, one), 1);
    taken(&mut push, one, 0, after(0));
    push.handle_timeout(after(1));
    assert_eq!(push.given_back.len(), 1);
    assert_eq!(looks(&mut push, other), 1);
    taken(&mut push, other, 0, after(1));
    settles(&mut push, one, 0, Outcome::Confirmed);
    push.handle_timeout(after(2));
    assert!(push.given_back.is_empty());
    assert!(push.is_drained());
}

#[test]
fn a_receiver_that_takes_and_settles_nothing_is_remembered_only_so_far() {
    let mut push = push();
    let too_many = ABANDONED_MAX as u64 + 1;
    let id = receiver(&mut push, 0x10, too_many + 1);
    send(&mut push, 1);
    for delivery in 0..too_many {
        assert_eq!(looks(&mut push, id), 1);
        let turn = u32::try_from(delivery).unwrap();
        taken(&mut push, id, delivery, after(turn));
        push.handle_timeout(after(turn + 1));
    }
    assert_eq!(push.links[&id].abandoned.runs(), ABANDONED_MAX);
    settles(&mut push, id, 0, Outcome::Confirmed);
    assert_eq!(push.fate(0), None, "that is too long ago");
    settles(&mut push, id, 1, Outcome::Confirmed);
    assert_eq!(push.fate(0), Some(Fate::Confirmed));
}

#[test]
fn dead_letters_take_no_more_bytes_than_messages_may() {
    let message = vec![7; 64 << 10];
    let config = PushConfig {
        retained_bytes: 1 << 20,
        attempts_max: Some(1),
        retry_delay: Duration::ZERO,
        ..PushConfig::default()
    };
    let mut push = PushEngine::new(config, PeerId::from_uuid(Uuid::from_u128(1)), session());
    let id = receiver(&mut push, 0x10, 200);
    let rejects = |push: &mut PushEngine, delivery| {
        push.try_send(message.as_slice().into(), Now::default).unwrap();
        assert_eq!(looks(push, id), 1);
        settles(push, id, delivery, Outcome::Rejected("no".into()));
    };
    let is_full = |push: &mut PushEngine| {
        let events = std::iter::from_fn(|| push.poll_event());
        events.filter(|event| matches!(event, Event::DeadLettersFull { .. })).count() == 1
    };
    let kept = (1 << 20) / (message.len() + 36) as u64;
    for delivery in 0..kept {
        rejects(&mut push, delivery);
        assert!(!is_full(&mut push), "after {delivery}");
    }
    assert_eq!((push.dead_letters().count() as u64, push.pending()), (kept, 0));
    // What fails now is tried on.
    rejects(&mut push, kept);
    assert!(is_full(&mut push));
    for delivery in kept + 1..100 {
        assert_eq!(looks(&mut push, id), 1);
        settles(&mut push, id, delivery, Outcome::Rejected("no".into()));
        assert!(is_full(&mut push));
    }
    assert_eq!((push.dead_letters().count() as u64, push.waiting()), (kept, 1));

    // A smaller one has room, and so has another once one is gone.
    push.try_send("job".into(), Now::default).unwrap();
    assert_eq!(looks(&mut push, id), 2);
    settles(&mut push, id, 101, Outcome::Rejected("no".into()));
    assert_eq!(push.dead_letters().count() as u64, kept + 1);
    assert!(push.purge_dead(3));
    settles(&mut push, id, 100, Outcome::Rejected("no".into()));
    assert_eq!(push.dead_letters().count() as u64, kept + 1);
    assert!(push.is_drained());
}

/// Bytes that are allocated when a receiver comes back, to which so many messages went one by one, and names others.
fn allocated_on_return(messages: u64) -> u64 {
    let named = RANGES_MAX as u64;
    let mut push = push();
    let id = receiver(&mut push, 0x10, messages);
    let _other = receiver(&mut push, 0x20, 2 * named);
    for _ in 0..messages {
        send(&mut push, 1);
        assert_eq!(looks(&mut push, id), 1);
    }
    push.link_lost(id, "cut", Time::ZERO);
    send(&mut push, 2 * named);
    let id = connected(&mut push, 0x10);
    let held: Vec<Range<Seq>> =
        (0..named).map(|number| messages + 2 * number..messages + 2 * number + 1).collect();
    let attach = attach(&held);
    let counted = measure(|| says(&mut push, id, attach, Now::default()));
    assert_eq!((push.pending(), push.waiting()), (named, messages + named));
    counted.bytes_total
}

#[test]
fn what_a_receiver_names_is_found_without_a_look_at_all_that_it_had() {
    let (few, many) = (allocated_on_return(10_000), allocated_on_return(100_000));
    assert!(many < 20 * few, "{few} bytes, and {many} for ten times as many messages");
    assert!(many < 100 << 20, "{many} bytes");
}

#[test]
fn the_search_for_what_has_no_copy_goes_on_where_it_was() {
    let mut push = push();
    let room = Control::Future(Future { messages: 1 << 32, bytes: 1 << 40 });
    let one = receiver(&mut push, 0x10, 0);
    says(&mut push, one, room.clone(), Now::default());
    send(&mut push, 5);
    looks(&mut push, one);
    assert_eq!((push.placed.len(), push.placed.up_to), (5, 5));
    send(&mut push, 2);
    looks(&mut push, one);
    assert_eq!((push.placed.len(), push.placed.up_to), (7, 7));

    // Whatever has no copy any more is looked at again.
    let copies = [Span { first: 2, count: 3 }].into_iter().collect();
    says(&mut push, one, Control::Forgot(Forgot { copies }), Now::default());
    assert_eq!((push.placed.len(), push.placed.up_to), (4, 2));
    let other = receiver(&mut push, 0x20, 0);
    says(&mut push, other, room, Now::default());
    looks(&mut push, other);
    assert_eq!((push.placed.len(), push.placed.up_to), (7, 7));
    assert_eq!(push.copies_to_take(other, 1), Some(2..3));
    push.link_lost(one, "cut", Time::ZERO);
    looks(&mut push, other);
    assert_eq!((push.placed.len(), push.placed.up_to), (7, 7));
    assert_eq!(push.copies_to_take(other, 1), Some(0..1));
}

#[test]
fn no_more_copies_are_looked_at_than_can_be_taken() {
    let mut push = push();
    let id = receiver(&mut push, 0x10, 0);
    let room = Control::Future(Future { messages: 1 << 32, bytes: 1 << 40 });
    says(&mut push, id, room, Now::default());
    send(&mut push, 1_000);
    looks(&mut push, id);
    says(&mut push, id, grant(3), Now::default());
    assert_eq!(push.copies_to_take(id, 2), Some(0..2));
    assert_eq!(push.copies_to_take(id, u64::MAX), Some(0..3));
    assert_eq!(looks(&mut push, id), 3);
    assert_eq!(push.copies_to_take(id, 1), Some(3..4));
}
