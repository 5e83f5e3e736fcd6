//! The publishing side of a measurement.

use std::time::{Duration, Instant};

use drawdown::protocol::limits::BY_REFERENCE_BYTES;
use drawdown::protocol::wire::CloseCode;
use drawdown::{Event, Events, PubSocket};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::console::Console;
use crate::exit::{self, Exit, Failure};
use crate::watch::Watch;

use super::{PublishArgs, payload};

/// How often is looked whether all subscribers are there.
const LOOK: Duration = Duration::from_millis(1);

/// Longer than a subscriber that lost its link stays away.
const COMES_BACK: Duration = Duration::from_secs(3);

const TOPIC: &[u8] = b"";

pub(super) async fn run(args: &PublishArgs, console: &Console) -> Result<(), Failure> {
    let endpoints = &args.load.endpoints;
    endpoints.check()?;
    let socket = args.socket().await?;
    let watch = Watch::start(socket.events(), endpoints.peers(), String::new(), console);
    let events = socket.events();
    let work = async {
        let measured = if args.fill_first {
            let measured = measure(args, &socket).await?;
            endpoints.attach(&socket, console).await?;
            measured
        } else {
            endpoints.attach(&socket, console).await?;
            all_there(args.subscribers, &socket).await;
            measure(args, &socket).await?
        };
        all_gone(args.subscribers, &socket, events).await;
        Ok::<_, Failure>(measured)
    };
    let measured = tokio::select! {
        measured = work => measured?,
        reason = watch.store_failed() => {
            return Err(Failure::new(Exit::Error, format!("the store has failed: {reason}")));
        }
    };
    // A link that was lost without a word is no reason to wait.
    let _ = socket.close(Duration::ZERO).await;
    exit::print(&format!("{measured}\n"))
}

impl PublishArgs {
    async fn socket(&self) -> Result<PubSocket, Failure> {
        let builder = self.links.apply_to_pub(PubSocket::builder());
        let mut builder = self.ring.apply_to_pub(builder);
        if let Some(folder) = &self.store {
            builder = builder.store(folder).durability(self.durability.into());
        }
        Ok(builder.build().await?)
    }
}

/// Waits until so many have asked for messages.
async fn all_there(subscribers: u64, socket: &PubSocket) {
    let asked = || socket.stats().links.iter().filter(|link| link.position.is_some()).count();
    while (asked() as u64) < subscribers {
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until so many have come and gone. One whose link is lost comes back, unless it was done.
async fn all_gone(subscribers: u64, socket: &PubSocket, mut events: Events) {
    let (mut come, mut gone) = (0, 0);
    while gone < subscribers {
        match timeout(COMES_BACK, events.next()).await {
            Ok(Some(Event::Connected { .. })) => come += 1,
            Ok(Some(Event::Disconnected { peer: Some(_), reason, .. })) => {
                gone += u64::from(reason.code == CloseCode::Done);
            }
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(_) if come >= subscribers && socket.stats().links.is_empty() => return,
            Err(_) => {}
        }
    }
}

async fn measure(args: &PublishArgs, socket: &PubSocket) -> Result<Value, Failure> {
    let (count, size) = (args.load.count, args.load.size);
    let mut buffer = vec![0; size];
    let first = socket.next_seq();
    let start = Instant::now();
    for index in 0..count {
        payload::fill(index, &mut buffer);
        if size < BY_REFERENCE_BYTES {
            socket.enqueue(TOPIC, &buffer).await?;
        } else {
            socket.enqueue(TOPIC, buffer.clone()).await?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let mut result = json!({
        "size": size,
        "subscribers": args.subscribers,
        "published": count,
        "published_seconds": seconds,
        "messages_per_second": count as f64 / seconds,
    });
    if args.store.is_some() {
        socket.accepted(first..first + count).await?;
        result["accepted_seconds"] = start.elapsed().as_secs_f64().into();
    }
    Ok(result)
}
