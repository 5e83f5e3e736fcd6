//! Copies at the receivers that are likely to ask next: what engines say of them, and peers that break the rules.

mod common;

use bytes::BytesMut;
use common::raw::Raw;
use common::{
    attach, encoded, handshake, hello, later, peer, record, run, session, span, spans, work_off,
};
use drawdown_protocol::limits::PLACE_LOOKS;
use drawdown_protocol::wire::{
    CloseCode, Control, DataHeader, Demand, Forgot, Frame, Future, Grant, Hello, Outcome, Recall,
    Settlement, Take, encode_copies_header,
};
use drawdown_protocol::{
    LinkState, Now, PullConfig, PullEngine, PushConfig, PushEngine, SocketType,
};

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };
/// What a message of one byte costs: its head, itself, and the overhead.
const COST: u64 = 4 + 1 + 32;

fn copies(header: DataHeader, records: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    encode_copies_header(header, records.len(), &mut out);
    out.extend_from_slice(records);
    out.to_vec()
}

/// So many copies of messages of one byte.
fn small(first_copy: u64, first_seq: u64, count: u32) -> Vec<u8> {
    copies(run(first_copy, first_seq, count), &record(b"x", None).repeat(count as usize))
}

fn take(first_copy: u64, count: u64, first_delivery: u64, bytes: u64) -> Vec<u8> {
    encoded(&Control::Take(Take { copies: span(first_copy, count), first_delivery, bytes }))
}

fn recall(first: u64, count: u64) -> Vec<u8> {
    encoded(&Control::Recall(Recall { copies: spans(&[(first, count)]) }))
}

/// A receiver without a window that keeps copies, and a sender that has heard so.
fn receiver(future_messages: u64) -> (PullEngine, Raw) {
    let config = PullConfig { window_messages: 0, future_messages, ..PullConfig::default() };
    let mut pull = PullEngine::new(config, peer(0x30));
    let raw = sender(&mut pull, session());
    (pull, raw)
}

fn sender(pull: &mut PullEngine, session: drawdown_protocol::Session) -> Raw {
    let mut raw = Raw::connect(pull, "sender", NOW);
    let hello = Hello {
        features: Hello::FUTURES,
        session: Some(session),
        ..hello(SocketType::Push, peer(0x20))
    };
    raw.says(pull, &handshake(&hello), NOW);
    let heard = raw.hears(pull, NOW);
    let is_future = |frame: &Frame| matches!(frame, Frame::Control(Control::Future(_)));
    assert!(heard.iter().any(is_future), "{heard:?}");
    raw
}

fn seqs(pull: &mut PullEngine) -> Vec<u64> {
    work_off(pull, NOW).into_iter().map(|(_, seq)| seq).collect()
}

fn close_code(pull: &mut PullEngine, raw: &mut Raw, bytes: &[u8]) -> CloseCode {
    raw.says(pull, bytes, NOW);
    raw.hears_close(pull, NOW).expect("a last word").code
}

#[test]
fn a_copy_is_handed_out_once_it_is_taken_and_no_sooner() {
    let (mut pull, mut raw) = receiver(2);
    raw.says(&mut pull, &small(0, 7, 2), NOW);
    assert_eq!(pull.copies().messages, 2);
    pull.set_waiting(1);
    assert_eq!(seqs(&mut pull), [], "it was asked for, and not taken");
    raw.hears(&mut pull, NOW);
    raw.says(&mut pull, &take(0, 1, 0, COST), NOW);
    pull.set_waiting(0);
    assert_eq!(seqs(&mut pull), [7]);
    assert_eq!(pull.copies().messages, 1);
    raw.says(&mut pull, &recall(1, 1), NOW);
    assert_eq!(pull.copies().messages, 0);
    raw.says(&mut pull, &small(2, 9, 2), NOW);
    assert_eq!(pull.copies().messages, 2, "what is gone has made room");
    pull.link_lost(raw.link, "the connection broke", NOW.time);
    pull.set_waiting(1);
    assert_eq!(seqs(&mut pull), [], "also not when its sender is gone");
}

