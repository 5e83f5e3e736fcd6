//! A producer and a consumer of one Redis stream.

use std::time::Instant;

use drawdown_tests::measure::median_micros;
use serde_json::{Value, json};

use crate::payload;

use super::resp::{Connection, Reply};
use super::{Load, tell_bound};

const STREAM: &[u8] = b"jobs";
const GROUP: &[u8] = b"workers";

/// Messages of a transaction, and of one read.
const BATCH: u64 = 512;

/// Transactions that wait for their replies. Those are small: both sides' socket buffers hold them easily.
const UNDER_WAY: u64 = 4;

struct Entry {
    id: Vec<u8>,
    payload: Vec<u8>,
}

/// A transaction is synced once; without it, Redis would sync after every 16 KiB that it reads.
pub(super) fn produce(load: Load, address: &str) -> Result<Value, String> {
    let mut redis = Connection::open(address)?;
    let mut payload = vec![0; load.size];
    let mut under_way = 0;
    let start = Instant::now();
    for (first, count) in load.blocks(BATCH as usize * load.size) {
        redis.add(&[b"MULTI"]);
        for index in first..first + count {
            payload::fill(index, &mut payload);
            redis.add(&[b"XADD", STREAM, b"*", b"m", &payload]);
        }
        redis.add(&[b"EXEC"]);
        redis.send()?;
        under_way += count + 2;
        while under_way > (UNDER_WAY - 1) * (BATCH + 2) {
            redis.reply()?;
            under_way -= 1;
        }
    }
    for _ in 0..under_way {
        redis.reply()?;
    }
    Ok(json!({ "accepted_seconds": start.elapsed().as_secs_f64() }))
}

pub(super) fn produce_singly(load: Load, address: &str) -> Result<Value, String> {
    let mut redis = Connection::open(address)?;
    let mut payload = vec![0; load.size];
    let mut times = Vec::new();
    for index in 0..load.count {
        payload::fill(index, &mut payload);
        let start = Instant::now();
        redis.ask(&[b"XADD", STREAM, b"*", b"m", &payload])?;
        times.push(start.elapsed());
    }
    Ok(json!({ "latency": { "p50_us": median_micros(&times) } }))
}

pub(super) fn consume(load: Load, address: &str) -> Result<Value, String> {
    let mut redis = Connection::open(address)?;
    redis.ask(&[b"XGROUP", b"CREATE", STREAM, GROUP, b"$", b"MKSTREAM"])?;
    tell_bound(address);
    let mut first_batch = None;
    let mut next = 0;
    add_read(&mut redis);
    redis.send()?;
    while next < load.count {
        let entries = match redis.reply()? {
            // Nothing came for as long as a read waits.
            Reply::Nil => Vec::new(),
            Reply::List(streams) => entries(streams)?,
            other => return Err(unexpected(&other)),
        };
        if !entries.is_empty() {
            first_batch.get_or_insert_with(Instant::now);
        }
        for entry in &entries {
            payload::check(next, &entry.payload)?;
            next += 1;
        }
        let settled = add_settlement(&mut redis, &entries);
        if next < load.count {
            add_read(&mut redis);
        }
        redis.send()?;
        for _ in 0..settled {
            expect_number(&redis.reply()?, entries.len())?;
        }
    }
    Ok(json!({ "seconds": first_batch.map(|first| first.elapsed().as_secs_f64()) }))
}

fn add_read(redis: &mut Connection) {
    let count = BATCH.to_string();
    redis.add(&[
        b"XREADGROUP",
        b"GROUP",
        GROUP,
        b"one",
        b"COUNT",
        count.as_bytes(),
        b"BLOCK",
        b"5000",
        b"STREAMS",
        STREAM,
        b">",
    ]);
}

/// Confirms the entries and removes them; gives how many replies there will be.
fn add_settlement(redis: &mut Connection, entries: &[Entry]) -> usize {
    if entries.is_empty() {
        return 0;
    }
    let commands: [&[&[u8]]; 2] = [&[b"XACK", STREAM, GROUP], &[b"XDEL", STREAM]];
    for command in commands {
        redis.begin(command.len() + entries.len());
        let ids = entries.iter().map(|entry| entry.id.as_slice());
        command.iter().copied().chain(ids).for_each(|word| redis.word(word));
    }
    commands.len()
}

/// Ids and payloads of `[[stream, [[id, [field, payload]], …]]]`.
fn entries(streams: Vec<Reply>) -> Result<Vec<Entry>, String> {
    let [_, Reply::List(entries)] = fixed(single(streams)?)? else {
        return Err("Redis answered a read with what is no list".to_owned());
    };
    let entry = |entry| match fixed(entry)? {
        [Reply::Bytes(id), fields] => match fixed(fields)? {
            [_, Reply::Bytes(payload)] => Ok(Entry { id, payload }),
            [_, other] => Err(unexpected(&other)),
        },
        [other, _] => Err(unexpected(&other)),
    };
    entries.into_iter().map(entry).collect()
}

fn single(list: Vec<Reply>) -> Result<Reply, String> {
    let [one] = <[Reply; 1]>::try_from(list).map_err(|list| unexpected(&Reply::List(list)))?;
    Ok(one)
}

/// A list of two.
fn fixed(reply: Reply) -> Result<[Reply; 2], String> {
    match reply {
        Reply::List(list) => list.try_into().map_err(|list| unexpected(&Reply::List(list))),
        other => Err(unexpected(&other)),
    }
}

fn expect_number(reply: &Reply, wanted: usize) -> Result<(), String> {
    match reply {
        Reply::Number(number) if usize::try_from(*number) == Ok(wanted) => Ok(()),
        other => Err(unexpected(other)),
    }
}

fn unexpected(reply: &Reply) -> String {
    let shown: String = format!("{reply:?}").chars().take(200).collect();
    format!("Redis answered what was not expected: {shown}")
}
