//! Peers of a streamer that lie: they harm nobody but themselves.

mod common;

use std::time::Duration;

use bytes::BytesMut;
use common::{
    WALL, data, encoded, handshake, hello, later, peer, record, run, session, span, spans,
};
use drawdown_protocol::limits::ADOPTED_MESSAGES_MAX;
use drawdown_protocol::wire::{
    Attach, Behind, CloseCode, Control, Decoder, Demand, Echo, Frame, Grant, Heartbeat, Hello,
    Origin, Outcome, Retract, Settle, Settlement, Span, Taken,
};
use drawdown_protocol::{
    Identity, LinkId, LinkState, Now, Side, SocketType, StreamerConfig, StreamerEngine, Time,
    Transmit, close_for,
};
use proptest::prelude::*;

const NOW: Now = Now { time: Time::ZERO, wall: WALL };

/// An end of a link in the hands of a test.
struct Raw {
    link: LinkId,
    to_engine: (Decoder, BytesMut),
    from_engine: (Decoder, BytesMut),
}

impl Raw {
    fn connect(streamer: &mut StreamerEngine, side: Side, hello: &Hello) -> Self {
        let direction = || (Decoder::new(1 << 20), BytesMut::new());
        let link = streamer.open_link(Identity::new("raw"), side, NOW.time);
        let mut raw = Self { link, to_engine: direction(), from_engine: direction() };
        raw.says(streamer, &handshake(hello), NOW);
        raw
    }

    fn says(&mut self, streamer: &mut StreamerEngine, bytes: &[u8], now: Now) {
        let (decoder, input) = &mut self.to_engine;
        input.extend_from_slice(bytes);
        loop {
            match decoder.decode(input) {
                Ok(Some(frame)) => streamer.handle_frame(self.link, frame, now),
                Ok(None) => return,
                Err(error) => return streamer.fail_link(self.link, close_for(&error), now.time),
            }
        }
    }

    fn hears(&mut self, streamer: &mut StreamerEngine, now: Now) -> Vec<Frame> {
        let mut out = Transmit::new();
        streamer.poll_transmit(self.link, now, &mut out);
        let (decoder, input) = &mut self.from_engine;
        out.pieces().for_each(|piece| input.extend_from_slice(piece));
        std::iter::from_fn(|| decoder.decode(input).unwrap()).collect()
    }

    fn is_ended_with(&mut self, streamer: &mut StreamerEngine) -> Option<CloseCode> {
        if streamer.link_state(self.link) != LinkState::Closing {
            return None;
        }
        match self.hears(streamer, NOW).pop() {
            Some(Frame::Control(Control::Close(close))) => Some(close.code),
            _ => None,
        }
    }
}

fn streamer(rebuild_ms: u64) -> StreamerEngine {
    let rebuild = Duration::from_millis(rebuild_ms);
    let config = StreamerConfig { rebuild, ..StreamerConfig::default() };
    StreamerEngine::new(config, peer(0x40), NOW.time)
}

fn sender() -> Hello {
    Hello { features: Hello::KNOWS_STREAMERS, ..hello(SocketType::Push, peer(0x20)) }
}

fn receiver() -> Hello {
    Hello { features: Hello::KNOWS_STREAMERS, ..hello(SocketType::Pull, peer(0x30)) }
}

fn attach(held: &[(u64, u64)], confirmed: &[(u64, u64)]) -> Control {
    Control::Attach(common::attach(held, &[], confirmed))
}

fn grant(messages: u64) -> Control {
    Control::Grant(Grant {
        serial: 1,
        messages,
        bytes: messages << 21,
        contended: false,
        answered: 0,
    })
}

#[test]
fn a_receiver_that_does_not_know_streamers_is_told_so() {
    let mut streamer = streamer(0);
    let old = Hello { features: 0, ..receiver() };
    let mut raw = Raw::connect(&mut streamer, Side::Downstream, &old);
    assert_eq!(raw.is_ended_with(&mut streamer), Some(CloseCode::SocketTypeMismatch));
}

