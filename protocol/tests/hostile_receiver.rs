//! A PUSH socket with a receiver that breaks the rules: that link ends, the others and the messages do not suffer.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use common::raw::{Raw, converse};
use common::{
    attach, data, encoded, handshake, hello, later, peer, record, run, session, span, spans, uuid,
    work_off,
};
use drawdown_protocol::limits::ATTACH_FRAMES_MAX;
use drawdown_protocol::wire::{
    Attach, Behind, Close, CloseCode, Control, Demand, Echo, Frame, Future, Grant, Heartbeat,
    Hello, Outcome, Retract, Settle, Settlement, Taken,
};
use drawdown_protocol::{
    Event, LinkState, Message, Now, PullConfig, PullEngine, PushConfig, PushEngine, Session,
    SocketType, Transmit,
};
use proptest::prelude::*;

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };

fn push_with(messages: u64) -> PushEngine {
    let config = PushConfig {
        grace: Duration::from_millis(50),
        retry_delay_max: Duration::from_millis(100),
        reassign_after: Some(Duration::from_millis(20)),
        process_timeout: Some(Duration::from_millis(200)),
        ..PushConfig::default()
    };
    let mut push = PushEngine::new(config, peer(0x20), session());
    for number in 0..messages {
        push.try_send(Message::from(&number.to_string()), || NOW).unwrap();
    }
    push
}

fn grant(serial: u64, messages: u64, bytes: u64) -> Control {
    Control::Grant(Grant { serial, messages, bytes, contended: false, answered: 0 })
}

fn settle(first: u64, count: u64, outcome: Outcome) -> Control {
    let settlements = [Settlement { deliveries: span(first, count), outcome }];
    Control::Settle(Settle { settlements: settlements.into_iter().collect() })
}

fn taken(first: u64, count: u64) -> Control {
    Control::Taken(Taken { deliveries: spans(&[(first, count)]) })
}

/// A receiver that has done its handshake.
fn greeted(push: &mut PushEngine) -> Raw {
    let mut raw = Raw::connect(push, "receiver", NOW);
    raw.says(push, &handshake(&hello(SocketType::Pull, peer(0x30))), NOW);
    raw
}

/// A socket with five messages, and a receiver that was sent three of them.
fn served() -> (PushEngine, Raw) {
    let mut push = push_with(5);
    let mut raw = greeted(&mut push);
    raw.says(&mut push, &encoded(&Control::Attach(attach(&[], &[], &[]))), NOW);
    raw.says(&mut push, &encoded(&grant(2, 3, 1 << 20)), NOW);
    assert_eq!(messages(&raw.hears(&mut push, NOW)), 3);
    (push, raw)
}

fn messages(frames: &[Frame]) -> u64 {
    let count = |frame: &Frame| match frame {
        Frame::Data(data) => u64::from(data.header.count),
        _ => 0,
    };
    frames.iter().map(count).sum()
}

fn close_after(mut push: PushEngine, mut raw: Raw, bytes: &[u8]) -> CloseCode {
    raw.says(&mut push, bytes, NOW);
    let close = raw.hears_close(&mut push, NOW).expect("a last word");
    // Whatever comes now is not heard.
    raw.says(&mut push, &encoded(&settle(0, 3, Outcome::Confirmed)), NOW);
    assert!(push.fate(0).is_none());
    close.code
}

#[test]
fn a_handshake_that_does_not_fit_is_refused_with_the_reason() {
    let refused = |change: fn(&mut Hello)| {
        let mut push = push_with(0);
        let raw = Raw::connect(&mut push, "receiver", NOW);
        let mut hello = hello(SocketType::Pull, peer(0x30));
        change(&mut hello);
        close_after(push, raw, &handshake(&hello))
    };
    assert_eq!(refused(|h| h.socket_type = SocketType::Push), CloseCode::SocketTypeMismatch);
    assert_eq!(refused(|h| h.message_bytes_max -= 1), CloseCode::TooLarge);
    assert_eq!(refused(|h| h.session = Some(session())), CloseCode::ProtocolViolation);
    assert_eq!(refused(|h| h.features = Hello::ROUTER), CloseCode::ProtocolViolation);

    let mut push = push_with(0);
    let raw = Raw::connect(&mut push, "receiver", NOW);
    assert_eq!(close_after(push, raw, b"DRAWDOWN\x02\x09\0\0"), CloseCode::VersionMismatch);
    let mut push = push_with(0);
    let raw = Raw::connect(&mut push, "receiver", NOW);
    assert_eq!(close_after(push, raw, b"GET / HTTP/1.1\r\n"), CloseCode::ProtocolViolation);
}

