//! Routers between clients and servers: one scenario for each behaviour, and seeds that once showed a fault.

use std::time::Duration;

use drawdown_protocol::{
    CallError, CallOptions, Priority, ReplyConfig, RequestConfig, RouterConfig, Settled,
};
use drawdown_tests::sim::{
    Kind, Network, Node, Plan, RepPlan, ReqPlan, RouterPlan, Verb, WirePlan, run_seed,
};

use crate::ms;

fn client(pending_calls: u64, call: CallOptions) -> ReqPlan {
    let config = RequestConfig { pending_calls, call, ..RequestConfig::default() };
    ReqPlan { config, ..ReqPlan::default() }
}

/// A server that the test works by hand.
fn server(window_messages: u64) -> RepPlan {
    let config = ReplyConfig { window_messages, ..ReplyConfig::default() };
    RepPlan { config, ..RepPlan::default() }
}

fn quick() -> CallOptions {
    CallOptions { timeout: ms(3_000), attempt_timeout: ms(300), ..CallOptions::default() }
}

fn once() -> CallOptions {
    CallOptions { at_most_once: true, ..quick() }
}

fn wire(up: Node, down: Node, level: u8) -> WirePlan {
    let priority = Priority::new(level).expect("levels are from 1 to 16");
    WirePlan { priority, ..WirePlan::between(up, down) }
}

fn network(
    reqs: Vec<ReqPlan>,
    routers: usize,
    reps: Vec<RepPlan>,
    wires: Vec<WirePlan>,
) -> Network {
    let routers = vec![RouterPlan::default(); routers];
    let mut network = Network::new(Plan { reqs, routers, reps, wires, ..Plan::default() });
    network.run_ms(50);
    network
}

/// A client, routers one behind the other, and servers behind the last.
fn chain(req: ReqPlan, depth: usize, reps: Vec<RepPlan>) -> Network {
    let mut last = Node::Req(0);
    let mut wires = Vec::new();
    for router in 0..depth {
        wires.push(wire(last, Node::Router(router), 1));
        last = Node::Router(router);
    }
    wires.extend((0..reps.len()).map(|rep| wire(last, Node::Rep(rep), 1)));
    network(vec![req], depth, reps, wires)
}

/// Two sites, each with a client, a router and a server; each router prefers its own server, and lends to the other site.
fn two_sites(call: CallOptions, window: u64) -> Network {
    let wires = (0..2).flat_map(|site| {
        [
            wire(Node::Req(site), Node::Router(site), 1),
            wire(Node::Router(site), Node::Rep(site), 1),
            wire(Node::Router(site), Node::Router(1 - site), 2),
        ]
    });
    let reqs = vec![client(10, call); 2];
    network(reqs, 2, vec![server(window); 2], wires.collect())
}

fn calls(network: &mut Network, req: usize, count: usize) -> Vec<u64> {
    (0..count).map(|_| network.request(req).expect("there is room")).collect()
}

fn unanswered<const N: usize>(network: &Network) -> [u64; N] {
    std::array::from_fn(|rep| network.server(rep).unanswered())
}

