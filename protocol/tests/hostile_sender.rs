//! A PULL socket with a sender that breaks the rules: that link ends, and what it was granted is there for the others.

mod common;

use std::collections::BTreeSet;

use common::raw::{Raw, converse};
use common::{
    attach, data, encoded, frame, handshake, hello, later, peer, record, run, session, span, spans,
    uuid, work_off,
};
use drawdown_protocol::limits::ABSENT_SESSIONS_MAX;
use drawdown_protocol::wire::{
    Close, CloseCode, Control, Demand, Echo, Frame, Grant, Heartbeat, Hello, Outcome, Recall,
    Retract, Settle, Settlement, Taken,
};
use drawdown_protocol::{
    Event, LinkState, Message, Now, PeerId, PullConfig, PullEngine, PushConfig, PushEngine,
    Session, SocketType,
};
use proptest::prelude::*;
use uuid::Uuid;

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };
const WINDOW: u64 = 16;
/// What a message of one byte costs: its head, itself, and the overhead.
const COST: u64 = 4 + 1 + 32;

fn pull() -> PullEngine {
    let config =
        PullConfig { window_messages: WINDOW, window_bytes: 4 << 20, ..PullConfig::default() };
    PullEngine::new(config, peer(0x30))
}

fn sender_hello() -> Hello {
    hello(SocketType::Push, peer(0x20))
}

/// A receiver, and a sender that has done its handshake and heard ATTACH and its first GRANT.
fn attached() -> (PullEngine, Raw) {
    let mut pull = pull();
    let mut raw = Raw::connect(&mut pull, "sender", NOW);
    raw.says(&mut pull, &handshake(&sender_hello()), NOW);
    let attach = attach(&[], &[], &[]);
    let grant =
        Grant { serial: 1, messages: WINDOW, bytes: 4 << 20, contended: false, answered: 0 };
    let expected = [Frame::Control(Control::Attach(attach)), Frame::Control(Control::Grant(grant))];
    assert_eq!(raw.hears(&mut pull, NOW)[2..], expected);
    (pull, raw)
}

/// So many messages of one byte.
fn small(first_delivery: u64, first_seq: u64, count: u32) -> Vec<u8> {
    data(run(first_delivery, first_seq, count), &record(b"x", None).repeat(count as usize))
}

fn echo(serial: u64, messages: u64, bytes: u64) -> Vec<u8> {
    encoded(&Control::Echo(Echo { serial, messages, bytes }))
}

fn retract(first: u64, count: u64) -> Vec<u8> {
    encoded(&Control::Retract(Retract { deliveries: spans(&[(first, count)]) }))
}

fn recall(first: u64, count: u64) -> Vec<u8> {
    encoded(&Control::Recall(Recall { copies: spans(&[(first, count)]) }))
}

fn seqs(pull: &mut PullEngine) -> Vec<u64> {
    work_off(pull, NOW).into_iter().map(|(_, seq)| seq).collect()
}

fn close_after(mut pull: PullEngine, mut raw: Raw, bytes: &[u8]) -> CloseCode {
    raw.says(&mut pull, bytes, NOW);
    let close = raw.hears_close(&mut pull, NOW).expect("a last word");
    assert_eq!(pull.pool().outstanding().messages, 0, "its credit is there for others");
    // Whatever comes now is not heard.
    raw.says(&mut pull, &small(0, 0, 1), NOW);
    assert!(!pull.has_queued());
    close.code
}

