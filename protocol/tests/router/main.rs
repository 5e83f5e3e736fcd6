//! Routers: what a client, a server or another router on the wire sees of one, and what peers that lie come to.

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod raw;
mod routes;

use std::time::Duration;

use common::{data, encoded, later, peer, record, run, span};
use drawdown_protocol::limits::{RANGES_MAX, SILENCE_MAX};
use drawdown_protocol::message::Records;
use drawdown_protocol::wire::{
    CloseCode, Control, Frame, Grant, Hello, Outcome, Retract, Settle, Settlement,
};
use drawdown_protocol::{CallId, LinkState, PeerId, RouterConfig, RouterEngine, Side};

use raw::{NOW, Raw, client, granted, router_hello, server};

const CLIENT: [u8; 8] = [7; 8];

fn router() -> RouterEngine {
    RouterEngine::new(RouterConfig::default(), peer(0x50), peer(0x40))
}

/// Tag 4, and what else.
fn named(number: u64, more: &[u8]) -> Vec<u8> {
    [&[4, 16][..], &CallId::new(CLIENT, number).to_bytes(), more].concat()
}

fn call(delivery: u64, number: u64, more: &[u8]) -> Vec<u8> {
    data(run(delivery, delivery, 1), &record(b"x", Some(&named(number, more))))
}

fn answer(delivery: u64, number: u64) -> Vec<u8> {
    data(run(delivery, delivery, 1), &record(b"y", Some(&named(number, &[]))))
}

/// Tag 7.
fn passed(routers: &[PeerId]) -> Vec<u8> {
    let names = routers.iter().flat_map(|router| *router.as_uuid().as_bytes());
    [7, (routers.len() * 16) as u8].into_iter().chain(names).collect()
}

fn grant(serial: u64, messages: u64) -> Vec<u8> {
    let bytes = messages << 21;
    encoded(&Control::Grant(Grant { serial, messages, bytes, contended: false, answered: 0 }))
}

fn released(first: u64) -> Vec<u8> {
    let settlement = Settlement { deliveries: span(first, 1), outcome: Outcome::Released };
    encoded(&Control::Settle(Settle { settlements: [settlement].into_iter().collect() }))
}

/// What was said of calls.
fn outcomes(frames: &[Frame]) -> Vec<(u64, Outcome)> {
    let settles = frames.iter().filter_map(|frame| match frame {
        Frame::Control(Control::Settle(settle)) => Some(settle.settlements.iter()),
        _ => None,
    });
    settles.flatten().map(|s| (s.deliveries.first, s.outcome.clone())).collect()
}

/// The calls that were passed on: their numbers, and the routers that they have passed.
fn passed_on(frames: &[Frame]) -> Vec<(u64, bool, Vec<PeerId>)> {
    let runs = frames.iter().filter_map(|frame| match frame {
        Frame::Data(data) => Some(data),
        _ => None,
    });
    let calls = runs.flat_map(|data| {
        Records::new(&data.records).map(|(at, head)| {
            let name = head.call.expect("a name");
            let number = *name.to_bytes().last().expect("sixteen bytes");
            (u64::from(number), head.at_most_once, head.routers(&data.records[at..]).collect())
        })
    });
    calls.collect()
}

/// A router with a client and a server that has granted so much.
fn line(messages: u64, features: u64) -> (RouterEngine, Raw, Raw) {
    let mut router = router();
    let mut down = Raw::connect(&mut router, Side::Downstream, &server());
    down.says(&mut router, &grant(1, messages), NOW);
    let mut up = Raw::connect(&mut router, Side::Upstream, &Hello { features, ..client() });
    let heard = up.hears(&mut router, NOW);
    assert_eq!(granted(&heard), Some(messages), "what its server has granted, and no more");
    down.hears(&mut router, NOW);
    (router, up, down)
}

