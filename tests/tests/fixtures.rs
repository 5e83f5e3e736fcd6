//! Stores that former versions wrote open, and hold what was put in.
//!
//! `DRAWDOWN_WRITE_FIXTURES=1 cargo test -p drawdown-tests --test fixtures` writes those of this version to `tests/fixtures`,
//! to be committed with each release that writes stores in another way.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use drawdown::store::{CursorStore, OpenOptions, SledStore, Store};
use drawdown_protocol::store::{Attempts, Commit, Recovered, StoreOp};
use drawdown_protocol::wire::Fingerprint;
use drawdown_protocol::{Lineage, Position, Session, SocketType};
use uuid::Uuid;

const OWNERS: [(&str, SocketType); 3] =
    [("push", SocketType::Push), ("pub", SocketType::Pub), ("rep", SocketType::Rep)];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/stores")
}

fn session() -> Session {
    Session::from_uuid(Uuid::from_u128(0x0dd_5e55))
}

fn lineage() -> Lineage {
    Lineage { session: session(), epoch: 1_700_000_000_000, since: 0 }
}

fn attempts(failed: u32) -> Attempts {
    Attempts { failed, reason: "it was too heavy".to_owned() }
}

/// Cursors by their names.
fn cursors() -> [(&'static str, Vec<Position>); 2] {
    let other = Session::from_uuid(Uuid::from_u128(0xf1257));
    let first = Position { session: other, next: 7, last: None };
    let last = Some(Fingerprint { seq: 41, crc: 0xdead_beef });
    let second = Position { session: session(), next: 42, last };
    [("sub", vec![second]), ("sub-several", vec![first, second])]
}

/// Of the first block.
const DONE: Range<u64> = 1..2;
const FIRST: &[u8] = b"three records, as far as the store is concerned";
const SECOND: &[u8] = b"two more";
const DEAD: &[u8] = b"one that died";

fn contents() -> Vec<StoreOp> {
    let put = |seqs, bytes| StoreOp::PutBlock { seqs, parts: vec![Bytes::from_static(bytes)] };
    vec![
        StoreOp::Reserve { session: session(), end: 1_000 },
        StoreOp::PutLineage { lineage: lineage() },
        put(0..3, FIRST),
        put(3..5, SECOND),
        StoreOp::PutDone { block: 0, done: vec![DONE] },
        StoreOp::PutAttempts { seq: 3, attempts: attempts(2) },
        StoreOp::PutDead { seq: 7, attempts: attempts(5), record: Bytes::from_static(DEAD) },
    ]
}

#[test]
fn stores_of_former_versions_hold_what_was_put_in() {
    if std::env::var_os("DRAWDOWN_WRITE_FIXTURES").is_some() {
        write(&fixtures().join(env!("CARGO_PKG_VERSION")));
    }
    let versions: Vec<PathBuf> = fs::read_dir(fixtures())
        .expect("there are fixtures")
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    assert!(!versions.is_empty());
    for version in versions {
        // Opening a store changes it.
        let copied = tempfile::tempdir().expect("a temporary folder");
        copy(&version, copied.path());
        for (name, owner) in OWNERS {
            let (store, recovered) =
                SledStore::open(&copied.path().join(name), &OpenOptions::new(owner))
                    .unwrap_or_else(|error| panic!("{}: {error}", version.display()));
            check(&recovered.expect("it holds something"));
            Box::new(store).close().expect("it closes");
        }
        for (name, positions) in cursors() {
            let (_, found) = CursorStore::open(&copied.path().join(name)).expect("a cursor");
            assert_eq!(found, positions, "{name}");
        }
    }
}

fn check(recovered: &Recovered) {
    assert_eq!((recovered.session, recovered.next_seq), (session(), 1_000));
    assert_eq!(recovered.lineage, Some(lineage()));
    let blocks: Vec<_> =
        recovered.blocks.iter().map(|b| (b.seqs.clone(), b.done.clone(), &b.records[..])).collect();
    assert_eq!(blocks, [(0..3, vec![DONE], FIRST), (3..5, vec![], SECOND)]);
    assert_eq!(recovered.attempts, [(3, attempts(2))]);
    let dead: Vec<_> =
        recovered.dead.iter().map(|d| (d.seq, d.attempts.clone(), &d.record[..])).collect();
    assert_eq!(dead, [(7, attempts(5), DEAD)]);
}

fn write(folder: &Path) {
    for (name, owner) in OWNERS {
        let folder = folder.join(name);
        let (mut store, before) =
            SledStore::open(&folder, &OpenOptions::new(owner)).expect("a new store");
        assert!(before.is_none(), "{} is there already", folder.display());
        store.commit(&Commit { ops: contents(), sync: true }).expect("it takes them");
        Box::new(store).close().expect("it closes");
    }
    for (name, positions) in cursors() {
        let (mut cursor, _) = CursorStore::open(&folder.join(name)).expect("a new cursor");
        cursor.save(&positions).expect("it is saved");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it is there") {
        let from = entry.expect("it can be read").path();
        let to = to.join(from.file_name().unwrap_or_default());
        match from.is_dir() {
            true => copy(&from, &to),
            false => drop(fs::copy(&from, &to).expect("it can be copied")),
        }
    }
}
