//! How the cost of Drawdown grows: with the size of messages, with how many wait, with links, with load, and at rest; with
//! subscribers, with their filters, and with those of them that are stuck.
//!
//! Within a round the growths follow each other, so that a machine that is slow for a minute is slow for one round of all
//! of them. Everything is on loopback and in memory, and every process that is started is ended.

mod chart;
mod growths;
mod lab;
mod outcome;
mod parts;
mod report;
mod scale;
mod table;
mod unit;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use drawdown_tests::measure::{About, is_interrupted, print, stop_on_signals, write};

use lab::Lab;
use outcome::Outcome;
use parts::Part;

/// Measure how the cost of Drawdown grows.
#[derive(Parser)]
#[command(
    name = "growth",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = growths::help(),
)]
struct Args {
    /// How often everything is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// Short runs and fewer steps: to see that everything works, not to measure.
    #[arg(long)]
    quick: bool,

    /// Write everything, each single run too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a picture of each growth, GROWTH.svg, into this folder, which is made if it is not there.
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,

    /// The command [default: beside this program].
    #[arg(long, value_name = "FILE")]
    drawdown: Option<PathBuf>,

    /// A run that takes longer is ended, and counts as failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    limit: u64,

    /// The growths to measure [default: all].
    growths: Vec<String>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// A process of a measurement.
    #[command(hide = true, subcommand)]
    Part(Part),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Some(Command::Part(part)) => parts::run(part),
        None => measure(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("growth: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<(), String> {
    let growths = growths::chosen(&args.growths)?;
    stop_on_signals()?;
    let lab = Lab::new(args.drawdown.clone(), args.quick, Duration::from_secs(args.limit))?;
    if let Some(folder) = &args.svg {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    }
    let about = About::new(args.rounds, args.quick);
    print(&about.heading())?;

    let mut outcomes: Vec<_> =
        growths.into_iter().map(|growth| Outcome::new(growth, args.quick)).collect();
    for round in 0..args.rounds {
        for outcome in &mut outcomes {
            eprintln!("round {} of {}: {}", round + 1, args.rounds, outcome.growth.name);
            outcome.measure(&lab);
            if is_interrupted() {
                return Err("interrupted; all processes are ended".to_owned());
            }
        }
    }
    for outcome in &outcomes {
        print(&table::of(outcome))?;
        if let Some(folder) = &args.svg {
            let file = folder.join(format!("{}.svg", outcome.growth.name));
            write(&file, &chart::svg(&about, outcome))?;
        }
    }
    if let Some(file) = &args.json {
        write(file, &format!("{:#}\n", report::json(&about, &outcomes)))?;
    }
    match outcomes.iter().map(Outcome::failures).sum::<usize>() {
        0 => Ok(()),
        failures => Err(format!("{failures} runs failed; the tables say why")),
    }
}