#[test]
fn a_handshake_that_does_not_fit_is_refused_with_the_reason() {
    let refused = |change: fn(&mut Hello)| {
        let mut pull = pull();
        let raw = Raw::connect(&mut pull, "sender", NOW);
        let mut hello = sender_hello();
        change(&mut hello);
        close_after(pull, raw, &handshake(&hello))
    };
    assert_eq!(refused(|h| h.socket_type = SocketType::Pull), CloseCode::SocketTypeMismatch);
    assert_eq!(refused(|h| h.message_bytes_max += 1), CloseCode::TooLarge);
    assert_eq!(refused(|h| h.message_bytes_max = u64::MAX), CloseCode::TooLarge);
    assert_eq!(refused(|h| h.session = None), CloseCode::ProtocolViolation);
    assert_eq!(refused(|h| h.features = Hello::STREAMER), CloseCode::ProtocolViolation);

    let mut pull = pull();
    let raw = Raw::connect(&mut pull, "sender", NOW);
    assert_eq!(close_after(pull, raw, b"DRAWDOWN\x02\x09\0\0"), CloseCode::VersionMismatch);
}

#[test]
fn a_session_belongs_to_the_identity_that_opened_it() {
    let (mut pull, _owner) = attached();
    let mut thief = Raw::connect(&mut pull, "somebody else", NOW);
    thief.says(&mut pull, &handshake(&sender_hello()), NOW);
    let close = thief.hears_close(&mut pull, NOW).unwrap();
    assert_eq!(close.code, CloseCode::NotAuthorized);
}

#[test]
fn what_breaks_the_rules_of_a_sender_ends_its_link() {
    let settlement = Settlement { deliveries: span(0, 1), outcome: Outcome::Confirmed };
    let settle = Control::Settle(Settle { settlements: [settlement].into_iter().collect() });
    let grant =
        Control::Grant(Grant { serial: 9, messages: 9, bytes: 9, contended: false, answered: 0 });
    let attach = attach(&[], &[], &[]);
    let large = record(&vec![0; 1 << 20], None);
    let too_many_bytes = (0..4).flat_map(|n| data(run(n, n, 1), &large)).collect();
    let cases = [
        ("a second HELLO", encoded(&Control::Hello(sender_hello())), CloseCode::ProtocolViolation),
        ("ATTACH", encoded(&Control::Attach(attach)), CloseCode::ProtocolViolation),
        ("GRANT", encoded(&grant), CloseCode::ProtocolViolation),
        ("SETTLE", encoded(&settle), CloseCode::ProtocolViolation),
        (
            "TAKEN",
            encoded(&Control::Taken(Taken { deliveries: spans(&[(0, 1)]) })),
            CloseCode::ProtocolViolation,
        ),
        ("asks nothing back", retract(0, 0), CloseCode::ProtocolViolation),
        ("asks back without end", retract(u64::MAX, 2), CloseCode::ProtocolViolation),
        ("recalls nothing", recall(0, 0), CloseCode::ProtocolViolation),
        ("a delivery too far", small(1, 0, 1), CloseCode::ProtocolViolation),
        ("the last delivery there is", small(u64::MAX - 1, 0, 1), CloseCode::ProtocolViolation),
        ("an echo of more than was granted", echo(1, WINDOW + 1, 0), CloseCode::ProtocolViolation),
        ("an echo without end", echo(u64::MAX, 0, u64::MAX), CloseCode::ProtocolViolation),
        ("too many messages", small(0, 0, WINDOW as u32 + 1), CloseCode::CreditExceeded),
        ("too many bytes", too_many_bytes, CloseCode::CreditExceeded),
        (
            "a message that is too large",
            data(run(0, 0, 1), &record(&vec![0; (1 << 20) + 1], None)),
            CloseCode::TooLarge,
        ),
    ];
    for (what, bytes, code) in cases {
        let (mut pull, mut raw) = attached();
        raw.says(&mut pull, &bytes, NOW);
        let close = raw.hears_close(&mut pull, NOW).expect("a last word");
        assert_eq!(close.code, code, "{what}");
        assert_eq!(pull.pool().outstanding().messages, 0, "{what}: its credit is there for others");
    }
}

