//! A publisher that publishes all the time, subscribers that count, and subscribers that are stuck.

use std::future::pending;
use std::time::Duration;

use clap::Args;
use drawdown::{Closed, Incoming, PubSocket, SubSocket};

use super::shares::{Counter, ReceiveArgs, ShareArgs, tell_shares};
use super::{ANY_PORT, Failure, asked, tell};

const PAYLOAD: [u8; 256] = [7; 256];
const BATCH: usize = 256;
const TOPIC: &[u8] = b"";

/// The default.
const RING: u64 = 65_536;

/// After so many messages a publisher that keeps pace looks how far others are.
const LOOK_MESSAGES: u64 = 4_096;

/// How long it waits when it is too far ahead.
const PAUSE: Duration = Duration::from_micros(100);

#[derive(Args)]
pub(crate) struct PublishArgs {
    /// It begins when so many subscribers have asked for messages.
    #[arg(long)]
    links: usize,
    /// Stay within half a ring of the subscriber that is furthest.
    #[arg(long)]
    keep_pace: bool,
}

/// Publishes until it is ended.
pub(super) async fn publish(args: &PublishArgs) -> Result<(), Failure> {
    let publisher = PubSocket::builder().ring(RING).build().await?;
    tell(format!("bound {}", publisher.bind(ANY_PORT).await?))?;
    asked(&publisher, args.links).await?;
    let keep_pace = args.keep_pace;
    let publisher = tokio::spawn(async move {
        loop {
            for _ in 0..LOOK_MESSAGES {
                publisher.enqueue(TOPIC, &PAYLOAD).await?;
            }
            while keep_pace && is_ahead(&publisher) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
    publisher.await?
}

fn is_ahead(publisher: &PubSocket) -> bool {
    let furthest = publisher.stats().links.iter().filter_map(|link| link.position).max();
    publisher.next_seq() > furthest.unwrap_or(0) + RING / 2
}

/// Tells what each subscriber got within the same time.
pub(super) async fn subscribe(args: &ShareArgs) -> Result<(), Failure> {
    let mut counters = Vec::new();
    for subscriber in subscribers(&args.receive).await? {
        let counter = Counter::default();
        tokio::spawn(take(subscriber, counter.clone()));
        counters.push(counter);
    }
    tell_shares(args, &counters).await
}

/// Takes nothing.
pub(super) async fn stand_still(args: &ReceiveArgs) -> Result<(), Failure> {
    let _subscribers = subscribers(args).await?;
    pending().await
}

async fn subscribers(args: &ReceiveArgs) -> Result<Vec<SubSocket>, drawdown::Error> {
    let mut subscribers = Vec::new();
    for _ in 0..args.receivers {
        let subscriber = SubSocket::builder().window(args.window).connect(&args.connect).await?;
        subscribers.push(subscriber);
    }
    Ok(subscribers)
}

async fn take(subscriber: SubSocket, counter: Counter) -> Result<(), Closed> {
    while let Some(batch) = subscriber.recv_batch(BATCH).await? {
        let mut messages = 0;
        let mut last = None;
        for incoming in batch {
            match incoming {
                Incoming::Message(message) => {
                    messages += 1;
                    last = Some(message);
                }
                Incoming::Gap(gap) => counter.miss(gap.missing()),
                Incoming::NewSession(_) => {}
            }
        }
        if let Some(last) = last {
            last.ack().await?;
        }
        counter.add(messages);
    }
    Ok(())
}