#[test]
fn copies_that_break_the_rules_end_the_link() {
    let violations: [(&str, Vec<u8>, CloseCode); 7] = [
        ("out of turn", small(1, 0, 1), CloseCode::ProtocolViolation),
        ("too many", small(0, 0, 3), CloseCode::CreditExceeded),
        ("never placed", take(0, 1, 0, COST), CloseCode::ProtocolViolation),
        (
            "too cheap",
            [small(0, 0, 1), take(0, 1, 0, COST - 1)].concat(),
            CloseCode::ProtocolViolation,
        ),
        (
            "numbers that do not follow each other",
            [small(0, 0, 1), small(1, 7, 1), take(0, 2, 0, 2 * COST)].concat(),
            CloseCode::ProtocolViolation,
        ),
        ("no credit", [small(0, 0, 1), take(0, 1, 0, COST)].concat(), CloseCode::CreditExceeded),
        (
            "a delivery out of turn",
            [small(0, 0, 1), take(0, 1, 5, COST)].concat(),
            CloseCode::ProtocolViolation,
        ),
    ];
    for (what, bytes, code) in violations {
        let (mut pull, mut raw) = receiver(2);
        assert_eq!(close_code(&mut pull, &mut raw, &bytes), code, "{what}");
        assert!(!pull.has_queued(), "{what}");
        assert_eq!(pull.copies().messages, 0, "{what}");
    }
}

#[test]
fn who_has_no_room_for_copies_takes_none() {
    let mut pull = PullEngine::new(PullConfig::default(), peer(0x30));
    let mut raw = Raw::connect(&mut pull, "sender", NOW);
    let hello = Hello { features: Hello::FUTURES, ..hello(SocketType::Push, peer(0x20)) };
    raw.says(&mut pull, &handshake(&hello), NOW);
    raw.hears(&mut pull, NOW);
    let code = close_code(&mut pull, &mut raw, &small(0, 0, 1));
    assert_eq!(code, CloseCode::ProtocolViolation);
}

#[test]
fn a_copy_that_finds_no_room_counts_until_its_sender_has_heard_of_it() {
    let (mut pull, mut full) = receiver(2);
    full.says(&mut pull, &small(0, 0, 2), NOW);
    let other = drawdown_protocol::Session::from_uuid(common::uuid(0x55));
    let mut raw = sender(&mut pull, other);
    raw.says(&mut pull, &small(0, 0, 2), NOW);
    raw.says(&mut pull, &recall(0, 1), NOW);
    raw.says(&mut pull, &small(2, 2, 1), NOW);
    assert_eq!(pull.link_state(raw.link), LinkState::Open);
    raw.hears(&mut pull, NOW);
    raw.says(&mut pull, &small(3, 3, 2), NOW);
    assert_eq!(pull.link_state(raw.link), LinkState::Open, "it has heard");
    let code = close_code(&mut pull, &mut raw, &small(5, 5, 1));
    assert_eq!(code, CloseCode::CreditExceeded, "a third one");
    assert_eq!(pull.copies().messages, 2, "those of the other sender");
}

#[test]
fn a_copy_that_finds_no_room_is_told_and_given_back_if_it_is_taken_meanwhile() {
    let (mut pull, mut first) = receiver(1);
    let mut other = sender(&mut pull, drawdown_protocol::Session::from_uuid(common::uuid(0x50)));
    first.says(&mut pull, &small(0, 0, 1), NOW);
    other.says(&mut pull, &small(0, 4, 1), NOW);
    let forgot = Frame::Control(Control::Forgot(Forgot { copies: spans(&[(0, 1)]) }));
    assert!(other.hears(&mut pull, NOW).contains(&forgot));
    // Only this one waits for credit.
    let demand = Demand { waiting: 1, asks: false };
    other.says(&mut pull, &encoded(&Control::Demand(demand)), NOW);
    pull.set_waiting(1);
    other.hears(&mut pull, NOW);
    other.says(&mut pull, &take(0, 1, 0, COST), NOW);
    let back = other.hears(&mut pull, NOW);
    let released = Settlement { deliveries: span(0, 1), outcome: Outcome::Released };
    let is_back = |frame: &Frame| match frame {
        Frame::Control(Control::Settle(settle)) => {
            settle.settlements.iter().any(|s| *s == released)
        }
        _ => false,
    };
    assert!(back.iter().any(is_back), "{back:?}");
    assert_eq!(seqs(&mut pull), []);
    assert_eq!(pull.copies().messages, 1);
}

