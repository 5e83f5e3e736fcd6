//! The shadow queue: what becomes of messages that were dispatched.

use std::time::Duration;

use drawdown_protocol::{ConfirmOn, Fate, PushConfig};
use drawdown_tests::sim::{Network, Plan, WirePlan, Word};

use super::{durable, ms, network, one_to_one, pull, push, take, work_off, worker};

#[test]
fn when_one_of_two_workers_dies_nothing_is_lost() {
    let mut network = network(vec![push(PushConfig::default())], vec![worker(8), worker(8)]);
    network.send_all(0, 200);
    network.run_ms(5);
    assert!(network.push(0).pending() > 8, "both have some");
    network.kill_pull(0);
    network.run_ms(5_000);
    assert!(network.push(0).is_drained());
    assert!((0..200).all(|seq| network.push(0).fate(seq) == Some(Fate::Confirmed)));
    assert!(network.redelivered(0) > 0, "it had some when it died");
}

#[test]
fn a_message_is_confirmed_when_it_is_processed() {
    let mut network = one_to_one(PushConfig::default(), 5);
    network.send_all(0, 1);
    network.run_ms(5);
    let job = take(&mut network, 0);
    // The next receive call tells that this one was taken.
    network.wait(0);
    network.run_ms(50);
    assert_eq!(network.push(0).fate(0), None);
    network.say(0, &job, Word::Ack);
    network.run_ms(5);
    assert_eq!(network.push(0).fate(0), Some(Fate::Confirmed));
}

#[test]
fn a_message_is_confirmed_when_it_is_taken_if_the_receiver_is_told_so() {
    let mut receiver = pull(5);
    receiver.config.confirm_on = ConfirmOn::Taken;
    let mut network = network(vec![push(PushConfig::default())], vec![receiver]);
    network.send_all(0, 1);
    network.run_ms(5);
    assert_eq!(network.push(0).fate(0), None);
    take(&mut network, 0);
    network.wait(0);
    network.run_ms(5);
    assert_eq!(network.push(0).fate(0), Some(Fate::Confirmed));
}

#[test]
fn a_receiver_that_reconnects_in_time_keeps_what_it_holds() {
    let mut network = one_to_one(PushConfig::default(), 10);
    network.send_all(0, 5);
    network.run_ms(5);
    let first = take(&mut network, 0);
    let second = take(&mut network, 0);
    network.unplug(0);
    network.run_ms(200);
    assert_eq!(network.push(0).pending(), 5);
    network.say(0, &first, Word::Ack);
    network.plug_in(0);
    network.run_ms(20);
    assert_eq!(network.push(0).fate(0), Some(Fate::Confirmed), "said while the sender was away");
    network.say(0, &second, Word::Ack);
    assert_eq!(work_off(&mut network, 0), [2, 3, 4]);
    assert!(network.push(0).is_drained());
    assert_eq!((network.dispatched(0), network.redelivered(0)), (5, 0));
}

#[test]
fn a_confirmation_that_was_lost_on_the_way_is_said_again() {
    let mut network = one_to_one(PushConfig::default(), 10);
    network.send_all(0, 3);
    network.run_ms(5);
    let jobs = [take(&mut network, 0), take(&mut network, 0)];
    network.silence(0);
    jobs.iter().for_each(|job| network.say(0, job, Word::Ack));
    network.run_ms(10_000);
    assert_eq!(network.push(0).fate(1), Some(Fate::Confirmed), "told on the next link");
    assert_eq!(work_off(&mut network, 0), [2]);
    assert!(network.push(0).is_drained());
    assert_eq!((network.dispatched(0), network.redelivered(0)), (3, 0));
}

#[test]
fn what_a_receiver_holds_that_is_back_waits_for_nobody_else() {
    let mut network = one_to_one(PushConfig { grace: ms(0), ..PushConfig::default() }, 10);
    network.send_all(0, 3);
    network.run_ms(5);
    let first = take(&mut network, 0);
    network.unplug(0);
    network.run_ms(200);
    assert_eq!(network.push(0).waiting(), 3, "it is given up at once");
    network.plug_in(0);
    network.run_ms(20);
    assert_eq!((network.push(0).waiting(), network.push(0).pending()), (0, 3));
    network.say(0, &first, Word::Ack);
    assert_eq!(work_off(&mut network, 0), [1, 2]);
    assert!(network.push(0).is_drained());
    assert_eq!(network.dispatched(0), 3, "each once");
}

