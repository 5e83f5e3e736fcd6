//! Calls: twenty clients ask three servers, which are killed again and again, and a standby that steps in.
//!
//! ```text
//!   client 1  ──┐      ┌── server 1 ──┐
//!   ...         ├──────┼── server 2   ├ priority 1
//!   client 20 ──┘      ├── server 3 ──┘
//!                      └── standby     priority 2
//! ```
//!
//! Each server is a process of its own. The servers are killed at random and started again; in the middle all three are
//! gone. In the end every call must have been answered exactly once, and the standby must have worked only while no server
//! was there: each has room for all clients.
//!
//! To learn the library, read `server.rs` and `client.rs`. The rest is the stage that they stand on.

mod client;
mod dice;
mod report;
mod scene;
mod server;
mod stage;
mod tally;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use drawdown_examples::Outcome;

use dice::Dice;
use scene::Scene;

/// Asks three servers that are killed at random, and a standby, and checks that every call was answered exactly once.
///
/// Ends with exit code 0 only if every call was, and the standby worked only when it had to.
#[derive(Parser)]
#[command(name = "calls", disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
struct Cli {
    /// For how long is asked.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=600))]
    seconds: u64,

    /// Kill at the same moments as the run that told this number [default: by chance].
    #[arg(long)]
    seed: Option<u64>,

    #[command(subcommand)]
    part: Option<Part>,
}

/// What the stage starts this program as.
#[derive(Subcommand)]
enum Part {
    #[command(name = "play-server", hide = true)]
    Server {
        #[command(flatten)]
        scene: Scene,
        #[arg(long)]
        number: u32,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let whole = match &cli.part {
        None => calls(&cli).await,
        Some(Part::Server { scene, number }) => server::run(scene, *number).await.map(|()| true),
    };
    match whole {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("calls: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole; says whether every call was answered exactly once, and the standby worked only when it had to.
async fn calls(cli: &Cli) -> Outcome<bool> {
    let seed = cli.seed.unwrap_or_else(Dice::any_seed);
    let run = stage::run(Duration::from_secs(cli.seconds), seed).await?;
    Ok(report::show(&run))
}
