//! Runs simulated networks, seed after seed, and stops at the first that goes wrong unless told otherwise.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use drawdown_tests::sim::{Kind, Report, run_seed};

/// Runs simulated networks with faults, and checks every step.
#[derive(Parser)]
struct Args {
    /// Which sockets the networks are of.
    #[arg(long, value_enum, default_value_t = Kinds::All)]
    kind: Kinds,
    /// How many seeds to run of each kind.
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kinds {
    /// PUSH and PULL.
    Push,
    /// PUB and SUB, with proxies.
    Pubsub,
    /// REQ and REP.
    Calls,
    /// PUSH and PULL with streamers between them.
    Streamers,
    /// One after the other.
    All,
}

impl Kinds {
    const fn list(self) -> &'static [Kind] {
        match self {
            Kinds::Push => &[Kind::PushPull],
            Kinds::Pubsub => &[Kind::PubSub],
            Kinds::Calls => &[Kind::Calls],
            Kinds::Streamers => &[Kind::Streamers],
            Kinds::All => &[Kind::PushPull, Kind::PubSub, Kind::Calls, Kind::Streamers],
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut failures = 0;
    for kind in args.kind.list() {
        failures += run(*kind, &args);
        if failures > 0 && !args.keep_going {
            break;
        }
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs the seeds of one kind; says how many of them failed.
fn run(kind: Kind, args: &Args) -> u64 {
    let seeds = match args.seed {
        Some(seed) => seed..seed.saturating_add(1),
        None => args.first..args.first.saturating_add(args.seeds),
    };
    let started = Instant::now();
    let mut total = Report::default();
    let mut failures = 0;
    let count = seeds.end - seeds.start;
    for seed in seeds {
        match run_seed(kind, seed, args.trace) {
            Ok(report) => total.add(&report),
            Err(failure) => {
                eprintln!("{failure}");
                failures += 1;
                if !args.keep_going {
                    return failures;
                }
            }
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{kind}: {count} seeds in {seconds:.1} s ({:.0} a second): {:.0} s of simulated time, {} steps, {} messages, \
         {} dispatched, {} faults; trace {:016x}",
        count as f64 / seconds.max(1e-9),
        total.simulated.as_secs_f64(),
        total.steps,
        total.messages,
        total.dispatched,
        total.faults,
        total.trace_hash,
    );
    failures
}
