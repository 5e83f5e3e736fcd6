//! A store from outside, and under every crash that it must survive.

use std::fs;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use drawdown_protocol::store::{Attempts, Commit, Recovered, RecoveredBlock, StoreOp};
use drawdown_protocol::{Seq, Session, SocketType};
use tempfile::TempDir;
use uuid::Uuid;

use super::engine::Engine;
use super::{Durability, OpenOptions, SledStore, Store, StoreError, StoreErrorKind};

mod crash;
mod cursor;
mod damage;
mod dead;
mod publisher;
mod refusal;
mod round_trip;

const KIB: usize = 1 << 10;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn buffered() -> OpenOptions {
    OpenOptions::new(SocketType::Push).durability(Durability::Buffered)
}

fn open(path: &Path) -> (SledStore, Option<Recovered>) {
    SledStore::open(path, &buffered()).unwrap()
}

/// A store with numbers reserved.
fn new_store(path: &Path) -> SledStore {
    let (mut store, recovered) = open(path);
    assert!(recovered.is_none(), "a new store");
    commit(&mut store, vec![reserve(1_000_000)]);
    store
}

fn recovered(path: &Path) -> Recovered {
    let (store, recovered) = open(path);
    close(store);
    recovered.unwrap()
}

fn refused(path: &Path) -> StoreError {
    SledStore::open(path, &buffered()).map(|(_, recovered)| recovered).unwrap_err()
}

fn close(store: SledStore) {
    Box::new(store).close().unwrap();
}

fn commit(store: &mut SledStore, ops: Vec<StoreOp>) {
    store.commit(&Commit { ops, sync: true }).unwrap();
}

fn session() -> Session {
    Session::from_uuid(Uuid::from_u128(0x5e55))
}

fn reserve(end: Seq) -> StoreOp {
    StoreOp::Reserve { session: session(), end }
}

/// Bytes that differ from those of every other seed.
fn records(seed: u64, bytes: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn put(seqs: Range<Seq>, bytes: usize) -> StoreOp {
    let parts = vec![records(seqs.start, bytes)];
    StoreOp::PutBlock { seqs, parts }
}

fn put_done(block: Seq, done: Range<Seq>) -> StoreOp {
    StoreOp::PutDone { block, done: vec![done] }
}

fn attempts(failed: u32) -> Attempts {
    Attempts { failed, reason: format!("failure {failed}") }
}

fn put_dead(seq: Seq, bytes: usize) -> StoreOp {
    StoreOp::PutDead { seq, attempts: attempts(5), record: records(seq, bytes) }
}

fn starts(blocks: &[RecoveredBlock]) -> Vec<Seq> {
    blocks.iter().map(|block| block.seqs.start).collect()
}

/// What a `kill -9` at this moment would leave: a copy of all files, without asking anybody.
fn image_of(path: &Path) -> TempDir {
    let image = folder();
    copy(path, image.path());
    image
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Changes the entries of a closed store behind its back.
fn tamper(path: &Path, change: impl FnOnce(&sled::Db)) {
    let (mut engine, ()) = Engine::open(path, &buffered(), |_| ()).unwrap();
    change(&engine.db);
    engine.flush().unwrap();
}
