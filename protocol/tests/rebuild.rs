//! A sender that has lost its messages, and receivers that give back what they have, rightly or wrongly.

mod common;

use bytes::BytesMut;
use common::raw::Raw;
use common::{data, encoded, handshake, hello, later, peer, record, run, session};
use drawdown_protocol::wire::{
    Attach, CloseCode, Control, DataHeader, Frame, Grant, Hello, encode_copies_header,
};
use drawdown_protocol::{
    LinkState, Now, PullConfig, PullEngine, PushConfig, PushEngine, SocketType,
};

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };

/// So many messages of one byte, given back.
fn returned(first: u64, first_seq: u64, count: u32) -> Vec<u8> {
    let records = record(b"x", None).repeat(count as usize);
    let mut out = BytesMut::new();
    encode_copies_header(run(first, first_seq, count), records.len(), &mut out);
    out.extend_from_slice(&records);
    out.to_vec()
}

fn attach(held: &[(u64, u64)], confirmed: &[(u64, u64)]) -> Vec<u8> {
    encoded(&Control::Attach(common::attach(held, &[], confirmed)))
}

fn grant(messages: u64) -> Vec<u8> {
    let (bytes, contended) = (1 << 20, false);
    encoded(&Control::Grant(Grant { serial: 1, messages, bytes, contended, answered: 0 }))
}

/// A sender that has used ten numbers.
fn bereft() -> PushEngine {
    PushEngine::new(PushConfig::default(), peer(0x20), session()).rebuilding(10)
}

/// A receiver whose handshake is done.
fn receiver(push: &mut PushEngine) -> (Raw, u64) {
    let mut raw = Raw::connect(push, "receiver", NOW);
    raw.says(push, &handshake(&hello(SocketType::Pull, peer(0x30))), NOW);
    let heard = raw.hears(push, NOW);
    let features = heard.iter().find_map(|frame| match frame {
        Frame::Control(Control::Hello(hello)) => Some(hello.features),
        _ => None,
    });
    (raw, features.expect("its HELLO"))
}

/// The numbers of messages that a frame carries.
fn seqs(frame: &Frame) -> Option<std::ops::Range<u64>> {
    let of = |header: &DataHeader| header.first_seq..header.first_seq + u64::from(header.count);
    match frame {
        Frame::Data(data) | Frame::Copies(data) => Some(of(&data.header)),
        _ => None,
    }
}

#[test]
fn only_a_sender_that_has_lost_something_asks_for_it() {
    let new = || PushEngine::new(PushConfig::default(), peer(0x20), session());
    assert_ne!(receiver(&mut new().rebuilding(10)).1 & Hello::REBUILDS, 0);
    assert_eq!(receiver(&mut new().rebuilding(0)).1 & Hello::REBUILDS, 0);
    assert_eq!(receiver(&mut new()).1 & Hello::REBUILDS, 0);
}

#[test]
fn what_is_held_is_pending_and_what_was_placed_is_handed_out_after_a_grace_time() {
    let mut push = bereft();
    let (mut raw, _) = receiver(&mut push);
    raw.says(&mut push, &returned(0, 2, 3), NOW);
    raw.says(&mut push, &attach(&[(2, 2)], &[(7, 1)]), NOW);
    raw.says(&mut push, &grant(5), NOW);
    assert_eq!((push.pending(), push.waiting(), push.next_seq()), (2, 1, 10));
    assert_eq!(raw.hears(&mut push, NOW).iter().find_map(seqs), None, "others may have it");
    assert!(!push.is_drained());
    let at = push.poll_timeout(NOW).expect("the end of the grace time");
    let then = later(NOW, u64::try_from(at.since(NOW.time).as_millis()).unwrap());
    push.handle_timeout(then);
    assert_eq!(raw.hears(&mut push, then).iter().find_map(seqs), Some(4..5));
}