/// A receiver in the hands of the test, with room for copies.
fn placed_at(push: &mut PushEngine, name: u8, messages: u64) -> Raw {
    let mut raw = Raw::connect(push, "receiver", NOW);
    let hello = Hello { features: Hello::FUTURES, ..hello(SocketType::Pull, peer(name)) };
    let attach = attach(&[], &[], &[]);
    let future = Future { messages, bytes: 1 << 20 };
    let bytes =
        [handshake(&hello), encoded(&Control::Attach(attach)), encoded(&Control::Future(future))];
    raw.says(push, &bytes.concat(), NOW);
    raw.hears(push, NOW);
    raw
}

fn grant(serial: u64, messages: u64) -> Vec<u8> {
    encoded(&Control::Grant(Grant {
        serial,
        messages,
        bytes: 1 << 20,
        contended: false,
        answered: 0,
    }))
}

fn of_copies(frames: &[Frame]) -> Vec<u64> {
    let seqs = frames.iter().filter_map(|frame| match frame {
        Frame::Copies(run) => Some(run.header.first_seq),
        _ => None,
    });
    seqs.collect()
}

fn push(future_bytes: u64) -> PushEngine {
    let config = PushConfig { future_bytes, ..PushConfig::default() };
    PushEngine::new(config, peer(0x20), session())
}

#[test]
fn what_waits_is_placed_and_taken_or_recalled_by_who_asks_first() {
    let mut push = push(1 << 20);
    let mut a = placed_at(&mut push, 0x30, 1);
    let mut b = placed_at(&mut push, 0x40, 0);
    push.try_send((&b"x"[..]).into(), || NOW).unwrap();
    assert_eq!(push.poll_wake(), Some(a.link), "there is nobody with credit");
    assert_eq!(of_copies(&a.hears(&mut push, NOW)), [0]);
    assert_eq!((push.waiting(), push.pending(), push.stats(NOW.time).placed), (1, 0, 1));
    // The other one asks first.
    b.says(&mut push, &grant(1, 1), NOW);
    assert!(matches!(b.hears(&mut push, NOW)[..], [Frame::Data(_)]));
    let expected = Control::Recall(Recall { copies: spans(&[(0, 1)]) });
    assert_eq!(a.hears(&mut push, NOW), [Frame::Control(expected)]);
    // And now the one that has the copy.
    push.try_send((&b"x"[..]).into(), || NOW).unwrap();
    assert_eq!(of_copies(&a.hears(&mut push, NOW)), [1]);
    a.says(&mut push, &grant(1, 1), NOW);
    let expected = Control::Take(Take { copies: span(1, 1), first_delivery: 0, bytes: COST });
    assert_eq!(a.hears(&mut push, NOW), [Frame::Control(expected)]);
    assert_eq!((push.waiting(), push.pending(), push.stats(NOW.time).placed), (0, 2, 0));
}

#[test]
fn a_copy_goes_to_who_has_asked_most_regularly_and_soonest() {
    let mut push = push(1 << 20);
    let mut slow = placed_at(&mut push, 0x30, 1);
    let mut quick = placed_at(&mut push, 0x40, 1);
    let mut now = NOW;
    for turn in 1..=5 {
        now = later(now, 100);
        if turn == 1 || turn == 5 {
            slow.says(&mut push, &grant(turn, turn), now);
        }
        quick.says(&mut push, &grant(turn, turn), now);
    }
    for _ in 0..10 {
        push.try_send((&b"x"[..]).into(), || now).unwrap();
    }
    slow.hears(&mut push, now);
    quick.hears(&mut push, now);
    push.try_send((&b"x"[..]).into(), || now).unwrap();
    assert_eq!(of_copies(&quick.hears(&mut push, now)), [10], "it asks each 100 ms");
    push.try_send((&b"x"[..]).into(), || now).unwrap();
    quick.hears(&mut push, now);
    assert_eq!(of_copies(&slow.hears(&mut push, now)), [11], "the other one has no room for two");
}