#[test]
fn a_message_beyond_its_credit_is_refused_when_it_begins_to_arrive() {
    let large = |delivery| data(run(delivery, delivery, 1), &record(&vec![0; 1 << 20], None));
    let head_of = |delivery| large(delivery)[..100].to_vec();
    let (mut pull, mut raw) = attached();
    raw.says(&mut pull, &head_of(0), NOW);
    assert_eq!(pull.link_state(raw.link), LinkState::Open, "there is credit for it");
    raw.says(&mut pull, &large(0)[100..], NOW);
    raw.says(&mut pull, &[large(1), large(2), head_of(3)].concat(), NOW);
    let close = raw.hears_close(&mut pull, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::CreditExceeded);
    assert_eq!(seqs(&mut pull), [0, 1, 2], "what came before is there");
}

#[test]
fn copies_and_publications_are_refused_when_they_begin_to_arrive() {
    for (what, kind) in [("PUBLISH", 17), ("COPIES", 25)] {
        let (pull, raw) = attached();
        let mut begun = data(run(0, 0, 1), &record(&[0; 100], None));
        begun[0] = kind;
        begun.truncate(100);
        assert_eq!(close_after(pull, raw, &begun), CloseCode::ProtocolViolation, "{what}");
    }
}

#[test]
fn a_delivery_comes_once() {
    let (mut pull, mut raw) = attached();
    raw.says(&mut pull, &small(0, 7, 2), NOW);
    assert_eq!(pull.link_state(raw.link), LinkState::Open);
    raw.says(&mut pull, &small(1, 8, 1), NOW);
    let close = raw.hears_close(&mut pull, NOW).unwrap();
    assert_eq!(close.code, CloseCode::ProtocolViolation);
    assert_eq!(seqs(&mut pull), [7, 8], "what came before the violation is there");
}

#[test]
fn what_came_on_a_link_that_has_fallen_silent_is_named_on_the_one_that_its_sender_comes_back_on() {
    let cases =
        [(1_400, false, 0x20), (1_600, true, 0x20), (1_400, false, 0x21), (1_600, true, 0x21)];
    // Whether it is the same life, or the next one with the same store.
    for (millis, is_silent, life) in cases {
        let (mut pull, mut raw) = attached();
        raw.says(&mut pull, &small(0, 7, 1), NOW);
        let now = later(NOW, millis);
        let mut back = Raw::connect(&mut pull, "sender", now);
        back.says(&mut pull, &handshake(&hello(SocketType::Push, peer(life))), now);
        let heard = back.hears(&mut pull, now);
        let held: Vec<_> = heard
            .iter()
            .filter_map(|frame| match frame {
                Frame::Control(Control::Attach(attach)) => Some(attach.held.clone()),
                _ => None,
            })
            .collect();
        let named = if is_silent { spans(&[(7, 1)]) } else { spans(&[]) };
        assert_eq!(held, [named], "after {millis} ms, to {life}");
        let state = if is_silent { LinkState::Closing } else { LinkState::Open };
        assert_eq!(pull.link_state(raw.link), state);
    }
}

#[test]
fn an_echo_of_less_than_has_arrived_is_refused() {
    let (mut pull, mut raw) = attached();
    raw.says(&mut pull, &small(0, 0, 3), NOW);
    pull.set_paused(true);
    raw.hears(&mut pull, NOW);
    raw.says(&mut pull, &echo(2, 2, 2 * COST), NOW);
    let close = raw.hears_close(&mut pull, NOW).unwrap();
    assert_eq!(close.code, CloseCode::ProtocolViolation);
}

#[test]
fn what_was_under_way_at_a_lowering_arrives_up_to_the_echo_and_no_further() {
    let (mut pull, mut raw) = attached();
    pull.set_paused(true);
    raw.hears(&mut pull, NOW);
    raw.says(&mut pull, &small(0, 0, 2), NOW);
    raw.says(&mut pull, &echo(2, 3, 3 * COST), NOW);
    raw.says(&mut pull, &small(2, 2, 1), NOW);
    assert_eq!(pull.link_state(raw.link), LinkState::Open);
    raw.says(&mut pull, &small(3, 3, 1), NOW);
    assert_eq!(raw.hears_close(&mut pull, NOW).unwrap().code, CloseCode::CreditExceeded);
}

