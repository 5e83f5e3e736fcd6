//! Peers of a router that lie, on either side: they harm nobody but themselves.

use drawdown_protocol::limits::{RANGES_MAX, ROUTERS_MAX};
use drawdown_protocol::wire::{
    CloseCode, Control, Demand, Echo, Frame, Grant, Heartbeat, Hello, Hop, Hops, Outcome, Retract,
    Settle, Settlement, Taken,
};
use drawdown_protocol::{LinkState, PeerId, Side};
use proptest::prelude::*;
use uuid::Uuid;

use crate::common::{data, encoded, later, peer, record, run, span, spans};
use crate::raw::{NOW, Raw, client, granted, router_hello, server};
use crate::{answer, call, grant, line, named, passed, router};

fn many(count: usize) -> Vec<u8> {
    let router = |n: usize| PeerId::from_uuid(Uuid::from_u128(n as u128));
    let routers = (0..count).map(|n| Hop { router: router(n), distance: 1 }).collect();
    encoded(&Control::Hops(Hops { routers }))
}

#[test]
fn a_server_that_breaks_the_rules_loses_its_link() {
    let confirmed = Settlement { deliveries: span(0, 1), outcome: Outcome::Confirmed };
    let cases = [
        (server(), many(1), CloseCode::ProtocolViolation),
        (router_hello(0x01, Side::Downstream), many(ROUTERS_MAX + 1), CloseCode::TooMany),
        (server(), answer(1, 0), CloseCode::ProtocolViolation),
        (server(), data(run(0, 0, 1), &record(b"y", None)), CloseCode::ProtocolViolation),
        (
            server(),
            encoded(&Control::Settle(Settle { settlements: [confirmed].into_iter().collect() })),
            CloseCode::ProtocolViolation,
        ),
        (
            server(),
            encoded(&Control::Taken(Taken { deliveries: spans(&[]) })),
            CloseCode::ProtocolViolation,
        ),
    ];
    for (hello, bytes, code) in cases {
        let mut engine = router();
        let mut down = Raw::connect(&mut engine, Side::Downstream, &hello);
        down.says(&mut engine, &bytes, NOW);
        assert_eq!(down.is_ended_with(&mut engine), Some(code), "{bytes:?}");
    }
}

#[test]
fn a_client_that_breaks_the_rules_loses_its_link_and_nobody_else_does() {
    let hops = many(1);
    let broken = call(0, 1, &[7, 15, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let too_many: Vec<u8> = (0..5).flat_map(|at| call(at, at, &[])).collect();
    let echo = encoded(&Control::Echo(Echo { serial: 1, messages: 9, bytes: 9 }));
    let cases = [
        (hops, CloseCode::ProtocolViolation),
        (broken, CloseCode::ProtocolViolation),
        (call(1, 1, &[]), CloseCode::ProtocolViolation),
        (too_many, CloseCode::CreditExceeded),
        (echo, CloseCode::ProtocolViolation),
    ];
    for (bytes, code) in cases {
        let (mut engine, mut up, down) = line(4, Hello::KNOWS_ROUTERS);
        up.says(&mut engine, &bytes, NOW);
        assert_eq!(up.is_ended_with(&mut engine), Some(code), "{bytes:?}");
        assert_eq!(engine.link_state(down.link), LinkState::Open);
    }
}

#[test]
fn a_server_that_refuses_what_only_a_router_may_is_none() {
    let rejected = |hello: &Hello| {
        let mut engine = router();
        let mut up = Raw::connect(&mut engine, Side::Upstream, &client());
        let mut down = Raw::connect(&mut engine, Side::Downstream, hello);
        down.says(&mut engine, &grant(1, 4), NOW);
        up.hears(&mut engine, NOW);
        up.says(&mut engine, &call(0, 5, &[]), NOW);
        down.hears(&mut engine, NOW);
        let outcome = Outcome::Rejected("gone".into());
        let settlement = Settlement { deliveries: span(0, 1), outcome };
        let settle = Settle { settlements: [settlement].into_iter().collect() };
        down.says(&mut engine, &encoded(&Control::Settle(settle)), NOW);
        down.is_ended_with(&mut engine)
    };
    assert_eq!(rejected(&server()), Some(CloseCode::ProtocolViolation));
    assert_eq!(rejected(&router_hello(0x01, Side::Downstream)), None);
}

#[test]
fn a_client_that_keeps_what_was_taken_back_from_it_loses_its_link() {
    let (mut engine, mut deaf, mut down) = line(4, Hello::KNOWS_ROUTERS);
    let mut other = Raw::connect_as(&mut engine, Side::Upstream, &client(), 0x21);
    let wants = Demand { waiting: 10, asks: false };
    other.says(&mut engine, &encoded(&Control::Demand(wants)), NOW);
    let mut got = granted(&other.hears(&mut engine, NOW));
    assert_eq!((granted(&deaf.hears(&mut engine, NOW)), got), (Some(1), Some(0)));
    let beat = encoded(&Control::Heartbeat(Heartbeat::default()));
    for seconds in 1..60 {
        let at = later(NOW, seconds * 1_000);
        for raw in [&mut deaf, &mut other, &mut down] {
            raw.says(&mut engine, &beat, at);
        }
        engine.handle_timeout(at.time);
        got = granted(&other.hears(&mut engine, at)).or(got);
    }
    assert_eq!(deaf.is_ended_with(&mut engine), Some(CloseCode::ProtocolViolation));
    assert!(got >= Some(2), "half of the room at a time, and not {got:?}");
}

#[test]
fn what_a_client_asked_for_and_does_not_use_is_for_others() {
    let (mut engine, mut idle, _down) = line(4, Hello::KNOWS_ROUTERS);
    let wants = encoded(&Control::Demand(Demand { waiting: 10, asks: false }));
    idle.says(&mut engine, &wants, NOW);
    let mut other = Raw::connect_as(&mut engine, Side::Upstream, &client(), 0x21);
    other.says(&mut engine, &wants, NOW);
    for seconds in 1..4 {
        let at = later(NOW, seconds * 1_000);
        engine.handle_timeout(at.time);
        let grants = idle.hears(&mut engine, at).into_iter().filter_map(|frame| match frame {
            Frame::Control(Control::Grant(grant)) => Some(grant.serial),
            _ => None,
        });
        if let Some(serial) = grants.last() {
            let echo = Control::Echo(Echo { serial, messages: 0, bytes: 0 });
            idle.says(&mut engine, &encoded(&echo), at);
        }
    }
    let got = granted(&other.hears(&mut engine, later(NOW, 3_000)));
    assert!(got > Some(0), "it waits for ever: {got:?}");
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..8, 0u64..8, any::<u64>()]
}

fn some_names() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0x40u8), Just(0x01), 0x60..0x70u8], 0..12)
}

