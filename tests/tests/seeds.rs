//! Simulated networks by chance: each seed another network, other faults, the same rules.

use drawdown_tests::sim::{Report, run_seed};

/// Seeds of each test; four of them, so that cores share the work.
const SEEDS: u64 = 1_000;

fn run(first: u64) {
    let mut total = Report::default();
    for seed in first..first + SEEDS {
        match run_seed(seed, false) {
            Ok(report) => total.add(&report),
            Err(failure) => panic!("{failure}"),
        }
    }
    assert!(total.messages > SEEDS, "the networks did some work: {total:?}");
    assert!(total.faults > 0, "and were disturbed at it");
}

#[test]
fn seeds_of_the_first_thousand_hold() {
    run(0);
}

#[test]
fn seeds_of_the_second_thousand_hold() {
    run(1_000);
}

#[test]
fn seeds_of_the_third_thousand_hold() {
    run(2_000);
}

#[test]
fn seeds_of_the_fourth_thousand_hold() {
    run(3_000);
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let trace =
        |seed| run_seed(seed, false).map(|report| report.trace_hash).expect("the seed holds");
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed));
        assert_ne!(trace(seed), trace(seed + 1));
    }
}

#[test]
fn one_seed_again_with_its_trace_if_asked_for() {
    if let Some(seed) = std::env::var("DRAWDOWN_SEED").ok().and_then(|seed| seed.parse().ok())
        && let Err(failure) = run_seed(seed, true)
    {
        panic!("{failure}");
    }
}