#[test]
fn a_receiver_that_reconnects_gets_again_what_was_lost_on_the_way() {
    let mut network = one_to_one(PushConfig::default(), 10);
    network.silence(0);
    network.send_all(0, 3);
    network.run_ms(10_000);
    assert_eq!(network.redelivered(0), 3);
    assert_eq!(work_off(&mut network, 0), [0, 1, 2]);
    assert!(network.push(0).is_drained());
}

#[test]
fn a_receiver_that_is_back_before_it_was_missed_keeps_what_it_holds() {
    // The sender has no heartbeats to miss: it takes its old link to be alive.
    let mut receiver = pull(10);
    receiver.config.link.heartbeat = Duration::ZERO;
    let config = PushConfig { attempts_max: Some(1), ..PushConfig::default() };
    let mut network = network(vec![push(config)], vec![receiver]);
    network.send_all(0, 3);
    network.run_ms(5);
    let job = take(&mut network, 0);
    network.silence(0);
    // The receiver misses the sender after three seconds, and comes back.
    network.run_ms(4_000);
    network.say(0, &job, Word::Ack);
    assert_eq!(work_off(&mut network, 0), [1, 2]);
    network.run_ms(5);
    assert_eq!((network.dispatched(0), network.redelivered(0)), (3, 0));
    assert!(network.push(0).is_drained());
}

#[test]
fn after_the_grace_time_a_message_goes_to_another_receiver() {
    let config = PushConfig { grace: ms(300), ..PushConfig::default() };
    let mut network = network(vec![push(config)], vec![pull(1), pull(0)]);
    network.send_all(0, 1);
    network.run_ms(5);
    take(&mut network, 0);
    network.wait(1);
    network.unplug(0);
    network.run_ms(290);
    assert!(network.pull(1).has_queued().eq(&false), "the first may still come back");
    network.run_ms(20);
    assert_eq!(take(&mut network, 1).seq(), 0);
}

#[test]
fn what_a_stuck_worker_has_not_taken_goes_to_one_that_waits() {
    let config = PushConfig { reassign_after: Some(ms(100)), ..PushConfig::default() };
    let mut network = network(vec![push(config)], vec![pull(10), pull(1)]);
    network.unplug(1);
    network.run_ms(20);
    network.send_all(0, 3);
    network.run_ms(20);
    assert_eq!(take(&mut network, 0).seq(), 0);
    network.plug_in(1);
    network.run_ms(40);
    assert!(network.recv(1).is_none(), "not before its time");
    network.run_ms(300);
    let job = take(&mut network, 1);
    assert!(job.seq() > 0, "what the first is working on stays with it");
    assert_eq!(job.failed_attempts(), 0);
}

#[test]
fn attempts_are_kept_over_restarts_until_a_message_is_a_dead_letter() {
    let config = PushConfig { attempts_max: Some(2), ..PushConfig::default() };
    let mut network = network(vec![durable(config)], vec![pull(1)]);
    network.send_all(0, 1);
    network.run_ms(20);
    let job = take(&mut network, 0);
    assert_eq!(job.failed_attempts(), 0);
    network.say(0, &job, Word::Nack);
    network.run_ms(20);

    network.kill_push(0);
    network.start_up_push(0);
    network.run_ms(200);
    let job = take(&mut network, 0);
    assert_eq!(job.failed_attempts(), 1);
    network.say(0, &job, Word::Nack);
    network.run_ms(20);
    assert_eq!(network.push(0).fate(job.seq()), Some(Fate::DeadLettered));

    network.kill_push(0);
    network.start_up_push(0);
    let letters: Vec<_> = network.push(0).dead_letters().cloned().collect();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].attempts.failed, letters[0].attempts.reason.as_str()), (2, "no good"));
    let again = network.replay(0).expect("there is room");
    network.run_ms(200);
    let job = take(&mut network, 0);
    assert_eq!((job.seq(), job.failed_attempts()), (again, 0));
    assert_eq!(network.push(0).dead_letters().count(), 0);
}

