//! A sender that sends all the time, and receivers that count.

use clap::Args;
use drawdown::{Closed, PullSocket, PushSocket};

use super::shares::{Counter, ReceiveArgs, ShareArgs, tell_shares};
use super::{ANY_PORT, Failure, linked, receivers, tell};

const PAYLOAD: [u8; 256] = [7; 256];
const BATCH: usize = 256;

#[derive(Args)]
pub(crate) struct FloodArgs {
    /// It begins when so many receivers are linked.
    #[arg(long)]
    links: usize,
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
    let ReceiveArgs { connect, receivers: count, window } = &args.receive;
    let mut counters = Vec::new();
    for pull in receivers(connect, *count, *window)? {
        let counter = Counter::default();
        tokio::spawn(take(pull, counter.clone()));
        counters.push(counter);
    }
    tell_shares(args, &counters).await
}

async fn take(pull: PullSocket, counter: Counter) -> Result<(), Closed> {
    while let Some(batch) = pull.recv_batch(BATCH).await? {
        let count = batch.len() as u64;
        batch.ack().await?;
        counter.add(count);
    }
    Ok(())
}
