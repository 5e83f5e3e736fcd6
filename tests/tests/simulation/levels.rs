//! Receivers of several levels, and senders of several levels.

use drawdown_protocol::{LinkConfig, Priority, PullConfig, PushConfig};
use drawdown_tests::sim::{Network, Plan, PullPlan, PushPlan, WirePlan, Word};

use super::{ms, pull, push, take, work_off};

fn level(level: u8) -> Priority {
    Priority::new(level).expect("levels are from 1 to 16")
}

/// Senders that all see the receivers at these levels.
fn failover(pushes: Vec<PushPlan>, pulls: Vec<(PullPlan, u8)>) -> Network {
    let (pulls, levels): (Vec<_>, Vec<_>) = pulls.into_iter().unzip();
    let senders = pushes.len();
    let wires = (0..senders).flat_map(|push| {
        let wire = move |(pull, at)| WirePlan { priority: level(at), ..WirePlan::new(push, pull) };
        levels.iter().copied().enumerate().map(wire)
    });
    let wires = wires.collect();
    let mut network = Network::new(Plan { pushes, pulls, wires, ..Plan::default() });
    network.run_ms(20);
    network
}

/// Messages that a receiver has and that its application has not taken.
fn queued(network: &Network, pull: usize) -> u64 {
    network.pull(pull).pool().queued().messages
}

fn all_queued<const N: usize>(network: &Network) -> [u64; N] {
    std::array::from_fn(|pull| queued(network, pull))
}

/// A receiver whose silence is noticed after 300 ms.
fn beating(window: u64) -> PullPlan {
    let link = LinkConfig { heartbeat: ms(100), heartbeat_misses: 3, ..LinkConfig::default() };
    let config = PullConfig { link, window_messages: window, ..PullConfig::default() };
    PullPlan { config, ..pull(window) }
}

fn alert() -> PushConfig {
    PushConfig { link: beating(1).config.link, grace: ms(50), ..PushConfig::default() }
}

#[test]
fn a_worse_level_is_used_only_while_every_better_receiver_is_busy() {
    let pulls = vec![(pull(2), 1), (pull(2), 1), (pull(9), 2), (pull(9), 16)];
    let mut network = failover(vec![push(PushConfig::default())], pulls);
    network.send_all(0, 4);
    network.run_ms(5);
    assert_eq!(all_queued(&network), [2, 2, 0, 0], "in turn, and to nobody else");
    network.send_all(0, 9);
    network.run_ms(5);
    assert_eq!(all_queued(&network), [2, 2, 9, 0]);
    let job = take(&mut network, 1);
    network.say(1, &job, Word::Ack);
    network.run_ms(5);
    network.send_all(0, 2);
    network.run_ms(5);
    assert_eq!(all_queued(&network), [2, 2, 9, 1], "what has room again is used at once");
}

#[test]
fn one_serves_and_others_stand_by_in_their_order() {
    let pulls = vec![(beating(100), 1), (beating(100), 2), (beating(100), 3)];
    let mut network = failover(vec![push(alert())], pulls);
    for (dead, expected) in [(None, [5, 0, 0]), (Some(0), [0, 10, 0]), (Some(1), [0, 0, 15])] {
        if let Some(dead) = dead {
            network.kill_pull(dead);
            network.run_ms(400);
        }
        network.send_all(0, 5);
        network.run_ms(5);
        let up = (0..3).filter(|pull| dead.is_none_or(|dead| dead < *pull));
        for pull in up {
            assert_eq!(queued(&network, pull), expected[pull], "{dead:?} is dead");
        }
    }
    for back in [1, 0] {
        network.start_up_pull(back);
        network.run_ms(50);
        network.send_all(0, 3);
        network.run_ms(5);
        assert_eq!(queued(&network, back), 3, "it is used again as soon as it is there");
    }
    let done: usize = (0..3).map(|pull| work_off(&mut network, pull).len()).sum();
    assert_eq!(done, 21, "and nothing is lost");
}

#[test]
fn a_break_that_is_seen_leads_elsewhere_at_once_and_loses_nothing() {
    let mut network = failover(vec![push(alert())], vec![(pull(3), 1), (pull(100), 2)]);
    network.send_all(0, 3);
    network.run_ms(5);
    network.unplug(0);
    network.send_all(0, 3);
    network.run_ms(2);
    assert_eq!(queued(&network, 1), 3);
    network.kill_pull(0);
    network.run_ms(60);
    assert_eq!(queued(&network, 1), 6, "what the first one had comes after the grace time");
    assert_eq!(work_off(&mut network, 1).len(), 6);
}

