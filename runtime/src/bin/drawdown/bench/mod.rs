//! `drawdown bench`: how fast the same sockets are that everybody uses.

mod payload;
mod receive;
mod send;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::console::Console;
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::Failure;
use crate::push::Durability;
use crate::units;

/// What is under way should fit a processor's cache.
const UNDER_WAY_BYTES: u64 = 8 << 20;

/// Measure how fast messages go from one process to another.
///
/// Message i is i as 8 bytes, little-endian, and then a pattern made from i; the receiver checks every byte. Each side
/// prints one line of JSON at its end. Of either side there may be more than one.
#[derive(Args)]
#[command(after_help = "\
Examples:
  drawdown bench pull --bind tcp://127.0.0.1:7000 --count 1000000 --size 256 &
  drawdown bench push --connect tcp://127.0.0.1:7000 --count 1000000 --size 256

  # Everything on disk, nobody there to confirm it.
  drawdown bench push --bind tcp://127.0.0.1:7000 --count 1000000 --size 256 --store ./outbox --accept-only")]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    side: Side,
}

#[derive(Subcommand)]
enum Side {
    Push(SendArgs),
    Pull(ReceiveArgs),
}

/// What both sides need to know.
#[derive(Args)]
struct Load {
    #[command(flatten)]
    endpoints: Endpoints,

    /// Messages.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,

    /// The size of each, in bytes or as 64KiB; at least 8.
    #[arg(long, value_name = "SIZE", value_parser = payload::size)]
    size: usize,

    /// Messages in one call; 0 and 1 use the calls for single messages.
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    batch: usize,

    #[command(flatten)]
    links: LinkArgs,
}

/// Send, wait until all is confirmed, and say how long it took.
///
/// `accepted_seconds` is from the first send until all were accepted (in the queue, or with a store on disk or confirmed),
/// `confirmed_seconds` until all were confirmed.
#[derive(Args)]
#[command(after_help = "\
Example:
  drawdown bench push --connect tcp://127.0.0.1:7000 --count 1000000 --size 256 --store ./outbox")]
struct SendArgs {
    #[command(flatten)]
    load: Load,

    /// Keep messages in this folder until they are confirmed.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,

    /// What an accepted message survives.
    #[arg(long, value_enum, default_value_t = Durability::Synced, requires = "store")]
    durability: Durability,

    /// Messages that may wait for a receiver [default: 65536, or 8MiB of them].
    #[arg(long, value_name = "COUNT")]
    queue: Option<u64>,

    /// One message at a time, and how long each took: with a store until it is accepted, else until it is confirmed.
    #[arg(long)]
    latency: bool,

    /// Do not wait for confirmations: for a measurement without a receiver.
    #[arg(long, requires = "store")]
    accept_only: bool,
}

/// Receive, check and confirm; the time is from the first to the last message.
#[derive(Args)]
#[command(after_help = "\
Example:
  drawdown bench pull --bind tcp://127.0.0.1:7000 --count 1000000 --size 256 --window 10000")]
struct ReceiveArgs {
    #[command(flatten)]
    load: Load,

    /// Messages that may wait here or be on their way.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    window: u64,

    /// Bytes of the same [default: 8MiB].
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    window_bytes: Option<usize>,
}

pub(crate) async fn run(args: BenchArgs, console: &Console) -> Result<(), Failure> {
    let console = console.clone();
    // On a worker, as the tasks of a program would be.
    let task = match args.side {
        Side::Push(args) => tokio::spawn(async move { send::run(&args, &console).await }),
        Side::Pull(args) => tokio::spawn(async move { receive::run(&args, &console).await }),
    };
    task.await.unwrap_or_else(|error| {
        Err(Failure::new(crate::exit::Exit::Error, format!("the measurement broke off: {error}")))
    })
}
