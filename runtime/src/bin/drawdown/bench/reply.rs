//! The answering side of a measurement.

use std::time::Instant;

use clap::Args;
use drawdown::{Event, Events, RepSocket};
use serde_json::{Value, json};

use crate::console::Console;
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::{self, Failure};
use crate::watch::Watch;

use super::{Window, payload};

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
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    clients: u64,

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
    let mut served = Served::default();
    tokio::select! {
        result = answer_all(&rep, args.size, &mut served) => result?,
        () = all_gone(args.clients, events) => {}
    }
    let result = served.report(&rep);
    rep.close(GOODBYE).await?;
    exit::print(&format!("{result}\n"))
}

/// What was answered, and when.
#[derive(Default)]
struct Served {
    first: Option<Instant>,
    last: Option<Instant>,
    calls: u64,
}

async fn answer_all(rep: &RepSocket, size: usize, served: &mut Served) -> Result<(), Failure> {
    while let Some(call) = rep.recv().await? {
        served.first.get_or_insert_with(Instant::now);
        payload::checked(call.payload(), size)?;
        let payload = call.payload_bytes();
        // Who has given up counts it as an error.
        if call.reply(payload).is_ok() {
            served.calls += 1;
        }
        served.last = Some(Instant::now());
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
