//! A sender that sends all the time, and receivers that count.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use drawdown::{Closed, PullSocket, PushSocket};
use serde_json::json;

use crate::procfs::{cpu_time, resident_bytes};

use super::{ANY_PORT, Failure, linked, receivers, tell, wait_until};

const PAYLOAD: [u8; 256] = [7; 256];
const BATCH: usize = 256;
const WARM_UP: Duration = Duration::from_millis(300);

#[derive(Args)]
pub(crate) struct FloodArgs {
    /// It begins when so many receivers are linked.
    #[arg(long)]
    links: usize,
}

#[derive(Args)]
pub(crate) struct ShareArgs {
    #[arg(long)]
    connect: String,
    /// The sender's process.
    #[arg(long)]
    sender: u32,
    #[arg(long)]
    receivers: usize,
    #[arg(long)]
    window: u64,
    #[arg(long)]
    count_ms: u64,
}

/// Sends until it is ended.
pub(super) async fn flood(args: &FloodArgs) -> Result<(), Failure> {
    let push = PushSocket::builder().build().await?;
    tell(format!("bound {}", push.bind(ANY_PORT).await?))?;
    linked(&push, args.links).await?;
    let sender = tokio::spawn(async move {
        loop {
            push.enqueue_batch([&PAYLOAD; BATCH]).await?;
        }
    });
    sender.await?
}

/// Tells what each receiver got within the same time.
pub(super) async fn share(args: &ShareArgs) -> Result<(), Failure> {
    let counters: Vec<_> = receivers(&args.connect, args.receivers, args.window)?
        .into_iter()
        .map(|pull| {
            let counter = Arc::new(AtomicU64::new(0));
            tokio::spawn(count(pull, Arc::clone(&counter)));
            counter
        })
        .collect();
    let counts = || counters.iter().map(|counter| counter.load(Ordering::Relaxed));
    wait_until(|| counts().any(|count| count > 0)).await?;
    tokio::time::sleep(WARM_UP).await;
    let cpu_times = || Ok::<_, String>((cpu_time(args.sender)?, cpu_time(std::process::id())?));
    let (start, before): (_, Vec<u64>) = (Instant::now(), counts().collect());
    let cpu_before = cpu_times()?;
    tokio::time::sleep(Duration::from_millis(args.count_ms)).await;
    let (time, after) = (start.elapsed(), counts());
    let counts: Vec<u64> = after.zip(before).map(|(after, before)| after - before).collect();
    let cpu = cpu_times()?;
    tell(json!({
        "seconds": time.as_secs_f64(),
        "counts": counts,
        "sender_cpu_ns": (cpu.0 - cpu_before.0).as_nanos() as f64,
        "receivers_cpu_ns": (cpu.1 - cpu_before.1).as_nanos() as f64,
        "sender_bytes": resident_bytes(&args.sender.to_string())?,
        "receivers_bytes": resident_bytes("self")?,
    }))
}

async fn count(pull: PullSocket, counter: Arc<AtomicU64>) -> Result<(), Closed> {
    while let Some(batch) = pull.recv_batch(BATCH).await? {
        let count = batch.len() as u64;
        batch.ack().await?;
        counter.fetch_add(count, Ordering::Relaxed);
    }
    Ok(())
}