#[test]
fn what_means_nothing_does_nothing() {
    let (mut pull, mut raw) = attached();
    raw.says(&mut pull, &small(0, 0, 2), NOW);
    let heartbeat = Heartbeat { head: u64::MAX, deliveries: u64::MAX, settles: u64::MAX };
    let nothing = [(u64::MAX - 1, 1), (2, u64::MAX - 2), (2, 5)];
    let harmless = [
        Control::Demand(Demand { waiting: u64::MAX, asks: false }),
        Control::Demand(Demand { waiting: 0, asks: false }),
        Control::Heartbeat(heartbeat),
        Control::Retract(Retract { deliveries: spans(&nothing) }),
        Control::Echo(Echo { serial: 0, messages: 2, bytes: 2 * COST }),
    ];
    for control in harmless {
        raw.says(&mut pull, &encoded(&control), NOW);
        assert_eq!(pull.link_state(raw.link), LinkState::Open, "{control:?}");
    }
    assert_eq!(seqs(&mut pull), [0, 1]);
}

#[test]
fn a_last_word_is_the_last_whatever_it_says() {
    let unknown = [&99u32.to_le_bytes()[..], &3u64.to_le_bytes(), b"\xffno"].concat();
    let (mut pull, mut raw) = attached();
    raw.says(&mut pull, &frame(11, &unknown), NOW);
    assert_eq!(pull.link_state(raw.link), LinkState::Closing);
    assert_eq!(raw.hears(&mut pull, NOW), []);
    let ends = std::iter::from_fn(|| pull.poll_event()).filter_map(|event| match event {
        Event::Disconnected { reason, by_us, .. } => Some((reason, by_us)),
        _ => None,
    });
    let said = Close { code: CloseCode::Other(99), reason: "\u{fffd}no".into() };
    assert_eq!(ends.collect::<Vec<_>>(), [(said, false)]);
}

#[test]
fn who_stops_takes_credit_back_before_messages_go_back() {
    let (mut pull, mut raw) = attached();
    raw.says(&mut pull, &small(0, 0, 3), NOW);
    pull.stop();
    let heard = raw.hears(&mut pull, NOW);
    let [Frame::Control(Control::Grant(grant)), Frame::Control(Control::Settle(settle))] =
        &heard[..]
    else {
        panic!("{heard:?}");
    };
    assert_eq!((grant.messages, grant.bytes), (3, 3 * COST));
    let released = settle.settlements.iter().map(|s| (s.deliveries.count, s.outcome.clone()));
    assert_eq!(released.collect::<Vec<_>>(), [(3, Outcome::Released)]);
    let echo = Echo { serial: grant.serial, messages: 3, bytes: 3 * COST };
    raw.says(&mut pull, &encoded(&Control::Echo(echo)), NOW);
    pull.set_paused(false);
    assert_eq!(raw.hears(&mut pull, NOW), [], "a stop is for good");
}

#[test]
fn only_what_nobody_has_begun_with_is_given_back() {
    let (mut pull, mut raw) = attached();
    raw.says(&mut pull, &small(0, 0, 3), NOW);
    let begun = pull.take(1).unwrap();
    let all = Control::Retract(Retract { deliveries: spans(&[(0, 3), (0, 3)]) });
    raw.says(&mut pull, &encoded(&all), NOW);
    let released: Vec<_> = raw
        .hears(&mut pull, NOW)
        .into_iter()
        .filter_map(|frame| match frame {
            Frame::Control(Control::Settle(settle)) => Some(settle.settlements),
            _ => None,
        })
        .flatten()
        .map(|settlement| (settlement.deliveries, settlement.outcome))
        .collect();
    assert_eq!(released, [(span(1, 2), Outcome::Released)]);
    assert_eq!(begun.len(), 1);
}