#[test]
fn who_was_refused_was_not_lost() {
    let time = Duration::from_secs(1);
    let config = PushConfig { fail_back_after: time, ..PushConfig::default() };
    let mut push = PushEngine::new(config, peer(0x20), session());
    let mut raw = Raw::connect(&mut push, "receiver", NOW);
    let small = Hello { message_bytes_max: 1, ..hello(SocketType::Pull, peer(0x31)) };
    raw.says(&mut push, &handshake(&small), NOW);
    let close = raw.hears_close(&mut push, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::TooLarge);
    greeted(&mut push);
    let events: Vec<Event> = std::iter::from_fn(|| push.poll_event()).collect();
    let on_trial = |event: &Event| matches!(event, Event::ServerOnTrial { .. });
    assert!(!events.iter().any(on_trial), "{events:?}");
}

#[test]
fn who_left_in_good_order_has_not_failed() {
    let on_trial = |code| {
        let time = Duration::from_secs(1);
        let config = PushConfig { fail_back_after: time, ..PushConfig::default() };
        let mut push = PushEngine::new(config, peer(0x20), session());
        let mut raw = greeted(&mut push);
        let reason = "going".into();
        raw.says(&mut push, &encoded(&Control::Close(Close { code, reason })), NOW);
        greeted(&mut push);
        let mut events = std::iter::from_fn(|| push.poll_event());
        events.any(|event| matches!(event, Event::ServerOnTrial { .. }))
    };
    assert!(!on_trial(CloseCode::Done));
    assert!(on_trial(CloseCode::Internal));
}

#[test]
fn one_that_always_has_more_to_name_is_not_listened_to_for_ever() {
    let mut push = PushEngine::new(PushConfig::default(), peer(0x20), session());
    let mut raw = greeted(&mut push);
    let more = encoded(&Control::Attach(Attach { more: true, ..attach(&[], &[], &[]) }));
    raw.says(&mut push, &more.repeat(ATTACH_FRAMES_MAX + 1), NOW);
    assert_eq!(push.link_state(raw.link), LinkState::Open);
    raw.says(&mut push, &more, NOW);
    assert_eq!(push.link_state(raw.link), LinkState::Closing);
}

#[test]
fn a_grace_time_that_has_begun_anew_does_not_end_with_the_one_before() {
    let (mut push, raw) = served();
    push.link_lost(raw.link, "the connection broke", NOW.time);
    let mut raw = greeted(&mut push);
    for millis in [0, 40, 80] {
        let more = Attach { more: true, ..attach(&[], &[], &[]) };
        raw.says(&mut push, &encoded(&Control::Attach(more)), later(NOW, millis));
        push.handle_timeout(later(NOW, millis + 30));
        assert_eq!(push.pending(), 3, "it has said at {millis} ms that more follows");
    }
    push.handle_timeout(later(NOW, 130));
    assert_eq!(push.pending(), 0);
}

