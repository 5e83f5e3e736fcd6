//! The sending side of a measurement.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use drawdown::protocol::limits::BY_REFERENCE_BYTES;
use drawdown::{PushSocket, Receipt, Seq};
use serde_json::{Value, json};

use crate::console::Console;
use crate::exit::{self, Failure};
use crate::watch::Watch;

use super::{SendArgs, UNDER_WAY_BYTES, payload};

/// Bytes of one batch, or one message.
const BATCH_BYTES_MAX: usize = 1 << 20;

pub(super) async fn run(args: &SendArgs, console: &Console) -> Result<(), Failure> {
    let endpoints = &args.load.endpoints;
    endpoints.check()?;
    let push = args.socket().await?;
    let watch = Watch::start(push.events(), endpoints.peers(), String::new(), console);
    endpoints.attach(&push, console).await?;
    let measured = tokio::select! {
        measured = measure(args, &push) => measured?,
        reason = watch.store_failed() => {
            return Err(Failure::new(exit::Exit::Error, format!("the store has failed: {reason}")));
        }
    };
    let left = push.close(Duration::ZERO).await;
    if !args.accept_only {
        left?;
    }
    exit::print(&format!("{measured}\n"))
}

impl SendArgs {
    async fn socket(&self) -> Result<PushSocket, Failure> {
        let mut builder = self.links.apply_to_push(PushSocket::builder());
        if let Some(folder) = &self.store {
            builder = builder.store(folder).durability(self.durability.into());
        }
        // Who names a queue wants all of it.
        builder = match self.queue {
            Some(messages) => builder.queue(messages),
            None => builder.max_bytes(UNDER_WAY_BYTES),
        };
        Ok(builder.build().await?)
    }
}

async fn measure(args: &SendArgs, push: &PushSocket) -> Result<Value, Failure> {
    let start = Instant::now();
    let mut result = json!({ "size": args.load.size, "batch": args.calls.batch });
    if args.latency {
        result["latency"] = one_by_one(args, push).await?;
    } else {
        let seqs = match args.calls.batch {
            0 | 1 => singly(args, push).await?,
            batch => in_batches(args, push, batch).await?,
        };
        push.accepted(seqs).await?;
    }
    result["accepted"] = push.stats().taken_in.into();
    result["accepted_seconds"] = start.elapsed().as_secs_f64().into();
    if !args.accept_only {
        push.drain(Duration::MAX).await?;
        let seconds = start.elapsed().as_secs_f64();
        let bytes = args.load.count as f64 * args.load.size as f64;
        result["confirmed_seconds"] = seconds.into();
        result["messages_per_second"] = (args.load.count as f64 / seconds).into();
        result["bytes_per_second"] = (bytes / seconds).into();
    }
    let stats = push.stats();
    result["confirmed"] = stats.confirmed.into();
    result["redelivered"] = stats.redelivered.into();
    Ok(result)
}

/// Gives the numbers that are to be accepted still: none, since each send waits for that.
async fn singly(args: &SendArgs, push: &PushSocket) -> Result<std::ops::Range<Seq>, Failure> {
    let mut buffer = vec![0; args.load.size];
    for index in 0..args.load.count {
        payload::fill(index, &mut buffer);
        if args.load.size < BY_REFERENCE_BYTES {
            push.send(&buffer).await?;
        } else {
            push.send(buffer.clone()).await?;
        }
    }
    Ok(0..0)
}

/// Gives the numbers that are to be accepted still.
async fn in_batches(
    args: &SendArgs,
    push: &PushSocket,
    batch: usize,
) -> Result<std::ops::Range<Seq>, Failure> {
    let (size, count) = (args.load.size, args.load.count);
    let batch = batch.min(BATCH_BYTES_MAX / size).max(1) as u64;
    let mut buffers = Buffers::default();
    let mut last = None;
    let mut next = 0;
    while next < count {
        let end = (next + batch).min(count);
        let mut buffer = buffers.take((end - next) as usize * size);
        for (index, payload) in (next..end).zip(buffer.chunks_exact_mut(size)) {
            payload::fill(index, payload);
        }
        let bytes = buffer.freeze();
        last = if size < BY_REFERENCE_BYTES {
            push.enqueue_batch(bytes.chunks_exact(size)).await?
        } else {
            let starts = (0..bytes.len()).step_by(size);
            push.enqueue_batch(starts.map(|start| bytes.slice(start..start + size))).await?
        };
        buffers.sent.push_back(bytes);
        next = end;
    }
    // Numbers of one sender follow each other without holes.
    Ok(last.map_or(0..0, |last: Receipt| (last.seq() + 1).saturating_sub(count)..last.seq() + 1))
}

/// What was sent before, to be used again once nobody reads it any more.
#[derive(Default)]
struct Buffers {
    sent: VecDeque<Bytes>,
}

impl Buffers {
    fn take(&mut self, bytes: usize) -> BytesMut {
        let mut buffer = match self.sent.pop_front().map(Bytes::try_into_mut) {
            Some(Ok(buffer)) => buffer,
            Some(Err(in_use)) => {
                self.sent.push_front(in_use);
                BytesMut::new()
            }
            None => BytesMut::new(),
        };
        buffer.resize(bytes, 0);
        buffer
    }
}

async fn one_by_one(args: &SendArgs, push: &PushSocket) -> Result<Value, Failure> {
    let mut buffer = vec![0; args.load.size];
    let mut times = Vec::new();
    for index in 0..args.load.count {
        payload::fill(index, &mut buffer);
        let start = Instant::now();
        let receipt = push.enqueue(&buffer).await?;
        match args.store {
            Some(_) => receipt.accepted().await?,
            None => drop(receipt.confirmed().await?),
        }
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let micros = |share: f64| {
        let at = (times.len() as f64 * share) as usize;
        times.get(at).map(|time| time.as_secs_f64() * 1e6)
    };
    Ok(json!({
        "until": if args.store.is_some() { "accepted" } else { "confirmed" },
        "p50_us": micros(0.5),
        "p99_us": micros(0.99),
    }))
}