#[test]
fn a_call_goes_on_under_its_name_and_its_answer_back() {
    let (mut router, mut up, mut down) = line(4, Hello::KNOWS_ROUTERS);
    up.says(&mut router, &call(0, 5, &[]), NOW);
    let heard = down.hears(&mut router, NOW);
    assert_eq!(passed_on(&heard), [(5, false, vec![peer(0x40)])]);
    down.says(&mut router, &answer(0, 5), NOW);
    let heard = up.hears(&mut router, NOW);
    assert_eq!(passed_on(&heard), [(5, false, vec![])]);
    let again = later(NOW, 10);
    router.handle_timeout(again.time);
    let said = outcomes(&down.hears(&mut router, again));
    assert_eq!(said, [(0, Outcome::Confirmed)], "its server need not keep the answer");
    assert!(!router.is_drained(), "the client has not confirmed it");
    let confirmed = Settlement { deliveries: span(0, 1), outcome: Outcome::Confirmed };
    let settle = Settle { settlements: [confirmed].into_iter().collect() };
    up.says(&mut router, &encoded(&Control::Settle(settle)), again);
    assert!(router.is_drained());
    up.says(&mut router, &call(1, 5, &[]), again);
    assert_eq!(passed_on(&up.hears(&mut router, again)).len(), 1, "it is answered again");
    assert!(passed_on(&down.hears(&mut router, again)).is_empty(), "and not worked on");
}

#[test]
fn the_time_that_a_call_has_left_goes_with_it() {
    let (mut router, mut up, mut down) = line(4, Hello::KNOWS_ROUTERS);
    let until = common::WALL.as_millis() + 10_000;
    let expires = [&[1, 8][..], &until.to_le_bytes()].concat();
    up.says(&mut router, &call(0, 5, &expires), NOW);
    let at = later(NOW, 4_000);
    let heard = down.hears(&mut router, at);
    let Some(Frame::Data(data)) = heard.first() else { panic!("{heard:?}") };
    let (_, head) = Records::new(&data.records).next().expect("a call");
    let left = data.header.sent_at.until(head.expires.expect("a deadline"));
    assert_eq!(left, Duration::from_millis(6_000));
}

#[test]
fn a_server_that_is_lost_costs_its_client_an_attempt_unless_the_call_runs_at_most_once() {
    let once = [6, 0];
    for (more, features, told) in [
        (&[][..], Hello::KNOWS_ROUTERS, true),
        (&once[..], Hello::KNOWS_ROUTERS, false),
        (&[][..], 0, false),
    ] {
        let (mut router, mut up, mut down) = line(4, features);
        up.says(&mut router, &call(0, 5, more), NOW);
        let heard = down.hears(&mut router, NOW);
        assert_eq!(passed_on(&heard), [(5, !told, vec![peer(0x40)])]);
        router.link_lost(down.link, "it is gone", NOW.time);
        let said = outcomes(&up.hears(&mut router, NOW));
        assert_eq!(matches!(said[..], [(0, Outcome::Rejected(_))]), told, "{said:?}");
        let mut other = Raw::connect_as(&mut router, Side::Downstream, &server(), 0x31);
        other.says(&mut router, &grant(1, 4), NOW);
        assert!(passed_on(&other.hears(&mut router, NOW)).is_empty(), "not at another server");
        let mut back = Raw::connect(&mut router, Side::Downstream, &server());
        back.says(&mut router, &grant(1, 4), NOW);
        let again = passed_on(&back.hears(&mut router, NOW));
        assert_eq!(again.len(), usize::from(!told), "at its own, if it is kept here");
    }
}

#[test]
fn what_a_server_gives_back_goes_to_another_one() {
    let (mut router, mut up, mut down) = line(1, Hello::KNOWS_ROUTERS);
    up.says(&mut router, &call(0, 5, &[6, 0]), NOW);
    down.hears(&mut router, NOW);
    let mut other = Raw::connect_as(&mut router, Side::Downstream, &server(), 0x31);
    other.says(&mut router, &grant(1, 4), NOW);
    down.says(&mut router, &released(0), NOW);
    assert_eq!(passed_on(&other.hears(&mut router, NOW)).len(), 1, "nobody has begun with it");
}

