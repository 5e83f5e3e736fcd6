//! A crash at any moment leaves something that opens again.

use super::*;
use crate::store::entries::Kind;
use crate::store::format::{ANCHOR_KEY, Anchor, Prefix, key, write_note};
use crate::store::marker::{self, Marker, Reserved};
use crate::store::{SEGMENT_BYTES, sync};

#[test]
fn everything_answered_survives_a_kill() {
    let folder = folder();
    let mut store = new_store(folder.path());
    for first in 0..50 {
        commit(&mut store, vec![put(first..first + 1, 20 * KIB)]);
        if first % 10 == 0 {
            let image = image_of(folder.path());
            assert_eq!(recovered(image.path()).blocks.len() as u64, first + 1);
        }
    }
}

/// Where sled's log ends: behind the number of the last sync, of whose eight bytes only the first is not 0.
fn log_end(path: &Path) -> usize {
    let log = fs::read(path.join("db")).unwrap();
    log.iter().rposition(|byte| *byte != 0).unwrap() + 8
}

/// What a kill leaves of a store whose log ends so many bytes before the end of its first segment.
fn killed_store_that_ends(before: usize) -> TempDir {
    let folder = folder();
    let (mut store, _) =
        SledStore::open(folder.path(), &OpenOptions::new(SocketType::Push)).unwrap();
    commit(&mut store, vec![reserve(1_000), put(0..1, 10)]);
    let mut first = 1;
    while log_end(folder.path()) + 150 * KIB < SEGMENT_BYTES {
        commit(&mut store, vec![put(first..first + 1, 50 * KIB)]);
        first += 1;
    }
    let mut attempt = |failed, bytes| {
        let attempts = Attempts { failed, reason: "x".repeat(bytes) };
        let (begin, op) = (log_end(folder.path()), StoreOp::PutAttempts { seq: 0, attempts });
        commit(&mut store, vec![op]);
        log_end(folder.path()) - begin
    };
    let beside = attempt(1, 30 * KIB) - 30 * KIB;
    attempt(2, SEGMENT_BYTES - before - log_end(folder.path()) - 60 * KIB);
    let rest = SEGMENT_BYTES - before - log_end(folder.path());
    attempt(3, rest - beside);
    assert_eq!(log_end(folder.path()), SEGMENT_BYTES - before);
    image_of(folder.path())
}

#[test]
fn a_log_may_end_anywhere_near_the_end_of_a_segment() {
    // What begins in the last 32 bytes would have no room there, whatever it is.
    for before in 28..=36 {
        let killed = killed_store_that_ends(before);
        let found = recovered(killed.path()).blocks.len();
        for _ in 0..3 {
            let opened = SledStore::open(killed.path(), &OpenOptions::new(SocketType::Push));
            let (store, recovered) = opened.unwrap_or_else(|error| panic!("{before}: {error}"));
            assert_eq!(recovered.unwrap().blocks.len(), found, "{before}");
            close(store);
        }
    }
}

/// The image of a store with one block, with `name` added to it.
fn image_with(name: &str, bytes: &[u8]) -> TempDir {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 100)]);
    let image = image_of(folder.path());
    fs::write(image.path().join(name), bytes).unwrap();
    image
}

#[test]
fn what_a_crash_leaves_of_a_snapshot_is_cleaned_up() {
    let trailer_only = [7; 12];
    let wrong_checksum = [7; 100];
    for (name, bytes) in [
        ("snap.0000000000FFFFFF.generating", &wrong_checksum[..]),
        ("snap.0000000000FFFFFF.generating", b""),
        ("snap.0000000000FFFFFF", b""),
        ("snap.0000000000FFFFFF", &trailer_only),
        ("snap.0000000000FFFFFF", &wrong_checksum),
    ] {
        let image = image_with(name, bytes);
        assert_eq!(starts(&recovered(image.path()).blocks), [0], "{name} of {} bytes", bytes.len());
        assert!(!image.path().join(name).exists(), "{name} is still there");
    }
}

#[test]
fn a_whole_snapshot_is_left_alone() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 100)]);
    close(store);
    close(open(folder.path()).0);
    let snapshots = || -> Vec<_> {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("snap.")).collect()
    };
    let before = snapshots();
    assert_eq!(before.len(), 1);
    crate::store::folder::clean_up(folder.path(), true).unwrap();
    assert_eq!(snapshots(), before);
}

#[test]
fn what_a_crash_leaves_of_a_new_marker_does_no_harm() {
    let image = image_with(marker::FILE.new_name, b"drawd");
    let (mut store, _) = open(image.path());
    commit(&mut store, vec![reserve(2_000_000)]);
    close(store);
    assert_eq!(recovered(image.path()).next_seq, 2_000_000);
}

#[test]
fn a_creation_that_was_cut_off_begins_anew() {
    let folder = folder();
    close(open(folder.path()).0);
    Marker::new(SocketType::Push).write(folder.path()).unwrap();
    fs::write(folder.path().join("conf"), b"segment_si").unwrap();
    fs::write(folder.path().join("db"), [0xff; 1000]).unwrap();
    fs::write(folder.path().join("snap.0000000000000001"), b"half").unwrap();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 100)]);
    close(store);
    assert_eq!(recovered(folder.path()).blocks.len(), 1);
}