#[test]
fn nothing_is_asked_for_before_anything_may_be_handed_out() {
    let config = PushConfig { queue_messages: 0, ..PushConfig::default() };
    let mut push = PushEngine::new(config, peer(0x20), session()).rebuilding(10);
    let (mut raw, _) = receiver(&mut push);
    let (bytes, contended) = (0, true);
    let none = Grant { serial: 1, messages: 0, bytes, contended, answered: 0 };
    raw.says(&mut push, &attach(&[], &[]), NOW);
    raw.says(&mut push, &encoded(&Control::Grant(none)), NOW);
    push.try_send(b"x"[..].into(), || NOW).expect_err("there is no queue, and nobody has credit");
    let asks = |frame: &Frame| matches!(frame, Frame::Control(Control::Demand(_)));
    assert!(
        !raw.hears(&mut push, NOW).iter().any(asks),
        "others would lack what it has no use for"
    );
    let then = later(NOW, 2_000);
    push.handle_timeout(then);
    assert_eq!(push.poll_wake(), Some(raw.link));
    assert!(raw.hears(&mut push, then).iter().any(asks));
}

#[test]
fn what_another_receiver_has_confirmed_does_not_come_back() {
    let mut push = bereft();
    let (mut first, _) = receiver(&mut push);
    first.says(&mut push, &attach(&[], &[(4, 1)]), NOW);
    let mut second = Raw::connect(&mut push, "receiver", NOW);
    second.says(&mut push, &handshake(&hello(SocketType::Pull, peer(0x31))), NOW);
    second.says(&mut push, &returned(0, 3, 3), NOW);
    second.says(&mut push, &attach(&[], &[]), NOW);
    assert_eq!(push.waiting(), 2, "3 and 5");
    assert_eq!(push.stats(NOW.time).restored, 2);
}

#[test]
fn what_is_held_and_not_given_back_is_left_where_it_is() {
    let mut push = bereft();
    let (mut raw, _) = receiver(&mut push);
    raw.says(&mut push, &attach(&[(0, 4)], &[]), NOW);
    assert_eq!(raw.hears(&mut push, NOW), [], "nothing is asked back");
    assert_eq!(push.link_state(raw.link), LinkState::Open);
}

/// A sender that hands out, and a receiver that waits for messages.
fn opened() -> (PushEngine, Raw, Now) {
    let mut push = bereft();
    let (mut raw, _) = receiver(&mut push);
    raw.says(&mut push, &attach(&[], &[]), NOW);
    raw.says(&mut push, &grant(5), NOW);
    let then = later(NOW, 2_000);
    push.handle_timeout(then);
    assert_eq!(raw.hears(&mut push, then).iter().find_map(seqs), None);
    assert!(!push.is_rebuilding() && push.is_drained());
    (push, raw, then)
}

/// Another receiver, which comes late.
fn latecomer(push: &mut PushEngine, now: Now) -> Raw {
    let mut raw = Raw::connect(push, "receiver", now);
    raw.says(push, &handshake(&hello(SocketType::Pull, peer(0x31))), now);
    raw
}

#[test]
fn what_a_receiver_that_comes_late_works_on_is_given_to_nobody_else() {
    let (mut push, mut idle, now) = opened();
    let mut late = latecomer(&mut push, now);
    late.says(&mut push, &returned(0, 2, 4), now);
    assert_eq!(idle.hears(&mut push, now).iter().find_map(seqs), None, "it may hold them");
    assert!(!push.is_drained());
    let held = Attach { more: true, ..common::attach(&[(2, 1)], &[(2, 1)], &[]) };
    late.says(&mut push, &encoded(&Control::Attach(held)), now);
    assert_eq!(idle.hears(&mut push, now).iter().find_map(seqs), None, "it may hold more");
    late.says(&mut push, &attach(&[(3, 1)], &[]), now);
    assert_eq!((push.pending(), push.waiting()), (2, 2));
    assert_eq!(idle.hears(&mut push, now).iter().find_map(seqs), Some(4..6));
}

#[test]
fn what_one_receiver_gives_back_may_be_held_by_another() {
    let (mut push, _, now) = opened();
    let (mut holder, _) = receiver(&mut push);
    let mut late = latecomer(&mut push, now);
    late.says(&mut push, &returned(0, 2, 1), now);
    holder.says(&mut push, &attach(&[(2, 1)], &[]), now);
    late.says(&mut push, &attach(&[], &[]), now);
    assert_eq!((push.pending(), push.waiting()), (1, 0));
}

#[test]
fn what_came_back_on_a_link_that_broke_before_all_was_said_is_handed_out() {
    let (mut push, mut idle, now) = opened();
    let mut late = latecomer(&mut push, now);
    late.says(&mut push, &returned(0, 2, 4), now);
    push.link_lost(late.link, "the connection broke", now.time);
    let woken: Vec<_> = std::iter::from_fn(|| push.poll_wake()).collect();
    assert!(woken.contains(&idle.link), "{woken:?}");
    assert_eq!(idle.hears(&mut push, now).iter().find_map(seqs), Some(2..6));
}