#[test]
fn neighbours_that_came_one_by_one_are_named_as_one_and_can_be_asked_back() {
    let (mut pull, mut raw) = attached();
    (0..4).for_each(|number| raw.says(&mut pull, &small(number, number, 1), NOW));
    pull.take(1).unwrap();
    pull.link_lost(raw.link, "cut", NOW.time);
    let mut raw = Raw::connect(&mut pull, "sender", NOW);
    raw.says(&mut pull, &handshake(&sender_hello()), NOW);
    let heard = raw.hears(&mut pull, NOW);
    let named = attach(&[(0, 1), (1, 3)], &[(0, 1)], &[]);
    assert!(heard.contains(&Frame::Control(Control::Attach(named))), "{heard:?}");
    raw.says(&mut pull, &retract(0, 3), NOW);
    let released = raw.hears(&mut pull, NOW).into_iter().filter_map(|frame| match frame {
        Frame::Control(Control::Settle(settle)) => Some(settle.settlements),
        _ => None,
    });
    let released: Vec<_> = released.flatten().map(|s| (s.deliveries, s.outcome)).collect();
    let back = |first| (span(first, 1), Outcome::Released);
    assert_eq!(released, [back(1), back(2)]);
}

/// What it costs, in bytes allocated, that so many frames ask for every other message of one run.
fn cost_of_giving_back(frames: u32) -> u64 {
    let (mut pull, mut raw) = attached();
    pull.set_window(1 << 20, 1 << 30);
    raw.hears(&mut pull, NOW);
    raw.says(&mut pull, &small(0, 0, frames * 2_048), NOW);
    let retracts: Vec<_> = (0..u64::from(frames))
        .map(|frame| {
            let every_other: Vec<_> = (0..1_024).map(|at| (frame * 2_048 + at * 2, 1)).collect();
            encoded(&Control::Retract(Retract { deliveries: spans(&every_other) }))
        })
        .collect();
    let cost = allocation_counter::measure(|| {
        retracts.iter().for_each(|retract| raw.says(&mut pull, retract, NOW));
    });
    assert_eq!(pull.stats(NOW.time).released, u64::from(frames) * 1_024);
    cost.bytes_total
}

#[test]
fn giving_back_costs_as_much_as_is_given_back() {
    let (few, many) = (cost_of_giving_back(2), cost_of_giving_back(20));
    assert!(many < 20 * few, "{few} and {many} bytes");
}

/// One of many senders, on a link of its own.
fn one_of_many(pull: &mut PullEngine, number: u128) -> (Raw, Vec<Frame>) {
    let name = Uuid::from_u128(number);
    let session = Some(Session::from_uuid(name));
    let hello = Hello { peer: PeerId::from_uuid(name), session, ..sender_hello() };
    let mut raw = Raw::connect(pull, "sender", NOW);
    raw.says(pull, &handshake(&hello), NOW);
    let heard = raw.hears(pull, NOW);
    (raw, heard)
}

#[test]
fn what_was_confirmed_as_the_link_broke_is_said_again_however_many_other_senders_are_there() {
    let mut pull = pull();
    pull.set_window(1 << 20, 1 << 40);
    let (mut first, _) = one_of_many(&mut pull, 0);
    let others = (1..=ABSENT_SESSIONS_MAX as u128).map(|number| one_of_many(&mut pull, number));
    assert_eq!(others.count(), ABSENT_SESSIONS_MAX);
    first.says(&mut pull, &small(0, 7, 1), NOW);
    assert_eq!(work_off(&mut pull, NOW).len(), 1);
    pull.link_lost(first.link, "cut", NOW.time);
    let (_, heard) = one_of_many(&mut pull, 0);
    let confirmed = heard.into_iter().filter_map(|frame| match frame {
        Frame::Control(Control::Attach(attach)) => Some(attach.confirmed),
        _ => None,
    });
    assert_eq!(confirmed.collect::<Vec<_>>(), [spans(&[(7, 1)])]);
}

