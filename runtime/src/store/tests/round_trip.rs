//! What is committed comes back.

use super::*;
use crate::store::format::Prefix;

#[test]
fn a_new_store_has_nothing_and_gives_no_session() {
    let folder = folder();
    let path = folder.path().join("a/b/store");
    let (store, recovered) = open(&path);
    assert!(recovered.is_none());
    close(store);
    let (store, recovered) = open(&path);
    assert!(recovered.is_none(), "nothing was reserved");
    close(store);
}

#[test]
fn every_kind_of_entry_comes_back() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(10..13, 100), put(13..20, 60 * KIB), put(20..21, 0)]);
    commit(
        &mut store,
        vec![
            StoreOp::PutDone { block: 13, done: vec![13..14, 15..18] },
            StoreOp::PutAttempts { seq: 14, attempts: attempts(2) },
            StoreOp::PutAttempts { seq: 19, attempts: attempts(1) },
            put_dead(16, 5_000),
            put_dead(2, 0),
        ],
    );
    commit(
        &mut store,
        vec![StoreOp::RemoveAttempts { seq: 19 }, StoreOp::RemoveBlock { block: 10 }],
    );
    close(store);

    let recovered = recovered(folder.path());
    assert_eq!((recovered.session, recovered.next_seq), (session(), 1_000_000));
    assert_eq!(starts(&recovered.blocks), [13, 20]);
    assert_eq!(recovered.blocks[0].seqs, 13..20);
    assert_eq!(recovered.blocks[0].done, [13..14, 15..18]);
    assert_eq!(recovered.blocks[0].records, records(13, 60 * KIB));
    assert_eq!(recovered.blocks[1].records, Bytes::new());
    assert_eq!(recovered.attempts, [(14, attempts(2))]);
    let dead: Vec<_> = recovered.dead.iter().map(|dead| (dead.seq, dead.record.clone())).collect();
    assert_eq!(dead, [(2, Bytes::new()), (16, records(16, 5_000))]);
    assert_eq!(recovered.dead[1].attempts, attempts(5));
}

#[test]
fn what_was_removed_leaves_no_entry_behind() {
    let folder = folder();
    let mut store = new_store(folder.path());
    for first in (0..400).step_by(10) {
        commit(&mut store, vec![put(first..first + 10, 100), put_done(first, first..first + 3)]);
    }
    commit(&mut store, vec![put(400..401, 300 * KIB), put_dead(7, 200 * KIB)]);
    let removals = (0..=400).step_by(10).map(|block| StoreOp::RemoveBlock { block });
    commit(&mut store, removals.collect());
    commit(&mut store, vec![StoreOp::RemoveDead { seq: 7 }]);
    close(store);
    tamper(folder.path(), |db| {
        let filled = db.iter().values().filter(|value| !value.as_ref().unwrap().is_empty()).count();
        assert_eq!(filled, 1, "the note of what was reserved");
        for prefix in [Prefix::Block, Prefix::Dead] {
            let empty = db.scan_prefix([prefix as u8]).count();
            assert!(empty < 130, "{empty} empty slots of {prefix:?}");
        }
    });
}

#[test]
fn a_block_of_many_parts_comes_back_whole_from_pieces_of_any_size() {
    let folder = folder();
    let mut store = new_store(folder.path());
    let whole = records(1, 1_000 * KIB + 17);
    let mut rest = whole.clone();
    let pieces: Vec<Bytes> =
        [0, 1, 65_507, 3, 200_000, 65_536].map(|bytes| rest.split_to(bytes)).into();
    let parts = pieces.into_iter().chain([rest]).collect();
    commit(&mut store, vec![put(0..1, 10), StoreOp::PutBlock { seqs: 1..2, parts }, put(2..3, 10)]);
    close(store);
    let recovered = recovered(folder.path());
    assert_eq!(starts(&recovered.blocks), [0, 1, 2]);
    assert_eq!(recovered.blocks[1].records, whole);
}

#[test]
fn a_block_that_is_put_again_replaces_the_first() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(5..6, 300 * KIB)]);
    let again = StoreOp::PutBlock { seqs: 5..6, parts: vec![Bytes::from_static(b"again")] };
    commit(&mut store, vec![again]);
    close(store);
    let recovered = recovered(folder.path());
    assert_eq!(recovered.blocks.len(), 1);
    assert_eq!(recovered.blocks[0].records, b"again"[..]);
}