#[test]
fn what_no_server_has_room_for_goes_back_after_a_while() {
    let (mut router, mut up, mut down) = line(2, Hello::KNOWS_ROUTERS);
    down.says(&mut router, &grant(2, 0), NOW);
    up.says(&mut router, &call(0, 5, &[]), NOW);
    let at = later(NOW, 99);
    router.handle_timeout(at.time);
    assert!(outcomes(&up.hears(&mut router, at)).is_empty());
    let at = later(NOW, 101);
    router.handle_timeout(at.time);
    assert_eq!(outcomes(&up.hears(&mut router, at)), [(0, Outcome::Released)]);
}

#[test]
fn a_router_that_is_told_to_stop_gives_back_what_no_server_has_and_waits_for_the_rest() {
    let (mut router, mut up, mut down) = line(2, Hello::KNOWS_ROUTERS);
    up.says(&mut router, &call(0, 5, &[]), NOW);
    down.hears(&mut router, NOW);
    down.says(&mut router, &grant(2, 1), NOW);
    up.says(&mut router, &call(1, 6, &[]), NOW);
    router.close_intake(NOW.time);
    let heard = up.hears(&mut router, NOW);
    assert_eq!(outcomes(&heard), [(1, Outcome::Released)]);
    down.says(&mut router, &answer(0, 5), NOW);
    assert_eq!(passed_on(&up.hears(&mut router, NOW)).len(), 1);
    assert_eq!(router.link_state(up.link), LinkState::Open);
}

#[test]
fn a_router_is_drained_once_its_clients_know_what_goes_back() {
    let (mut router, mut up, mut down) = line(1, Hello::KNOWS_ROUTERS);
    down.says(&mut router, &grant(2, 0), NOW);
    up.says(&mut router, &call(0, 5, &[]), NOW);
    router.close_intake(NOW.time);
    assert!(!router.is_drained(), "a last word now would be all that they hear");
    assert_eq!(outcomes(&up.hears(&mut router, NOW)), [(0, Outcome::Released)]);
    assert!(router.is_drained());
}

#[test]
fn calls_of_one_name_that_came_by_two_ways_have_one_answer() {
    let mut router = router();
    let mut up = Raw::connect(&mut router, Side::Upstream, &client());
    let mut other = Raw::connect_named(&mut router, Side::Upstream, &client(), "another way");
    let mut down = Raw::connect(&mut router, Side::Downstream, &server());
    down.says(&mut router, &grant(1, 8), NOW);
    up.hears(&mut router, NOW);
    other.hears(&mut router, NOW);
    up.says(&mut router, &call(0, 5, &[]), NOW);
    other.says(&mut router, &call(0, 5, &[]), NOW);
    assert_eq!(passed_on(&down.hears(&mut router, NOW)).len(), 2);
    down.says(&mut router, &answer(0, 5), NOW);
    assert_eq!(passed_on(&up.hears(&mut router, NOW)).len(), 1);
    assert_eq!(passed_on(&other.hears(&mut router, NOW)).len(), 1);
}

#[test]
fn what_nobody_waits_for_is_withdrawn_and_its_server_blamed_if_it_comes_again() {
    let (mut router, mut up, mut down) = line(4, Hello::KNOWS_ROUTERS);
    up.says(&mut router, &call(0, 5, &[]), NOW);
    down.hears(&mut router, NOW);
    let retract = Retract { deliveries: [span(0, 1)].into_iter().collect() };
    let at = later(NOW, 1_000);
    up.says(&mut router, &encoded(&Control::Retract(retract)), at);
    let heard = down.hears(&mut router, at);
    assert!(heard.iter().any(|f| matches!(f, Frame::Control(Control::Retract(_)))), "{heard:?}");
    up.says(&mut router, &call(1, 5, &[]), at);
    assert!(router.stats(at.time).down.links[0].silent, "it had a second, and said nothing");
    assert!(passed_on(&down.hears(&mut router, at)).is_empty());
    assert_eq!(granted(&up.hears(&mut router, at)), Some(2), "its room is not granted");
    let at = later(NOW, 2_001);
    router.handle_timeout(at.time);
    assert_eq!(router.link_state(down.link), LinkState::Open);
    assert!(!router.stats(at.time).down.links[0].silent, "it is tried again");
}

