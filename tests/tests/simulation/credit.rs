//! Queues, and credit for them.

use std::time::Duration;

use drawdown_protocol::{Fate, PushConfig, Refusal};
use drawdown_tests::sim::{Job, Word};

use super::{ms, network, one_to_one, pull, push, take, worker};

#[test]
fn a_sender_without_peers_fills_exactly_its_queue() {
    let config = PushConfig { queue_messages: 7, ..PushConfig::default() };
    let mut network = network(vec![push(config)], vec![]);
    network.send_all(0, 7);
    assert_eq!(network.send(0), Err(Refusal::Full));
    assert_eq!(network.push(0).waiting(), 7);
}

#[test]
fn a_sender_goes_on_as_soon_as_one_message_leaves_its_queue() {
    let config = PushConfig { queue_messages: 3, ..PushConfig::default() };
    let mut network = one_to_one(config, 1);
    network.send_all(0, 4);
    network.run_ms(5);
    assert_eq!((network.dispatched(0), network.send(0)), (1, Err(Refusal::Full)));
    let job = take(&mut network, 0);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 2, "what was taken has made room");
    assert!(network.send(0).is_ok());
    assert_eq!(network.send(0), Err(Refusal::Full));
    network.say(0, &job, Word::Ack);
}

#[test]
fn without_a_queue_a_message_is_taken_in_only_on_credit() {
    let config = PushConfig { queue_messages: 0, ..PushConfig::default() };
    let mut network = one_to_one(config, 2);
    network.send_all(0, 2);
    assert_eq!(network.send(0), Err(Refusal::Full));
    network.run_ms(5);
    take(&mut network, 0);
    network.run_ms(5);
    assert!(network.send(0).is_ok());
}

#[test]
fn an_expired_message_frees_its_room() {
    let config = PushConfig { queue_messages: 1, ..PushConfig::default() };
    let mut network = network(vec![push(config)], vec![]);
    let seq = network.send_with_ttl(0, ms(20)).expect("there is room");
    network.run_ms(15);
    assert_eq!(network.send(0), Err(Refusal::Full));
    network.run_ms(10);
    assert_eq!(network.push(0).fate(seq), Some(Fate::Expired));
    assert!(network.send(0).is_ok());
}

#[test]
fn a_message_that_expires_in_a_receivers_queue_is_reported_and_frees_its_room() {
    let mut network = one_to_one(PushConfig::default(), 1);
    let seq = network.send_with_ttl(0, ms(20)).expect("there is room");
    network.send_all(0, 1);
    network.run_ms(10);
    assert_eq!((network.push(0).pending(), network.dispatched(0)), (1, 1));
    network.run_ms(20);
    assert_eq!(network.push(0).fate(seq), Some(Fate::Expired));
    assert_eq!(take(&mut network, 0).seq(), seq + 1);
}

#[test]
fn a_message_that_expired_in_flight_does_not_come_back() {
    let config = PushConfig { grace: ms(50), ..PushConfig::default() };
    let mut network = one_to_one(config, 1);
    let seq = network.send_with_ttl(0, ms(20)).expect("there is room");
    network.run_ms(5);
    take(&mut network, 0);
    network.unplug(0);
    network.run_ms(200);
    assert_eq!(network.push(0).fate(seq), Some(Fate::Expired));
    assert_eq!(network.push(0).waiting(), 0);
}

#[test]
fn a_late_joiner_gets_work_at_window_one() {
    let mut network = network(vec![push(PushConfig::default())], vec![pull(1), pull(1)]);
    network.unplug(1);
    network.run_ms(20);
    network.send_all(0, 10);
    network.run_ms(20);
    assert_eq!(take(&mut network, 0).seq(), 0);
    network.run_ms(20);
    assert_eq!(network.push(0).waiting(), 8, "one is in hand and one is queued");
    network.plug_in(1);
    network.run_ms(20);
    assert_eq!(take(&mut network, 1).seq(), 2);
}