#[test]
fn a_streamer_finds_itself_wherever_it_is_named() {
    let mut streamer = streamer(0);
    let mut raw = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    let behind = Behind { receivers: 3, streamers: [peer(0x50), peer(0x40)].into_iter().collect() };
    raw.says(&mut streamer, &encoded(&Control::Behind(behind)), NOW);
    assert_eq!(raw.is_ended_with(&mut streamer), Some(CloseCode::Loop));
    for (side, socket_type) in
        [(Side::Upstream, SocketType::Push), (Side::Downstream, SocketType::Pull)]
    {
        let itself = Hello { features: 3, ..hello(socket_type, peer(0x40)) };
        let mut raw = Raw::connect(&mut streamer, side, &itself);
        assert_eq!(raw.is_ended_with(&mut streamer), Some(CloseCode::Loop));
    }
}

#[test]
fn messages_of_nobody_are_a_violation() {
    let mut streamer = streamer(0);
    let mut down = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    down.says(&mut streamer, &encoded(&attach(&[], &[])), NOW);
    down.says(&mut streamer, &encoded(&grant(5)), NOW);
    // It says that it is a streamer, and then not whose messages come.
    let hello = Hello { features: 3, ..sender() };
    let mut up = Raw::connect(&mut streamer, Side::Upstream, &hello);
    up.hears(&mut streamer, NOW);
    up.says(&mut streamer, &data(run(0, 0, 1), &record(b"x", None)), NOW);
    assert_eq!(up.is_ended_with(&mut streamer), Some(CloseCode::ProtocolViolation));
    // Nobody else may change sessions.
    let mut up = Raw::connect(&mut streamer, Side::Upstream, &sender());
    let origin = Origin { session: session(), reports_taken: false };
    up.says(&mut streamer, &encoded(&Control::Origin(origin)), NOW);
    assert_eq!(up.is_ended_with(&mut streamer), Some(CloseCode::ProtocolViolation));
}

#[test]
fn what_a_receiver_claims_to_hold_is_bounded() {
    let mut streamer = streamer(500);
    let mut down = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    let claims: Vec<_> = (0..1_000).map(|n| (n * 1_000, 900)).collect();
    down.says(&mut streamer, &encoded(&attach(&claims, &[])), NOW);
    let stats = streamer.stats(NOW.time);
    assert!(stats.down.pending <= ADOPTED_MESSAGES_MAX, "{}", stats.down.pending);
    assert!(stats.down.pending > 0);
    // It is asked for all that was not believed, and what was is forgotten with it.
    assert_eq!(streamer.link_state(down.link), LinkState::Open);
    streamer.link_lost(down.link, "gone", NOW.time);
    streamer.handle_timeout(later(NOW, 5_000));
    assert_eq!(streamer.stats(NOW.time).down.pending, 0);
    assert!(streamer.is_drained());

    // Numbers near the end of all numbers are no trouble.
    let mut down = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    down.says(&mut streamer, &encoded(&attach(&[(0, u64::MAX), (1, u64::MAX - 1)], &[])), NOW);
    assert_eq!(down.is_ended_with(&mut streamer), Some(CloseCode::ProtocolViolation));
}

