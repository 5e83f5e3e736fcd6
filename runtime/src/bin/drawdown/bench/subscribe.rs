//! The subscribing side of a measurement.

use std::time::{Duration, Instant};

use drawdown::{Incoming, Publication, Start, SubSocket};
use serde_json::json;
use tokio::task::JoinSet;

use crate::console::Console;
use crate::exit::{self, Exit, Failure};
use crate::watch::Watch;

use super::{SubscribeArgs, payload};

/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// What one socket got.
#[derive(Default)]
struct Got {
    first: Option<Instant>,
    last: Option<Instant>,
    messages: u64,
    gaps: u64,
    missing: u64,
}

pub(super) async fn run(args: &SubscribeArgs, console: &Console) -> Result<(), Failure> {
    let endpoints = &args.load.endpoints;
    endpoints.check()?;
    let mut sockets = JoinSet::new();
    let (last, size, batch) = (args.load.count - 1, args.load.size, args.calls.batch);
    for place in 0..args.subscribers {
        let socket = args.socket().await?;
        if place == 0 {
            // What one of them tells goes for all.
            drop(Watch::start(socket.events(), endpoints.peers(), String::new(), console));
        }
        endpoints.attach(&socket, console).await?;
        sockets.spawn(async move {
            let got = take(&socket, last, size, batch).await?;
            socket.close(GOODBYE).await?;
            Ok::<_, Failure>(got)
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = sockets.join_next().await {
        all.push(ended.map_err(|error| {
            Failure::new(Exit::Error, format!("the measurement broke off: {error}"))
        })??);
    }
    exit::print(&format!("{}\n", report(&all, size)))
}

impl SubscribeArgs {
    async fn socket(&self) -> Result<SubSocket, Failure> {
        let (links, window) = (&self.links, &self.window);
        let bytes = window.bytes_of_each(links, self.subscribers);
        let builder = links.apply_to_sub(SubSocket::builder()).start(Start::Oldest);
        Ok(builder.window(window.messages).window_bytes(bytes).build().await?)
    }
}

/// Takes what comes up to the message `last`.
async fn take(socket: &SubSocket, last: u64, size: usize, batch: usize) -> Result<Got, Failure> {
    let mut got = Got::default();
    loop {
        let newest = match batch {
            0 | 1 => got.add(socket.recv().await?.ok_or_else(closed)?, size)?,
            batch => {
                let mut newest = None;
                for incoming in socket.recv_batch(batch).await?.ok_or_else(closed)? {
                    newest = got.add(incoming, size)?.or(newest);
                }
                newest
            }
        };
        let Some((index, publication)) = newest else { continue };
        publication.ack().await?;
        if index == last {
            got.last = Some(Instant::now());
            return Ok(got);
        }
    }
}

impl Got {
    /// Counts what came; gives a message and its number.
    fn add(
        &mut self,
        incoming: Incoming,
        size: usize,
    ) -> Result<Option<(u64, Publication)>, Failure> {
        match incoming {
            Incoming::Message(publication) => {
                self.first.get_or_insert_with(Instant::now);
                self.messages += 1;
                return Ok(Some((payload::checked(publication.payload(), size)?, publication)));
            }
            Incoming::Gap(gap) => {
                self.gaps += 1;
                self.missing += gap.missing();
            }
            Incoming::NewSession(_) => {}
        }
        Ok(None)
    }
}

fn report(all: &[Got], size: usize) -> serde_json::Value {
    let sum = |figure: fn(&Got) -> u64| all.iter().map(figure).sum::<u64>();
    let messages = sum(|got| got.messages);
    let bytes = messages * size as u64;
    let first = all.iter().filter_map(|got| got.first).min();
    let last = all.iter().filter_map(|got| got.last).max();
    let time = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
    // All in one batch: no time at all.
    let seconds = time.as_secs_f64().max(1e-9);
    json!({
        "subscribers": all.len(),
        "messages": messages,
        "bytes": bytes,
        "seconds": seconds,
        "messages_per_second": messages as f64 / seconds,
        "bytes_per_second": bytes as f64 / seconds,
        "gaps": sum(|got| got.gaps),
        "missing": sum(|got| got.missing),
        "least": all.iter().map(|got| got.messages).min(),
        "most": all.iter().map(|got| got.messages).max(),
    })
}

fn closed() -> Failure {
    Failure::new(Exit::Error, "the socket was closed before all messages had come")
}
