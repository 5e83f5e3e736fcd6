//! Clients and servers: one scenario for each behaviour of REQ and REP, and of priorities among servers.

use std::time::Duration;

use drawdown_protocol::wire::Reason;
use drawdown_protocol::{
    CallError, CallNumber, CallOptions, LinkConfig, Priority, Refusal, ReplyConfig, RequestConfig,
    Settled,
};
use drawdown_tests::sim::{Network, Node, Plan, RepPlan, ReqPlan, Verb, WirePlan};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn client(pending_calls: u64, call: CallOptions) -> ReqPlan {
    let config = RequestConfig { pending_calls, call, ..RequestConfig::default() };
    ReqPlan { config, ..ReqPlan::default() }
}

/// A server that the test works by hand.
fn server(window_messages: u64) -> RepPlan {
    let config = ReplyConfig { window_messages, ..ReplyConfig::default() };
    RepPlan { config, ..RepPlan::default() }
}

/// One client, and servers at these levels.
fn network(req: ReqPlan, reps: Vec<(RepPlan, u8)>) -> Network {
    let (reps, levels): (Vec<_>, Vec<_>) = reps.into_iter().unzip();
    let wire = |(rep, level)| {
        let priority = Priority::new(level).expect("levels are from 1 to 16");
        WirePlan { priority, ..WirePlan::between(Node::Req(0), Node::Rep(rep)) }
    };
    let wires = levels.into_iter().enumerate().map(wire).collect();
    let mut network = Network::new(Plan { reqs: vec![req], reps, wires, ..Plan::default() });
    network.run_ms(20);
    network
}

fn quick() -> CallOptions {
    CallOptions { timeout: ms(2_000), attempt_timeout: ms(300), ..CallOptions::default() }
}

fn failure(network: &mut Network, number: u64) -> CallError {
    match network.outcome(0, number) {
        Some(Settled::Failed(error)) => error,
        other => panic!("call {number} ended in {other:?}"),
    }
}

#[test]
fn one_call_is_pending_and_the_next_is_refused_until_it_ends() {
    let config = RequestConfig::default();
    let req = ReqPlan { config, ..ReqPlan::default() };
    let mut network = network(req, vec![(server(10), 1)]);
    let first = network.request(0).expect("it is the first");
    assert_eq!(network.request(0), Err(Refusal::Full));
    network.run_ms(5);
    assert_eq!(network.answer_all(0), 1);
    network.run_ms(5);
    assert!(network.is_answered(0, first));
    assert!(network.request(0).is_ok());
}

#[test]
fn a_call_waits_at_its_client_until_a_server_has_room() {
    let mut network = network(client(10, quick()), vec![(server(1), 1)]);
    let calls: Vec<_> = (0..3).map(|_| network.request(0).expect("there is room")).collect();
    network.run_ms(5);
    assert_eq!(network.client_stats(0).waiting, 2);
    assert_eq!(network.server(0).unanswered(), 1, "the window is one");
    for call in calls {
        assert_eq!(network.answer_all(0), 1);
        network.run_ms(5);
        assert!(network.is_answered(0, call));
    }
}

