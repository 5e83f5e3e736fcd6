//! Copies at the receivers that are likely to ask next.

use drawdown_protocol::{PullConfig, PushConfig};
use drawdown_tests::sim::{Network, PullPlan, Word};

use super::{durable, ms, network, pull, push, take};

/// A receiver without a window, which keeps so many copies.
fn keen(future_messages: u64) -> PullPlan {
    let config = PullConfig { window_messages: 0, future_messages, ..PullConfig::default() };
    PullPlan { config, ..pull(0) }
}

fn copies(network: &Network, pull: usize) -> u64 {
    network.pull(pull).copies().messages
}

/// Lets a receiver ask for a message, which it is to have in time, and confirm it.
fn ask(network: &mut Network, pull: usize, millis: u64) -> u64 {
    network.wait(pull);
    network.run_ms(millis);
    let job = take(network, pull);
    network.say(pull, &job, Word::Ack);
    network.run_ms(5);
    job.seq()
}

#[test]
fn a_message_is_placed_where_it_is_expected_to_be_asked_for_and_stays_its_senders() {
    let mut network = network(vec![push(PushConfig::default())], vec![keen(1), keen(1)]);
    // The first asks more often than the second.
    network.send_all(0, 5);
    for pull in [0, 1, 0, 0, 0] {
        network.run_ms(20);
        ask(&mut network, pull, 5);
    }
    network.send_all(0, 1);
    network.run_ms(5);
    assert_eq!([copies(&network, 0), copies(&network, 1)], [1, 0]);
    assert_eq!((network.push(0).waiting(), network.push(0).pending()), (1, 0));
    // It asks, and need not wait for the payload.
    let before = network.dispatched(0);
    assert_eq!(ask(&mut network, 0, 2), 5);
    assert_eq!(network.dispatched(0), before + 1);
    assert_eq!(copies(&network, 0), 0);
}

#[test]
fn who_asks_first_gets_the_message_and_its_copy_elsewhere_is_recalled() {
    let mut network = network(vec![push(PushConfig::default())], vec![keen(1), keen(0)]);
    network.send_all(0, 1);
    network.run_ms(5);
    assert_eq!(copies(&network, 0), 1);
    assert_eq!(ask(&mut network, 1, 5), 0);
    assert_eq!(copies(&network, 0), 0, "it is recalled");
    network.wait(0);
    network.run_ms(20);
    assert!(network.recv(0).is_none(), "and never handed out");
}

#[test]
fn a_copy_is_never_handed_out_when_its_sender_is_gone() {
    let mut network = network(vec![push(PushConfig::default())], vec![keen(3)]);
    network.send_all(0, 3);
    network.run_ms(5);
    assert_eq!(copies(&network, 0), 3);
    network.silence(0);
    network.wait(0);
    network.run_ms(100);
    assert!(network.recv(0).is_none(), "it asked, and nobody told it to take anything");
    network.unplug(0);
    network.run_ms(10);
    assert_eq!(copies(&network, 0), 3, "its sender may want them back");
    network.plug_in(0);
    network.run_ms(20);
    let seqs: Vec<u64> = (0..3).map(|_| ask(&mut network, 0, 5)).collect();
    assert_eq!(seqs, [0, 1, 2], "the messages were in the sender's queue all the time");
}

#[test]
fn what_is_taken_back_from_a_slow_receiver_is_placed_and_taken_like_any_other() {
    let config = PushConfig { reassign_after: Some(ms(50)), ..PushConfig::default() };
    let mut network = network(vec![push(config)], vec![pull(2), keen(1)]);
    network.send_all(0, 3);
    network.run_ms(5);
    assert_eq!((network.push(0).pending(), copies(&network, 1)), (2, 1));
    assert_eq!(ask(&mut network, 1, 5), 2, "the copy");
    network.wait(1);
    network.run_ms(200);
    let job = take(&mut network, 1);
    assert_eq!(job.seq(), 0, "which the first one had and did not begin");
    network.say(1, &job, Word::Ack);
    network.run_ms(5);
    assert_eq!(network.push(0).pending(), 1);
}

/// Lets a receiver ask until nothing comes, and settle all of it.
fn ask_for_all(network: &mut Network, pull: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    loop {
        network.wait(pull);
        network.run_ms(20);
        let Some(job) = network.recv(pull) else {
            return seqs;
        };
        network.say(pull, &job, Word::Ack);
        seqs.push(job.seq());
    }
}

/// A receiver with a window and room for copies.
fn well_stocked() -> PullPlan {
    let config = PullConfig { window_messages: 3, future_messages: 2, ..PullConfig::default() };
    PullPlan { config, ..pull(3) }
}

#[test]
fn a_sender_without_its_disk_has_back_what_receivers_had() {
    for sender in [push(PushConfig::default()), durable(PushConfig::default())] {
        let mut network = network(vec![sender], vec![well_stocked(), pull(0)]);
        network.run_ms(20);
        network.send_all(0, 10);
        network.run_ms(20);
        let begun = take(&mut network, 0);
        assert_eq!((begun.seq(), copies(&network, 0)), (0, 2));
        network.run_ms(20);
        network.kill_push_and_disk(0);
        network.run_ms(20);
        network.start_up_push(0);
        network.run_ms(4_000);
        // Of the four that it holds one is worked on; two were only placed there, and four were in the queue that is gone.
        assert_eq!((network.push(0).pending(), network.push(0).waiting()), (4, 2));
        network.run_ms(1_500);
        network.say(0, &begun, Word::Ack);
        network.run_ms(20);
        network.kill_pull(0);
        network.run_ms(5_000);
        assert_eq!(ask_for_all(&mut network, 1), [1, 2, 3, 4, 5]);
        network.send_all(0, 1);
        assert_eq!(ask_for_all(&mut network, 1), [10], "no number is used again");
    }
}

#[test]
fn what_was_confirmed_while_a_sender_without_its_disk_was_away_is_not_sent_again() {
    let mut network = network(vec![push(PushConfig::default())], vec![keen(2), pull(2)]);
    network.send_all(0, 4);
    network.run_ms(20);
    assert_eq!((network.push(0).pending(), copies(&network, 0)), (2, 2));
    network.kill_push_and_disk(0);
    network.run_ms(20);
    assert_eq!(ask_for_all(&mut network, 1), [0, 1]);
    network.start_up_push(0);
    network.run_ms(4_000);
    assert_eq!(ask_for_all(&mut network, 1), [2, 3]);
    network.run_ms(2_000);
    assert!(network.push(0).is_drained());
}