fn any_downstream() -> impl Strategy<Value = Vec<u8>> {
    let grant = (small(), small(), small()).prop_map(|(serial, messages, bytes)| {
        encoded(&Control::Grant(Grant {
            serial,
            messages,
            bytes,
            contended: true,
            answered: serial,
        }))
    });
    let outcome = prop_oneof![
        Just(Outcome::Released),
        Just(Outcome::Expired),
        Just(Outcome::Rejected("no".into())),
    ];
    let settle = (small(), small(), outcome).prop_map(|(first, count, outcome)| {
        let settlement = Settlement { deliveries: span(first, count), outcome };
        encoded(&Control::Settle(Settle { settlements: [settlement].into_iter().collect() }))
    });
    let hops = (some_names(), any::<u32>()).prop_map(|(names, distance)| {
        let routers = names.iter().map(|name| Hop { router: peer(*name), distance });
        encoded(&Control::Hops(Hops { routers: routers.take(RANGES_MAX).collect() }))
    });
    let answer = (0u64..6, 0u64..6).prop_map(|(delivery, number)| answer(delivery, number));
    let heartbeat = Just(encoded(&Control::Heartbeat(Heartbeat::default())));
    prop_oneof![4 => grant, 2 => settle, 2 => hops, 4 => answer, 1 => heartbeat]
}

fn any_upstream() -> impl Strategy<Value = Vec<u8>> {
    let call = (0u64..6, 0u64..6, some_names(), any::<bool>(), any::<u64>()).prop_map(
        |(delivery, number, names, once, expires)| {
            let names: Vec<_> = names.iter().map(|name| peer(*name)).collect();
            let mut more = passed(&names);
            if once {
                more.extend([6, 0]);
            }
            more.extend([1, 8]);
            more.extend(expires.to_le_bytes());
            data(run(delivery, delivery, 1), &record(b"x", Some(&named(number, &more))))
        },
    );
    let retract = (small(), small()).prop_map(|(first, count)| {
        encoded(&Control::Retract(Retract {
            deliveries: [span(first, count)].into_iter().collect(),
        }))
    });
    let demand =
        small().prop_map(|waiting| encoded(&Control::Demand(Demand { waiting, asks: false })));
    let echo = (small(), small(), small()).prop_map(|(serial, messages, bytes)| {
        encoded(&Control::Echo(Echo { serial, messages, bytes }))
    });
    let heartbeat = Just(encoded(&Control::Heartbeat(Heartbeat::default())));
    prop_oneof![5 => call, 1 => retract, 1 => demand, 1 => echo, 1 => heartbeat]
}

proptest! {
    #[test]
    fn nobody_upsets_a_router(
        up_is_router in any::<bool>(),
        down_is_router in any::<bool>(),
        said in prop::collection::vec(
            (any::<bool>(), any_downstream(), any_upstream(), 0u64..400), 0..60
        ),
    ) {
        let mut engine = router();
        let above = if up_is_router { router_hello(0x01, Side::Upstream) } else { client() };
        let below = if down_is_router { router_hello(0x02, Side::Downstream) } else { server() };
        let mut now = NOW;
        let mut up = Raw::connect(&mut engine, Side::Upstream, &above);
        let mut down = Raw::connect(&mut engine, Side::Downstream, &below);
        for (upstream, from_below, from_above, millis) in said {
            if upstream {
                up.says(&mut engine, &from_above, now);
            } else {
                down.says(&mut engine, &from_below, now);
            }
            up.hears(&mut engine, now);
            down.hears(&mut engine, now);
            let (room, _) = engine.granted(None);
            let stats = engine.stats(now.time);
            prop_assert!(room.messages <= 1 << 20);
            prop_assert_eq!(stats.up.working, stats.down.pending, "each is known on both sides");
            while engine.poll_wake().is_some() || engine.poll_event().is_some() {}
            now = later(now, millis);
            engine.handle_timeout(now.time);
            for (raw, side, hello) in
                [(&mut up, Side::Upstream, &above), (&mut down, Side::Downstream, &below)]
            {
                if engine.link_state(raw.link) == LinkState::Closing {
                    engine.remove_link(raw.link);
                    *raw = Raw::connect(&mut engine, side, hello);
                }
            }
        }
    }
}