#[test]
fn a_sender_that_keeps_what_was_taken_back_from_it_loses_its_link() {
    let mut streamer = streamer(0);
    let mut down = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    down.says(&mut streamer, &encoded(&attach(&[], &[])), NOW);
    down.says(&mut streamer, &encoded(&grant(4)), NOW);
    let mut deaf = Raw::connect(&mut streamer, Side::Upstream, &sender());
    deaf.hears(&mut streamer, NOW);
    let session = drawdown_protocol::Session::from_uuid(common::uuid(0x70));
    let hello = Hello { peer: peer(0x21), session: Some(session), ..sender() };
    let mut other = Raw::connect(&mut streamer, Side::Upstream, &hello);
    let wants = Demand { waiting: 10, asks: false };
    other.says(&mut streamer, &encoded(&Control::Demand(wants)), NOW);
    let mut got = 0;
    let beat = encoded(&Control::Heartbeat(Heartbeat::default()));
    for seconds in 1..60 {
        let at = later(NOW, seconds * 1_000);
        for raw in [&mut deaf, &mut other, &mut down] {
            raw.says(&mut streamer, &beat, at);
        }
        assert!(streamer.poll_timeout(at).is_some() || got > 0, "it is looked at by itself");
        streamer.handle_timeout(at);
        let grants = other.hears(&mut streamer, at).into_iter().filter_map(|frame| match frame {
            Frame::Control(Control::Grant(grant)) => Some(grant.messages),
            _ => None,
        });
        got = grants.last().unwrap_or(got);
    }
    assert_eq!(deaf.is_ended_with(&mut streamer), Some(CloseCode::ProtocolViolation));
    assert!(got >= 2, "half of the room at a time, and not {got}");
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..12, 0u64..12, Just(u64::MAX), Just(u64::MAX - 1), Just(1 << 40)]
}

fn some_spans() -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((small(), small()), 0..4)
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Confirmed),
        Just(Outcome::Rejected("no".into())),
        Just(Outcome::Released),
        small().prop_map(Outcome::RetryIn),
        small().prop_map(Outcome::Extended),
        Just(Outcome::Expired),
    ]
}

fn any_downstream() -> impl Strategy<Value = Vec<u8>> {
    let attach = (some_spans(), some_spans(), some_spans(), any::<bool>(), any::<bool>());
    let attach = attach.prop_map(|(held, taken, confirmed, more, other)| {
        let session = if other {
            drawdown_protocol::Session::from_uuid(common::uuid(0x70))
        } else {
            session()
        };
        let (held, taken, confirmed) = (spans(&held), spans(&taken), spans(&confirmed));
        Control::Attach(Attach { session, held, taken, confirmed, more })
    });
    let grant = (small(), small(), small()).prop_map(|(serial, messages, bytes)| {
        Control::Grant(Grant { serial, messages, bytes, contended: true, answered: serial })
    });
    let settle = (small(), small(), any_outcome()).prop_map(|(first, count, outcome)| {
        let settlement = Settlement { deliveries: span(first, count), outcome };
        Control::Settle(Settle { settlements: [settlement].into_iter().collect() })
    });
    let taken = some_spans().prop_map(|list| Control::Taken(Taken { deliveries: spans(&list) }));
    let behind = any::<u32>().prop_map(|receivers| {
        let streamers = [peer(0x60)].into_iter().collect();
        Control::Behind(Behind { receivers, streamers })
    });
    let heartbeat = Just(Control::Heartbeat(Heartbeat::default()));
    let any = prop_oneof![
        2 => attach, 3 => grant, 3 => settle, 1 => taken, 1 => behind, 1 => heartbeat
    ];
    any.prop_map(|control| encoded(&control))
}

fn any_upstream() -> impl Strategy<Value = Vec<u8>> {
    let messages = (0u64..20, small(), 1u32..4).prop_map(|(delivery, seq, count)| {
        let seq = seq.min(u64::MAX - 10);
        data(run(delivery, seq, count), &record(b"x", None).repeat(count as usize))
    });
    let retract = some_spans()
        .prop_map(|list| encoded(&Control::Retract(Retract { deliveries: spans(&list) })));
    let demand =
        small().prop_map(|waiting| encoded(&Control::Demand(Demand { waiting, asks: false })));
    let echo = (small(), small(), small()).prop_map(|(serial, messages, bytes)| {
        encoded(&Control::Echo(Echo { serial, messages, bytes }))
    });
    let heartbeat = (small(), small()).prop_map(|(head, settles)| {
        encoded(&Control::Heartbeat(Heartbeat { head, deliveries: 0, settles }))
    });
    let origin = any::<bool>().prop_map(|reports_taken| {
        encoded(&Control::Origin(Origin { session: session(), reports_taken }))
    });
    prop_oneof![4 => messages, 1 => retract, 1 => demand, 1 => echo, 1 => heartbeat, 1 => origin]
}

