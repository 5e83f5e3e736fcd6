//! The receiving side of a measurement.

use std::time::{Duration, Instant};

use drawdown::PullSocket;
use serde_json::json;

use crate::console::Console;
use crate::exit::{self, Exit, Failure};
use crate::watch::Watch;

use super::{ReceiveArgs, payload};

/// How long the last confirmations may take.
const LAST_CONFIRMATIONS: Duration = Duration::from_secs(30);

pub(super) async fn run(args: &ReceiveArgs, console: &Console) -> Result<(), Failure> {
    let endpoints = &args.load.endpoints;
    endpoints.check()?;
    let pull = args.socket()?;
    let _watch = Watch::start(pull.events(), endpoints.peers(), String::new(), console);
    endpoints.attach(&pull, console).await?;
    let time = match args.calls.batch {
        0 | 1 => singly(args, &pull).await?,
        batch => in_batches(args, &pull, batch).await?,
    };
    pull.close(LAST_CONFIRMATIONS).await?;
    let (count, bytes) = (args.load.count, args.load.count * args.load.size as u64);
    // All in one batch: no time at all.
    let seconds = time.as_secs_f64().max(1e-9);
    let result = json!({
        "messages": count,
        "bytes": bytes,
        "seconds": seconds,
        "messages_per_second": count as f64 / seconds,
        "bytes_per_second": bytes as f64 / seconds,
    });
    exit::print(&format!("{result}\n"))
}

impl ReceiveArgs {
    fn socket(&self) -> Result<PullSocket, Failure> {
        let (links, window) = (&self.links, &self.window);
        let builder = links.apply_to_pull(PullSocket::builder());
        Ok(builder.window(window.messages).window_bytes(window.bytes(links)).build()?)
    }
}

async fn singly(args: &ReceiveArgs, pull: &PullSocket) -> Result<Duration, Failure> {
    let mut first = None;
    for _ in 0..args.load.count {
        let delivery = pull.recv().await?.ok_or_else(closed)?;
        first.get_or_insert_with(Instant::now);
        payload::checked(delivery.payload(), args.load.size)?;
        delivery.ack().await?;
    }
    Ok(first.map_or(Duration::ZERO, |first| first.elapsed()))
}

async fn in_batches(
    args: &ReceiveArgs,
    pull: &PullSocket,
    batch: usize,
) -> Result<Duration, Failure> {
    let mut first = None;
    let mut left = args.load.count;
    while left > 0 {
        let room = batch.min(usize::try_from(left).unwrap_or(usize::MAX));
        let deliveries = pull.recv_batch(room).await?.ok_or_else(closed)?;
        first.get_or_insert_with(Instant::now);
        for payload in deliveries.payloads() {
            payload::checked(payload, args.load.size)?;
        }
        left -= deliveries.len() as u64;
        deliveries.ack().await?;
    }
    Ok(first.map_or(Duration::ZERO, |first| first.elapsed()))
}

fn closed() -> Failure {
    Failure::new(Exit::Error, "the socket was closed before all messages had come")
}
