//! How long a client is without answers when the server that it prefers is killed, stops without a word, or is busy, and how
//! soon it is back there.
//!
//! Two servers, processes of their own, at priorities 1 and 2; one client asks one call after the other, all the time.

mod client;
mod scenarios;
mod server;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use drawdown_tests::measure::{About, is_interrupted, print, stop_on_signals};

use scenarios::Turn;
use server::ServerArgs;

/// Measure how long failover takes.
#[derive(Parser)]
#[command(name = "failover", args_conflicts_with_subcommands = true)]
#[command(disable_help_subcommand = true)]
struct Args {
    /// How often everything is measured.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,

    /// A run that takes longer is ended, and counts as failed.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    limit: u64,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// A server of a measurement.
    #[command(hide = true)]
    Server(ServerArgs),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Some(Command::Server(args)) => server::run(&args),
        None => measure(args.rounds, Duration::from_secs(args.limit)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("failover: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn measure(rounds: u32, limit: Duration) -> Result<(), String> {
    stop_on_signals()?;
    print(&About::new(rounds, false).heading())?;
    let mut outcomes: Vec<Vec<Turn>> = scenarios::ALL.iter().map(|_| Vec::new()).collect();
    for round in 1..=rounds {
        for (scenario, turns) in scenarios::ALL.iter().zip(&mut outcomes) {
            eprintln!("round {round} of {rounds}: {}", scenario.name);
            turns.push(scenarios::run(scenario, limit)?);
            if is_interrupted() {
                return Err("interrupted; all processes are ended".to_owned());
            }
        }
    }
    print(&table::of(&outcomes))?;
    let failures: Vec<&String> =
        outcomes.iter().flatten().flat_map(|turn| &turn.failures).collect();
    match failures.first() {
        None => Ok(()),
        Some(first) => Err(format!("{} calls failed, the first: {first}", failures.len())),
    }
}