#[test]
fn a_server_that_answers_others_is_not_blamed_for_one_slow_call() {
    let (mut router, mut up, mut down) = line(4, Hello::KNOWS_ROUTERS);
    up.says(&mut router, &call(0, 5, &[]), NOW);
    up.says(&mut router, &call(1, 6, &[]), NOW);
    down.hears(&mut router, NOW);
    down.says(&mut router, &answer(0, 6), later(NOW, 500));
    let retract = Retract { deliveries: [span(0, 1)].into_iter().collect() };
    let at = later(NOW, 1_000);
    up.says(&mut router, &encoded(&Control::Retract(retract)), at);
    up.says(&mut router, &call(2, 5, &[]), at);
    assert!(!router.stats(at.time).down.links[0].silent);
}

#[test]
fn no_client_says_for_how_long_others_do_without_a_server() {
    let (mut router, mut up, mut down) = line(4, Hello::KNOWS_ROUTERS);
    up.says(&mut router, &call(0, 5, &[]), NOW);
    down.hears(&mut router, NOW);
    let retract = Retract { deliveries: [span(0, 1)].into_iter().collect() };
    let at = later(NOW, 3_600_000);
    up.says(&mut router, &encoded(&Control::Retract(retract)), at);
    up.says(&mut router, &call(1, 5, &[]), at);
    assert!(router.stats(at.time).down.links[0].silent);
    let at = later(at, SILENCE_MAX.as_millis() as u64);
    router.handle_timeout(at.time);
    assert!(!router.stats(at.time).down.links[0].silent);
}

#[test]
fn a_router_is_no_server_of_its_own() {
    let mut router = router();
    let own = Hello { peer: peer(0x50), ..router_hello(0x40, Side::Downstream) };
    let mut down = Raw::connect(&mut router, Side::Downstream, &own);
    assert_eq!(down.is_ended_with(&mut router), Some(CloseCode::Loop));
}

#[test]
fn calls_that_come_again_together_leave_their_server_out_once() {
    let (mut router, mut up, mut down) = line(8, Hello::KNOWS_ROUTERS);
    (0..4).for_each(|number| up.says(&mut router, &call(number, number, &[]), NOW));
    down.hears(&mut router, NOW);
    let at = later(NOW, 1_000);
    let retract = Retract { deliveries: [span(0, 4)].into_iter().collect() };
    up.says(&mut router, &encoded(&Control::Retract(retract)), at);
    (0..4).for_each(|number| up.says(&mut router, &call(4 + number, number, &[]), at));
    let is_silent = |millis| router.stats(later(NOW, millis).time).down.links[0].silent;
    assert!(is_silent(1_999) && !is_silent(2_000), "as long as they had");
}

#[test]
fn what_a_client_is_told_of_many_calls_fits_into_frames() {
    let calls = RANGES_MAX as u64 + 100;
    let (mut router, mut up, mut down) = line(calls, Hello::KNOWS_ROUTERS);
    (0..calls).for_each(|number| up.says(&mut router, &call(number, number, &[]), NOW));
    down.hears(&mut router, NOW);
    router.link_lost(down.link, "it is gone", NOW.time);
    assert_eq!(outcomes(&up.hears(&mut router, NOW)).len() as u64, calls);
}

/// A router with a client, and two servers: the connection of the first, which has more room, takes nothing.
fn beside_a_stuck_one(stuck: &Hello) -> (RouterEngine, Raw, Raw) {
    let mut router = router();
    let mut up = Raw::connect(&mut router, Side::Upstream, &client());
    let mut first = Raw::connect(&mut router, Side::Downstream, stuck);
    first.says(&mut router, &grant(1, 8), NOW);
    let mut other = Raw::connect_as(&mut router, Side::Downstream, &server(), 0x31);
    other.says(&mut router, &grant(1, 2), NOW);
    up.hears(&mut router, NOW);
    (router, up, other)
}

