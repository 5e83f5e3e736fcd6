//! A publisher of many topics, and subscribers that have filters for a part of them each.

use std::time::Instant;

use clap::Args;
use drawdown::{Closed, PubSocket, SubSocket};
use drawdown_tests::measure::{cpu_time, resident_bytes};
use serde_json::json;

use super::{ANY_PORT, Failure, PATIENCE, asked, tell, wait_until};

const PAYLOAD: [u8; 64] = [7; 64];
const BATCH: usize = 256;

#[derive(Args)]
pub(crate) struct FilterArgs {
    /// Filters in all.
    #[arg(long)]
    filters: usize,
    #[arg(long)]
    subscribers: usize,
}

#[derive(Args)]
pub(crate) struct PublishArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
}

#[derive(Args)]
pub(crate) struct SubscribeArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[arg(long)]
    connect: String,
}

/// The prefix that only this filter has.
fn prefix(filter: usize) -> String {
    format!("topics/{filter:06}/")
}

pub(super) async fn publish(args: &PublishArgs) -> Result<(), Failure> {
    let FilterArgs { filters, subscribers } = args.filter;
    let ring = PubSocket::builder().ring(args.messages).ring_bytes(u64::MAX);
    let publisher = ring.build().await?;
    tell(format!("bound {}", publisher.bind(ANY_PORT).await?))?;
    asked(&publisher, subscribers).await?;
    let told = || publisher.stats().links.iter().map(|link| link.filters).sum::<usize>();
    wait_until(|| told() >= filters).await?;
    let memory_bytes = resident_bytes("self")?;

    // Made before: their making is not what is measured.
    let topics: Vec<String> = (0..filters).map(|filter| prefix(filter) + "x").collect();
    let cpu_before = cpu_time(std::process::id())?;
    let start = Instant::now();
    for topic in topics.iter().cycle().zip(0..args.messages).map(|(topic, _)| topic) {
        publisher.enqueue(topic, &PAYLOAD).await?;
    }
    let time = start.elapsed();
    wait_until(|| publisher.stats().links.iter().all(|link| link.behind == 0)).await?;
    let cpu = cpu_time(std::process::id())? - cpu_before;
    let each = |ns: u128| ns as f64 / args.messages as f64;
    tell(json!({
        "publish_ns": each(time.as_nanos()),
        "cpu_ns": each(cpu.as_nanos()),
        "memory_bytes": memory_bytes,
    }))?;
    Ok(publisher.close(PATIENCE).await?)
}

/// Takes what comes until it is ended.
pub(super) async fn subscribe(args: &SubscribeArgs) -> Result<(), Failure> {
    let FilterArgs { filters, subscribers } = args.filter;
    let mut taking = Vec::new();
    for place in 0..subscribers {
        let mut builder = SubSocket::builder();
        for filter in (place..filters).step_by(subscribers) {
            builder = builder.filter(prefix(filter));
        }
        taking.push(tokio::spawn(take(builder.connect(&args.connect).await?)));
    }
    for taking in taking {
        taking.await??;
    }
    Ok(())
}

async fn take(subscriber: SubSocket) -> Result<(), Closed> {
    while subscriber.recv_batch(BATCH).await?.is_some() {}
    Ok(())
}