#[test]
fn what_breaks_the_rules_of_a_receiver_ends_its_link() {
    let other_session = Attach { session: Session::from_uuid(uuid(0x77)), ..attach(&[], &[], &[]) };
    let more = Attach { more: true, ..attach(&[], &[], &[]) };
    let before_attach = [
        ("credit before ATTACH", vec![grant(1, 1, 1)]),
        ("credit before the last ATTACH", vec![Control::Attach(more), grant(1, 1, 1)]),
        ("a settlement before ATTACH", vec![settle(0, 1, Outcome::Released)]),
        ("TAKEN before ATTACH", vec![taken(0, 1)]),
        ("another session", vec![Control::Attach(other_session)]),
        ("holds what was never sent", vec![Control::Attach(attach(&[(4, 2)], &[], &[]))]),
        ("took what was never sent", vec![Control::Attach(attach(&[], &[(5, 1)], &[]))]),
        ("confirms what was never sent", vec![Control::Attach(attach(&[], &[], &[(0, 6)]))]),
        ("an empty range", vec![Control::Attach(attach(&[(0, 0)], &[], &[]))]),
        ("a range without end", vec![Control::Attach(attach(&[(1, u64::MAX)], &[], &[]))]),
    ];
    for (what, controls) in before_attach {
        let mut push = push_with(5);
        let raw = greeted(&mut push);
        let bytes: Vec<u8> = controls.iter().flat_map(encoded).collect();
        assert_eq!(close_after(push, raw, &bytes), CloseCode::ProtocolViolation, "{what}");
    }

    let hello = Control::Hello(hello(SocketType::Pull, peer(0x30)));
    let after = [
        ("a second HELLO", encoded(&hello)),
        ("a second ATTACH", encoded(&Control::Attach(attach(&[], &[], &[])))),
        ("settles what was never sent", encoded(&settle(2, 2, Outcome::Confirmed))),
        ("settles nothing", encoded(&settle(1, 0, Outcome::Confirmed))),
        ("settles without end", encoded(&settle(1, u64::MAX, Outcome::Confirmed))),
        ("took what was never sent", encoded(&taken(3, 1))),
        ("took nothing", encoded(&taken(0, 0))),
        ("took without end", encoded(&taken(u64::MAX, u64::MAX))),
        ("DEMAND", encoded(&Control::Demand(Demand { waiting: 1, asks: false }))),
        ("ECHO", encoded(&Control::Echo(Echo { serial: 1, messages: 0, bytes: 0 }))),
        ("RETRACT", encoded(&Control::Retract(Retract { deliveries: spans(&[(0, 1)]) }))),
        ("DATA", data(run(0, 0, 1), &record(b"x", None))),
        (
            "room for copies, unannounced",
            encoded(&Control::Future(Future { messages: 1, bytes: 99 })),
        ),
        ("who stands behind, unannounced", encoded(&Control::Behind(Behind::default()))),
    ];
    for (what, bytes) in after {
        let (push, raw) = served();
        assert_eq!(close_after(push, raw, &bytes), CloseCode::ProtocolViolation, "{what}");
    }
}

#[test]
fn what_is_late_or_told_twice_does_nothing() {
    let (mut push, mut raw) = served();
    let heartbeat = Heartbeat { head: u64::MAX, deliveries: u64::MAX, settles: u64::MAX };
    let harmless = [
        grant(2, 100, 1 << 20),
        grant(1, u64::MAX, u64::MAX),
        Control::Heartbeat(heartbeat),
        taken(0, 3),
        taken(0, 3),
        settle(0, 2, Outcome::Confirmed),
        settle(0, 2, Outcome::Rejected("no".into())),
        taken(0, 2),
    ];
    for control in harmless {
        raw.says(&mut push, &encoded(&control), NOW);
        assert_eq!(raw.hears(&mut push, NOW), [], "{control:?}");
    }
    assert_eq!((push.pending(), push.waiting()), (1, 2));
    assert_eq!(push.link_state(raw.link), LinkState::Open);
}

#[test]
fn credit_without_end_is_credit_for_all_there_is() {
    let (mut push, mut raw) = served();
    raw.says(&mut push, &encoded(&grant(u64::MAX - 1, u64::MAX, u64::MAX)), NOW);
    assert_eq!(messages(&raw.hears(&mut push, NOW)), 2);
    raw.says(&mut push, &encoded(&grant(u64::MAX, 0, 0)), NOW);
    let echo = raw.hears(&mut push, NOW);
    // A digit and the head of a record each, and the overhead.
    let expected = Echo { serial: u64::MAX, messages: 5, bytes: 5 * (1 + 4 + 32) };
    assert_eq!(echo, [Frame::Control(Control::Echo(expected))]);
    push.try_send(Message::from("more"), || NOW).unwrap();
    assert_eq!(messages(&raw.hears(&mut push, NOW)), 0);
}

