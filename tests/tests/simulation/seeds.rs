//! Networks with faults by chance: over ten thousand seeds of all kinds in each run.

use drawdown_tests::sim::{Kind, Report, Script, run_script, run_seed};

/// Seeds that each of the tests with faults runs: four thousand of PUSH and PULL together.
const SEEDS_EACH: u64 = 1_000;

/// The same for PUB and SUB: three thousand together.
const PUBSUB_SEEDS_EACH: u64 = 750;

/// The same for REQ and REP: two thousand together.
const CALLS_SEEDS_EACH: u64 = 500;

/// The same for PUSH and PULL with streamers between them: twelve hundred together.
const STREAMERS_SEEDS_EACH: u64 = 600;

/// The same for REQ and REP with routers between them: six hundred together.
const ROUTERS_SEEDS_EACH: u64 = 300;

fn run_seeds(kind: Kind, first: u64, count: u64) {
    for seed in first..first + count {
        if let Err(failure) = run_seed(kind, seed, false) {
            panic!("{failure}");
        }
    }
}

#[test]
fn networks_with_faults_lose_nothing_a() {
    run_seeds(Kind::PushPull, 0, SEEDS_EACH);
}

#[test]
fn networks_with_faults_lose_nothing_b() {
    run_seeds(Kind::PushPull, SEEDS_EACH, SEEDS_EACH);
}

#[test]
fn networks_with_faults_lose_nothing_c() {
    run_seeds(Kind::PushPull, 2 * SEEDS_EACH, SEEDS_EACH);
}

#[test]
fn networks_with_faults_lose_nothing_d() {
    run_seeds(Kind::PushPull, 3 * SEEDS_EACH, SEEDS_EACH);
}

#[test]
fn subscribers_miss_nothing_in_silence_a() {
    run_seeds(Kind::PubSub, 0, PUBSUB_SEEDS_EACH);
}

#[test]
fn subscribers_miss_nothing_in_silence_b() {
    run_seeds(Kind::PubSub, PUBSUB_SEEDS_EACH, PUBSUB_SEEDS_EACH);
}

#[test]
fn subscribers_miss_nothing_in_silence_c() {
    run_seeds(Kind::PubSub, 2 * PUBSUB_SEEDS_EACH, PUBSUB_SEEDS_EACH);
}

#[test]
fn subscribers_miss_nothing_in_silence_d() {
    run_seeds(Kind::PubSub, 3 * PUBSUB_SEEDS_EACH, PUBSUB_SEEDS_EACH);
}

#[test]
fn every_call_ends_as_it_may_a() {
    run_seeds(Kind::Calls, 0, CALLS_SEEDS_EACH);
}

#[test]
fn every_call_ends_as_it_may_b() {
    run_seeds(Kind::Calls, CALLS_SEEDS_EACH, CALLS_SEEDS_EACH);
}

#[test]
fn every_call_ends_as_it_may_c() {
    run_seeds(Kind::Calls, 2 * CALLS_SEEDS_EACH, CALLS_SEEDS_EACH);
}

#[test]
fn every_call_ends_as_it_may_d() {
    run_seeds(Kind::Calls, 3 * CALLS_SEEDS_EACH, CALLS_SEEDS_EACH);
}

#[test]
fn streamers_lose_nothing_a() {
    run_seeds(Kind::Streamers, 0, STREAMERS_SEEDS_EACH);
}

#[test]
fn streamers_lose_nothing_b() {
    run_seeds(Kind::Streamers, STREAMERS_SEEDS_EACH, STREAMERS_SEEDS_EACH);
}

#[test]
fn routers_answer_every_call_that_they_may_a() {
    run_seeds(Kind::Routers, 0, ROUTERS_SEEDS_EACH);
}

#[test]
fn routers_answer_every_call_that_they_may_b() {
    run_seeds(Kind::Routers, ROUTERS_SEEDS_EACH, ROUTERS_SEEDS_EACH);
}

#[test]
fn one_seed() {
    let wanted = std::env::var("DRAWDOWN_SEED").ok();
    let seed = wanted.as_ref().map_or(42, |seed| seed.parse().expect("DRAWDOWN_SEED is a number"));
    for kind in Kind::ALL {
        if let Err(failure) = run_seed(kind, seed, wanted.is_some()) {
            panic!("{failure}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for kind in Kind::ALL {
        let runs: Vec<Report> =
            (0..20).map(|run| run_seed(kind, run / 2, false).expect("it goes well")).collect();
        for pair in runs.chunks(2) {
            assert_eq!(pair[0], pair[1]);
        }
        assert_ne!(runs[0].trace_hash, runs[2].trace_hash);
    }
}

/// Each of them once showed a fault of its own, which `design.md` tells of.
#[test]
fn what_once_went_wrong_for_subscribers_goes_well() {
    for seed in [
        2989, 4234, 5189, 5732, 6313, 7619, 8033, 9727, 10_151, 17_299, 21_939, 24_439, 27_669,
        309_788,
    ] {
        run_seeds(Kind::PubSub, seed, 1);
    }
}

/// What `simulate --shrink` made of failures that are mended. A line says what went wrong once.
const KEPT: [&str; 8] = [
    "calls 2015 without=rep-2 faults= messages=50 plain=work,payloads,lives",
    "pubsub 880990 faults=0,2 messages=5 plain=work,payloads,lives",
    // Credit that an idle sender sat on when the room became less.
    "streamers 15602279 faults=0,2,3,4,6 messages=100 plain=payloads",
    // A cursor beyond a gap of an old session that nobody heard of.
    "pubsub 15701628 faults=0,1,2,3,4,5,7,8,10,16,18,19,26,30 messages=100 plain=work,payloads,lives",
    // A receiver whose only room was with a dead sender without heartbeats, which the checker did not allow for.
    "push 16301104",
    // A sender without a queue that asked for credit while it was not to hand anything out yet.
    "push 18401348",
    // A source with what comes next that answers later than a near one without it is left.
    "pubsub 17507226 plain=work,payloads,lives",
    // A server that had answered with a part of what it was about to have.
    "calls 17300241 without=req-0,rep-2,rep-3 faults= messages=20 plain=work,lives",
];

#[test]
fn what_was_kept_of_failures_goes_well() {
    for kept in KEPT {
        let script: Script = kept.parse().expect("it is a script");
        if let Err(failure) = run_script(&script, false) {
            panic!("{failure}");
        }
    }
}