#[test]
fn a_call_passes_routers_and_its_answer_comes_back() {
    let mut network = chain(client(10, quick()), 3, vec![server(4)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(20);
    assert_eq!(network.answer_all(0), 1);
    network.run_ms(20);
    assert!(network.is_answered(0, call));
    let refused = network.request(0).expect("there is room");
    network.run_ms(20);
    let task = network.take_call(0).expect("it has come");
    network.answer(0, &task, Verb::Reject);
    network.run_ms(20);
    let outcome = network.outcome(0, refused);
    assert!(matches!(outcome, Some(Settled::Failed(CallError::Rejected(_)))), "{outcome:?}");
}

#[test]
fn a_router_has_no_room_of_its_own() {
    let mut network = chain(client(10, quick()), 2, vec![server(2), server(1)]);
    let made = calls(&mut network, 0, 5);
    network.run_ms(20);
    assert_eq!(unanswered(&network), [2, 1]);
    assert_eq!(network.client_stats(0).waiting, 2, "the others wait at their client");
    for _ in 0..5 {
        network.answer_all(0);
        network.answer_all(1);
        network.run_ms(20);
    }
    assert!(made.into_iter().all(|call| network.is_answered(0, call)));
}

#[test]
fn servers_behind_routers_get_as_many_calls_as_those_beside_them() {
    let mut wires = vec![wire(Node::Req(0), Node::Router(0), 1)];
    wires.push(wire(Node::Router(0), Node::Router(1), 1));
    wires.extend((0..3).map(|rep| wire(Node::Router(1), Node::Rep(rep), 1)));
    wires.push(wire(Node::Req(0), Node::Rep(3), 1));
    let mut network = network(vec![client(100, quick())], 2, vec![server(10); 4], wires);
    calls(&mut network, 0, 20);
    network.run_ms(30);
    let each: [u64; 4] = unanswered(&network);
    assert!(each.iter().all(|calls| (4..=6).contains(calls)), "{each:?}");
}

#[test]
fn a_server_that_dies_is_replaced_by_its_clients_own_retry() {
    let mut network = chain(client(10, quick()), 1, vec![server(4), server(2)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(20);
    assert_eq!(unanswered(&network), [1, 0]);
    network.kill_server(0);
    network.run_ms(100);
    assert_eq!(network.client_stats(0).retried, 1);
    assert_eq!(network.answer_all(1), 1);
    network.run_ms(20);
    assert!(network.is_answered(0, call));
}

#[test]
fn a_call_that_must_run_at_most_once_stays_where_it_was_begun() {
    let mut network = chain(client(10, once()), 2, vec![server(4), server(2)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(20);
    let task = network.take_call(0).expect("it has come");
    for broken in [0, 1, 2] {
        network.break_wire(broken, Duration::ZERO);
        network.run_ms(30);
    }
    assert_eq!(unanswered(&network), [1, 0]);
    network.answer(0, &task, Verb::Answer);
    network.run_ms(50);
    assert!(network.is_answered(0, call));
    assert_eq!(network.times_begun(0, call), 1);
    let lost = network.request(0).expect("there is room");
    network.run_ms(20);
    network.take_call(0).expect("it has come");
    network.kill_server(0);
    network.run_ms(3_500);
    assert_eq!(network.outcome(0, lost), Some(Settled::Failed(CallError::TimedOut)));
    assert_eq!((network.times_begun(0, lost), network.received(1)), (1, 0));
}

#[test]
fn at_most_once_holds_when_a_router_is_started_anew_with_its_name_or_without() {
    for named in [true, false] {
        let wires = vec![
            wire(Node::Req(0), Node::Router(0), 1),
            wire(Node::Router(0), Node::Rep(0), 1),
            wire(Node::Router(0), Node::Rep(1), 1),
        ];
        let routers = vec![RouterPlan { named, ..RouterPlan::default() }];
        let (reqs, reps) = (vec![client(10, once())], vec![server(4), server(2)]);
        let mut network = Network::new(Plan { reqs, routers, reps, wires, ..Plan::default() });
        network.run_ms(50);
        let begun = network.request(0).expect("there is room");
        network.run_ms(20);
        network.take_call(0).expect("it has come");
        network.kill(Node::Router(0));
        network.run_ms(20);
        network.start(Node::Router(0));
        network.run_ms(100);
        let after = network.request(0).expect("there is room");
        network.run_ms(20);
        network.answer_all(0);
        network.answer_all(1);
        network.run_ms(3_500);
        assert!(network.is_answered(0, after), "named {named}: what comes later goes on");
        assert_eq!(network.outcome(0, begun), Some(Settled::Failed(CallError::TimedOut)));
        assert_eq!(network.times_begun(0, begun), 1);
    }
}

#[test]
fn a_call_that_nobody_waits_for_is_withdrawn_from_behind_routers() {
    let mut network = chain(client(10, quick()), 2, vec![server(1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(20);
    network.cancel_request(0, call);
    network.run_ms(20);
    assert_eq!(network.server(0).queued(), 0, "its server has not begun, and drops it");
    let begun = network.request(0).expect("there is room");
    network.run_ms(20);
    let task = network.take_call(0).expect("it has come");
    network.cancel_request(0, begun);
    network.run_ms(20);
    assert!(network.server(0).is_cancelled(task.call().key));
}

#[test]
fn a_server_behind_that_does_not_answer_is_left_out_when_its_call_comes_again() {
    let mut network = chain(client(10, quick()), 1, vec![server(4), server(2)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(400);
    assert_eq!(network.server(0).unanswered(), 0, "it was withdrawn from there");
    assert_eq!(network.answer_all(1), 1);
    network.run_ms(20);
    assert!(network.is_answered(0, call));
    let links = network.client_stats(0).links;
    assert!(links.iter().all(|link| !link.silent), "the router is not silent: {links:?}");
}

#[test]
fn an_answer_is_given_again_and_not_worked_for_twice() {
    let mut network = chain(client(1, quick()), 1, vec![server(4)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(20);
    let task = network.take_call(0).expect("it has come");
    network.break_wire(0, Duration::ZERO);
    network.answer(0, &task, Verb::Answer);
    network.run_ms(50);
    assert!(network.is_answered(0, call));
    assert_eq!(network.times_begun(0, call), 1);
}

#[test]
fn a_site_prefers_its_own_servers_and_lends_to_the_other() {
    let mut network = two_sites(quick(), 2);
    let made = calls(&mut network, 0, 5);
    network.run_ms(50);
    assert_eq!(unanswered(&network), [2, 2], "its own first, then the other's; one waits");
    network.answer_all(0);
    network.run_ms(50);
    assert_eq!(network.answer_all(0), 1, "its own has room again");
    network.answer_all(1);
    network.run_ms(50);
    assert!(made.into_iter().all(|call| network.is_answered(0, call)));
    network.kill_server(0);
    // A death may be silent; it is noticed by then.
    network.run_ms(3_100);
    let lent = network.request(0).expect("there is room");
    network.run_ms(50);
    assert_eq!(network.answer_all(1), 1, "its own is gone");
    network.start(Node::Rep(0));
    network.run_ms(200);
    let back = network.request(0).expect("there is room");
    network.run_ms(50);
    assert_eq!(network.answer_all(0), 1, "and is back");
    network.run_ms(50);
    assert!(network.is_answered(0, lent) && network.is_answered(0, back));
}

#[test]
fn what_two_sites_lend_each_other_never_goes_back() {
    let mut network = two_sites(quick(), 2);
    let ours = calls(&mut network, 0, 6);
    let theirs = calls(&mut network, 1, 6);
    for _ in 0..8 {
        network.run_ms(50);
        assert_eq!((network.refused(0), network.refused(1)), (0, 0));
        network.answer_all(0);
        network.answer_all(1);
    }
    network.run_ms(50);
    assert!(ours.into_iter().all(|call| network.is_answered(0, call)));
    assert!(theirs.into_iter().all(|call| network.is_answered(1, call)));
    let passed = |router| network.router_stats(router).down.dispatched;
    assert!(passed(0) + passed(1) <= 24, "no call passed a router twice");
}

#[test]
fn a_ring_of_routers_lends_from_each_to_the_next() {
    let sites = 4;
    let wires = (0..sites).flat_map(|site| {
        [
            wire(Node::Req(site), Node::Router(site), 1),
            wire(Node::Router(site), Node::Rep(site), 1),
            wire(Node::Router(site), Node::Router((site + 1) % sites), 2),
        ]
    });
    let (reqs, reps) = (vec![client(10, quick()); sites], vec![server(1); sites]);
    let mut network = network(reqs, sites, reps, wires.collect());
    calls(&mut network, 0, 4);
    network.run_ms(60);
    assert_eq!(unanswered(&network), [1, 1, 0, 0]);
    assert!((0..sites).all(|router| network.refused(router) == 0));
}

#[test]
fn sites_in_a_line_lend_by_way_of_the_one_between_them() {
    let mut wires = Vec::new();
    for site in 0..3 {
        wires.push(wire(Node::Req(site), Node::Router(site), 1));
        wires.push(wire(Node::Router(site), Node::Rep(site), 1));
    }
    for (one, other) in [(0, 1), (1, 0), (1, 2), (2, 1)] {
        wires.push(wire(Node::Router(one), Node::Router(other), 2));
    }
    let (reqs, reps) = (vec![client(10, quick()); 3], vec![server(1); 3]);
    let mut network = network(reqs, 3, reps, wires);
    calls(&mut network, 0, 3);
    network.run_ms(300);
    assert_eq!(unanswered(&network), [1, 1, 1]);
}

#[test]
fn a_call_passes_no_more_than_eight_routers() {
    let mut network = chain(client(10, quick()), 8, vec![server(4)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(50);
    network.answer_all(0);
    network.run_ms(50);
    assert!(network.is_answered(0, call));
    let mut network = chain(client(10, quick()), 9, vec![server(4)]);
    let call = network.request(0).expect("there is room");
    network.run_for(ms(100));
    assert_eq!((network.refused(8), network.received(0)), (1, 0));
    match network.outcome(0, call) {
        Some(Settled::Failed(CallError::Rejected(reason))) => {
            assert!(reason.as_str().contains("8 routers"), "{reason}");
        }
        other => panic!("it ended in {other:?}"),
    }
}

#[test]
fn what_no_server_has_room_for_any_more_goes_back_to_its_client() {
    let mut network = chain(client(10, quick()), 1, vec![server(1), server(1)]);
    let made = calls(&mut network, 0, 2);
    network.kill_server(0);
    network.run_ms(200);
    assert_eq!(network.client_stats(0).pending, 2);
    let left = network.router_stats(0).down;
    assert_eq!((left.waiting, left.pending), (0, 1), "one is at its server, none is here");
    network.answer_all(1);
    network.run_ms(50);
    network.answer_all(1);
    network.run_ms(50);
    assert!(made.into_iter().all(|call| network.is_answered(0, call)));
}

#[test]
fn a_router_has_no_more_calls_under_way_than_it_may() {
    let wires =
        vec![wire(Node::Req(0), Node::Router(0), 1), wire(Node::Router(0), Node::Rep(0), 1)];
    let config = RouterConfig { pending_calls: 3, ..RouterConfig::default() };
    let plan = Plan {
        reqs: vec![client(10, quick())],
        routers: vec![RouterPlan { config, named: false }],
        reps: vec![server(10)],
        wires,
        ..Plan::default()
    };
    let mut network = Network::new(plan);
    network.run_ms(50);
    calls(&mut network, 0, 10);
    network.run_ms(50);
    assert_eq!(network.server(0).unanswered(), 3);
}

/// Each of them once showed a fault of its own.
#[test]
fn what_once_went_wrong_goes_well() {
    for seed in [1226, 3075, 3681, 11_971, 21_855] {
        if let Err(failure) = run_seed(Kind::Routers, seed, false) {
            panic!("{failure}");
        }
    }
}
