//! `drawdown bench`: how fast the same sockets are that everybody uses.

mod payload;
mod publish;
mod receive;
mod reply;
mod request;
mod send;
mod subscribe;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::console::Console;
use crate::durability::Durability;
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::Failure;
use crate::ring::RingArgs;
use crate::units;

/// What is under way should fit a processor's cache.
const UNDER_WAY_BYTES: u64 = 8 << 20;

/// Measure how fast messages go from one process to another.
///
/// Message i is i as 8 bytes, little-endian, and then a pattern made from i; the receiver checks every byte. Each side
/// prints one line of JSON at its end. Of push, pull, sub, req and rep there may be more than one.
#[derive(Args)]
#[command(after_help = "\
Examples:
  drawdown bench pull --bind tcp://127.0.0.1:7000 --count 1000000 --size 256 &
  drawdown bench push --connect tcp://127.0.0.1:7000 --count 1000000 --size 256

  drawdown bench pub --bind tcp://127.0.0.1:7000 --count 1000000 --size 256 \\
    --subscribers 10 &
  drawdown bench sub --connect tcp://127.0.0.1:7000 --count 1000000 \\
    --size 256 --subscribers 10

  drawdown bench rep --bind tcp://127.0.0.1:7000 --size 64 &
  drawdown bench req --connect tcp://127.0.0.1:7000 --size 64 \\
    --count 100000 --parallel 100

  # Everything on disk, nobody there to confirm it.
  drawdown bench push --bind tcp://127.0.0.1:7000 --count 1000000 \\
    --size 256 --store ./outbox --accept-only")]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    side: Side,
}

#[derive(Subcommand)]
enum Side {
    Push(SendArgs),
    Pull(ReceiveArgs),
    Pub(PublishArgs),
    Sub(SubscribeArgs),
    Req(request::RequestArgs),
    Rep(reply::ReplyArgs),
}

/// What every side needs to know.
#[derive(Args)]
struct Load {
    #[command(flatten)]
    endpoints: Endpoints,

    /// Messages.
    #[arg(long, value_parser = units::one_or_more::<u64>)]
    count: u64,

    /// The size of each, in bytes or as 64KiB; at least 8.
    #[arg(long, value_name = "SIZE", value_parser = payload::size)]
    size: usize,
}

#[derive(Args)]
struct Batch {
    /// Messages in one call; 0 and 1 use the calls for single messages.
    #[arg(long, value_name = "COUNT", default_value_t = 256, value_parser = units::number::<usize>)]
    batch: usize,
}

/// Send, wait until all is confirmed, and say how long it took.
///
/// `accepted_seconds` is from the first send until all were accepted (in the queue, or with a store on disk or confirmed),
/// `confirmed_seconds` until all were confirmed.
#[derive(Args)]
#[command(after_help = "\
Example:
  drawdown bench push --connect tcp://127.0.0.1:7000 --count 1000000 \\
    --size 256 --store ./outbox")]
struct SendArgs {
    #[command(flatten)]
    load: Load,

    #[command(flatten)]
    calls: Batch,

    /// Keep messages in this folder until they are confirmed.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,

    /// What an accepted message survives.
    #[arg(long, value_enum, default_value_t = Durability::Synced, requires = "store")]
    durability: Durability,

    /// Messages that may wait for a receiver [default: 65536, or 8MiB of them].
    #[arg(long, value_name = "COUNT", value_parser = units::number::<u64>)]
    queue: Option<u64>,

    /// One message at a time, and how long each took: with a store until it is accepted, else until it is confirmed.
    #[arg(long)]
    latency: bool,

    /// Do not wait for confirmations: for a measurement without a receiver.
    #[arg(long, requires = "store")]
    accept_only: bool,

    #[command(flatten)]
    links: LinkArgs,
}

/// Receive, check and confirm; the time is from the first to the last message.
#[derive(Args)]
#[command(after_help = "\
Example:
  drawdown bench pull --bind tcp://127.0.0.1:7000 --count 1000000 \\
    --size 256 --window 10000")]
struct ReceiveArgs {
    #[command(flatten)]
    load: Load,