#[test]
fn a_server_whose_connection_takes_nothing_is_left_out_when_a_call_comes_again() {
    for stuck in [server(), router_hello(0x01, Side::Downstream)] {
        let (mut router, mut up, mut other) = beside_a_stuck_one(&stuck);
        up.says(&mut router, &call(0, 5, &[]), NOW);
        assert!(passed_on(&other.hears(&mut router, NOW)).is_empty());
        let at = later(NOW, 1_000);
        let retract = Retract { deliveries: [span(0, 1)].into_iter().collect() };
        up.says(&mut router, &encoded(&Control::Retract(retract)), at);
        up.says(&mut router, &call(1, 5, &[]), at);
        assert_eq!(passed_on(&other.hears(&mut router, at)).len(), 1, "it took nothing before");
    }
}

#[test]
fn what_a_connection_does_not_take_goes_to_another_server_also_if_it_runs_at_most_once() {
    for stuck in [server(), router_hello(0x01, Side::Downstream)] {
        let (mut router, mut up, mut other) = beside_a_stuck_one(&stuck);
        up.says(&mut router, &call(0, 5, &[6, 0]), NOW);
        let until = SILENCE_MAX.as_millis() as u64;
        for (millis, wanted) in [(until - 1, 0), (until, 1)] {
            let at = later(NOW, millis);
            router.handle_timeout(at.time);
            assert_eq!(passed_on(&other.hears(&mut router, at)).len(), wanted, "{millis}");
        }
    }
}

/// What a call costs, in bytes allocated, beside so many clients that have nothing to say.
fn cost_of_a_call(clients: u64) -> u64 {
    let mut router = router();
    let mut down = Raw::connect(&mut router, Side::Downstream, &server());
    let mut up = Raw::connect(&mut router, Side::Upstream, &client());
    for _ in 1..clients {
        Raw::connect(&mut router, Side::Upstream, &client()).hears(&mut router, NOW);
    }
    down.says(&mut router, &grant(1, 10 * clients), NOW);
    up.hears(&mut router, NOW);
    while router.poll_wake().is_some() || router.poll_event().is_some() {}
    let cost = allocation_counter::measure(|| {
        for number in 0..10 {
            up.says(&mut router, &call(number, number, &[]), NOW);
            assert_eq!(passed_on(&down.hears(&mut router, NOW)).len(), 1);
            down.says(&mut router, &answer(number, number), NOW);
            assert_eq!(passed_on(&up.hears(&mut router, NOW)).len(), 1);
        }
    });
    cost.bytes_total
}

#[test]
fn what_a_call_costs_does_not_depend_on_how_many_clients_there_are() {
    let (few, many) = (cost_of_a_call(10), cost_of_a_call(2_000));
    assert!(many < few + few / 2, "{few} and {many} bytes");
}

#[test]
fn what_waits_is_counted_with_each_call_that_comes_and_goes() {
    let (mut router, mut up, mut down) = line(40, Hello::KNOWS_ROUTERS);
    down.says(&mut router, &grant(2, 0), NOW);
    assert_eq!(router.granted(None).1.messages, 0);
    up.says(&mut router, &call(0, 0, &[]), NOW);
    let one = router.granted(None).1;
    (1..40).for_each(|number| up.says(&mut router, &call(number, number, &[]), NOW));
    let waiting = |router: &RouterEngine, calls| {
        let (_, waiting) = router.granted(None);
        assert_eq!((waiting.messages, waiting.bytes), (calls, calls * one.bytes));
    };
    waiting(&router, 40);
    let retract = Retract { deliveries: [span(0, 10)].into_iter().collect() };
    up.says(&mut router, &encoded(&Control::Retract(retract)), NOW);
    waiting(&router, 30);
    down.says(&mut router, &grant(3, 5), NOW);
    waiting(&router, 25);
    down.hears(&mut router, NOW);
    down.says(&mut router, &released(0), NOW);
    waiting(&router, 26);
    let at = later(NOW, 200);
    router.handle_timeout(at.time);
    waiting(&router, 0);
}
