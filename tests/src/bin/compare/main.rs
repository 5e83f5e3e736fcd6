//! Drawdown beside its peers, on this machine, in turns.
//!
//! Each run is two processes that talk over tcp on loopback; the receiver checks every byte. Within a round the
//! programs of a row follow each other, and every round begins with another one, so that a machine that is fast for a
//! minute is fast for all. Nothing is installed: a peer that is missing is named, with what to install.

mod chart;
mod machine;
mod outcome;
mod parts;
mod payload;
mod peers;
mod report;
mod rows;
mod run;
mod table;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use drawdown_tests::measure::{is_interrupted, print, stop_on_signals, write};

use outcome::{Outcome, Turn};
use parts::Part;
use peers::{Found, Peer};
use rows::Row;
use run::Run;

/// Runs of `--quick` have so many times fewer messages.
const QUICK: u64 = 20;

/// Measure Drawdown beside libzmq, zmq.rs, Redis, NATS JetStream, plain tcp and plain files.
#[derive(Parser)]
#[command(
    name = "compare",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = rows::help(),
)]
struct Args {
    /// How often each program runs each row.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// A twentieth of the messages: to see that everything works, not to measure.
    #[arg(long)]
    quick: bool,

    /// Write everything, each single run too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Write a picture.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    /// The command [default: beside this program].
    #[arg(long, value_name = "FILE")]
    drawdown: Option<PathBuf>,

    /// `--window` of `drawdown bench pull` [default: its own].
    #[arg(long, value_name = "COUNT")]
    window: Option<u64>,

    /// `--queue` of `drawdown bench push` [default: its own].
    #[arg(long, value_name = "COUNT")]
    queue: Option<u64>,

    /// `--threads` of `drawdown` [default: its own, which is 1].
    #[arg(long, value_name = "COUNT")]
    threads: Option<u8>,

    /// Keep stores in a new folder here, on the disk to be measured [default: the system's temporary folder].
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,

    /// A run that takes longer is ended, and counts as failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    limit: u64,

    /// The rows to measure [default: all].
    rows: Vec<String>,

    #[command(subcommand)]
    part: Option<Part>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.part {
        Some(part) => parts::run(part),
        None => compare(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("compare: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn compare(args: &Args) -> Result<(), String> {
    let rows = rows::chosen(&args.rows)?;
    stop_on_signals()?;
    let folder = match &args.dir {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    };
    let folder = folder.map_err(|error| format!("no temporary folder can be made: {error}"))?;
    let found = peers::find(args, folder.path())?;
    let about = machine::about(args, folder.path());
    print(&table::heading(&about, &found))?;

    let mut outcomes = Outcome::for_rows(&rows, &found.peers, if args.quick { QUICK } else { 1 });
    for round in 0..args.rounds {
        for outcome in &mut outcomes {
            measure(outcome, round, args, &found, folder.path())?;
        }
    }
    for outcome in &outcomes {
        print(&table::row(outcome, &found.peers))?;
    }
    if let Some(file) = &args.json {
        write(file, &format!("{:#}\n", report::json(&about, &found, &outcomes)))?;
    }
    if let Some(file) = &args.svg {
        write(file, &chart::svg(&about, &found.peers, &outcomes))?;
    }
    match outcomes.iter().map(Outcome::failures).sum::<usize>() {
        0 => Ok(()),
        failures => Err(format!("{failures} runs failed; the table says why")),
    }
}

/// One round of one row; each round begins with another program.
fn measure(
    outcome: &mut Outcome,
    round: u32,
    args: &Args,
    found: &Found,
    folder: &Path,
) -> Result<(), String> {
    let row = outcome.row;
    let first = round as usize % outcome.series.len().max(1);
    outcome.series.rotate_left(first);
    for series in &mut outcome.series {
        // A series is of one of these peers.
        let Some(peer) = found.peers.get(series.peer) else { continue };
        eprintln!("round {} of {}: {}, {}", round + 1, args.rounds, row.name, peer.name());
        let turn = take_turn(peer.as_ref(), row, series.count, args, folder);
        if is_interrupted() {
            return Err("interrupted; all is ended and removed".to_owned());
        }
        series.turns.push(turn);
    }
    outcome.series.rotate_right(first);
    Ok(())
}

/// One run in a folder of its own, which is gone afterwards.
fn take_turn(peer: &dyn Peer, row: &Row, count: u64, args: &Args, folder: &Path) -> Turn {
    let folder = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let run = Run::new(folder.path(), Duration::from_secs(args.limit));
    let sample = peer.run(row, count, &run);
    if let Err(sentence) = &sample {
        eprintln!("  failed: {sentence}");
    }
    sample
}
