//! A sender and receivers that do nothing until they are ended.

use std::future::pending;

use clap::Args;
use drawdown::PushSocket;

use super::{ANY_PORT, Failure, linked, receivers, tell};

const WINDOW: u64 = 1_000;

#[derive(Args)]
pub(crate) struct SendArgs {
    /// It tells when so many receivers are linked.
    #[arg(long)]
    links: usize,
}

#[derive(Args)]
pub(crate) struct ReceiveArgs {
    #[arg(long)]
    connect: String,
    #[arg(long)]
    receivers: usize,
}

pub(super) async fn send(args: &SendArgs) -> Result<(), Failure> {
    let push = PushSocket::builder().build().await?;
    tell(format!("bound {}", push.bind(ANY_PORT).await?))?;
    linked(&push, args.links).await?;
    tell(format!("linked {}", args.links))?;
    pending().await
}

/// Each waits in `recv`.
pub(super) async fn receive(args: &ReceiveArgs) -> Result<(), Failure> {
    for pull in receivers(&args.connect, args.receivers, WINDOW)? {
        tokio::spawn(async move { pull.recv().await.map(drop) });
    }
    pending().await
}
