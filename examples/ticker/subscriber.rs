//! A subscriber: writes down what it has had, and only then acknowledges it.
//!
//! If it dies between the two, it gets some of it again in its next life, and knows it by its numbers.

use std::time::Duration;

use drawdown::{Incoming, SubSocket};

use crate::news::News;
use crate::record::{Entry, Record};
use crate::scene::{PROXIES, Scene};
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

/// Messages that are written down together.
const BATCH: usize = 1_000;

/// How long the cursor may take at the end.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) async fn run(scene: &Scene, number: u32) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let mut record = Record::open(&scene.record(number))?;
    let subscriber = SubSocket::builder().cursor(scene.cursor(number)).build().await?;
    for proxy in PROXIES {
        subscriber.connect(scene.proxy(proxy))?;
    }
    tokio::select! {
        done = follow(&subscriber, number, &mut record) => done?,
        () = lifeline.told_to_finish() => {}
    }
    subscriber.close(CLOSE_PATIENCE).await?;
    Ok(())
}

async fn follow(subscriber: &SubSocket, number: u32, record: &mut Record) -> Outcome<()> {
    while let Some(batch) = subscriber.recv_batch(BATCH).await? {
        let mut last = None;
        for incoming in batch {
            match incoming {
                Incoming::Message(message) => {
                    record.add(Entry::had(message.seq()));
                    last = Some(message);
                }
                Incoming::Gap(gap) => record.add(Entry::Gap(gap.from, gap.to)),
                // There is one session: the publisher's store keeps it.
                Incoming::NewSession(_) => {}
            }
        }
        record.save()?;
        if let Some(message) = last {
            message.ack().await?;
        }
        child::say(&News::Had { subscriber: number, next_seq: record.next_seq() })?;
    }
    Ok(())
}