#[test]
fn a_silent_death_is_noticed_within_the_time_that_heartbeats_give() {
    let mut network = failover(vec![push(alert())], vec![(beating(3), 1), (beating(100), 2)]);
    network.vanish(0);
    network.send_all(0, 3);
    network.run_ms(299);
    assert_eq!(queued(&network, 1), 0, "it is not known to be dead");
    network.run_ms(160);
    assert_eq!(queued(&network, 1), 3, "300 ms of silence, a heartbeat, and the grace time");
    assert_eq!(work_off(&mut network, 1).len(), 3);
}

#[test]
fn who_was_lost_is_used_again_after_a_while_or_if_nobody_else_has_room() {
    let config = PushConfig { fail_back_after: ms(400), ..alert() };
    let mut network = failover(vec![push(config)], vec![(pull(9), 1), (pull(2), 2)]);
    network.unplug(0);
    network.run_ms(10);
    network.plug_in(0);
    network.run_ms(20);
    network.send_all(0, 2);
    network.run_ms(5);
    assert_eq!(all_queued(&network), [0, 2]);
    network.send_all(0, 1);
    network.run_ms(5);
    assert_eq!(all_queued(&network), [1, 2], "better on trial than nobody");
    work_off(&mut network, 1);
    network.run_ms(400);
    network.send_all(0, 1);
    network.run_ms(5);
    assert_eq!(all_queued(&network), [2, 0]);
}

#[test]
fn room_that_other_senders_sit_on_is_room() {
    let senders = || vec![push(PushConfig::default()); 2];
    let mut network = failover(senders(), vec![(pull(1), 1), (pull(9), 2)]);
    // Whoever of the two has the only credit of the first receiver, both can use it.
    for sender in [0, 1, 0] {
        network.send_all(sender, 1);
        network.run_ms(5);
        assert_eq!(all_queued(&network), [1, 0]);
        work_off(&mut network, 0);
    }
    network.send_all(0, 1);
    network.run_ms(5);
    network.send_all(1, 2);
    network.run_ms(5);
    assert_eq!(all_queued(&network), [1, 2], "it has said that it has none");
}

#[test]
fn who_does_not_answer_is_not_waited_for_longer_than_patience_lasts() {
    let config = PushConfig { ask_patience: ms(100), ..PushConfig::default() };
    let mut network = failover(vec![push(config); 2], vec![(pull(1), 1), (pull(9), 2)]);
    // The sender without the credit of the first receiver is the one that has to ask.
    let poor = usize::from(network.push(0).room() > network.push(1).room());
    network.silence(2 * poor);
    network.send_all(poor, 1);
    network.run_ms(99);
    assert_eq!(queued(&network, 1), 0);
    network.run_ms(10);
    assert_eq!(queued(&network, 1), 1);
    network.send_all(poor, 1);
    network.run_ms(5);
    assert_eq!(queued(&network, 1), 2, "nobody waits for it twice");
}

/// A receiver that sees its senders at these levels.
fn sources(levels: &[u8], receiver: PullPlan) -> Network {
    let wires = levels.iter().enumerate().map(|(push, at)| {
        let source_priority = level(*at);
        WirePlan { source_priority, ..WirePlan::new(push, 0) }
    });
    let wires = wires.collect();
    let pushes = vec![push(PushConfig::default()); levels.len()];
    let mut network =
        Network::new(Plan { pushes, pulls: vec![receiver], wires, ..Plan::default() });
    network.run_ms(20);
    network
}

/// From which senders messages come, in their order.
fn order(network: &mut Network, senders: usize) -> Vec<usize> {
    let mut order = Vec::new();
    loop {
        network.run_ms(2);
        let Some(job) = network.recv(0) else {
            return order;
        };
        let from = (0..senders).find(|push| network.push(*push).session() == job.session());
        order.push(from.expect("it is of one of them"));
        network.say(0, &job, Word::Ack);
    }
}

#[test]
fn of_those_that_have_arrived_what_comes_from_the_better_sender_is_served_first() {
    let mut network = sources(&[3, 1, 2], pull(100));
    network.send_all(0, 2);
    network.run_ms(5);
    network.send_all(2, 2);
    network.run_ms(5);
    network.send_all(1, 2);
    network.run_ms(5);
    assert_eq!(order(&mut network, 3), [1, 1, 2, 2, 0, 0]);
}

#[test]
fn room_goes_to_the_better_sender_while_it_has_something_and_then_to_the_worse() {
    let mut network = sources(&[2, 1], pull(1));
    network.send_all(0, 4);
    network.send_all(1, 4);
    network.run_ms(5);
    let order = order(&mut network, 2);
    // One may have arrived before the other was heard of.
    let better: Vec<_> = order.iter().skip_while(|from| **from == 0).copied().collect();
    assert!(better.len() >= 7, "{order:?}");
    assert_eq!(better[..4], [1; 4]);
    assert_eq!(order.len(), 8, "the worse one does not starve once the better one has nothing");
}
