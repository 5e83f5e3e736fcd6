//! A rolling restart: every part of a pipeline is restarted in turn while work goes on.
//!
//! ```text
//!                    ┌── streamer 1 ──┐┌── worker 1 ──┐
//!   ventilator ──────┤                ├┼── worker 2   ├───── sink
//!   (with a store)   └── streamer 2 ──┘├── worker 3   │
//!                                      └── worker 4 ──┘
//! ```
//!
//! Each part is a process of its own. First each is told to end with SIGTERM, and started again once it has: then no job may
//! be lost and none may be done twice. After that each is killed with SIGKILL: no job may be lost; one that was under way
//! may be done twice, and the sink counts it once.
//!
//! To learn the library, read `ventilator.rs`, `streamer.rs`, `worker.rs` and `sink.rs`. The rest is the stage that they
//! stand on.

mod news;
mod report;
mod scene;
mod sink;
mod stage;
mod streamer;
mod ventilator;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use drawdown_examples::Outcome;
use drawdown_examples::child::Lifeline;
use tokio::signal::unix::{SignalKind, signal};

use scene::Scene;

/// Restarts every part of a pipeline in turn, with SIGTERM and with SIGKILL, and checks that no job is lost.
///
/// Ends with exit code 0 only if every job was done, and SIGTERM let none be done twice.
#[derive(Parser)]
#[command(name = "rolling_restart", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the stage starts this program as.
#[derive(Subcommand)]
enum Part {
    #[command(name = "play-ventilator", hide = true)]
    Ventilator {
        #[command(flatten)]
        scene: Scene,
    },
    #[command(name = "play-streamer", hide = true)]
    Streamer {
        #[command(flatten)]
        scene: Scene,
        #[arg(long)]
        number: u32,
    },
    #[command(name = "play-worker", hide = true)]
    Worker {
        #[command(flatten)]
        scene: Scene,
    },
    #[command(name = "play-sink", hide = true)]
    Sink {
        #[command(flatten)]
        scene: Scene,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let good = match &cli.part {
        None => rolling_restart().await,
        Some(part) => play(part).await.map(|()| true),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rolling_restart: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn rolling_restart() -> Outcome<bool> {
    let run = stage::run().await?;
    Ok(report::show(&run))
}

async fn play(part: &Part) -> Outcome<()> {
    match part {
        Part::Ventilator { scene } => ventilator::run(scene).await,
        Part::Streamer { scene, number } => streamer::run(scene, *number).await,
        Part::Worker { scene } => worker::run(scene).await,
        Part::Sink { scene } => sink::run(scene).await,
    }
}

/// In a part: waits for SIGTERM, or for the stage to be done.
async fn told_to_end(lifeline: &mut Lifeline) -> Outcome<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        () = lifeline.told_to_finish() => {}
    }
    Ok(())
}
