//! A store of which any bytes were changed or cut off: it opens with what was put in, or is refused in a sentence and left as
//! it is, and what can be seen of it is what was put in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use drawdown::store::{Durability, Inspector, OpenOptions, SledStore, Store};
use drawdown_protocol::store::{Commit, Recovered, StoreOp};
use drawdown_protocol::{Seq, Session, SocketType};
use tempfile::TempDir;
use uuid::Uuid;

const BLOCKS: u64 = 6;
const BLOCK_MESSAGES: u64 = 10;

/// A whole store, made once.
static WHOLE: LazyLock<TempDir> = LazyLock::new(make);

/// Changes a copy of a store and opens it. Each change is six bytes: a file, three bytes of a place in it, whether it is cut
/// off there, and what is put there.
pub fn store(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    copy(WHOLE.path(), folder.path());
    let files = files(folder.path());
    for change in bytes.chunks_exact(6) {
        let [file, low, middle, high, cuts, value] = *change else { continue };
        let place = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let file = &files[usize::from(file) % files.len()];
        let mut contents = fs::read(file).expect("it was just copied");
        let place = place % contents.len().max(1);
        match cuts {
            // Rarely: everything behind a cut is gone.
            0..8 => contents.truncate(place),
            _ => {
                if let Some(byte) = contents.get_mut(place) {
                    *byte ^= value;
                }
            }
        }
        fs::write(file, contents).expect("it can be written");
    }
    let log = || fs::read(folder.path().join("db")).ok();
    let before = log();
    match SledStore::open(folder.path(), &options()) {
        Ok((store, recovered)) => {
            assert_whole(&recovered.expect("numbers were reserved"));
            Box::new(store).close().expect("a store that opens can be closed");
        }
        Err(error) => {
            assert!(error.to_string().len() > 20, "{error} is no sentence");
            assert!(log() == before, "its log was written to: {error}");
            let seen = look_into(folder.path());
            assert_eq!(look_into(folder.path()), seen, "a look costs something: {error}");
        }
    }
}

/// Which blocks are shown; all of that is true.
fn look_into(store: &Path) -> Vec<Seq> {
    let Ok(store) = Inspector::open(store) else { return Vec::new() };
    assert!(!store.damages().is_empty(), "nothing is wrong with it");
    let blocks = store.report().expect("its files can be seen").blocks;
    let firsts: Vec<Seq> = blocks.iter().map(|block| block.seqs.start).collect();
    for first in &firsts {
        let whole = *first..first + BLOCK_MESSAGES;
        let seen = store.block(*first).expect("it was just seen").expect("it was just seen");
        assert_eq!((seen.seqs, seen.records), (whole, records(first / BLOCK_MESSAGES)));
    }
    firsts
}

/// Of a store that is not synced, what was written last may go without a word.
fn options() -> OpenOptions {
    OpenOptions::new(SocketType::Push).durability(Durability::Synced)
}

fn session() -> Session {
    Session::from_uuid(Uuid::from_u128(0x5e55))
}

fn records(block: u64) -> Bytes {
    (0..500u64).map(|at| (at * 31 + block * 7) as u8).collect()
}

fn make() -> TempDir {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let (mut store, _) = SledStore::open(folder.path(), &options()).expect("a new store");
    let mut ops = vec![StoreOp::Reserve { session: session(), end: 1_000 }];
    ops.extend((0..BLOCKS).map(|block| StoreOp::PutBlock {
        seqs: block * BLOCK_MESSAGES..(block + 1) * BLOCK_MESSAGES,
        parts: vec![records(block)],
    }));
    store.commit(&Commit { ops, sync: true }).expect("it takes them");
    Box::new(store).close().expect("it closes");
    folder
}

/// Every block is there, and is what was put in.
fn assert_whole(recovered: &Recovered) {
    assert_eq!((recovered.session, recovered.next_seq), (session(), 1_000));
    let firsts: Vec<u64> = recovered.blocks.iter().map(|block| block.seqs.start).collect();
    let wanted: Vec<u64> = (0..BLOCKS).map(|block| block * BLOCK_MESSAGES).collect();
    assert_eq!(firsts, wanted, "blocks are lost without a word");
    for (at, block) in (0..).zip(&recovered.blocks) {
        assert_eq!(block.records, records(at), "block {at} is not what was put in");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is there").path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let from = entry.expect("it is there").path();
        let to = to.join(from.file_name().unwrap_or_default());
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(&from, &to).expect("it can be copied")),
        }
    }
}