#[test]
fn a_folder_where_only_the_first_marker_was_begun_counts_as_empty() {
    let folder = folder();
    fs::write(folder.path().join(marker::FILE.new_name), b"dr").unwrap();
    close(new_store(folder.path()));
}

/// A store without blocks whose marker and anchor stand at these generations.
fn store_at(generation: u64, proven: u64, anchor: Option<u64>) -> TempDir {
    let folder = folder();
    close(open(folder.path()).0);
    let mut marker = Marker::read(folder.path()).unwrap().unwrap();
    let end = generation * 100;
    marker.generation = generation;
    marker.proven = proven;
    marker.reserved = Some(Reserved { session: session(), end });
    marker.write(folder.path()).unwrap();
    if let Some(generation) = anchor {
        tamper(folder.path(), |db| {
            let mut value = Vec::new();
            let anchor = Anchor { generation, session: session(), end: generation * 100 };
            write_note(&ANCHOR_KEY, &anchor, &mut value).unwrap();
            db.insert(ANCHOR_KEY, value).unwrap();
        });
    }
    folder
}

#[test]
fn a_crash_inside_a_reservation_costs_numbers_only() {
    for (generation, proven, anchor) in
        [(1, 0, None), (1, 0, Some(1)), (2, 1, Some(1)), (2, 1, Some(2))]
    {
        let folder = store_at(generation, proven, anchor);
        let recovered = recovered(folder.path());
        assert_eq!(recovered.next_seq, generation * 100, "{generation} {proven} {anchor:?}");
    }
}

#[test]
fn a_store_that_knows_less_than_its_marker_has_lost_data() {
    for (generation, proven, anchor) in [(1, 1, None), (2, 2, Some(1)), (3, 2, Some(1))] {
        let folder = store_at(generation, proven, anchor);
        let error = refused(folder.path());
        assert_eq!(error.kind(), StoreErrorKind::Damaged, "{generation} {proven} {anchor:?}");
        assert!(error.to_string().contains("lost data"), "{error}");
    }
}

#[test]
fn a_marker_that_is_older_than_the_data_is_refused() {
    let folder = store_at(1, 1, Some(2));
    let error = refused(folder.path());
    assert_eq!(error.kind(), StoreErrorKind::Damaged);
    assert!(error.to_string().contains("older than its data"), "{error}");
}

#[test]
fn a_store_whose_data_is_gone_is_never_a_fresh_one() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 100), StoreOp::RemoveBlock { block: 0 }]);
    close(store);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name == "db" || name == "conf" || name.to_string_lossy().starts_with("snap.") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for attempt in 0..2 {
        let error = refused(folder.path());
        assert_eq!(error.kind(), StoreErrorKind::Damaged, "attempt {attempt}");
        assert!(error.to_string().contains("lost data"), "{error}");
    }
}

/// A store with the blocks 0 and 1, the second of four parts, of which those in `gone` are not there.
fn store_without_parts(gone: &[usize]) -> TempDir {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 100), put(1..2, 200 * KIB)]);
    close(store);
    tamper(folder.path(), |db| {
        let slots: Vec<_> = db
            .scan_prefix([Prefix::Block as u8])
            .map(Result::unwrap)
            .filter(|(_, value)| !value.is_empty())
            .collect();
        assert_eq!(slots.len(), 1 + 4);
        for part in gone {
            db.remove(&slots[4 - part].0).unwrap();
        }
    });
    folder
}

#[test]
fn a_block_without_its_first_part_was_never_answered() {
    for gone in [&[0][..], &[0, 1], &[0, 1, 2]] {
        let folder = store_without_parts(gone);
        let (mut store, recovered) = open(folder.path());
        assert_eq!(starts(&recovered.unwrap().blocks), [0], "without {gone:?}");
        commit(&mut store, vec![put(2..3, 200 * KIB)]);
        close(store);
        assert_eq!(starts(&super::recovered(folder.path()).blocks), [0, 2], "without {gone:?}");
    }
}

#[test]
fn a_block_with_its_first_part_and_without_another_is_damaged() {
    for gone in [&[1][..], &[3], &[1, 2, 3]] {
        let error = refused(store_without_parts(gone).path());
        assert_eq!(error.kind(), StoreErrorKind::Damaged, "without {gone:?}");
        assert!(error.to_string().contains("part of a block is missing"), "{error}");
    }
}

#[test]
fn a_dead_letter_that_is_also_pending_is_pending() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..3, 100), put_dead(1, 200 * KIB), put_dead(2, 10)]);
    commit(&mut store, vec![put_done(0, 2..3)]);
    close(store);
    let recovered = recovered(folder.path());
    assert_eq!(recovered.dead.iter().map(|dead| dead.seq).collect::<Vec<_>>(), [2]);
    tamper(folder.path(), |db| {
        let filled = |prefix| {
            db.scan_prefix([prefix as u8])
                .values()
                .filter(|value| !value.as_ref().unwrap().is_empty())
                .count()
        };
        assert_eq!(
            (filled(Prefix::Dead), filled(Prefix::DeadAttempts)),
            (1, 1),
            "the other is cleaned up"
        );
    });
}