    #[command(flatten)]
    calls: Batch,

    #[command(flatten)]
    window: Window,

    #[command(flatten)]
    links: LinkArgs,
}

#[derive(Args)]
struct Window {
    /// Messages that may wait here or be on their way.
    #[arg(long = "window", value_name = "COUNT", default_value_t = 100_000, value_parser = units::number::<u64>)]
    messages: u64,

    /// Bytes of the same [default: 8MiB, or of many sockets 2MiB each].
    #[arg(long = "window-bytes", value_name = "SIZE", value_parser = units::bytes)]
    bytes: Option<usize>,
}

impl Window {
    /// What is under way has room for two of the largest messages.
    fn bytes(&self, links: &LinkArgs) -> u64 {
        self.bytes_of_each(links, 1)
    }

    /// The same for each of so many sockets.
    fn bytes_of_each(&self, links: &LinkArgs, sockets: u64) -> u64 {
        let largest = 2 * links.max_message() as u64;
        let share = UNDER_WAY_BYTES / sockets.max(1);
        self.bytes.map_or(share.max(largest), |bytes| bytes as u64)
    }
}

/// Publish as fast as it goes, and say how long that took.
///
/// It begins when all subscribers are there and have asked for messages, waits for nobody while it publishes, and ends when
/// all of them have gone.
#[derive(Args)]
#[command(after_help = "\
Examples:
  drawdown bench pub --bind tcp://127.0.0.1:7000 --count 1000000 --size 256 \\
    --subscribers 10

  # How fast a subscriber reads what is there already.
  drawdown bench pub --bind tcp://127.0.0.1:7000 --count 1000000 --size 256 \\
    --ring 1000000 --ring-bytes 1GiB --fill-first")]
struct PublishArgs {
    #[command(flatten)]
    load: Load,

    /// Subscribers to wait for.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = units::one_or_more::<u64>)]
    subscribers: u64,

    /// Publish everything before anybody may connect: what comes then is read from the ring.
    #[arg(long)]
    fill_first: bool,

    #[command(flatten)]
    ring: RingArgs,

    /// Keep the ring in this folder too.
    #[arg(long, value_name = "FOLDER")]
    store: Option<PathBuf>,

    /// What a published message survives.
    #[arg(long, value_enum, default_value_t = Durability::Synced, requires = "store")]
    durability: Durability,

    #[command(flatten)]
    links: LinkArgs,
}

/// Subscribe with any number of sockets, check what arrives, and count it and what is missing.
///
/// A socket ends with the last message, which a ring always has. The time is from the first message that any socket got to
/// the last; `missing` are the numbers in all gaps, `least` and `most` what one socket got.
#[derive(Args)]
#[command(after_help = "\
Example:
  drawdown bench sub --connect tcp://127.0.0.1:7000 --count 1000000 \\
    --size 256 --subscribers 10")]
struct SubscribeArgs {
    #[command(flatten)]
    load: Load,

    #[command(flatten)]
    calls: Batch,

    /// Sockets that subscribe.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = units::one_or_more::<u64>)]
    subscribers: u64,

    #[command(flatten)]
    window: Window,

    #[command(flatten)]
    links: LinkArgs,
}

pub(crate) async fn run(args: BenchArgs, console: &Console) -> Result<(), Failure> {
    let console = console.clone();
    // On a worker, as the tasks of a program would be.
    let task = match args.side {
        Side::Push(args) => tokio::spawn(async move { send::run(&args, &console).await }),
        Side::Pull(args) => tokio::spawn(async move { receive::run(&args, &console).await }),
        Side::Pub(args) => tokio::spawn(async move { publish::run(&args, &console).await }),
        Side::Sub(args) => tokio::spawn(async move { subscribe::run(&args, &console).await }),
        Side::Req(args) => tokio::spawn(async move { request::run(&args, &console).await }),
        Side::Rep(args) => tokio::spawn(async move { reply::run(&args, &console).await }),
    };
    task.await.unwrap_or_else(|error| {
        Err(Failure::new(crate::exit::Exit::Error, format!("the measurement broke off: {error}")))
    })
}
