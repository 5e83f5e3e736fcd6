//! The butterfly: work spreads out from a ventilator over workers, and comes together again in a sink.
//!
//! ```text
//!                    ┌── worker 1 ──┐
//!   ventilator ──────┼── worker 2 ──┼────── sink
//!   (with a store)   └── worker … ──┘
//! ```
//!
//! Each part is a process of its own. While they count the lines, words and bytes of some thousand files, a worker and
//! the ventilator are killed without warning; in the end the sum must be that of one plain pass over the same files.
//!
//! To learn the library, read `ventilator.rs`, `worker.rs` and `sink.rs`. The rest is the stage that they stand on.

mod files;
mod news;
mod report;
mod scene;
mod sink;
mod stage;
mod tally;
mod ventilator;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use drawdown_examples::Outcome;
use drawdown_examples::screen::say;

use scene::Scene;

/// Counts the lines, words and bytes of many files in a pipeline of processes, some of which are killed on the way, and
/// checks the sum against a plain pass over the same files.
///
/// Ends with exit code 0 only if both are equal.
#[derive(Parser)]
#[command(
    name = "butterfly",
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: Options,
}

#[derive(clap::Args)]
struct Options {
    /// Count all files in this folder [default: the Rust sources of this workspace and of cargo's registry]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Workers at the start, 2 to 64; one is killed, and one more joins late
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(2..=64))]
    workers: u32,
    /// Count no more files than this
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = files_value)]
    max_files: usize,
}

/// What the stage starts this program as.
#[derive(Subcommand)]
enum Part {
    #[command(name = "play-ventilator", hide = true)]
    Ventilator {
        #[command(flatten)]
        scene: Scene,
    },
    #[command(name = "play-worker", hide = true)]
    Worker {
        #[command(flatten)]
        scene: Scene,
        #[arg(long)]
        number: u32,
    },
    #[command(name = "play-sink", hide = true)]
    Sink {
        #[command(flatten)]
        scene: Scene,
        #[arg(long)]
        jobs: usize,
    },
}

fn files_value(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one file is needed".to_owned()),
        Ok(files) => Ok(files),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let equal = match &cli.part {
        None => butterfly(&cli.options).await,
        Some(part) => play(part).await.map(|()| true),
    };
    match equal {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("butterfly: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole: finds the files, counts them plainly and in the pipeline, and says whether the sums are equal.
async fn butterfly(options: &Options) -> Outcome<bool> {
    let found = files::find(options.folder.as_deref(), options.max_files)?;
    say(&found.to_string());
    let plain = tally::plain_pass(found.files)?;
    say(&plain.to_string());
    let run = stage::run(&plain.files, options.workers).await?;
    let equal = report::show(&run, &plain);
    Ok(equal)
}

async fn play(part: &Part) -> Outcome<()> {
    match part {
        Part::Ventilator { scene } => ventilator::run(scene).await,
        Part::Worker { scene, number } => worker::run(scene, *number).await,
        Part::Sink { scene, jobs } => sink::run(scene, *jobs).await,
    }
}
