//! Runs simulated networks, seed after seed, and stops at the first that goes wrong unless told otherwise.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use drawdown_tests::sim::{Report, run_seed};

/// Runs simulated networks of PUSH and PULL sockets with faults, and checks every step.
#[derive(Parser)]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Runs this one only.
    #[arg(long)]
    seed: Option<u64>,
    /// Goes on after a seed that fails.
    #[arg(long)]
    keep_going: bool,
    /// Prints everything that happens.
    #[arg(long)]
    trace: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seeds = match args.seed {
        Some(seed) => seed..seed.saturating_add(1),
        None => args.first..args.first.saturating_add(args.seeds),
    };
    let started = Instant::now();
    let mut total = Report::default();
    let mut failures = 0;
    let count = seeds.end - seeds.start;
    for seed in seeds {
        match run_seed(seed, args.trace) {
            Ok(report) => total.add(&report),
            Err(failure) => {
                eprintln!("{failure}");
                failures += 1;
                if !args.keep_going {
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{count} seeds in {seconds:.1} s ({:.0} a second): {:.0} s of simulated time, {} steps, {} messages, \
         {} dispatched, {} faults; trace {:016x}",
        count as f64 / seconds.max(1e-9),
        total.simulated.as_secs_f64(),
        total.steps,
        total.messages,
        total.dispatched,
        total.faults,
        total.trace_hash,
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
