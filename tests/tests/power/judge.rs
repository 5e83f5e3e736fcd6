//! Whether a store, opened from what a power cut has left, keeps what was promised before.

use std::collections::HashMap;
use std::path::Path;

use bytes::{BufMut, Bytes};
use drawdown::store::{Durability, OpenOptions, SledStore, Store};
use drawdown_protocol::SocketType;
use drawdown_protocol::message::Records;
use drawdown_protocol::store::{Commit, Recovered, StoreOp};

use crate::workload::{Name, Recording, name_of};

fn options() -> OpenOptions {
    // In memory a sync costs nothing; and of what is only buffered not everything is said to be damage.
    OpenOptions::new(SocketType::Push).durability(Durability::Synced)
}

/// Opens the store in this folder, which is what a cut before `moment` left. Says what is wrong with it.
pub(crate) fn judge(recording: &Recording, moment: usize, store: &Path) -> Result<(), String> {
    let (opened, recovered) = open(store)?;
    check(recording, moment, recovered.as_ref())?;
    let Some(recovered) = recovered else {
        return close(opened);
    };
    let work_on = work_on(opened, &recovered, store);
    work_on.map_err(|error| format!("it opened, but then: {error}"))
}

fn open(store: &Path) -> Result<(SledStore, Option<Recovered>), String> {
    SledStore::open(store, &options()).map_err(|error| format!("refused: {error}"))
}

fn close(store: SledStore) -> Result<(), String> {
    Box::new(store).close().map_err(|error| format!("it does not close: {error}"))
}

fn check(recording: &Recording, moment: usize, found: Option<&Recovered>) -> Result<(), String> {
    let held = found.map_or_else(|| Ok(HashMap::new()), |found| read(recording, found))?;
    let promised = recording.promises.partition_point(|promise| promise.moment < moment);
    for promise in &recording.promises {
        if held.get(&promise.seq).is_some_and(|name| *name != promise.name) {
            return Err(format!("number {} is another message", promise.seq));
        }
    }
    let Some(last) = recording.promises[..promised].last() else {
        return Ok(());
    };
    let next = found.map_or(0, |found| found.next_seq);
    if next <= last.seq {
        return Err(format!("lost: number {} was promised, and {next} comes next", last.seq));
    }
    let is_taken = |name| recording.taken.get(name).is_some_and(|taken| *taken < moment);
    let lost = |seq, name| !held.contains_key(seq) && !is_taken(name);
    let promises = &recording.promises[..promised];
    let lost: Vec<u64> = promises
        .iter()
        .filter(|promise| lost(&promise.seq, &promise.name))
        .map(|promise| promise.seq)
        .collect();
    match &lost[..] {
        [] => Ok(()),
        [first, ..] => Err(format!("lost: {} messages, the first is number {first}", lost.len())),
    }
}

/// The messages that are not done, each as it was handed in.
fn read(recording: &Recording, found: &Recovered) -> Result<HashMap<u64, Name>, String> {
    let mut held = HashMap::new();
    for block in &found.blocks {
        let mut seqs = block.seqs.clone();
        for (at, head) in Records::new(&block.records) {
            let line = &block.records[at + head.head_bytes..at + head.record_bytes()];
            let seq = seqs.next().ok_or("a block has too many messages")?;
            let name = name_of(line).ok_or_else(|| format!("number {seq} is damaged"))?;
            let sent = recording.lines.get(name.0).and_then(|lines| lines.get(name.1));
            if sent.is_none_or(|sent| sent != line) {
                return Err(format!("number {seq} was never sent like this"));
            }
            if !block.done.iter().any(|done| done.contains(&seq)) {
                held.insert(seq, name);
            }
        }
        if let Some(seq) = seqs.next() {
            return Err(format!("number {seq} and what follows in its block is not there"));
        }
    }
    Ok(held)
}

/// Puts one more message into it, and sees whether all is there when it is opened once more.
fn work_on(mut opened: SledStore, before: &Recovered, store: &Path) -> Result<(), String> {
    let seq = before.next_seq;
    let mut record = Vec::new();
    record.put_u32_le(5);
    record.put_slice(b"later");
    let put = StoreOp::PutBlock { seqs: seq..seq + 1, parts: vec![Bytes::from(record)] };
    let reserve = StoreOp::Reserve { session: before.session, end: seq + 1 };
    let ops = vec![reserve, put];
    let failed = |error| format!("it takes no more: {error}");
    opened.commit(&Commit { ops, sync: true }).map_err(failed)?;
    close(opened)?;
    let (opened, after) = open(store)?;
    let after = after.ok_or("all is gone when it is opened again")?;
    let places = |found: &Recovered| found.blocks.iter().map(|block| block.seqs.clone()).collect();
    let mut expected: Vec<_> = places(before);
    expected.push(seq..seq + 1);
    if expected != places(&after) || after.next_seq <= seq {
        return Err("it holds something else when it is opened again".into());
    }
    close(opened)
}