#[test]
fn a_reservation_never_takes_numbers_back() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![reserve(10)]);
    close(store);
    assert_eq!(recovered(folder.path()).next_seq, 1_000_000);
}

#[test]
fn commits_behind_are_kept_by_the_next_synced_one() {
    let folder = folder();
    let mut store = new_store(folder.path());
    store.commit(&Commit { ops: vec![put(0..3, 100)], sync: false }).unwrap();
    store.commit(&Commit { ops: vec![], sync: true }).unwrap();
    assert_eq!(starts(&recovered(image_of(folder.path()).path()).blocks), [0]);
}

#[test]
fn a_store_that_was_dropped_without_a_word_keeps_everything() {
    let folder = folder();
    let mut store = new_store(folder.path());
    store.commit(&Commit { ops: vec![put(0..3, 100)], sync: false }).unwrap();
    drop(store);
    assert_eq!(starts(&recovered(folder.path()).blocks), [0]);
}

fn files_in_blobs(path: &Path) -> usize {
    fs::read_dir(path.join("blobs")).unwrap().count()
}

#[test]
fn what_comes_after_one_that_has_stayed_stands_where_sled_keeps_it_in_its_log() {
    let folder = folder();
    let mut store = new_store(folder.path());
    for first in 0..300 {
        commit(&mut store, vec![put(first..first + 1, 60 * KIB)]);
    }
    commit(&mut store, (1..300).map(|block| StoreOp::RemoveBlock { block }).collect());
    close(store);
    let (mut store, _) = open(folder.path());
    for first in 300..400 {
        commit(&mut store, vec![put(first..first + 1, 60 * KIB)]);
    }
    close(store);
    assert_eq!(files_in_blobs(folder.path()), 0);
    assert_eq!(recovered(folder.path()).blocks.len(), 101);
}

/// Puts and removes blocks, 20 at a time in the store and each `kept_every`th for good. The disk holds them and what was
/// removed lately. Now and then it is opened again with nothing but what is kept. `DRAWDOWN_CHURN_BLOCKS` makes a soak of it.
fn churn(kept_every: Seq) {
    let blocks = std::env::var("DRAWDOWN_CHURN_BLOCKS").map_or(4_000, |n| n.parse().unwrap());
    let folder = folder();
    let mut store = new_store(folder.path());
    let (mut kept, mut disk_bytes_max, mut live_bytes_max) = (0, 0, 0);
    for first in 0..blocks {
        if first > 0 && first % 500 == 0 {
            let done = (first - 20..first).filter(|block| block % kept_every != 0);
            commit(&mut store, done.map(|block| StoreOp::RemoveBlock { block }).collect());
            close(store);
            store = open(folder.path()).0;
        }
        let mut ops = vec![put(first..first + 1, 60 * KIB)];
        match first.checked_sub(20) {
            Some(block) if block % kept_every == 0 => kept += 1,
            Some(block) => ops.push(StoreOp::RemoveBlock { block }),
            None => {}
        }
        commit(&mut store, ops);
        if first % 500 == 250 {
            let left = recovered(image_of(folder.path()).path());
            assert_eq!(left.blocks.len() as u64, kept + 20, "killed after {first}");
        }
        live_bytes_max = (kept + 20) * 60 * KIB as u64;
        let disk_bytes = fs::metadata(folder.path().join("db")).unwrap().len();
        disk_bytes_max = disk_bytes_max.max(disk_bytes);
        let bound = 3 * live_bytes_max + (64 << 20);
        assert!(
            disk_bytes < bound,
            "{disk_bytes} bytes on disk for {live_bytes_max} after {first}"
        );
    }
    eprintln!("{blocks} blocks: {disk_bytes_max} bytes on disk for {live_bytes_max} live");
    assert_eq!(files_in_blobs(folder.path()), 0);
    close(store);
    assert_eq!(recovered(folder.path()).blocks.len() as u64, kept + 20);
}

#[test]
fn churn_keeps_the_disk_bounded_and_every_value_in_the_log() {
    churn(Seq::MAX);
}

#[test]
fn churn_that_leaves_some_behind_keeps_the_disk_bounded() {
    churn(100);
}
