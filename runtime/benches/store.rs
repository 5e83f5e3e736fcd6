//! What a commit to the store costs. `cargo bench -p drawdown --bench store`; it writes to the system's temporary folder.

use std::ops::Range;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use drawdown::protocol::store::{Commit, StoreOp};
use drawdown::protocol::{Seq, Session, SocketType};
use drawdown::store::{Durability, OpenOptions, SledStore, Store};
use tempfile::TempDir;
use uuid::Uuid;

fn main() {
    divan::main();
}

/// Blocks of 56 KiB in one commit, as a busy socket makes them.
const BLOCKS: [u64; 3] = [1, 8, 64];
const BLOCK_BYTES: usize = 56 << 10;
const BLOCK_MESSAGES: u64 = 215;

struct Open {
    store: SledStore,
    block: Bytes,
    next: Seq,
    _folder: TempDir,
}

impl Open {
    fn new(durability: Durability) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = OpenOptions::new(SocketType::Push).durability(durability);
        let (mut store, _) = SledStore::open(folder.path(), &options).expect("a new store");
        let session = Session::from_uuid(Uuid::from_u128(1));
        let reserve = StoreOp::Reserve { session, end: Seq::MAX / 2 };
        store.commit(&Commit { ops: vec![reserve], sync: true }).expect("numbers");
        Self { store, block: vec![7; BLOCK_BYTES].into(), next: 0, _folder: folder }
    }

    fn seqs(&self, block: u64) -> Range<Seq> {
        let start = self.next + block * BLOCK_MESSAGES;
        start..start + BLOCK_MESSAGES
    }

    /// Puts new blocks and removes them again with the next commit, as confirmations do.
    fn commit(&mut self, blocks: u64) {
        let puts = (0..blocks).map(|block| self.seqs(block));
        let puts = puts.map(|seqs| StoreOp::PutBlock { seqs, parts: vec![self.block.clone()] });
        let before = self.next.saturating_sub(blocks * BLOCK_MESSAGES);
        let removed = (before..self.next).step_by(BLOCK_MESSAGES as usize);
        let removes = removed.map(|block| StoreOp::RemoveBlock { block });
        let ops = puts.chain(removes).collect();
        self.next += blocks * BLOCK_MESSAGES;
        self.store.commit(&Commit { ops, sync: true }).expect("a commit");
    }
}

fn commits(bencher: Bencher<'_, '_>, blocks: u64, durability: Durability) {
    let mut open = Open::new(durability);
    bencher
        .counter(BytesCount::new(blocks * BLOCK_BYTES as u64))
        .bench_local(|| open.commit(black_box(blocks)));
}

#[divan::bench(args = BLOCKS, max_time = 3)]
fn commit_synced(bencher: Bencher<'_, '_>, blocks: u64) {
    commits(bencher, blocks, Durability::Synced);
}

#[divan::bench(args = BLOCKS, max_time = 3)]
fn commit_buffered(bencher: Bencher<'_, '_>, blocks: u64) {
    commits(bencher, blocks, Durability::Buffered);
}