#[test]
fn telling_of_a_taken_message_again_does_not_bring_its_time_limit_forward() {
    let (mut push, mut raw) = served();
    raw.says(&mut push, &encoded(&taken(0, 1)), NOW);
    let much_later = later(NOW, 150);
    let extended = settle(0, 1, Outcome::Extended(10_000));
    raw.says(&mut push, &encoded(&taken(0, 1)), much_later);
    raw.says(&mut push, &encoded(&extended), much_later);
    push.handle_timeout(later(NOW, 1_000));
    assert_eq!((push.pending(), push.waiting()), (3, 2), "nothing has timed out");
}

#[test]
fn each_of_many_messages_that_are_extended_at_once_has_its_time_limit() {
    let (mut push, mut raw) = served();
    raw.says(&mut push, &encoded(&settle(0, 3, Outcome::Extended(50))), NOW);
    push.handle_timeout(later(NOW, 40));
    assert_eq!(push.pending(), 3);
    push.handle_timeout(later(NOW, 60));
    assert_eq!((push.pending(), push.waiting()), (0, 5));
}

#[test]
fn a_receiver_that_lies_when_it_returns_loses_nothing_of_what_it_had() {
    let (mut push, raw) = served();
    push.link_lost(raw.link, "cut", NOW.time);
    let mut raw = greeted(&mut push);
    let lie = Control::Attach(attach(&[(0, 1), (4, 2)], &[], &[]));
    raw.says(&mut push, &encoded(&lie), NOW);
    assert!(raw.hears_close(&mut push, NOW).is_some());
    push.handle_timeout(later(NOW, 1_000));
    assert_eq!((push.pending(), push.waiting()), (0, 5), "all of it is in the queue again");
}

#[test]
fn what_a_receiver_holds_is_not_given_to_another_identity() {
    let (mut push, raw) = served();
    push.link_lost(raw.link, "cut", NOW.time);
    let mut thief = Raw::connect(&mut push, "somebody else", NOW);
    thief.says(&mut push, &handshake(&hello(SocketType::Pull, peer(0x30))), NOW);
    let claim = Control::Attach(attach(&[], &[], &[(0, 3)]));
    thief.says(&mut push, &encoded(&claim), NOW);
    let close = thief.hears_close(&mut push, NOW).unwrap();
    assert_eq!(close.code, CloseCode::NotAuthorized);
    assert_eq!(push.pending(), 3);
}

#[test]
fn a_large_message_after_small_ones_is_read() {
    let mut push = push_with(1_000);
    let large = Bytes::from(vec![7; 1 << 20]);
    push.try_send(Message::from(&large), || NOW).unwrap();
    let mut raw = greeted(&mut push);
    raw.says(&mut push, &encoded(&Control::Attach(attach(&[], &[], &[]))), NOW);
    raw.says(&mut push, &encoded(&grant(1, u64::MAX, u64::MAX)), NOW);
    let heard: u64 = std::iter::repeat_with(|| messages(&raw.hears(&mut push, NOW)))
        .take_while(|n| *n > 0)
        .sum();
    assert_eq!(heard, 1_001);
}