#[test]
fn of_senders_that_went_away_the_newest_are_remembered() {
    let mut pull = pull();
    pull.set_window(1 << 20, 1 << 40);
    for number in 0..=ABSENT_SESSIONS_MAX as u128 {
        let (mut raw, _) = one_of_many(&mut pull, number);
        raw.says(&mut pull, &small(0, 7, 1), NOW);
        work_off(&mut pull, NOW);
        pull.link_lost(raw.link, "cut", later(NOW, number as u64).time);
    }
    let mut is_named = |number| {
        let (_, heard) = one_of_many(&mut pull, number);
        let names = |frame: &Frame| match frame {
            Frame::Control(Control::Attach(attach)) => attach.confirmed == spans(&[(7, 1)]),
            _ => false,
        };
        heard.iter().any(names)
    };
    assert_eq!([0, 1, ABSENT_SESSIONS_MAX as u128].map(&mut is_named), [false, true, true]);
}

#[derive(Clone, Debug)]
enum Move {
    Say(Control),
    /// Messages, from so far beyond the next delivery number.
    Send {
        skip: u64,
        seq: u64,
        count: u32,
        payload_bytes: usize,
    },
    /// The connection is lost; another one begins, with this session.
    Return(Session),
    Pause(bool),
    Pass(u64),
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0u64..45, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn ranges() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let range = prop_oneof![20 => (0u64..40, 1u64..8), 1 => (number(), number())];
    prop::collection::vec(range, 0..4)
}

fn a_move() -> impl Strategy<Value = Move> {
    let bytes = prop_oneof![10 => 0usize..50, 1 => Just(1 << 20)];
    prop_oneof![
        12 => (prop_oneof![20 => Just(0), 1 => number()], number(), 1u32..9, bytes).prop_map(
            |(skip, seq, count, payload_bytes)| Move::Send { skip, seq, count, payload_bytes }
        ),
        6 => number().prop_map(|waiting| Move::Say(Control::Demand(Demand { waiting, asks: false }))),
        2 => (number(), number(), number()).prop_map(|(serial, messages, bytes)| {
            Move::Say(Control::Echo(Echo { serial, messages, bytes }))
        }),
        4 => ranges().prop_map(|list| {
            Move::Say(Control::Retract(Retract { deliveries: spans(&list) }))
        }),
        2 => (number(), number(), number()).prop_map(|(head, deliveries, settles)| {
            Move::Say(Control::Heartbeat(Heartbeat { head, deliveries, settles }))
        }),
        1 => ranges().prop_map(|list| Move::Say(Control::Taken(Taken { deliveries: spans(&list) }))),
        1 => Just(Move::Say(Control::Close(Close { code: CloseCode::Done, reason: "".into() }))),
        4 => (0u8..4).prop_map(|first| Move::Return(Session::from_uuid(uuid(0x60 + first)))),
        2 => any::<bool>().prop_map(Move::Pause),
        4 => (0u64..300).prop_map(Move::Pass),
    ]
}

const MESSAGES: u64 = 60;

/// A receiver with an honest sender and another one.
struct Scene {
    pull: PullEngine,
    push: PushEngine,
    honest: (Raw, Raw),
    hostile: Raw,
    next_delivery: u64,
    now: Now,
    done: BTreeSet<u64>,
}

impl Scene {
    fn begin() -> Self {
        let mut pull = pull();
        let mut push = PushEngine::new(PushConfig::default(), peer(0x40), session());
        for number in 0..MESSAGES {
            push.try_send(Message::from(&number.to_string()), || NOW).unwrap();
        }
        let honest =
            (Raw::connect(&mut pull, "honest", NOW), Raw::connect(&mut push, "receiver", NOW));
        let hostile = Raw::connect(&mut pull, "hostile", NOW);
        let (now, done) = (NOW, BTreeSet::new());
        let mut scene = Self { pull, push, honest, hostile, next_delivery: 0, now, done };
        scene.greet(Session::from_uuid(uuid(0x60)));
        scene
    }

