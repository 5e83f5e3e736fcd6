//! Dead letters, replayed and purged while nothing runs.

use super::*;
use crate::store::Inspector;
use crate::store::entries::Kind;
use crate::store::format::{PartHead, Prefix, write_part};

/// A record of so many bytes.
fn letter(seed: u64, bytes: usize) -> Bytes {
    record(b"", &records(seed, bytes - 4))
}

/// A record with these attributes, which take up to 255 bytes.
fn record(attributes: &[u8], payload: &[u8]) -> Bytes {
    let length = payload.len() as u32;
    match attributes.len() {
        0 => [&length.to_le_bytes()[..], payload].concat().into(),
        bytes => {
            let head = (length | 1 << 31).to_le_bytes();
            [&head[..], &[bytes as u8, 0], attributes, payload].concat().into()
        }
    }
}

/// A record whose shelf life was over in 1970.
fn expired(payload: &[u8]) -> Bytes {
    record(b"\x01\x08\x01\0\0\0\0\0\0\0", payload)
}

fn put_letter(seq: Seq, record: Bytes) -> StoreOp {
    StoreOp::PutDead { seq, attempts: attempts(5), record }
}

/// The block 0..10, whose message 3 is dead, and the dead letters 50 and 51 of blocks that are gone.
fn store_with_dead() -> TempDir {
    let folder = folder();
    let mut store = new_store(folder.path());
    let ops = vec![
        put(0..10, 1_000),
        put(60..70, 1_000),
        StoreOp::PutDone { block: 0, done: vec![0..2, 3..5] },
        put_letter(3, letter(3, 100)),
        put_letter(50, letter(50, 300 * KIB)),
        put_letter(51, letter(51, 7)),
    ];
    commit(&mut store, ops);
    close(store);
    folder
}

fn dead(recovered: &Recovered) -> Vec<Seq> {
    recovered.dead.iter().map(|dead| dead.seq).collect()
}

#[test]
fn a_look_tells_sizes_and_reasons() {
    let folder = store_with_dead();
    let inspector = Inspector::open(folder.path()).unwrap();
    let report = inspector.report().unwrap();
    assert_eq!(
        (report.socket_type.as_str(), report.session, report.next_seq),
        ("push", Some(session()), 1_000_000)
    );
    let blocks: Vec<_> = report
        .blocks
        .iter()
        .map(|block| (block.seqs.clone(), block.bytes, block.pending()))
        .collect();
    assert_eq!(blocks, [(0..10, 1_000, 6), (60..70, 1_000, 10)]);
    let dead: Vec<_> = report.dead.iter().map(|dead| (dead.seq, dead.bytes)).collect();
    assert_eq!(dead, [(3, 100), (50, 300 * KIB as u64), (51, 7)]);
    assert_eq!(report.dead[0].attempts, attempts(5));
    assert!(report.disk_bytes > 0);
    assert!(report.damages.is_empty());
    assert_eq!(inspector.dead_letter(50).unwrap().record, letter(50, 300 * KIB));
    assert_eq!(inspector.block(64).unwrap().unwrap().records, records(60, 1_000));
    inspector.close().unwrap();
    assert_eq!(
        super::dead::dead(&recovered(folder.path())),
        [3, 50, 51],
        "looking changes nothing"
    );
}

#[test]
fn a_replayed_letter_is_pending_under_its_own_number() {
    let folder = store_with_dead();
    let mut inspector = Inspector::open(folder.path()).unwrap();
    inspector.replay(50).unwrap();
    assert_eq!(inspector.replay(50).unwrap_err().kind(), StoreErrorKind::NoSuchDeadLetter);
    let told: Vec<_> =
        inspector.report().unwrap().blocks.iter().map(|block| block.seqs.clone()).collect();
    assert_eq!(told, [0..10, 50..51, 60..70]);
    let image = image_of(folder.path());
    inspector.close().unwrap();
    for path in [image.path(), folder.path()] {
        let recovered = recovered(path);
        assert_eq!(starts(&recovered.blocks), [0, 50, 60]);
        assert_eq!(recovered.blocks[1].records, letter(50, 300 * KIB));
        assert_eq!(dead(&recovered), [3, 51]);
        assert!(recovered.attempts.is_empty());
    }
}

#[test]
fn a_letter_whose_block_is_still_there_is_pending_in_it_again() {
    let folder = store_with_dead();
    let mut inspector = Inspector::open(folder.path()).unwrap();
    inspector.replay(3).unwrap();
    assert_eq!(inspector.report().unwrap().blocks[0].pending(), 7);
    inspector.close().unwrap();
    let recovered = recovered(folder.path());
    assert_eq!(starts(&recovered.blocks), [0, 60]);
    assert_eq!(recovered.blocks[0].done, [0..2, 4..5]);
    assert_eq!(recovered.blocks[0].records, records(0, 1_000), "the block is as it was");
    assert_eq!(dead(&recovered), [50, 51]);
}