/// What it costs, in bytes allocated, that a receiver with a link that lives names this in so many frames on another one.
fn cost_of_naming(held: &[(u64, u64)], frames: usize) -> u64 {
    const IN_FLIGHT: u64 = 20_000;
    let mut push = push_with(0);
    let mut one = greeted(&mut push);
    one.says(&mut push, &encoded(&Control::Attach(attach(&[], &[], &[]))), NOW);
    one.says(&mut push, &encoded(&grant(2, IN_FLIGHT, 1 << 30)), NOW);
    for _ in 0..IN_FLIGHT {
        push.try_send("job".into(), || NOW).unwrap();
        push.poll_transmit(one.link, NOW, &mut Transmit::new());
    }
    let mut other = greeted(&mut push);
    let named = encoded(&Control::Attach(Attach { more: true, ..attach(held, &[], &[]) }));
    let cost = allocation_counter::measure(|| {
        (0..frames).for_each(|_| other.says(&mut push, &named, NOW));
    });
    assert_eq!(push.pending(), IN_FLIGHT);
    cost.bytes_total
}

#[test]
fn what_is_in_flight_on_another_link_is_gone_through_once() {
    let (nothing, once) = (cost_of_naming(&[], 500), cost_of_naming(&[(7, 1)], 1));
    let often = cost_of_naming(&[(7, 1)], 500);
    assert!(nothing < once, "{nothing} and {once} bytes");
    assert!(often < 3 * once, "{often} and {once} bytes");
}

#[derive(Clone, Debug)]
enum Move {
    Say(Control),
    SayData,
    /// The connection is lost; another one begins with this ATTACH.
    Return(Attach),
    Pass(u64),
}

/// Numbers near those that are in use, and far ones.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0u64..45, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn range() -> impl Strategy<Value = (u64, u64)> {
    prop_oneof![
        20 => (0u64..40, 1u64..8),
        1 => (number(), number()),
    ]
}

fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec(range(), 0..4)
}

fn outcome(final_words: bool) -> BoxedStrategy<Outcome> {
    let given_back = prop_oneof![
        Just(Outcome::Rejected("no".into())),
        Just(Outcome::Released),
        (0u64..3_000).prop_map(Outcome::RetryIn),
        any::<u64>().prop_map(Outcome::Extended),
    ];
    if final_words {
        prop_oneof![given_back, Just(Outcome::Confirmed), Just(Outcome::Expired)].boxed()
    } else {
        given_back.boxed()
    }
}

fn any_attach(final_words: bool) -> impl Strategy<Value = Attach> {
    let confirmed = if final_words { ranges().boxed() } else { Just(Vec::new()).boxed() };
    (any::<prop::sample::Index>(), ranges(), ranges(), confirmed, prop::bool::weighted(0.2))
        .prop_map(|(sessions, held, taken, confirmed, more)| {
            let session = if sessions.index(20) == 0 { uuid(0x77) } else { uuid(0x10) };
            Attach {
                session: Session::from_uuid(session),
                more,
                ..attach(&held, &taken, &confirmed)
            }
        })
}

fn a_move(final_words: bool) -> impl Strategy<Value = Move> {
    let settlements = prop::collection::vec((range(), outcome(final_words)), 0..4);
    prop_oneof![
        8 => (number(), number(), number(), any::<bool>()).prop_map(
            |(serial, messages, bytes, contended)| {
                let bytes = bytes.saturating_mul(50);
                Move::Say(Control::Grant(Grant { serial, messages, bytes, contended, answered: serial }))
            }
        ),
        8 => settlements.prop_map(|list| {
            let settlements = list.into_iter().map(|((first, count), outcome)| Settlement {
                deliveries: span(first, count),
                outcome,
            });
            Move::Say(Control::Settle(Settle { settlements: settlements.collect() }))
        }),
        4 => ranges().prop_map(|list| Move::Say(Control::Taken(Taken { deliveries: spans(&list) }))),
        4 => any_attach(final_words).prop_map(Move::Return),
        2 => Just(Move::Return(attach(&[], &[], &[]))),
        1 => any_attach(final_words).prop_map(|attach| Move::Say(Control::Attach(attach))),
        1 => (number(), number(), number()).prop_map(|(head, deliveries, settles)| {
            Move::Say(Control::Heartbeat(Heartbeat { head, deliveries, settles }))
        }),
        1 => number().prop_map(|waiting| Move::Say(Control::Demand(Demand { waiting, asks: false }))),
        1 => Just(Move::Say(Control::Close(Close { code: CloseCode::Done, reason: "bye".into() }))),
        1 => Just(Move::SayData),
        4 => (0u64..300).prop_map(Move::Pass),
    ]
}