proptest! {
    #[test]
    fn nobody_upsets_a_streamer(
        is_streamer in any::<bool>(),
        rebuild in prop_oneof![Just(0u64), Just(700u64)],
        said in prop::collection::vec(
            (any::<bool>(), any_downstream(), any_upstream(), 0u64..400), 0..60
        ),
    ) {
        let mut streamer = streamer(rebuild);
        let features = if is_streamer { 3 } else { 1 };
        let (sends, receives) = (Hello { features, ..sender() }, receiver());
        let mut now = NOW;
        let mut up = Raw::connect(&mut streamer, Side::Upstream, &sends);
        let mut down = Raw::connect(&mut streamer, Side::Downstream, &receives);
        for (upstream, from_below, from_above, millis) in said {
            if upstream {
                up.says(&mut streamer, &from_above, now);
            } else {
                down.says(&mut streamer, &from_below, now);
            }
            up.hears(&mut streamer, now);
            down.hears(&mut streamer, now);
            let (room, waiting) = streamer.granted();
            let stats = streamer.stats(now.time);
            prop_assert_eq!(stats.up.queued, waiting);
            prop_assert!(stats.down.pending <= (1 << 20) + ADOPTED_MESSAGES_MAX);
            prop_assert!(room.messages <= 1 << 20);
            while streamer.poll_wake().is_some() || streamer.poll_event().is_some() {}
            now = later(now, millis);
            streamer.handle_timeout(now);
            for (raw, side, hello) in
                [(&mut up, Side::Upstream, &sends), (&mut down, Side::Downstream, &receives)]
            {
                if streamer.link_state(raw.link) == LinkState::Closing {
                    streamer.remove_link(raw.link);
                    *raw = Raw::connect(&mut streamer, side, hello);
                }
            }
        }
        // Once all are gone for good, nothing of them is left here.
        streamer.link_lost(down.link, "gone", now.time);
        streamer.handle_timeout(later(now, 2_000));
        streamer.handle_timeout(later(now, 3_000));
        streamer.handle_timeout(later(now, 4_000));
        let stats = streamer.stats(now.time);
        prop_assert_eq!((stats.down.pending, stats.down.waiting, stats.down.retained_bytes), (0, 0, 0));
    }
}

#[test]
fn a_frame_that_speaks_a_thousand_times_of_the_same_says_it_once_upstream() {
    const MESSAGES: u64 = 8;
    let mut streamer = streamer(0);
    let mut up =
        Raw::connect(&mut streamer, Side::Upstream, &Hello { reports_taken: true, ..sender() });
    let mut down = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    down.says(&mut streamer, &encoded(&attach(&[], &[])), NOW);
    down.says(&mut streamer, &encoded(&grant(MESSAGES)), NOW);
    up.hears(&mut streamer, NOW);
    let records = record(b"x", None).repeat(MESSAGES as usize);
    up.says(&mut streamer, &data(run(0, 0, MESSAGES as u32), &records), NOW);
    down.hears(&mut streamer, NOW);
    up.hears(&mut streamer, NOW);

    let every_other: Vec<_> = (0..MESSAGES).step_by(2).map(|at| (at, 1)).collect();
    let taken = |deliveries| encoded(&Control::Taken(Taken { deliveries }));
    down.says(&mut streamer, &taken(spans(&every_other)), NOW);
    up.hears(&mut streamer, NOW);
    down.says(&mut streamer, &taken(spans(&[(0, MESSAGES); 1_024])), NOW);
    let told = |frames: Vec<Frame>| -> usize {
        let told = |frame: &Frame| match frame {
            Frame::Control(Control::Taken(taken)) => taken.deliveries.len(),
            Frame::Control(Control::Settle(settle)) => settle.settlements.len(),
            _ => 0,
        };
        frames.iter().map(told).sum()
    };
    let told_taken = told(up.hears(&mut streamer, NOW));
    assert!((1..=MESSAGES as usize).contains(&told_taken), "{told_taken}");

    let settlements = (0..1_024).map(|turn| Settlement {
        deliveries: span(0, MESSAGES),
        outcome: Outcome::Extended(1_000 + turn),
    });
    let settle = Control::Settle(Settle { settlements: settlements.collect() });
    down.says(&mut streamer, &encoded(&settle), NOW);
    let frames = up.hears(&mut streamer, NOW);
    let last = frames.iter().rev().find_map(|frame| match frame {
        Frame::Control(Control::Settle(settle)) => settle.settlements.iter().last().cloned(),
        _ => None,
    });
    assert_eq!(last.map(|settlement| settlement.outcome), Some(Outcome::Extended(1_000 + 1_023)));
    let told_extended = told(frames);
    assert!((1..=MESSAGES as usize).contains(&told_extended), "{told_extended}");
}

