//! The ticker: what a machine says of itself, published to whoever wants it.
//!
//! ```text
//!                          ┌── proxy 1 ──┐┌── subscriber 1
//!   publisher ─────────────┤             ├┼── subscriber 2
//!   (with a store)         └── proxy 2 ──┘└── subscriber 3
//! ```
//!
//! Each part is a process of its own, and each subscriber is connected to both proxies. Every 10 ms the publisher publishes
//! the lines of some files in `/proc`, each under a topic. While it runs a subscriber and the publisher are killed and
//! started again, and a proxy is killed for good; in the end every subscriber must have had every number once, or know
//! exactly which it has not had.
//!
//! To learn the library, read `publisher.rs`, `proxy.rs` and `subscriber.rs`. The rest is the stage that they stand on.

mod account;
mod news;
mod proxy;
mod publisher;
mod record;
mod report;
mod scene;
mod stage;
mod subscriber;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use drawdown_examples::Outcome;

use scene::Scene;

/// Publishes this machine's statistics over two proxies to three subscribers, kills some of them on the way, and checks that
/// every subscriber has had every number.
///
/// Takes less than ten seconds. Ends with exit code 0 only if no subscriber lacks a number without knowing which.
#[derive(Parser)]
#[command(name = "ticker", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the stage starts this program as.
#[derive(Subcommand)]
enum Part {
    #[command(name = "play-publisher", hide = true)]
    Publisher {
        #[command(flatten)]
        scene: Scene,
    },
    #[command(name = "play-proxy", hide = true)]
    Proxy {
        #[command(flatten)]
        scene: Scene,
        #[arg(long)]
        number: u32,
    },
    #[command(name = "play-subscriber", hide = true)]
    Subscriber {
        #[command(flatten)]
        scene: Scene,
        #[arg(long)]
        number: u32,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let whole = match Cli::parse().part {
        None => ticker().await,
        Some(part) => play(&part).await.map(|()| true),
    };
    match whole {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("ticker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole; says whether every subscriber accounts for every number.
async fn ticker() -> Outcome<bool> {
    let run = stage::run().await?;
    Ok(report::show(&run))
}

async fn play(part: &Part) -> Outcome<()> {
    match part {
        Part::Publisher { scene } => publisher::run(scene).await,
        Part::Proxy { scene, number } => proxy::run(scene, *number).await,
        Part::Subscriber { scene, number } => subscriber::run(scene, *number).await,
    }
}