const MESSAGES: u64 = 40;

/// A sender with an honest receiver and another one.
struct Scene {
    push: PushEngine,
    pull: PullEngine,
    honest: (Raw, Raw),
    hostile: Raw,
    now: Now,
    done_by_honest: BTreeSet<u64>,
}

impl Scene {
    fn begin() -> Self {
        let mut push = push_with(MESSAGES);
        let config = PullConfig { window_messages: 4, ..PullConfig::default() };
        let mut pull = PullEngine::new(config, peer(0x50));
        let honest =
            (Raw::connect(&mut push, "honest", NOW), Raw::connect(&mut pull, "sender", NOW));
        let hostile = greeted(&mut push);
        Self { push, pull, honest, hostile, now: NOW, done_by_honest: BTreeSet::new() }
    }

    fn act(&mut self, a_move: Move) {
        let Self { push, hostile, now, .. } = self;
        match a_move {
            Move::Say(control) => hostile.says(push, &encoded(&control), *now),
            Move::SayData => {
                hostile.says(push, &data(run(0, 0, 1), &record(b"x", None)), *now);
            }
            Move::Return(attach) => {
                push.link_lost(hostile.link, "cut", now.time);
                *hostile = greeted(push);
                hostile.says(push, &encoded(&Control::Attach(attach)), *now);
            }
            Move::Pass(millis) => self.pass(millis),
        }
        self.check_hostile();
    }

    /// The link is open, or has ended with a last word if the socket ended it.
    fn check_hostile(&mut self) {
        let Self { push, hostile, now, .. } = self;
        match push.link_state(hostile.link) {
            LinkState::Closing => {
                hostile.hears_close(push, *now);
            }
            state => {
                assert_eq!(state, LinkState::Open);
                hostile.hears(push, *now);
            }
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now = later(self.now, millis);
        self.push.handle_timeout(self.now);
        for link in [self.honest.0.link, self.hostile.link] {
            self.push.handle_link_timeout(link, self.now.time);
        }
        self.pull.handle_link_timeout(self.honest.1.link, self.now.time);
        self.let_honest_work();
    }

    fn let_honest_work(&mut self) {
        loop {
            let (sender, receiver) = &mut self.honest;
            converse((&mut self.push, sender), (&mut self.pull, receiver), self.now);
            let worked = work_off(&mut self.pull, self.now);
            if worked.is_empty() {
                break;
            }
            self.done_by_honest.extend(worked.into_iter().map(|(_, seq)| seq));
        }
        assert_eq!(self.push.link_state(self.honest.0.link), LinkState::Open);
    }

    fn end(mut self) -> (PushEngine, BTreeSet<u64>) {
        self.push.link_lost(self.hostile.link, "gone", self.now.time);
        for _ in 0..100 {
            self.pass(100);
        }
        (self.push, self.done_by_honest)
    }
}

proptest! {
    #[test]
    fn no_receiver_keeps_messages_from_the_others(
        moves in prop::collection::vec(a_move(false), 0..60),
    ) {
        let mut scene = Scene::begin();
        moves.into_iter().for_each(|a_move| scene.act(a_move));
        let (push, done) = scene.end();
        prop_assert_eq!(done, (0..MESSAGES).collect::<BTreeSet<_>>());
        prop_assert!(push.is_drained());
    }

    #[test]
    fn no_receiver_leaves_a_message_in_limbo(
        moves in prop::collection::vec(a_move(true), 0..60),
    ) {
        let mut scene = Scene::begin();
        moves.into_iter().for_each(|a_move| scene.act(a_move));
        let (push, done) = scene.end();
        prop_assert!((0..MESSAGES).all(|seq| push.fate(seq).is_some()));
        prop_assert!(push.is_drained(), "{} pending, {} waiting", push.pending(), push.waiting());
        prop_assert!(done.len() as u64 <= MESSAGES);
    }
}
