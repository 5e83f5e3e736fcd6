//! What some receivers get within the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use drawdown_tests::measure::{cpu_time, resident_bytes};
use serde_json::json;

use super::{Failure, tell, wait_until};

const WARM_UP: Duration = Duration::from_millis(300);

#[derive(Args)]
pub(crate) struct ReceiveArgs {
    #[arg(long)]
    pub(super) connect: String,
    #[arg(long)]
    pub(super) receivers: usize,
    #[arg(long)]
    pub(super) window: u64,
}

#[derive(Args)]
pub(crate) struct ShareArgs {
    #[command(flatten)]
    pub(super) receive: ReceiveArgs,
    /// The sender's process.
    #[arg(long)]
    sender: u32,
    #[arg(long)]
    count_ms: u64,
}

/// What a receiver has counted so far.
#[derive(Clone, Default)]
pub(super) struct Counter {
    messages: Arc<AtomicU64>,
    missed: Arc<AtomicU64>,
}

impl Counter {
    pub(super) fn add(&self, messages: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
    }

    /// Messages that will never come.
    pub(super) fn miss(&self, messages: u64) {
        self.missed.fetch_add(messages, Ordering::Relaxed);
    }
}

/// Tells what each receiver got within the same time, after the first had something.
pub(super) async fn tell_shares(args: &ShareArgs, counters: &[Counter]) -> Result<(), Failure> {
    let counts = || counters.iter().map(|counter| counter.messages.load(Ordering::Relaxed));
    let missed =
        || -> u64 { counters.iter().map(|counter| counter.missed.load(Ordering::Relaxed)).sum() };
    wait_until(|| counts().any(|count| count > 0)).await?;
    tokio::time::sleep(WARM_UP).await;
    let cpu_times = || Ok::<_, String>((cpu_time(args.sender)?, cpu_time(std::process::id())?));
    let (start, before): (_, Vec<u64>) = (Instant::now(), counts().collect());
    let (cpu_before, missed_before) = (cpu_times()?, missed());
    tokio::time::sleep(Duration::from_millis(args.count_ms)).await;
    let (time, after) = (start.elapsed(), counts());
    let counts: Vec<u64> = after.zip(before).map(|(after, before)| after - before).collect();
    let (cpu, missed) = (cpu_times()?, missed() - missed_before);
    tell(json!({
        "seconds": time.as_secs_f64(),
        "counts": counts,
        "missed": missed,
        "sender_cpu_ns": (cpu.0 - cpu_before.0).as_nanos() as f64,
        "receivers_cpu_ns": (cpu.1 - cpu_before.1).as_nanos() as f64,
        "sender_bytes": resident_bytes(&args.sender.to_string())?,
        "receivers_bytes": resident_bytes("self")?,
    }))
}
