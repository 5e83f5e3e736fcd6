//! The processes of measurements, as hidden subcommands. Each tells what it did in one line of JSON.

mod depth;
mod filters;
mod idle;
mod links;
mod publish;
mod rate;
mod shares;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use clap::Subcommand;
use drawdown::{PubSocket, PullSocket, PushSocket};
use tokio::runtime::Runtime;

/// How long links may take to be made, and what waits to be done.
const PATIENCE: Duration = Duration::from_secs(60);

const ANY_PORT: &str = "tcp://127.0.0.1:0";

#[derive(Subcommand)]
pub(crate) enum Part {
    Depth(depth::DepthArgs),
    Flood(links::FloodArgs),
    Share(shares::ShareArgs),
    Rate(rate::RateArgs),
    IdleSend(idle::SendArgs),
    IdleReceive(idle::ReceiveArgs),
    Publish(publish::PublishArgs),
    Subscribe(shares::ShareArgs),
    StandStill(shares::ReceiveArgs),
    FilterPublish(filters::PublishArgs),
    FilterSubscribe(filters::SubscribeArgs),
}

/// Any error, as a sentence.
type Failure = Box<dyn std::error::Error + Send + Sync>;

pub(crate) fn run(part: Part) -> Result<(), String> {
    end_with_owner();
    let runtime = Runtime::new().map_err(|error| format!("tokio cannot be started: {error}"))?;
    let done = match part {
        // Its sender is a thread of its own.
        Part::Rate(args) => rate::run(&args, &runtime),
        Part::Depth(args) => runtime.block_on(depth::run(&args)),
        Part::Flood(args) => runtime.block_on(links::flood(&args)),
        Part::Share(args) => runtime.block_on(links::share(&args)),
        Part::IdleSend(args) => runtime.block_on(idle::send(&args)),
        Part::IdleReceive(args) => runtime.block_on(idle::receive(&args)),
        Part::Publish(args) => runtime.block_on(publish::publish(&args)),
        Part::Subscribe(args) => runtime.block_on(publish::subscribe(&args)),
        Part::StandStill(args) => runtime.block_on(publish::stand_still(&args)),
        Part::FilterPublish(args) => runtime.block_on(filters::publish(&args)),
        Part::FilterSubscribe(args) => runtime.block_on(filters::subscribe(&args)),
    };
    // Tasks that never end are not waited for.
    runtime.shutdown_background();
    done.map_err(|error| error.to_string())
}

/// The owner holds stdin open for as long as it wants this process.
fn end_with_owner() {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
}

fn tell(line: impl std::fmt::Display) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    Ok(stdout.flush()?)
}

/// Waits until so many receivers are linked.
async fn linked(push: &PushSocket, links: usize) -> Result<(), Failure> {
    wait_until(|| push.stats().links.iter().filter(|link| link.peer.is_some()).count() >= links)
        .await
        .map_err(|_| format!("after {} s not all links are made", PATIENCE.as_secs()).into())
}

/// Waits until so many subscribers have asked for messages.
async fn asked(publisher: &PubSocket, subscribers: usize) -> Result<(), Failure> {
    let asked = || publisher.stats().links.iter().filter(|link| link.position.is_some()).count();
    wait_until(|| asked() >= subscribers)
        .await
        .map_err(|_| format!("after {} s not all subscribers are there", PATIENCE.as_secs()).into())
}

async fn wait_until(what: impl Fn() -> bool) -> Result<(), Failure> {
    let start = Instant::now();
    while !what() {
        if start.elapsed() > PATIENCE {
            return Err(format!("nothing happened for {} s", PATIENCE.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Receivers that are being connected.
fn receivers(
    endpoint: &str,
    count: usize,
    window: u64,
) -> Result<Vec<PullSocket>, drawdown::Error> {
    let receiver = |_| {
        let pull = PullSocket::builder().window(window).build()?;
        pull.connect(endpoint)?;
        Ok(pull)
    };
    (0..count).map(receiver).collect()
}
