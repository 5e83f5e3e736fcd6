//! How near the work of several receivers comes to the ideal, in time and in shares: each scenario is measured several times,
//! and the ideal is computed from what the jobs of each worker really took.

mod crew;
mod scenarios;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Any error; it ends the command.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(name = "fairness")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// How often each scenario is measured.
    #[arg(long, default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// Measure only scenarios whose name has these words in it.
    #[arg(long, value_name = "WORDS", default_value = "")]
    only: String,
}

#[derive(Subcommand)]
enum Command {
    Worker(worker::WorkerArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Worker(args)) => worker::run(args),
        None => scenarios::measure(cli.runs, &cli.only),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fairness: {error}");
            ExitCode::FAILURE
        }
    }
}
