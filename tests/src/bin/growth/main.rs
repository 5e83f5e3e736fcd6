//! How the cost of Drawdown grows: with the size of messages, with how many wait, with links, with load, and at rest.
//!
//! Within a round the growths follow each other, so that a machine that is slow for a minute is slow for one round of all
//! of them. Everything is on loopback and in memory, and every process that is started is ended.

mod chart;
mod growths;
mod lab;
mod machine;
mod outcome;
mod parts;
mod process;
mod procfs;
mod report;
mod scale;
mod statistics;
mod table;
mod unit;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::{Parser, Subcommand};

use lab::Lab;
use machine::About;
use outcome::Outcome;
use parts::Part;
use process::INTERRUPTED;

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
    print(&table::heading(&about))?;

    let mut outcomes: Vec<_> =
        growths.into_iter().map(|growth| Outcome::new(growth, args.quick)).collect();
    for round in 0..args.rounds {
        for outcome in &mut outcomes {
            eprintln!("round {} of {}: {}", round + 1, args.rounds, outcome.growth.name);
            outcome.measure(&lab);
            if INTERRUPTED.load(Ordering::Relaxed) {
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

/// SIGINT and SIGTERM end what runs instead of leaving it behind.
fn stop_on_signals() -> Result<(), String> {
    let no_signals = |error| format!("signals cannot be waited for: {error}");
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(no_signals)?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            use tokio::signal::unix::{SignalKind, signal};
            // Without them, signals end this program as they always do.
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
            INTERRUPTED.store(true, Ordering::Relaxed);
        });
    });
    Ok(())
}

fn print(text: &str) -> Result<(), String> {
    let mut stdout = std::io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("cannot write to stdout: {error}"))
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text)
        .map_err(|error| format!("{} cannot be written: {error}", file.display()))
}