#[test]
fn a_window_of_zero_grants_only_while_a_call_waits() {
    let mut network = one_to_one(PushConfig::default(), 0);
    network.send_all(0, 3);
    network.run_ms(50);
    assert_eq!(network.dispatched(0), 0);
    network.wait(0);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 1);
    assert_eq!(take(&mut network, 0).seq(), 0);
    network.run_ms(50);
    assert_eq!(network.dispatched(0), 1, "nobody waits");
}

#[test]
fn a_cancelled_receive_call_takes_its_credit_back() {
    let mut network = one_to_one(PushConfig::default(), 0);
    network.wait(0);
    network.run_ms(5);
    network.cancel(0);
    network.run_ms(5);
    network.send_all(0, 1);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 0);
}

#[test]
fn a_message_that_raced_a_cancelled_receive_call_waits_for_the_next() {
    let mut network = one_to_one(PushConfig::default(), 0);
    network.wait(0);
    network.run_ms(5);
    network.send_all(0, 2);
    network.run_for(Duration::from_micros(50));
    network.cancel(0);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 1);
    network.wait(0);
    assert_eq!(take(&mut network, 0).seq(), 0);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 1, "it was the one for this call");
}

#[test]
fn credit_can_be_paused_lowered_and_raised_while_it_runs() {
    let mut network = one_to_one(PushConfig::default(), 5);
    network.send_all(0, 30);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 5);
    network.set_paused(0, true);
    network.run_ms(5);
    let jobs: Vec<Job> = std::iter::from_fn(|| network.recv(0)).collect();
    network.run_ms(5);
    assert_eq!((jobs.len(), network.dispatched(0)), (5, 5));
    network.set_window(0, 2);
    network.set_paused(0, false);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 7);
    network.set_window(0, 6);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 11);
}

#[test]
fn a_window_can_be_lowered_below_what_was_granted() {
    let mut network = one_to_one(PushConfig::default(), 10);
    network.set_window(0, 3);
    network.run_ms(5);
    network.send_all(0, 10);
    network.run_ms(5);
    assert_eq!(network.dispatched(0), 3);
}

#[test]
fn the_credit_of_an_idle_sender_goes_to_the_busy_one() {
    let quiet = || push(PushConfig::default());
    let mut network = network(vec![quiet(), quiet()], vec![pull(12)]);
    network.unplug(1);
    network.run_ms(20);
    network.plug_in(1);
    network.run_ms(20);
    network.send_all(1, 20);
    network.run_ms(20);
    // The idle one keeps a quarter: half of the window is spread evenly over both.
    assert_eq!(network.dispatched(1), 9);
    network.send_all(0, 20);
    network.run_ms(20);
    assert_eq!(network.dispatched(0), 3, "a first message needs no round trip");
}

#[test]
fn two_senders_share_a_window_of_one_at_full_speed() {
    let quiet = || push(PushConfig::default());
    let mut network = network(vec![quiet(), quiet()], vec![worker(1)]);
    network.send_all(0, 100);
    network.send_all(1, 100);
    // Less than a heartbeat: nobody may depend on one.
    network.run_ms(500);
    assert!(network.push(0).is_drained() && network.push(1).is_drained());
}

#[test]
fn a_sender_without_a_queue_gets_its_share_of_a_contended_window() {
    let config = PushConfig { queue_messages: 0, ..PushConfig::default() };
    let mut network = network(vec![push(config), push(PushConfig::default())], vec![pull(1)]);
    network.send_all(1, 3);
    network.run_ms(20);
    assert_eq!(network.send(0), Err(Refusal::Full));
    network.run_ms(5);
    take(&mut network, 0);
    network.run_ms(20);
    take(&mut network, 0);
    network.run_ms(20);
    assert!(network.send(0).is_ok(), "its turn has come, although nothing waits in it");
}

#[test]
fn pending_messages_have_a_maximum() {
    let config = PushConfig { pending_messages: 2, ..PushConfig::default() };
    let mut network = one_to_one(config, 10);
    network.send_all(0, 5);
    network.run_ms(20);
    let job = take(&mut network, 0);
    network.run_ms(20);
    assert_eq!((network.dispatched(0), network.push(0).pending()), (2, 2));
    network.say(0, &job, Word::Ack);
    network.run_ms(20);
    assert_eq!((network.dispatched(0), network.push(0).pending()), (3, 2));
}
