//! Two sites that lend to each other across an ocean.
//!
//! ```text
//!   clients ── router east ──── workers            each router prefers the workers of its own site, and is
//!                 │   │                            to the other site's router a server of a worse priority;
//!               ~~~~~~~~~ the ocean: 40 ms each way
//!                 │   │
//!   clients ── router west ──── workers            clients know both routers and prefer their own
//! ```
//!
//! Routers and workers are processes of their own. First both sites work on their own calls. Then all workers of the east are
//! killed, and its calls cross the ocean; once they are back, no call does. Then the router of the west is killed, and its
//! clients go to the east until it is back. In the end every call must have been answered once and rightly, and none may have
//! crossed the ocean while its own site was well.
//!
//! To learn the library, read `router.rs`, `worker.rs` and `client.rs`. The rest is the stage that they stand on.

mod client;
mod ocean;
mod report;
mod router;
mod scene;
mod stage;
mod tally;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use scene::{Scene, Site};

/// Runs two sites with a router each, kills workers and a router, and checks that every call is answered, at home if it can
/// be.
///
/// Takes some twelve seconds. Ends with exit code 0 only if all is as it should be.
#[derive(Parser)]
#[command(name = "two_sites", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the stage starts this program as.
#[derive(Subcommand)]
enum Part {
    #[command(name = "play-router", hide = true)]
    Router {
        #[command(flatten)]
        scene: Scene,
        #[arg(long)]
        site: Site,
    },
    #[command(name = "play-worker", hide = true)]
    Worker {
        #[command(flatten)]
        scene: Scene,
        #[arg(long)]
        site: Site,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let good = match &cli.part {
        None => stage::run().await.map(|run| report::show(&run)),
        Some(Part::Router { scene, site }) => router::run(scene, *site).await.map(|()| true),
        Some(Part::Worker { scene, site }) => worker::run(scene, *site).await.map(|()| true),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("two_sites: {error}");
            ExitCode::FAILURE
        }
    }
}
