//! A queue that is filled and drained.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use drawdown::{Closed, PullSocket, PushSocket};
use drawdown_tests::measure::{resident_bytes, spread};
use serde_json::json;

use super::{ANY_PORT, Failure, PATIENCE, linked, tell, wait_until};

const PAYLOAD: [u8; 64] = [7; 64];
const WINDOW: u64 = 100_000;
const BATCH: usize = 256;

/// Of small queues so many messages are measured in all, and each queue so often.
const MESSAGES: u64 = 500_000;
const FILLINGS_MIN: u64 = 2;
const FILLINGS_MAX: u64 = 50;

#[derive(Args)]
pub(crate) struct DepthArgs {
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
}

/// One filling.
struct Filling {
    enqueue_ns: f64,
    drain_ns: f64,
    full_bytes: f64,
    drained_bytes: f64,
}

pub(super) async fn run(args: &DepthArgs) -> Result<(), Failure> {
    let push = PushSocket::builder().queue(args.messages).max_bytes(u64::MAX).build().await?;
    let endpoint = push.bind(ANY_PORT).await?;
    let pull = Arc::new(PullSocket::builder().window(WINDOW).connect(endpoint).await?);
    pull.pause();
    let receiver = Arc::clone(&pull);
    tokio::spawn(async move { work(&receiver).await });
    linked(&push, 1).await?;

    let empty_bytes = resident_bytes("self")?;
    let first = fill_and_drain(args.messages, &push, &pull).await?;
    let mut again = Vec::new();
    let fillings = (MESSAGES / args.messages).clamp(FILLINGS_MIN, FILLINGS_MAX);
    for _ in 1..fillings {
        again.push(fill_and_drain(args.messages, &push, &pull).await?);
    }
    let each = |time: f64| time / args.messages as f64;
    let median = |figure: fn(&Filling) -> f64| {
        spread(again.iter().map(figure)).map(|times| each(times.median))
    };
    tell(json!({
        "enqueue_first_ns": each(first.enqueue_ns),
        "enqueue_again_ns": median(|filling| filling.enqueue_ns),
        "drain_ns": median(|filling| filling.drain_ns),
        "memory_bytes": each(first.full_bytes - empty_bytes),
        "memory_drained_bytes": each(first.drained_bytes - empty_bytes),
    }))
}

async fn fill_and_drain(
    messages: u64,
    push: &PushSocket,
    pull: &PullSocket,
) -> Result<Filling, Failure> {
    // Else the first messages would not wait.
    wait_until(|| {
        push.stats().links.iter().all(|link| link.granted.messages == link.used.messages)
    })
    .await?;
    let start = Instant::now();
    push.enqueue_batch((0..messages).map(|_| &PAYLOAD)).await?;
    let enqueue_ns = start.elapsed().as_nanos() as f64;
    let waiting = push.stats().waiting;
    if waiting != messages {
        return Err(format!("{waiting} messages wait instead of {messages}").into());
    }
    let full_bytes = resident_bytes("self")?;
    let start = Instant::now();
    pull.resume();
    push.drain(PATIENCE).await?;
    let drain_ns = start.elapsed().as_nanos() as f64;
    pull.pause();
    Ok(Filling { enqueue_ns, drain_ns, full_bytes, drained_bytes: resident_bytes("self")? })
}

async fn work(pull: &PullSocket) -> Result<(), Closed> {
    while let Some(batch) = pull.recv_batch(BATCH).await? {
        batch.ack().await?;
    }
    Ok(())
}