#[test]
fn a_purged_letter_is_gone() {
    let folder = store_with_dead();
    let mut inspector = Inspector::open(folder.path()).unwrap();
    inspector.purge(50).unwrap();
    assert_eq!(inspector.purge(4).unwrap_err().kind(), StoreErrorKind::NoSuchDeadLetter);
    inspector.close().unwrap();
    let recovered = recovered(folder.path());
    assert_eq!(starts(&recovered.blocks), [0, 60]);
    assert_eq!(dead(&recovered), [3, 51]);
}

/// The block 0, the dead letter 5, and what a crash left of the block 10 before its part 0 was written.
fn store_with_half_a_block() -> TempDir {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 100), put_letter(5, letter(5, 100)), put(10..11, 300 * KIB)]);
    close(store);
    tamper(folder.path(), |db| {
        let slots = db.scan_prefix([Prefix::Block as u8]).map(Result::unwrap);
        let filled = slots.filter(|(_, value)| !value.is_empty());
        let (part_0, _) = filled.last().unwrap();
        db.remove(part_0).unwrap();
    });
    folder
}

#[test]
fn a_letter_is_not_put_into_what_a_crash_left_of_a_block() {
    let folder = store_with_half_a_block();
    let mut inspector = Inspector::open(folder.path()).unwrap();
    inspector.replay(5).unwrap();
    inspector.close().unwrap();
    for _ in 0..2 {
        let recovered = recovered(folder.path());
        assert_eq!(starts(&recovered.blocks), [0, 5]);
        assert_eq!(recovered.blocks[1].records, letter(5, 100));
        assert!(dead(&recovered).is_empty());
    }
}

#[test]
fn notes_of_what_a_crash_removed_are_not_about_the_letter_that_is_replayed() {
    let folder = store_with_dead();
    let (mut store, _) = open(folder.path());
    let orphans =
        vec![put_done(50, 50..51), StoreOp::PutAttempts { seq: 51, attempts: attempts(4) }];
    commit(&mut store, orphans);
    close(store);
    let mut inspector = Inspector::open(folder.path()).unwrap();
    inspector.replay(50).unwrap();
    inspector.replay(51).unwrap();
    inspector.close().unwrap();
    let recovered = recovered(folder.path());
    assert_eq!(starts(&recovered.blocks), [0, 50, 51, 60]);
    assert!(recovered.blocks[1].done.is_empty(), "{:?}", recovered.blocks[1].done);
    assert!(recovered.attempts.is_empty());
}

#[test]
fn a_letter_that_a_crash_left_twice_is_purged_as_a_whole() {
    let folder = store_with_dead();
    tamper(folder.path(), |db| {
        let mut value = Vec::new();
        let head = PartHead { first: 51, messages: 1, part: 0, parts: 1 };
        let key = Kind::Dead.key(1_000);
        write_part(&key, head, &[letter(51, 7)], &mut value);
        db.insert(key, value).unwrap();
    });
    let mut inspector = Inspector::open(folder.path()).unwrap();
    inspector.purge(51).unwrap();
    inspector.close().unwrap();
    assert_eq!(dead(&recovered(folder.path())), [3, 50]);
}

#[test]
fn a_letter_whose_shelf_life_is_over_has_none_when_it_is_replayed() {
    let folder = folder();
    let mut store = new_store(folder.path());
    let (plain, dead_1, dead_50) = (record(b"", b"plain"), expired(b"one"), expired(b"fifty"));
    let parts = vec![plain.clone(), dead_1.clone(), expired(b"two")];
    let block = StoreOp::PutBlock { seqs: 0..3, parts };
    let ops = vec![block, put_done(0, 1..2), put_letter(1, dead_1), put_letter(50, dead_50)];
    commit(&mut store, ops);
    close(store);
    let mut inspector = Inspector::open(folder.path()).unwrap();
    inspector.replay(1).unwrap();
    inspector.replay(50).unwrap();
    let in_block = [&plain[..], &record(b"", b"one"), &expired(b"two")].concat();
    let alone = record(b"", b"fifty");
    assert_eq!(inspector.block(1).unwrap().unwrap().records, in_block);
    assert_eq!(inspector.block(50).unwrap().unwrap().records, alone);
    let sizes: Vec<_> =
        inspector.report().unwrap().blocks.iter().map(|block| block.bytes).collect();
    assert_eq!(sizes, [in_block.len() as u64, alone.len() as u64]);
    let image = image_of(folder.path());
    inspector.close().unwrap();
    for path in [image.path(), folder.path()] {
        let recovered = recovered(path);
        let blocks: Vec<_> = recovered.blocks.iter().map(|block| &block.records[..]).collect();
        assert_eq!(blocks, [&in_block[..], &alone]);
        assert!(recovered.blocks.iter().all(|block| block.done.is_empty()));
        assert!(dead(&recovered).is_empty());
    }
}