/// What a message is like after its receiver has said `word` of it: when it is back, and how often it has failed.
fn after(word: Word) -> (u64, u32) {
    let config = PushConfig {
        retry_delay: ms(10),
        process_timeout: Some(ms(100)),
        attempts_max: Some(9),
        ..PushConfig::default()
    };
    let mut network = one_to_one(config, 1);
    network.send_all(0, 1);
    network.run_ms(5);
    let job = take(&mut network, 0);
    network.say(0, &job, word);
    let mut waited = 0;
    loop {
        network.run_ms(1);
        waited += 1;
        if let Some(job) = network.recv(0) {
            return (waited, job.failed_attempts());
        }
        assert!(waited < 1_000, "it does not come back after {word:?}");
    }
}

#[test]
fn a_rejected_message_comes_back_after_a_delay_and_counts() {
    assert_eq!(after(Word::Nack), (11, 1));
    assert_eq!(after(Word::Forget), (11, 1));
}

#[test]
fn a_released_message_comes_back_at_once_and_does_not_count() {
    assert_eq!(after(Word::Release), (1, 0));
}

#[test]
fn a_message_can_be_put_off_and_does_not_count() {
    assert_eq!(after(Word::RetryIn(50)), (51, 0));
}

#[test]
fn a_message_that_takes_too_long_goes_elsewhere_unless_more_time_is_asked_for() {
    let (waited, failed) = after(Word::Extend(300));
    assert_eq!((waited, failed), (301, 0), "the time that was asked for, and not a failure");
}

#[test]
fn a_late_confirmation_counts_although_the_message_went_elsewhere() {
    let config = PushConfig { process_timeout: Some(ms(50)), ..PushConfig::default() };
    let mut network = network(vec![push(config)], vec![pull(1), pull(1)]);
    network.set_paused(1, true);
    network.run_ms(5);
    network.send_all(0, 1);
    network.run_ms(5);
    let first = take(&mut network, 0);
    network.set_paused(0, true);
    network.run_ms(100);
    assert_eq!((network.push(0).waiting(), network.push(0).pending()), (1, 0));
    network.say(0, &first, Word::Ack);
    network.run_ms(5);
    assert_eq!(network.push(0).fate(0), Some(Fate::Confirmed));
    network.set_paused(1, false);
    network.run_ms(20);
    assert!(network.recv(1).is_none());
}

#[test]
fn a_restarted_sender_leaves_alone_what_its_receivers_hold() {
    let mut network = network(vec![durable(PushConfig::default())], vec![pull(2)]);
    network.send_all(0, 5);
    network.run_ms(50);
    let job = take(&mut network, 0);
    network.run_ms(20);
    assert_eq!(network.dispatched(0), 3, "one in hand, two queued");
    network.kill_push(0);
    network.start_up_push(0);
    // The receiver may take three seconds to notice.
    network.run_ms(4_000);
    assert_eq!((network.push(0).pending(), network.push(0).waiting()), (3, 2));
    assert_eq!(network.dispatched(0), 0);
    network.say(0, &job, Word::Ack);
    assert_eq!(work_off(&mut network, 0), [1, 2, 3, 4]);
    assert!(network.push(0).is_drained());
    assert_eq!(network.dispatched(0), 2, "only what nobody held");
}

#[test]
fn an_accepted_message_survives_its_sender() {
    let mut network = network(vec![durable(PushConfig::default())], vec![]);
    network.send_all(0, 10);
    network.run_ms(50);
    assert!((0..10).all(|seq| network.push(0).is_accepted(seq)));
    network.kill_push(0);
    network.start_up_push(0);
    assert_eq!(network.push(0).waiting(), 10);
}

#[test]
fn a_large_message_crosses_a_slow_link_although_heartbeats_cannot_pass_it() {
    let mut wire = WirePlan::new(0, 0);
    wire.latency = ms(20);
    wire.buffer_bytes = 1_000;
    let mut config = PushConfig::default();
    config.link.heartbeat = ms(100);
    let mut network = Network::new(Plan {
        pushes: vec![push(config)],
        pulls: vec![pull(1)],
        wires: vec![wire],
        ..Plan::default()
    });
    network.run_ms(100);
    let seq = network.send_bytes(0, 100_000);
    network.run_ms(20_000);
    assert_eq!(network.redelivered(0), 0);
    assert_eq!(work_off(&mut network, 0), [seq]);
}