#[track_caller]
fn refused(mut push: PushEngine, frames: &[Vec<u8>]) -> (CloseCode, String) {
    let (mut raw, _) = receiver(&mut push);
    raw.says(&mut push, &frames.concat(), NOW);
    let close = raw.hears_close(&mut push, NOW).expect("a last word");
    (close.code, close.reason.as_str().to_owned())
}

#[test]
fn contents_that_nobody_wants_end_the_link() {
    use CloseCode::{ProtocolViolation, TooMany};
    let whole = PushEngine::new(PushConfig::default(), peer(0x20), session());
    let begun = |first: u64| returned(0, first, 1)[..44].to_vec();
    assert_eq!(refused(whole, &[begun(0)]).0, ProtocolViolation, "as soon as it begins");
    let whole = PushEngine::new(PushConfig::default(), peer(0x20), session());
    assert_eq!(refused(whole, &[returned(0, 0, 1)]).0, ProtocolViolation);
    let nothing = attach(&[], &[]);
    assert_eq!(refused(bereft(), &[nothing, returned(0, 0, 1)]).0, ProtocolViolation, "too late");
    assert_eq!(refused(bereft(), &[returned(1, 0, 1)]).0, ProtocolViolation, "out of turn");
    let (code, reason) = refused(bereft(), &[returned(0, 9, 2)]);
    assert_eq!(code, ProtocolViolation);
    assert!(reason.contains("beyond number 10"), "{reason}");
    let (code, reason) = refused(bereft(), &[attach(&[(10, 1)], &[])]);
    assert_eq!(code, ProtocolViolation);
    assert!(reason.contains("beyond number 10"), "{reason}");
    let mut config = PushConfig { retained_bytes: 0, ..PushConfig::default() };
    config.link.message_bytes_max = 1;
    let small = PushEngine::new(config, peer(0x20), session()).rebuilding(1_000);
    assert_eq!(refused(small, &[returned(0, 0, 900)]).0, TooMany);
}

#[test]
fn contents_twice_are_one_message() {
    let mut push = bereft();
    let (mut raw, _) = receiver(&mut push);
    raw.says(&mut push, &returned(0, 2, 4), NOW);
    raw.says(&mut push, &returned(4, 1, 3), NOW);
    raw.says(&mut push, &attach(&[], &[]), NOW);
    assert_eq!(push.waiting(), 5);
}

/// A sender, new in its life, that has lost its messages or has not.
fn sender(pull: &mut PullEngine, identity: &str, life: u8, features: u64) -> (Raw, Vec<Frame>) {
    let mut raw = Raw::connect(pull, identity, NOW);
    let hello = Hello { features, session: Some(session()), ..hello(SocketType::Push, peer(life)) };
    raw.says(pull, &handshake(&hello), NOW);
    let heard = raw.hears(pull, NOW);
    (raw, heard)
}

/// A receiver that was given four messages and two copies.
fn stocked() -> (PullEngine, Raw) {
    let config = PullConfig { window_messages: 4, future_messages: 2, ..PullConfig::default() };
    let mut pull = PullEngine::new(config, peer(0x30));
    let (mut raw, _) = sender(&mut pull, "sender", 0x20, Hello::FUTURES);
    let records = record(b"x", None).repeat(4);
    raw.says(&mut pull, &data(run(0, 0, 4), &records), NOW);
    raw.says(&mut pull, &returned(0, 4, 2), NOW);
    assert_eq!(pull.copies().messages, 2);
    (pull, raw)
}

#[test]
fn a_receiver_gives_back_what_waits_what_is_worked_on_and_copies_before_it_says_what_it_holds() {
    for was_noticed in [true, false] {
        let (mut pull, mut former) = stocked();
        pull.take(1).expect("a message");
        if was_noticed {
            pull.link_lost(former.link, "the connection broke", NOW.time);
        }
        let (_, heard) = sender(&mut pull, "sender", 0x21, Hello::FUTURES | Hello::REBUILDS);
        let given: Vec<u64> = heard.iter().filter_map(seqs).flatten().collect();
        assert_eq!(given, [0, 1, 2, 3, 4, 5]);
        let attach = heard.iter().position(|f| matches!(f, Frame::Control(Control::Attach(_))));
        let last = heard.iter().rposition(|frame| matches!(frame, Frame::Copies(_)));
        assert!(last < attach, "{heard:?}");
        if !was_noticed {
            assert!(former.hears_close(&mut pull, NOW).is_some(), "nobody is there any more");
        }
    }
}

