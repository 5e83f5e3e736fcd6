//! Simulated networks: thousands of seeds with faults, and one scenario for each behaviour that the others rest on.
//!
//! `DRAWDOWN_SEED=42 cargo test -p drawdown-tests --test simulation one_seed -- --nocapture` repeats a seed and prints all of it.

use std::time::Duration;

use drawdown_protocol::{ConfirmOn, Fate, PullConfig, PushConfig, Refusal};
use drawdown_tests::sim::{
    Job, Network, Plan, PullPlan, PushPlan, Report, WirePlan, Word, run_seed,
};

/// Seeds that each of the tests with faults runs: four thousand together.
const SEEDS_EACH: u64 = 1_000;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn push(config: PushConfig) -> PushPlan {
    PushPlan { config, ..PushPlan::default() }
}

fn durable(config: PushConfig) -> PushPlan {
    PushPlan { store: true, commit: ms(1), ..push(config) }
}

/// A receiver that the test works by hand.
fn pull(window_messages: u64) -> PullPlan {
    let config = PullConfig { window_messages, ..PullConfig::default() };
    PullPlan { config, fetch: 1, ..PullPlan::default() }
}

/// A receiver with a worker that takes a millisecond for each message, at the most.
fn worker(window_messages: u64) -> PullPlan {
    PullPlan { workers: 1, work: ms(1), ..pull(window_messages) }
}

/// Every sender connected to every receiver, and time for that to happen.
fn network(pushes: Vec<PushPlan>, pulls: Vec<PullPlan>) -> Network {
    let wires = (0..pushes.len())
        .flat_map(|push| (0..pulls.len()).map(move |pull| WirePlan::new(push, pull)))
        .collect();
    let mut network = Network::new(Plan { pushes, pulls, wires, ..Plan::default() });
    network.run_ms(20);
    network
}

fn one_to_one(config: PushConfig, window: u64) -> Network {
    network(vec![push(config)], vec![pull(window)])
}

fn take(network: &mut Network, pull: usize) -> Job {
    network.recv(pull).expect("a message has arrived")
}

/// Takes and confirms whatever arrives, until nothing does.
fn work_off(network: &mut Network, pull: usize) -> Vec<u64> {
    let mut seqs = Vec::new();
    loop {
        network.run_ms(2);
        let Some(job) = network.recv(pull) else {
            return seqs;
        };
        seqs.push(job.seq());
        network.say(pull, &job, Word::Ack);
    }
}

// Faults by chance.

fn run_seeds(first: u64) {
    for seed in first..first + SEEDS_EACH {
        if let Err(failure) = run_seed(seed, false) {
            panic!("{failure}");
        }
    }
}

#[test]
fn networks_with_faults_lose_nothing_a() {
    run_seeds(0);
}

#[test]
fn networks_with_faults_lose_nothing_b() {
    run_seeds(SEEDS_EACH);
}

#[test]
fn networks_with_faults_lose_nothing_c() {
    run_seeds(2 * SEEDS_EACH);
}

#[test]
fn networks_with_faults_lose_nothing_d() {
    run_seeds(3 * SEEDS_EACH);
}

#[test]
fn one_seed() {
    let wanted = std::env::var("DRAWDOWN_SEED").ok();
    let seed = wanted.as_ref().map_or(42, |seed| seed.parse().expect("DRAWDOWN_SEED is a number"));
    if let Err(failure) = run_seed(seed, wanted.is_some()) {
        panic!("{failure}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let runs: Vec<Report> =
        (0..20).map(|run| run_seed(run / 2, false).expect("it goes well")).collect();
    for pair in runs.chunks(2) {
        assert_eq!(pair[0], pair[1]);
    }
    assert_ne!(runs[0].trace_hash, runs[2].trace_hash);
}

// Queues and credit.

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

// The shadow queue.

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
    network.run_ms(200);
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
