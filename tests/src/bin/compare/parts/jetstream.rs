//! A producer and a consumer of one stream of NATS JetStream.

use std::time::Instant;

use drawdown_tests::measure::median_micros;
use serde_json::{Value, json};

use crate::payload;

use super::nats::{Connection, Message, answer};
use super::{Load, tell_bound};

const SUBJECT: &str = "jobs";
const ACKS: &str = "acks";
const INBOX: &str = "inbox";
const SETTLED: &str = "settled";
const ACK: &[u8] = b"+ACK";

const CREATE_STREAM: &str = "$JS.API.STREAM.CREATE.jobs";
const CREATE_CONSUMER: &str = "$JS.API.CONSUMER.DURABLE.CREATE.jobs.workers";
const NEXT: &str = "$JS.API.CONSUMER.MSG.NEXT.jobs.workers";

/// Messages that go out together, and of one request for messages.
const BATCH: u64 = 512;

/// Batches that wait for their acks, and requests that are open.
const UNDER_WAY: u64 = 8;

/// How long a request is open, in nanoseconds: longer than a run may take.
const EXPIRES_NS: u64 = 3_600_000_000_000;

/// The acks of a stream count from 1, in the order of what was published.
struct Acks {
    nats: Connection,
    last: u64,
}

impl Acks {
    fn open(address: &str) -> Result<Self, String> {
        let mut nats = Connection::open(address)?;
        create_stream(&mut nats)?;
        nats.subscribe(ACKS);
        Ok(Self { nats, last: 0 })
    }

    /// Waits for the next.
    fn next(&mut self) -> Result<(), String> {
        let ack = answer(&self.nats.message()?)?;
        self.last += 1;
        if ack.get("seq").and_then(Value::as_u64) == Some(self.last) {
            Ok(())
        } else {
            Err(format!("JetStream acknowledged {ack} instead of number {}", self.last))
        }
    }
}

pub(super) fn produce(load: Load, address: &str) -> Result<Value, String> {
    let mut acks = Acks::open(address)?;
    let mut payload = vec![0; load.size];
    let start = Instant::now();
    for (first, count) in load.blocks(BATCH as usize * load.size) {
        for index in first..first + count {
            payload::fill(index, &mut payload);
            acks.nats.publish(SUBJECT, ACKS, &payload);
        }
        acks.nats.send()?;
        while first + count - acks.last > (UNDER_WAY - 1) * BATCH {
            acks.next()?;
        }
    }
    while acks.last < load.count {
        acks.next()?;
    }
    Ok(json!({ "accepted_seconds": start.elapsed().as_secs_f64() }))
}

pub(super) fn produce_singly(load: Load, address: &str) -> Result<Value, String> {
    let mut acks = Acks::open(address)?;
    let mut payload = vec![0; load.size];
    let mut times = Vec::new();
    for index in 0..load.count {
        payload::fill(index, &mut payload);
        let start = Instant::now();
        acks.nats.publish(SUBJECT, ACKS, &payload);
        acks.nats.send()?;
        acks.next()?;
        times.push(start.elapsed());
    }
    Ok(json!({ "latency": { "p50_us": median_micros(&times) } }))
}

pub(super) fn consume(load: Load, address: &str) -> Result<Value, String> {
    let mut nats = Connection::open(address)?;
    create_stream(&mut nats)?;
    create_consumer(&mut nats)?;
    nats.subscribe(INBOX);
    (0..UNDER_WAY).for_each(|_| add_request(&mut nats));
    nats.send()?;
    tell_bound(address);
    let mut first_message = None;
    for index in 0..load.count {
        let message = nats.message()?;
        first_message.get_or_insert_with(Instant::now);
        check(index, &message)?;
        if index + 1 == load.count {
            settle_last(&mut nats, &message)?;
            break;
        }
        nats.publish(&message.reply_to, "", ACK);
        let batch_ends = (index + 1) % BATCH == 0;
        if batch_ends {
            add_request(&mut nats);
        }
        if batch_ends || !nats.has_more() {
            nats.send()?;
        }
    }
    Ok(json!({ "seconds": first_message.map(|first| first.elapsed().as_secs_f64()) }))
}

/// Acks are not answered unless that is asked for; then all before it are with the stream too.
fn settle_last(nats: &mut Connection, message: &Message) -> Result<(), String> {
    let settled = nats.subscribe(SETTLED);
    nats.publish(&message.reply_to, SETTLED, ACK);
    nats.send()?;
    let answer = nats.message()?;
    if answer.subscription == settled && answer.status.is_none() {
        Ok(())
    } else {
        Err(format!("JetStream answered the last ack with {}", shown(&answer)))
    }
}

fn check(index: u64, message: &Message) -> Result<(), String> {
    match message.status {
        None => payload::check(index, &message.payload),
        Some(_) => Err(format!("JetStream ended a request with {}", shown(message))),
    }
}

fn add_request(nats: &mut Connection) {
    let request = json!({ "batch": BATCH, "expires": EXPIRES_NS });
    nats.publish(NEXT, INBOX, request.to_string().as_bytes());
}

/// Who comes second finds it there.
fn create_stream(nats: &mut Connection) -> Result<(), String> {
    let stream = json!({
        "name": "jobs",
        "subjects": [SUBJECT],
        "retention": "workqueue",
        "storage": "file",
        "num_replicas": 1,
    });
    nats.ask(CREATE_STREAM, &stream).map(drop)
}

fn create_consumer(nats: &mut Connection) -> Result<(), String> {
    let config = json!({
        "durable_name": "workers",
        "ack_policy": "explicit",
        "max_ack_pending": 2 * UNDER_WAY * BATCH,
    });
    nats.ask(CREATE_CONSUMER, &json!({ "stream_name": "jobs", "config": config })).map(drop)
}

fn shown(message: &Message) -> String {
    let text = String::from_utf8_lossy(&message.payload);
    let text = message.status.as_deref().unwrap_or(&text);
    text.chars().take(200).collect()
}