#[test]
fn no_more_is_placed_than_the_budget_allows_and_a_lying_receiver_is_refused() {
    let mut push = push(2 * COST);
    let mut raw = placed_at(&mut push, 0x30, 100);
    for _ in 0..5 {
        push.try_send((&b"x"[..]).into(), || NOW).unwrap();
    }
    assert_eq!(of_copies(&raw.hears(&mut push, NOW)), [0, 1]);
    assert_eq!(push.stats(NOW.time).placed_bytes, 2 * COST);
    let lie = encoded(&Control::Forgot(Forgot { copies: spans(&[(1, 5)]) }));
    raw.says(&mut push, &lie, NOW);
    assert_eq!(push.link_state(raw.link), LinkState::Closing);
    assert_eq!(push.stats(NOW.time).placed_bytes, 0);
    let mut again = placed_at(&mut push, 0x30, 1);
    again.says(&mut push, &encoded(&Control::Future(Future { messages: 1, bytes: 1 })), NOW);
    let close = again.hears_close(&mut push, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::ProtocolViolation);
}

#[test]
fn where_a_copy_found_no_room_none_is_placed_before_a_message_went_there_whole() {
    let mut push = push(1 << 20);
    let mut raw = placed_at(&mut push, 0x30, 2);
    for _ in 0..2 {
        push.try_send((&b"x"[..]).into(), || NOW).unwrap();
    }
    assert_eq!(of_copies(&raw.hears(&mut push, NOW)), [0, 1]);
    // It asks for one more, which says nothing of its room for copies: it may have given one back that it was to take.
    let forgot = encoded(&Control::Forgot(Forgot { copies: spans(&[(1, 1)]) }));
    raw.says(&mut push, &[forgot, grant(1, 1)].concat(), NOW);
    let heard = raw.hears(&mut push, NOW);
    assert!(matches!(heard[..], [Frame::Control(Control::Take(_))]), "{heard:?}");
    raw.says(&mut push, &grant(2, 2), NOW);
    let heard = raw.hears(&mut push, NOW);
    assert!(matches!(&heard[..], [Frame::Data(run)] if run.header.first_seq == 1), "{heard:?}");
    push.try_send((&b"x"[..]).into(), || NOW).unwrap();
    assert_eq!(of_copies(&raw.hears(&mut push, NOW)), [2]);
}

#[test]
fn without_the_feature_nothing_is_placed() {
    let (mut push, mut pull) = (push(1 << 20), receiver(1).0);
    let mut raw = Raw::connect(&mut pull, "sender", NOW);
    raw.says(&mut pull, &handshake(&hello(SocketType::Push, peer(0x21))), NOW);
    let heard = raw.hears(&mut pull, NOW);
    assert!(!heard.iter().any(|frame| matches!(frame, Frame::Control(Control::Future(_)))));
    let code = close_code(&mut pull, &mut raw, &small(0, 0, 1));
    assert_eq!(code, CloseCode::ProtocolViolation);
    let mut deaf = placed_at(&mut push, 0x30, 0);
    push.try_send((&b"x"[..]).into(), || NOW).unwrap();
    assert_eq!(of_copies(&deaf.hears(&mut push, NOW)), []);
}

#[test]
fn copies_for_many_links_are_placed_a_part_at_a_time_until_all_are() {
    const LINKS: u64 = 64;
    const MESSAGES: u64 = 4 * PLACE_LOOKS / LINKS;
    let mut push = push(1 << 30);
    let mut raws: Vec<Raw> =
        (0..LINKS).map(|at| placed_at(&mut push, 0x30 + at as u8, MESSAGES)).collect();
    for _ in 0..MESSAGES {
        push.try_send((&b"x"[..]).into(), || NOW).unwrap();
    }
    let mut placed = 0;
    while let Some(woken) = push.poll_wake() {
        let raw = raws.iter_mut().find(|raw| raw.link == woken).unwrap();
        raw.hears(&mut push, NOW);
        let now = push.stats(NOW.time).placed;
        assert!(now - placed <= PLACE_LOOKS / LINKS, "{placed} and then {now}");
        placed = now;
    }
    assert_eq!(placed, MESSAGES, "who is woken goes on");
}