    fn greet(&mut self, session: Session) {
        let hello = Hello { session: Some(session), ..sender_hello() };
        self.hostile.says(&mut self.pull, &handshake(&hello), self.now);
        self.next_delivery = 0;
        for frame in self.hostile.hears(&mut self.pull, self.now) {
            if let Frame::Control(Control::Attach(attach)) = frame {
                self.next_delivery += attach.held.iter().map(|span| span.count).sum::<u64>();
            }
        }
    }

    fn act(&mut self, a_move: Move) {
        let Self { pull, hostile, now, .. } = self;
        match a_move {
            Move::Say(control) => hostile.says(pull, &encoded(&control), *now),
            Move::Send { skip, seq, count, payload_bytes } => {
                let first = self.next_delivery.saturating_add(skip);
                let records = record(&vec![7; payload_bytes], None).repeat(count as usize);
                hostile.says(pull, &data(run(first, seq, count), &records), *now);
                self.next_delivery += u64::from(count);
            }
            Move::Return(session) => {
                pull.link_lost(hostile.link, "cut", now.time);
                *hostile = Raw::connect(pull, "hostile", *now);
                self.greet(session);
            }
            Move::Pause(paused) => pull.set_paused(paused),
            Move::Pass(millis) => self.pass(millis),
        }
        self.check_hostile();
    }

    /// The link is open, or has ended with a last word if the socket ended it.
    fn check_hostile(&mut self) {
        let Self { pull, hostile, now, .. } = self;
        match pull.link_state(hostile.link) {
            LinkState::Closing => {
                hostile.hears_close(pull, *now);
            }
            state => {
                assert_eq!(state, LinkState::Open);
                hostile.hears(pull, *now);
            }
        }
        let (queued, outstanding) = (pull.pool().queued(), pull.pool().outstanding());
        assert!((queued + outstanding).fits(pull.pool().window()), "{queued:?} {outstanding:?}");
    }

    fn pass(&mut self, millis: u64) {
        self.now = later(self.now, millis);
        self.push.handle_timeout(self.now);
        self.push.handle_link_timeout(self.honest.1.link, self.now.time);
        for link in [self.honest.0.link, self.hostile.link] {
            self.pull.handle_link_timeout(link, self.now.time);
        }
        loop {
            let (receiver, sender) = &mut self.honest;
            converse((&mut self.pull, receiver), (&mut self.push, sender), self.now);
            let worked = work_off(&mut self.pull, self.now);
            if worked.is_empty() {
                break;
            }
            let honest = worked.into_iter().filter(|(of, _)| *of == session());
            self.done.extend(honest.map(|(_, seq)| seq));
        }
        assert_eq!(self.pull.link_state(self.honest.0.link), LinkState::Open);
    }
}

proptest! {
    #[test]
    fn no_sender_keeps_the_others_from_being_served(
        moves in prop::collection::vec(a_move(), 0..60),
    ) {
        let mut scene = Scene::begin();
        moves.into_iter().for_each(|a_move| scene.act(a_move));
        scene.pull.set_paused(false);
        scene.pull.link_lost(scene.hostile.link, "gone", scene.now.time);
        for _ in 0..30 {
            scene.pass(100);
        }
        prop_assert_eq!(&scene.done, &(0..MESSAGES).collect::<BTreeSet<_>>());
        prop_assert!(scene.push.is_drained());
        let pool = scene.pull.pool();
        prop_assert_eq!(pool.queued().messages, 0);
        prop_assert_eq!(pool.outstanding(), pool.outstanding_on(scene.honest.0.link));
        prop_assert!(pool.outstanding().messages > WINDOW / 2, "the room is granted again");
    }
}