#[test]
fn what_is_confirmed_before_its_sender_is_back_is_told_to_it() {
    let mut streamer = streamer(0);
    let mut behind = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    behind.says(&mut streamer, &encoded(&attach(&[(5, 1)], &[])), NOW);
    behind.hears(&mut streamer, NOW);
    let confirmed = Settlement { deliveries: span(0, 1), outcome: Outcome::Confirmed };
    let settle = Settle { settlements: [confirmed].into_iter().collect() };
    behind.says(&mut streamer, &encoded(&Control::Settle(settle)), NOW);
    let mut before = Raw::connect(&mut streamer, Side::Upstream, &sender());
    let heard = before.hears(&mut streamer, NOW);
    let named = heard.iter().filter_map(|frame| match frame {
        Frame::Control(Control::Attach(attach)) => Some(&attach.confirmed),
        _ => None,
    });
    let named: Vec<_> = named.flat_map(|spans| spans.iter().copied()).collect();
    assert_eq!(named, [span(5, 1)], "it would be sent again, and worked on again");
}

/// A streamer that has passed so many messages on, one by one, and both its ends.
fn passed_on(count: u64) -> (StreamerEngine, Raw, Raw) {
    let mut streamer = streamer(0);
    let mut up = Raw::connect(&mut streamer, Side::Upstream, &sender());
    let mut down = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    down.says(&mut streamer, &encoded(&attach(&[], &[])), NOW);
    down.says(&mut streamer, &encoded(&grant(count)), NOW);
    up.hears(&mut streamer, NOW);
    for number in 0..count {
        up.says(&mut streamer, &data(run(number, number, 1), &record(b"x", None)), NOW);
        down.hears(&mut streamer, NOW);
    }
    (streamer, up, down)
}

/// What a receiver is asked to give back.
fn asked_back(frames: &[Frame]) -> Vec<Span> {
    let spans = |frame: &Frame| match frame {
        Frame::Control(Control::Retract(retract)) => retract.deliveries.iter().copied().collect(),
        _ => Vec::new(),
    };
    frames.iter().flat_map(spans).collect()
}

#[test]
fn what_is_asked_back_of_one_that_is_away_is_asked_back_when_it_returns() {
    let (mut streamer, mut up, down) = passed_on(3);
    streamer.link_lost(down.link, "cut", NOW.time);
    let retract = Control::Retract(Retract { deliveries: spans(&[(1, 1)]) });
    up.says(&mut streamer, &encoded(&retract), NOW);
    let mut down = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    down.says(&mut streamer, &encoded(&attach(&[(0, 3)], &[])), NOW);
    assert_eq!(asked_back(&down.hears(&mut streamer, NOW)), [span(1, 1)]);
}

/// What it costs, in bytes allocated, that a receiver names all of 3,000 messages so often, in so many frames.
fn cost_of_naming(times: usize, frames: usize) -> u64 {
    const MESSAGES: u64 = 3_000;
    let (mut streamer, _up, _down) = passed_on(MESSAGES);
    let other = Hello { peer: peer(0x31), ..receiver() };
    let mut other = Raw::connect(&mut streamer, Side::Downstream, &other);
    let all = vec![(0, MESSAGES); times];
    let named = Attach { more: true, ..common::attach(&all, &all, &[]) };
    let bytes = encoded(&Control::Attach(named));
    let cost = allocation_counter::measure(|| {
        (0..frames).for_each(|_| other.says(&mut streamer, &bytes, NOW));
    });
    assert_eq!(streamer.link_state(other.link), LinkState::Open);
    cost.bytes_total
}

