//! Networks with faults by chance.

use drawdown_tests::sim::{Report, run_seed};

/// Seeds that each of the tests with faults runs: four thousand together.
const SEEDS_EACH: u64 = 1_000;

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
