//! Kills, stops and cuts off real processes for as long as one likes, and says whether anything was lost.

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use drawdown_tests::chaos;
use drawdown_tests::processes::Random;
use indicatif::{ProgressBar, ProgressStyle};

/// Runs senders, streamers, receivers, publishers, proxies, subscribers, clients and servers; kills them, stops them, resets
/// their connections; and checks that nothing that was accepted is lost, and nothing damaged.
#[derive(Parser)]
struct Args {
    /// How many processes are killed.
    #[arg(long, default_value_t = 1_000)]
    kills: u64,
    /// How many of these kills are of one run; after each, everything is looked at and begins anew.
    #[arg(long, default_value_t = 100)]
    kills_each: u64,
    /// What chance begins with; the moments at which things happen are never the same.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut random = args.seed.map_or_else(Random::start, Random::of);
    let style = ProgressStyle::with_template("{wide_bar} {pos} of {len} kills, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(args.kills).with_style(style);
    let started = Instant::now();
    let mut left = args.kills;
    while left > 0 {
        let kills = left.min(args.kills_each.max(1));
        left -= kills;
        let folder = match tempfile::tempdir() {
            Ok(folder) => folder,
            Err(error) => {
                eprintln!("there is no room for a folder: {error}");
                return ExitCode::from(2);
            }
        };
        match chaos::run(folder.path(), kills, &mut random, |_| bar.inc(1)) {
            Ok(tally) => bar.suspend(|| println!("{tally}")),
            Err(why) => {
                // For whoever wants to see what is in the stores.
                let kept = folder.keep();
                bar.suspend(|| eprintln!("{why}\nwhat is left is in {}", kept.display()));
                return ExitCode::FAILURE;
            }
        }
    }
    bar.finish_and_clear();
    println!("{} kills in {:.0} s: nothing is lost", args.kills, started.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}