#[test]
fn copies_that_were_given_back_on_a_link_that_broke_are_given_back_again() {
    let (mut pull, former) = stocked();
    pull.link_lost(former.link, "the connection broke", NOW.time);
    let rebuilds = Hello::FUTURES | Hello::REBUILDS;
    for life in 0x21..0x24 {
        let (raw, heard) = sender(&mut pull, "sender", life, rebuilds);
        let given: Vec<u64> = heard.iter().filter_map(seqs).flatten().collect();
        assert_eq!(given, [0, 1, 2, 3, 4, 5]);
        pull.link_lost(raw.link, "the connection broke", NOW.time);
    }
    let (mut raw, _) = sender(&mut pull, "sender", 0x24, rebuilds);
    pull.set_window(8, 4 << 20);
    raw.hears(&mut pull, NOW);
    raw.says(&mut pull, &data(run(4, 9, 1), &record(b"x", None)), NOW);
    assert_eq!(pull.copies().messages, 0, "it has heard them, or would not hand out anything");
}

#[test]
fn a_sender_that_comes_back_whole_is_given_nothing_and_places_its_own() {
    let (mut pull, former) = stocked();
    pull.link_lost(former.link, "the connection broke", NOW.time);
    assert_eq!(pull.copies().messages, 2, "it may come back without them");
    let (_, heard) = sender(&mut pull, "sender", 0x21, Hello::FUTURES);
    assert_eq!(heard.iter().find_map(seqs), None);
    assert_eq!(pull.copies().messages, 0);
}

#[test]
fn nobody_else_is_given_what_a_sender_has_lost() {
    let (mut pull, former) = stocked();
    let (_, heard) = sender(&mut pull, "somebody", 0x21, Hello::FUTURES | Hello::REBUILDS);
    assert_eq!(heard.iter().find_map(seqs), None);
    let close = heard.into_iter().find_map(|frame| match frame {
        Frame::Control(Control::Close(close)) => Some(close),
        _ => None,
    });
    assert_eq!(close.map(|close| close.code), Some(CloseCode::NotAuthorized));
    assert_eq!(pull.link_state(former.link), LinkState::Open);
}

#[test]
fn copies_that_break_the_rules_do_not_cost_others_theirs() {
    let (mut pull, former) = stocked();
    pull.link_lost(former.link, "the connection broke", NOW.time);
    let mut raw = Raw::connect(&mut pull, "another", NOW);
    let hello = Hello {
        session: Some(drawdown_protocol::Session::from_uuid(common::uuid(0x55))),
        ..hello(SocketType::Push, peer(0x22))
    };
    raw.says(&mut pull, &handshake(&hello), NOW);
    raw.says(&mut pull, &returned(0, 0, 2), NOW);
    assert!(raw.hears_close(&mut pull, NOW).is_some(), "it was told of no room");
    assert_eq!(pull.copies().messages, 2, "those of the sender that may come back");
}

#[test]
fn copies_of_a_sender_that_is_here_come_before_those_of_one_that_is_gone() {
    let (mut pull, former) = stocked();
    pull.link_lost(former.link, "the connection broke", NOW.time);
    let mut raw = Raw::connect(&mut pull, "another", NOW);
    let hello = Hello {
        features: Hello::FUTURES,
        session: Some(drawdown_protocol::Session::from_uuid(common::uuid(0x55))),
        ..hello(SocketType::Push, peer(0x22))
    };
    raw.says(&mut pull, &handshake(&hello), NOW);
    raw.hears(&mut pull, NOW);
    raw.says(&mut pull, &returned(0, 0, 2), NOW);
    assert_eq!(pull.copies().messages, 2);
    let (_, heard) = sender(&mut pull, "sender", 0x21, Hello::FUTURES | Hello::REBUILDS);
    let given: Vec<u64> = heard.iter().filter_map(seqs).flatten().collect();
    assert_eq!(given, [0, 1, 2, 3], "the copies had to make room");
}
