//! Runs simulated networks, seed after seed, and stops at the first that goes wrong unless told otherwise.

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use drawdown_tests::sim::{Kind, Report, Script, Shrunk, run_script, shrink, try_script};
use indicatif::{ProgressBar, ProgressStyle};

/// Networks that are run at the most to make a failure small.
const SHRINK_RUNS_MAX: u64 = 2_000;

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
    /// Runs a part of a seed, as a failure that was made small names it.
    #[arg(long, conflicts_with = "seed")]
    script: Option<Script>,
    /// Makes a failure small: fewer faults, nodes and messages.
    #[arg(long)]
    shrink: bool,
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
    /// REQ and REP with routers between them.
    Routers,
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
            Kinds::Routers => &[Kind::Routers],
            Kinds::All => &Kind::ALL,
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(script) = &args.script {
        return match run_script(script, args.trace) {
            Ok(report) => {
                println!("{script}: nothing is wrong; {} faults", report.faults);
                ExitCode::SUCCESS
            }
            Err(failure) => {
                eprintln!("{failure}");
                if args.shrink {
                    tell_small(script.clone());
                }
                ExitCode::FAILURE
            }
        };
    }
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
    let bar = progress(kind, if args.trace { 0 } else { count });
    for seed in seeds {
        let script = Script::whole(kind, seed);
        match run_script(&script, args.trace) {
            Ok(report) => {
                total.add(&report);
                bar.inc(1);
            }
            Err(failure) => {
                bar.suspend(|| eprintln!("{failure}"));
                if args.shrink {
                    bar.suspend(|| tell_small(script));
                }
                failures += 1;
                if !args.keep_going {
                    return failures;
                }
            }
        }
    }
    bar.finish_and_clear();
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

/// Shows how far a long run has come.
fn progress(kind: Kind, seeds: u64) -> ProgressBar {
    if seeds < 100 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len} seeds, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(seeds).with_style(style).with_message(kind.to_string())
}

/// Makes a failure small, and says how to keep it.
fn tell_small(script: Script) {
    let mut judge = |script: &Script| try_script(script).err();
    let Some(Shrunk { script, failure, runs }) = shrink(script, SHRINK_RUNS_MAX, &mut judge) else {
        return eprintln!("it does not fail again: the simulator is not what it was a moment ago");
    };
    let faults = failure.faults.len();
    eprintln!("\nmade small in {runs} runs, {faults} faults are left:\n{failure}");
    eprintln!(
        "to keep it, add this line to KEPT in tests/tests/simulation/seeds.rs:\n    \"{script}\","
    );
}