#[test]
fn a_server_without_a_window_gets_a_call_for_each_receive_call_that_waits() {
    let mut network = network(client(10, quick()), vec![(server(0), 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    assert_eq!(network.server(0).unanswered(), 0);
    network.await_calls(0);
    network.run_ms(5);
    assert_eq!(network.server(0).unanswered(), 1);
    assert_eq!(network.answer_all(0), 1);
    network.run_ms(5);
    assert!(network.is_answered(0, call));
}

#[test]
fn the_server_with_most_room_is_asked() {
    let mut network = network(client(10, quick()), vec![(server(2), 1), (server(6), 1)]);
    for _ in 0..4 {
        network.request(0).expect("there is room");
    }
    network.run_ms(5);
    assert_eq!((network.answer_all(0), network.answer_all(1)), (0, 4));
}

#[test]
fn an_answer_whose_link_broke_goes_to_where_its_call_comes_from_next() {
    let mut network = network(client(1, quick()), vec![(server(4), 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    let task = network.take_call(0).expect("it has come");
    network.break_wire(0, Duration::ZERO);
    network.run_ms(1);
    network.answer(0, &task, Verb::Answer);
    network.run_ms(50);
    assert!(network.is_answered(0, call));
    assert_eq!(network.times_begun(0, call), 1);
}

#[test]
fn several_calls_are_under_way_at_once_and_each_gets_its_own_answer() {
    let mut network = network(client(50, quick()), vec![(server(50), 1)]);
    let calls: Vec<_> = (0..50).map(|_| network.request(0).expect("there is room")).collect();
    network.run_ms(5);
    let mut tasks: Vec<_> = std::iter::from_fn(|| network.take_call(0)).collect();
    tasks.reverse();
    for task in &tasks {
        network.answer(0, task, Verb::Answer);
    }
    network.run_ms(5);
    assert!(calls.into_iter().all(|call| network.is_answered(0, call)));
}

#[test]
fn without_a_server_a_call_ends_in_no_service_when_its_time_is_over() {
    let mut network = network(client(1, quick()), vec![(server(4), 1)]);
    network.kill_server(0);
    network.run_ms(20);
    let call = network.request(0).expect("there is room");
    network.run_ms(1_990);
    assert_eq!(network.outcome(0, call), None);
    network.run_ms(20);
    assert_eq!(failure(&mut network, call), CallError::NoService);
}

#[test]
fn a_server_that_never_answers_is_not_waited_for_longer_than_was_said() {
    let call = CallOptions { retries: 0, ..quick() };
    let mut network = network(client(1, call), vec![(server(4), 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    network.take_call(0).expect("it has come");
    network.run_ms(310);
    assert_eq!(failure(&mut network, call), CallError::TimedOut);
}

#[test]
fn a_server_that_is_silent_leaves_the_rotation_and_comes_back() {
    let mut network = network(client(10, quick()), vec![(server(9), 1), (server(3), 1)]);
    let first = network.request(0).expect("there is room");
    network.run_ms(5);
    let hung = network.take_call(0).expect("it has most room");
    network.run_ms(310);
    assert_eq!(network.answer_all(1), 1, "the other one is tried");
    network.run_ms(5);
    assert!(network.is_answered(0, first));
    network.request(0).expect("there is room");
    network.run_ms(5);
    assert_eq!((network.answer_all(0), network.answer_all(1)), (0, 1));
    network.answer(0, &hung, Verb::Answer);
    network.run_ms(700);
    network.request(0).expect("there is room");
    network.run_ms(5);
    assert_eq!(network.answer_all(0), 1, "after a while it is asked again");
}

#[test]
fn a_call_is_tried_as_often_as_was_said() {
    let call = CallOptions { retries: 2, attempt_timeout: ms(50), ..quick() };
    let servers = (0..4).map(|_| (server(1), 1)).collect();
    let mut network = network(client(1, call), servers);
    let call = network.request(0).expect("there is room");
    network.run_ms(1_000);
    assert_eq!(failure(&mut network, call), CallError::TimedOut);
    assert_eq!(network.client_stats(0).dispatched, 3);
}

#[test]
fn a_server_that_is_started_anew_answers_from_its_store_and_works_once() {
    let rep = RepPlan { store: true, commit: ms(1), ..server(4) };
    let mut network = network(client(1, quick()), vec![(rep, 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    assert_eq!(network.answer_all(0), 1);
    // The answer is on disk, and on its way when the connection breaks.
    network.run_for(Duration::from_micros(1_050));
    network.break_wire(0, Duration::ZERO);
    network.kill_server(0);
    network.start(Node::Rep(0));
    network.run_ms(100);
    if !network.is_answered(0, call) {
        assert_eq!(network.answer_all(0), 1, "it was not on disk: nobody has seen it");
        network.run_ms(20);
    }
    assert!(network.is_answered(0, call));
}

#[test]
fn a_duplicate_answer_is_dropped() {
    let call = CallOptions { hedge_after: Some(ms(20)), ..quick() };
    let mut network = network(client(1, call), vec![(server(4), 1), (server(3), 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(30);
    let first = network.take_call(0).expect("it was asked first");
    let second = network.take_call(1).expect("it was asked as well");
    network.answer(1, &second, Verb::Answer);
    network.answer(0, &first, Verb::Answer);
    network.run_ms(5);
    assert!(network.is_answered(0, call));
    assert_eq!(network.client_stats(0).late, 1);
}

#[test]
fn a_rejection_says_why_and_is_not_tried_elsewhere() {
    let mut network = network(client(1, quick()), vec![(server(4), 1), (server(3), 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    let task = network.take_call(0).expect("it has come");
    network.answer(0, &task, Verb::Reject);
    network.run_ms(5);
    let CallError::Rejected(reason) = failure(&mut network, call) else {
        panic!("it was rejected");
    };
    assert_ne!(reason, Reason::from(""));
    assert_eq!(network.answer_all(1), 0);
}

#[test]
fn what_is_cancelled_before_anybody_began_leaves_its_server() {
    let mut network = network(client(10, quick()), vec![(server(1), 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    network.cancel_request(0, call);
    network.run_ms(5);
    assert!(network.take_call(0).is_none());
    let next = network.request(0).expect("there is room");
    network.cancel_request(0, next);
    let last = network.request(0).expect("there is room");
    network.run_ms(5);
    assert_eq!(network.answer_all(0), 1, "what was never written takes no room");
    network.run_ms(5);
    assert!(network.is_answered(0, last));
}

#[test]
fn at_most_once_means_never_on_a_second_server() {
    let call = CallOptions { at_most_once: true, ..quick() };
    let mut network = network(client(1, call), vec![(server(4), 1), (server(3), 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    network.take_call(0).expect("it has come");
    network.kill_server(0);
    network.run_ms(2_010);
    assert_eq!(failure(&mut network, call), CallError::TimedOut);
    assert_eq!(network.times_begun(0, call), 1);
}

#[test]
fn what_a_server_gives_back_may_go_elsewhere_even_if_at_most_once() {
    let call = CallOptions { at_most_once: true, ..quick() };
    let mut network = network(client(1, call), vec![(server(4), 1), (server(3), 1)]);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    network.stop_server(0);
    network.run_ms(5);
    assert_eq!(network.answer_all(1), 1);
    network.run_ms(5);
    assert!(network.is_answered(0, call));
}

#[test]
fn a_level_is_used_while_all_better_ones_are_busy_or_gone() {
    let levels = vec![(server(1), 1), (server(1), 2), (server(1), 16)];
    let mut network = network(client(10, quick()), levels);
    for rep in 0..3 {
        network.request(0).expect("there is room");
        network.run_ms(5);
        assert_eq!(network.server(rep).unanswered(), 1, "level {rep} is next");
    }
    for rep in 0..3 {
        network.answer_all(rep);
    }
    network.kill_server(0);
    network.run_ms(50);
    network.request(0).expect("there is room");
    network.run_ms(5);
    assert_eq!(network.answer_all(1), 1);
    network.start(Node::Rep(0));
    network.run_ms(100);
    network.request(0).expect("there is room");
    network.run_ms(5);
    assert_eq!(network.answer_all(0), 1, "it is back, and the best");
}

#[test]
fn within_a_level_servers_take_turns() {
    let levels = vec![(server(1), 1), (server(1), 1), (server(1), 1), (server(1), 2)];
    let mut network = network(client(10, quick()), levels);
    for _ in 0..9 {
        network.request(0).expect("there is room");
        network.run_ms(5);
        for rep in 0..4 {
            network.answer_all(rep);
        }
        network.run_ms(5);
    }
    let taken = |rep| network.server(rep).unanswered() + network.received(rep);
    assert_eq!([taken(0), taken(1), taken(2), taken(3)], [3, 3, 3, 0]);
}

#[test]
fn a_server_that_sends_no_heartbeats_any_more_counts_as_failed() {
    let mut reps = vec![(server(4), 1), (server(3), 2)];
    for (rep, _) in &mut reps {
        rep.config.link.heartbeat = ms(50);
    }
    let mut req = client(10, quick());
    req.config.link.heartbeat_misses = 3;
    let mut network = network(req, reps);
    let call = network.request(0).expect("there is room");
    network.run_ms(5);
    network.take_call(0).expect("it has come");
    network.silence(0);
    network.run_ms(250);
    assert_eq!(network.answer_all(1), 1, "well before the attempt's time is over");
    network.run_ms(5);
    assert!(network.is_answered(0, call));
}

/// So many clients of the same servers, which are at these levels.
fn many_clients(clients: usize, reps: Vec<(RepPlan, u8)>) -> Network {
    let reqs: Vec<_> = (0..clients).map(|_| client(1, quick())).collect();
    let (reps, levels): (Vec<_>, Vec<_>) = reps.into_iter().unzip();
    let wire = |req, rep, level| {
        let priority = Priority::new(level).expect("levels are from 1 to 16");
        WirePlan { priority, ..WirePlan::between(Node::Req(req), Node::Rep(rep)) }
    };
    let wires = levels.into_iter().enumerate();
    let wires = wires.flat_map(|(rep, level)| (0..clients).map(move |req| wire(req, rep, level)));
    let wires = wires.collect();
    let mut network = Network::new(Plan { reqs, reps, wires, ..Plan::default() });
    network.run_ms(20);
    network
}

#[test]
fn room_that_other_clients_sit_on_is_room_and_no_standby_is_asked() {
    for window in [1, 2, 5, 30, 100] {
        let levels = vec![(server(window), 1), (server(window), 1), (server(1_000), 5)];
        let mut network = many_clients(20, levels);
        for restarts in 0..3 {
            for req in (0..20).chain((0..20).rev()) {
                let call = network.request(req).expect("it has no other");
                network.run_ms(3);
                assert_eq!(network.answer_all(2), 0, "window {window}, {restarts} restarts");
                let served = network.answer_all(0) + network.answer_all(1);
                let stats = network.client_stats(req);
                assert_eq!(served, 1, "window {window}, {restarts} restarts, {req}: {stats:?}");
                network.run_ms(2);
                assert!(network.is_answered(req, call));
            }
            network.kill_server(restarts % 2);
            network.run_ms(20);
            network.start(Node::Rep(restarts % 2));
            // Until everybody has seen it.
            network.run_ms(3_500);
        }
    }
}

#[test]
fn a_server_that_is_just_back_has_room_for_all_who_know_it() {
    const CLIENTS: usize = 20;
    let wire = |req, rep| WirePlan {
        up_dials: true,
        jitter: ms(2),
        priority: Priority::new(1 + u8::try_from(rep).expect("two of them")).expect("1 or 2"),
        ..WirePlan::between(Node::Req(req), Node::Rep(rep))
    };
    let mut network = Network::new(Plan {
        reqs: (0..CLIENTS).map(|_| client(1, quick())).collect(),
        reps: vec![server(100), server(1_000)],
        wires: (0..2).flat_map(|rep| (0..CLIENTS).map(move |req| wire(req, rep))).collect(),
        ..Plan::default()
    });
    network.run_ms(50);
    for _ in 0..30 {
        network.kill_server(0);
        // Until everybody has seen it.
        network.run_ms(3_500);
        network.start(Node::Rep(0));
        let mut calls: Vec<Option<CallNumber>> = vec![None; CLIENTS];
        for _ in 0..200 {
            for (req, call) in calls.iter_mut().enumerate().filter(|(_, call)| call.is_none()) {
                let links = network.client_stats(req).links;
                if links.iter().any(|link| link.priority == Priority::BEST && link.peer.is_some()) {
                    *call = network.request(req).ok();
                }
            }
            network.run_for(Duration::from_micros(100));
            assert_eq!(network.answer_all(1), 0, "the standby");
            network.answer_all(0);
        }
        network.run_ms(50);
        network.answer_all(0);
        network.run_ms(50);
        for (req, call) in calls.into_iter().enumerate() {
            let call = call.expect("the server is back");
            assert!(network.is_answered(req, call), "{:?}", network.client_stats(req));
        }
    }
}

#[test]
fn a_standby_gets_what_better_servers_have_no_room_for_and_no_more() {
    let mut network = many_clients(20, vec![(server(7), 1), (server(1_000), 5)]);
    for _ in 0..10 {
        let calls: Vec<_> =
            (0..20).map(|req| network.request(req).expect("it has no other")).collect();
        network.run_ms(5);
        assert_eq!([0, 1].map(|rep| network.answer_all(rep)), [7, 13]);
        network.run_ms(5);
        assert!(calls.iter().enumerate().all(|(req, call)| network.is_answered(req, *call)));
    }
}

#[test]
fn a_client_on_a_slow_wire_gets_no_more_credit_than_its_answers_have_room() {
    let message_bytes_max = 16_000;
    let link = LinkConfig { message_bytes_max, ..LinkConfig::default() };
    let (window_messages, window_bytes) = (50, 100_000);
    let config =
        ReplyConfig { link: link.clone(), window_messages, window_bytes, ..ReplyConfig::default() };
    let answer_bytes = message_bytes_max as u64;
    let rep = RepPlan { config, workers: 5, answer_bytes, ..RepPlan::default() };
    let mut req = client(600, CallOptions { timeout: ms(60_000), ..CallOptions::default() });
    req.config.link = link;
    let wire = WirePlan {
        buffer_bytes: 2_000,
        latency: ms(5),
        ..WirePlan::between(Node::Req(0), Node::Rep(0))
    };
    let (reqs, reps, wires) = (vec![req], vec![rep], vec![wire]);
    let mut network = Network::new(Plan { reqs, reps, wires, ..Plan::default() });
    network.run_ms(100);
    let calls: Vec<_> = (0..600).map(|_| network.request(0).expect("there is room")).collect();
    let mut most = 0;
    while network.client_stats(0).pending > 0 {
        network.run_ms(20);
        let stats = network.client_stats(0);
        most = most.max(network.received(0) - stats.answered);
    }
    // The window, and as many answers as fit, of half the size on average, with those that are being written.
    let fit = 2 * window_bytes / answer_bytes;
    assert!((2..=window_messages + 3 * fit).contains(&most), "{most} had not come at once");
    assert!(calls.into_iter().all(|call| network.is_answered(0, call)));
}