#[test]
fn notes_about_what_is_gone_are_cleaned_up() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..3, 100), put_done(0, 1..2)]);
    let orphans = vec![
        put_done(7, 8..9),
        StoreOp::PutAttempts { seq: 1, attempts: attempts(1) },
        StoreOp::PutAttempts { seq: 9, attempts: attempts(1) },
    ];
    commit(&mut store, orphans);
    close(store);
    let recovered = recovered(folder.path());
    assert!(recovered.attempts.is_empty(), "neither is pending");
    tamper(folder.path(), |db| {
        assert!(db.contains_key(key(Prefix::Done, 0)).unwrap());
        for gone in [key(Prefix::Done, 7), key(Prefix::Attempts, 1), key(Prefix::Attempts, 9)] {
            assert!(!db.contains_key(gone).unwrap(), "{gone:?}");
        }
    });
}

#[test]
fn a_block_that_was_written_anew_but_not_yet_removed_counts_once() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 100), put(5..6, 100)]);
    close(store);
    tamper(folder.path(), |db| {
        use crate::store::format::{PartHead, write_part};
        let mut value = Vec::new();
        let head = PartHead { first: 0, messages: 1, part: 0, parts: 1 };
        write_part(&Kind::Block.key(2), head, &[Bytes::from_static(b"new")], &mut value);
        db.insert(Kind::Block.key(2), value).unwrap();
    });
    for _ in 0..2 {
        let recovered = recovered(folder.path());
        assert_eq!(starts(&recovered.blocks), [0, 5]);
        assert_eq!(recovered.blocks[0].records, b"new"[..]);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_sync_that_fails_poisons_the_store_for_good() {
    let folder = folder();
    let (mut store, _) =
        SledStore::open(folder.path(), &OpenOptions::new(SocketType::Push)).unwrap();
    commit(&mut store, vec![reserve(100), put(0..1, 100)]);
    let broken = sync::tests::break_syncs_in(folder.path());
    let put_next = Commit { ops: vec![put(1..2, 100)], sync: true };
    let error = store.commit(&put_next).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Io, "{error}");
    assert!(error.to_string().contains("Bad file descriptor"), "{error}");
    drop(broken);
    let again = store.commit(&put_next).unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::Poisoned, "the disk works again, the store does not");
    assert!(again.to_string().contains("Bad file descriptor"), "{again}");
    let closing = Box::new(store).close().unwrap_err();
    assert_eq!(closing.kind(), StoreErrorKind::Poisoned);
    assert_eq!(recovered(folder.path()).blocks[0].seqs, 0..1, "what was answered");
}

#[cfg(target_os = "linux")]
#[test]
fn numbers_are_reserved_on_disk_also_where_messages_are_only_buffered() {
    let folder = folder();
    let proven = || Marker::read(folder.path()).unwrap().unwrap().proven;
    for reserved_before in 0..2 {
        let (mut store, _) = open(folder.path());
        let reservation = Commit { ops: vec![reserve(100 * (reserved_before + 1))], sync: true };
        let broken = sync::tests::break_syncs_in(folder.path());
        let error = store.commit(&reservation).unwrap_err();
        assert!(error.to_string().contains("Bad file descriptor"), "{error}");
        assert_eq!(proven(), reserved_before, "STATE says no more than the disk has");
        drop((broken, store));

        let (mut store, _) = open(folder.path());
        commit(&mut store, reservation.ops);
        close(store);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_grows_by_little_is_made_longer_by_much_and_seldom() {
    let folder = folder();
    let (mut store, _) =
        SledStore::open(folder.path(), &OpenOptions::new(SocketType::Push)).unwrap();
    commit(&mut store, vec![reserve(1_000_000)]);
    let mut lengths = Vec::new();
    // The last ones go on in sled's next segments, of 2 MiB each.
    for first in 0..500 {
        let bytes = if first < 300 { 100 } else { 20 * KIB };
        commit(&mut store, vec![put(first..first + 1, bytes)]);
        lengths.push(fs::metadata(folder.path().join("db")).unwrap().len());
    }
    let mut of_small_ones = lengths[..300].to_vec();
    of_small_ones.dedup();
    assert!(of_small_ones.len() < 10, "{} lengths in 300 commits", of_small_ones.len());
    assert!(lengths.last() > Some(&(4 << 20)), "several segments");
    let killed = image_of(folder.path());
    close(store);
    for path in [killed.path(), folder.path()] {
        let blocks = recovered(path).blocks;
        assert!(starts(&blocks).into_iter().eq(0..500));
        for block in blocks {
            assert_eq!(block.records, records(block.seqs.start, block.records.len()));
        }
    }
}