#[test]
fn what_is_named_a_thousand_times_is_looked_for_once() {
    let once = cost_of_naming(1, 1);
    for (times, frames) in [(1_024, 1), (1, 1_000)] {
        let often = cost_of_naming(times, frames);
        assert!(often < 3 * once, "{often} and {once} bytes, {times} times in {frames} frames");
    }
}

/// How many words there are on what became of messages.
fn settlements(frames: &[Frame]) -> usize {
    let count = |frame: &Frame| match frame {
        Frame::Control(Control::Settle(settle)) => settle.settlements.len(),
        _ => 0,
    };
    frames.iter().map(count).sum()
}

#[test]
fn what_is_extended_again_and_again_is_kept_once_for_a_sender_that_reads_nothing() {
    let (mut streamer, mut up, mut down) = passed_on(3);
    let say = |deliveries, outcome| {
        let settlement = Settlement { deliveries, outcome };
        encoded(&Control::Settle(Settle { settlements: [settlement].into_iter().collect() }))
    };
    for millis in 0..1_000 {
        let deliveries = span(millis % 3, 3 - millis % 3);
        down.says(&mut streamer, &say(deliveries, Outcome::Extended(millis)), NOW);
    }
    assert_eq!(settlements(&up.hears(&mut streamer, NOW)), 3);
    // Nor is anything of it left once the messages are settled.
    down.says(&mut streamer, &say(span(0, 3), Outcome::Extended(1)), NOW);
    down.says(&mut streamer, &say(span(0, 1), Outcome::Confirmed), NOW);
    down.says(&mut streamer, &say(span(1, 2), Outcome::Released), NOW);
    let heard = up.hears(&mut streamer, NOW);
    assert_eq!(settlements(&heard), 3, "{heard:?}");
}

/// What a message costs, in bytes allocated, beside so many senders that have nothing to send.
fn cost_of_a_message(senders: u64) -> u64 {
    let mut streamer = streamer(0);
    let mut down = Raw::connect(&mut streamer, Side::Downstream, &receiver());
    down.says(&mut streamer, &encoded(&attach(&[], &[])), NOW);
    let mut up = Raw::connect(&mut streamer, Side::Upstream, &sender());
    for number in 1..senders {
        let uuid = uuid::Uuid::from_u128(number.into());
        let session = Some(drawdown_protocol::Session::from_uuid(uuid));
        let hello = Hello { peer: drawdown_protocol::PeerId::from_uuid(uuid), session, ..sender() };
        Raw::connect(&mut streamer, Side::Upstream, &hello).hears(&mut streamer, NOW);
    }
    down.says(&mut streamer, &encoded(&grant(10 * senders)), NOW);
    up.hears(&mut streamer, NOW);
    while streamer.poll_wake().is_some() || streamer.poll_event().is_some() {}
    let cost = allocation_counter::measure(|| {
        for number in 0..10 {
            up.says(&mut streamer, &data(run(number, number, 1), &record(b"x", None)), NOW);
            down.hears(&mut streamer, NOW);
            let confirmed = Settlement { deliveries: span(number, 1), outcome: Outcome::Confirmed };
            let settle = Settle { settlements: [confirmed].into_iter().collect() };
            down.says(&mut streamer, &encoded(&Control::Settle(settle)), NOW);
            assert_eq!(settlements(&up.hears(&mut streamer, NOW)), 1);
        }
    });
    cost.bytes_total
}

#[test]
fn what_a_message_costs_does_not_depend_on_how_many_senders_there_are() {
    let (few, many) = (cost_of_a_message(10), cost_of_a_message(2_000));
    assert!(many < few + few / 2, "{few} and {many} bytes");
}
