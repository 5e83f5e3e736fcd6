//! Streamers between senders and receivers.

use drawdown_protocol::{PushConfig, StreamerConfig, Time};
use drawdown_tests::sim::{Network, Node, Plan, PullPlan, PushPlan, StreamerPlan, WirePlan, Word};

use crate::{ms, pull, push, take, work_off, worker};

/// Streamers one behind the other, receivers behind the last of them, and one receiver at the sender.
fn chain(push: PushPlan, depth: usize, behind: usize, pulls: &PullPlan) -> Network {
    let mut wires = Vec::new();
    let mut last = Node::Push(0);
    for streamer in 0..depth {
        wires.push(WirePlan::between(last, Node::Streamer(streamer)));
        last = Node::Streamer(streamer);
    }
    wires.extend((0..behind).map(|pull| WirePlan::between(last, Node::Pull(pull))));
    wires.push(WirePlan::new(0, behind));
    let plan = Plan {
        pushes: vec![push],
        pulls: vec![pulls.clone(); behind + 1],
        streamers: vec![streamer(); depth],
        wires,
        ..Plan::default()
    };
    Network::new(plan)
}

fn streamer() -> StreamerPlan {
    StreamerPlan::default()
}

fn named() -> StreamerPlan {
    let config = StreamerConfig { rebuild: ms(300), ..StreamerConfig::default() };
    StreamerPlan { config, named: true }
}

/// A sender, a streamer, a receiver that the test works by hand.
fn line(config: PushConfig, streamer: StreamerPlan, window: u64) -> Network {
    let wires = vec![
        WirePlan::between(Node::Push(0), Node::Streamer(0)),
        WirePlan::between(Node::Streamer(0), Node::Pull(0)),
    ];
    let plan = Plan {
        pushes: vec![push(config)],
        pulls: vec![pull(window)],
        streamers: vec![streamer],
        wires,
        ..Plan::default()
    };
    let mut network = Network::new(plan);
    network.run_ms(20);
    network
}

fn taken(network: &Network, pull: usize) -> u64 {
    network.pull(pull).stats(Time::ZERO).taken
}

/// The receiver beside the streamers has the share of those behind them, within 5%.
#[track_caller]
fn assert_fair(network: &Network, behind: usize, depth: usize) {
    let all: u64 = (0..behind).map(|pull| taken(network, pull)).sum();
    let (mean, beside) = (all as f64 / behind as f64, taken(network, behind) as f64);
    let ratio = beside / mean;
    assert!(beside > 200.0 && (0.95..1.05).contains(&ratio), "{depth}: {beside} beside {mean}");
}

#[test]
fn receivers_behind_streamers_are_as_busy_as_one_beside_them() {
    for depth in [1, 2] {
        let behind = 20;
        let sender = PushPlan { messages: 60_000, burst: 100, ..push(PushConfig::default()) };
        let workers = PullPlan { work: ms(20), ..worker(1) };
        let mut network = chain(sender, depth, behind, &workers);
        network.run_ms(20_000);
        assert!(network.push(0).waiting() > 0, "there is more than they can do");
        assert_fair(&network, behind, depth);
    }
}

#[test]
fn receivers_behind_streamers_get_as_much_as_one_beside_them_when_there_is_little() {
    for depth in [1, 2] {
        let behind = 20;
        // About 500 messages a second, for receivers that could do 2,000.
        let sender =
            PushPlan { messages: 60_000, burst: 1, pace: ms(4), ..push(PushConfig::default()) };
        let workers = PullPlan { work: ms(20), ..worker(1) };
        let mut network = chain(sender, depth, behind, &workers);
        network.run_ms(60_000);
        assert_fair(&network, behind, depth);
    }
}

#[test]
fn a_streamer_that_dies_and_is_known_again_costs_nothing() {
    let mut network = line(PushConfig::default(), named(), 5);
    network.send_all(0, 8);
    network.run_ms(5);
    let jobs = [take(&mut network, 0), take(&mut network, 0)];
    network.say(0, &jobs[0], Word::Ack);
    network.run_ms(5);
    // Both sides see at once that it is gone.
    [0, 1].into_iter().for_each(|wire| network.unplug(wire));
    network.run_ms(1);
    network.kill(Node::Streamer(0));
    network.run_ms(50);
    network.say(0, &jobs[1], Word::Ack);
    network.start(Node::Streamer(0));
    [0, 1].into_iter().for_each(|wire| network.plug_in(wire));
    network.run_ms(1_000);
    let rest = work_off(&mut network, 0);
    assert_eq!(rest, (2..8).collect::<Vec<_>>(), "each once");
    network.run_ms(2_000);
    assert_eq!(network.redelivered(0), 0);
    assert!(network.push(0).is_drained());
}

#[test]
fn what_a_streamer_had_that_does_not_come_back_goes_to_others_after_the_grace_time() {
    let mut network = line(PushConfig::default(), streamer(), 5);
    network.send_all(0, 5);
    network.run_ms(5);
    network.kill(Node::Streamer(0));
    network.run_ms(900);
    assert_eq!(network.redelivered(0), 0);
    network.run_ms(6_000);
    assert_eq!(network.redelivered(0), 5);
}

#[test]
fn a_streamer_gives_back_what_it_holds_to_a_sender_without_its_disk() {
    let mut network = line(PushConfig::default(), streamer(), 3);
    network.send_all(0, 6);
    network.run_ms(20);
    let begun = take(&mut network, 0);
    network.run_ms(20);
    network.kill_push_and_disk(0);
    network.start_up_push(0);
    network.run_ms(6_000);
    assert_eq!(network.push(0).pending(), 4, "one is worked on, three wait behind the streamer");
    network.say(0, &begun, Word::Ack);
    network.run_ms(20);
    network.kill_pull(0);
    network.start_up_pull(0);
    network.run_ms(10_000);
    assert_eq!(work_off(&mut network, 0), [1, 2, 3]);
}
