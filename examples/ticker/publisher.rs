//! The publisher: publishes the lines of some files of `/proc`, and can be killed at any moment.
//!
//! What is published is in its store before anybody sees it, so that a new life goes on with the next number, and
//! subscribers find in its ring what they have not had.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use drawdown::PubSocket;
use tokio::time::{MissedTickBehavior, interval};

use crate::news::News;
use crate::scene::Scene;
use drawdown_examples::Outcome;
use drawdown_examples::child::{self, Lifeline};

/// How often is looked at the files.
const TICK: Duration = Duration::from_millis(10);

/// Topics begin with a word for the file: a subscriber of `net/` gets the network's lines only.
const FILES: [(&str, &str); 4] = [
    ("load", "/proc/loadavg"),
    ("cpu/", "/proc/stat"),
    ("memory/", "/proc/meminfo"),
    ("net/", "/proc/net/dev"),
];

/// Longer than a run: every number stays in the ring.
const RING_MESSAGES: u64 = 1_000_000;

/// Ticks between what is told of the progress.
const TELL_TICKS: u32 = 10;

/// The proxies have everything long before.
const LINGER: Duration = Duration::from_secs(1);

pub(crate) async fn run(scene: &Scene) -> Outcome<()> {
    let mut lifeline = Lifeline::hold();
    let publisher = PubSocket::builder().store(scene.ring()).ring(RING_MESSAGES).build().await?;
    child::say(&News::Opened { next_seq: publisher.next_seq() })?;
    publisher.bind(scene.publisher()).await?;
    tokio::select! {
        done = publish(&publisher) => done?,
        () = lifeline.told_to_be_quiet() => {}
    }
    child::say(&News::Stopped { next_seq: publisher.next_seq() })?;
    lifeline.told_to_finish().await;
    publisher.close(LINGER).await?;
    Ok(())
}

async fn publish(publisher: &PubSocket) -> Outcome<()> {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0.. {
        ticks.tick().await;
        let first = publisher.next_seq();
        for (topic, file) in FILES {
            let Some(lines) = read(file)? else { continue };
            for line in lines.lines() {
                publisher.enqueue(format!("{topic}{}", name(topic, line)), line).await?;
            }
        }
        if tick % TELL_TICKS == 0 {
            let next_seq = publisher.next_seq();
            publisher.accepted(first..next_seq).await?;
            child::say(&News::Published { next_seq })?;
        }
    }
    Ok(())
}

/// None on a machine without it.
fn read(file: &str) -> Outcome<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{file}: {error}").into()),
    }
}

/// What a line is about: its first word, unless the file has but one line.
fn name<'a>(topic: &str, line: &'a str) -> &'a str {
    let word = line.split_whitespace().next().unwrap_or_default();
    if topic.ends_with('/') { word.trim_end_matches([':', '|']) } else { "" }
}
