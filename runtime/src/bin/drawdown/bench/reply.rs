//! The answering side of a measurement.

use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use drawdown::{Event, Events, RepSocket};
use serde_json::{Value, json};

use crate::console::Console;
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::{self, Exit, Failure};
use crate::units;
use crate::watch::Watch;

use super::{Batch, Window, payload};

/// From so many calls on the time of one in 64 is noted: to look at the clock costs as much as to receive a call.
const TIMED_EACH: u64 = 1_024;

/// How long the last words may take.
const GOODBYE: std::time::Duration = std::time::Duration::from_secs(5);

/// Check each request and reply with it, until those who ask have gone.
///
/// The time is from the first request to the last; `repeated` are those that came again and were not worked on again.
#[derive(Args)]
#[command(after_help = "\
Example:
  drawdown bench rep --bind tcp://127.0.0.1:7000 --size 64 --clients 2")]
pub(super) struct ReplyArgs {
    #[command(flatten)]
    endpoints: Endpoints,

    /// The size of each request, in bytes or as 64KiB; at least 8.
    #[arg(long, value_name = "SIZE", value_parser = payload::size)]
    size: usize,

    /// It ends when so many who asked have gone.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = units::one_or_more::<u64>)]
    clients: u64,

    #[command(flatten)]
    calls: Batch,

    #[command(flatten)]
    window: Window,

    #[command(flatten)]
    links: LinkArgs,
}

pub(super) async fn run(args: &ReplyArgs, console: &Console) -> Result<(), Failure> {
    args.endpoints.check()?;
    let (links, window) = (&args.links, &args.window);
    let builder = links.apply_to_rep(RepSocket::builder());
    let rep = builder.window(window.messages).window_bytes(window.bytes(links)).build().await?;
    drop(Watch::start(rep.events(), args.endpoints.peers(), String::new(), console));
    let events = rep.events();
    args.endpoints.attach(&rep, console).await?;
    let rep = Arc::new(rep);
    // On a worker, beside its links: from here each call would cost two switches of threads.
    let mut answering = tokio::spawn(answer_all(Arc::clone(&rep), args.size, args.calls.batch));
    let ended = tokio::select! {
        ended = &mut answering => ended,
        () = all_gone(args.clients, events) => {
            rep.stop();
            answering.await
        }
    };
    let served = ended.map_err(|error| {
        Failure::new(Exit::Error, format!("the measurement broke off: {error}"))
    })??;
    let result = served.report(&rep);
    if let Some(rep) = Arc::into_inner(rep) {
        rep.close(GOODBYE).await?;
    }
    exit::print(&format!("{result}\n"))
}

/// What was answered, and when.
#[derive(Default)]
struct Served {
    first: Option<Instant>,
    last: Option<Instant>,
    calls: u64,
}

async fn answer_all(rep: Arc<RepSocket>, size: usize, batch: usize) -> Result<Served, Failure> {
    let mut served = Served::default();
    match batch {
        0 | 1 => answer_singly(&rep, size, &mut served).await?,
        batch => answer_in_batches(&rep, size, batch, &mut served).await?,
    }
    Ok(served)
}

async fn answer_in_batches(
    rep: &RepSocket,
    size: usize,
    batch: usize,
    served: &mut Served,
) -> Result<(), Failure> {
    let mut payloads = Vec::new();
    while let Some(calls) = rep.recv_batch(batch).await? {
        served.first.get_or_insert_with(Instant::now);
        let count = calls.len() as u64;
        payloads.clear();
        for call in &calls {
            payload::checked(call.payload(), size)?;
            payloads.extend_from_slice(call.payload());
        }
        let replies = calls.into_iter().zip(payloads.chunks_exact(size));
        // Who has given up counts it as an error.
        let errors = rep.reply_batch(replies).len() as u64;
        served.calls += count - errors;
        served.last = Some(Instant::now());
    }
    Ok(())
}

async fn answer_singly(rep: &RepSocket, size: usize, served: &mut Served) -> Result<(), Failure> {
    while let Some(call) = rep.recv().await? {
        served.first.get_or_insert_with(Instant::now);
        payload::checked(call.payload(), size)?;
        let payload = call.payload_bytes();
        // Who has given up counts it as an error.
        if call.reply(payload).is_ok() {
            served.calls += 1;
        }
        if served.calls < TIMED_EACH || served.calls.is_multiple_of(64) {
            served.last = Some(Instant::now());
        }
    }
    Ok(())
}

/// Waits until so many have gone.
async fn all_gone(clients: u64, mut events: Events) {
    let mut gone = 0;
    while gone < clients {
        match events.next().await {
            Some(Event::Disconnected { peer: Some(_), .. }) => gone += 1,
            Some(_) => {}
            None => return,
        }
    }
}

impl Served {
    fn report(&self, rep: &RepSocket) -> Value {
        let time = self.first.zip(self.last).map(|(first, last)| last - first);
        // A single one takes no time at all.
        let seconds = time.unwrap_or_default().as_secs_f64().max(1e-9);
        let stats = rep.stats();
        json!({
            "calls": self.calls,
            "seconds": seconds,
            "calls_per_second": self.calls as f64 / seconds,
            "repeated": stats.repeated,
            "cancelled": stats.cancelled,
            "expired": stats.expired,
            "late": stats.late,
        })
    }
}
