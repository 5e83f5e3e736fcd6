//! Damage is reported, never delivered.

use drawdown_protocol::Counted;

use super::*;
use crate::store::entries::Kind;
use crate::store::format::{PartHead, Prefix, key, write_part};
use crate::store::{CursorStore, Inspector, SEGMENT_BYTES};

/// A store with blocks of ten messages at 0, 10, .. 190.
fn store_of_twenty() -> TempDir {
    let folder = folder();
    let mut store = new_store(folder.path());
    let puts = (0..200).step_by(10).map(|first| put(first..first + 10, 50 * KIB));
    commit(&mut store, puts.collect());
    close(store);
    folder
}

fn slots(db: &sled::Db) -> Vec<(sled::IVec, sled::IVec)> {
    let entries = db.scan_prefix([Prefix::Block as u8]).map(Result::unwrap);
    entries.filter(|(_, value)| !value.is_empty()).collect()
}

#[test]
fn every_damaged_block_is_found_and_none_is_given_out() {
    let folder = store_of_twenty();
    tamper(folder.path(), |db| {
        let slots = slots(db);
        for (at, byte) in [(3, 1_000), (4, 0), (11, 7)] {
            let mut value = slots[at].1.to_vec();
            value[byte] ^= 0x10;
            db.insert(&slots[at].0, value).unwrap();
        }
    });
    let error = refused(folder.path());
    assert_eq!(error.kind(), StoreErrorKind::Damaged);
    assert!(error.to_string().contains("wrong checksum (and 2 more)"), "{error}");

    let inspector = Inspector::open(folder.path()).unwrap();
    assert_eq!(inspector.damages().len(), 3);
    let report = inspector.report().unwrap();
    assert_eq!(report.blocks.len(), 17, "the others are still told of");
    assert!(inspector.block(35).unwrap().is_none());
    assert_eq!(inspector.block(25).unwrap().unwrap().records, records(20, 50 * KIB));
    inspector.close().unwrap();
}

#[test]
fn a_block_under_the_key_of_another_is_damage() {
    let folder = store_of_twenty();
    tamper(folder.path(), |db| {
        let slots = slots(db);
        db.insert(&slots[5].0, &slots[6].1).unwrap();
    });
    let inspector = Inspector::open(folder.path()).unwrap();
    assert_eq!(inspector.damages().len(), 1);
    assert!(inspector.damages()[0].to_string().contains("wrong checksum"));
    inspector.close().unwrap();
}

#[test]
fn blocks_that_overlap_are_damage() {
    let folder = store_of_twenty();
    let (mut store, _) = open(folder.path());
    commit(&mut store, vec![put(55..57, 10)]);
    close(store);
    let error = refused(folder.path());
    assert!(error.to_string().contains("at number 55, a block begins inside"), "{error}");
}

#[test]
fn notes_are_checked_like_blocks() {
    let folder = store_of_twenty();
    let (mut store, _) = open(folder.path());
    let notes = vec![
        put_done(10, 10..12),
        put_done(20, 25..31),
        StoreOp::PutAttempts { seq: 30, attempts: attempts(1) },
        put_dead(500, 10),
        put_dead(501, 10),
    ];
    commit(&mut store, notes);
    close(store);
    tamper(folder.path(), |db| {
        for key in
            [key(Prefix::Done, 10), key(Prefix::Attempts, 30), key(Prefix::DeadAttempts, 500)]
        {
            let mut value = db.get(key).unwrap().unwrap().to_vec();
            *value.last_mut().unwrap() ^= 1;
            db.insert(key, value).unwrap();
        }
        db.remove(key(Prefix::DeadAttempts, 501)).unwrap();
    });
    let inspector = Inspector::open(folder.path()).unwrap();
    let mut seqs: Vec<_> = inspector.damages().iter().map(|damage| damage.seq().unwrap()).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs, [10, 20, 30, 500, 501]);
    inspector.close().unwrap();
}

/// Turns a byte of a block in sled's own file, as a disk would.
fn rot(path: &Path, first: Seq) {
    let file = path.join("db");
    let mut bytes = fs::read(&file).unwrap();
    let pattern = records(first, 50 * KIB);
    let copies: Vec<_> = bytes
        .windows(64)
        .enumerate()
        .filter(|(_, window)| *window == &pattern[..64])
        .map(|(at, _)| at)
        .collect();
    assert!(!copies.is_empty());
    for at in copies {
        bytes[at + 500] ^= 1;
    }
    fs::write(file, bytes).unwrap();
}

#[test]
fn verify_goes_on_behind_a_page_that_cannot_be_read() {
    let folder = folder();
    let mut store = new_store(folder.path());
    // More than two of sled's segments.
    (0..4_000)
        .step_by(10)
        .for_each(|first| commit(&mut store, vec![put(first..first + 10, 50 * KIB)]));
    close(store);
    // Twice, so that sled's snapshot is newer than the blocks and their pages are not read while it opens.
    close(open(folder.path()).0);
    close(open(folder.path()).0);
    rot(folder.path(), 50);
    let error = refused(folder.path());
    assert_eq!(error.kind(), StoreErrorKind::Damaged);
    let inspector = Inspector::open(folder.path()).unwrap();
    assert!(!inspector.damages().is_empty());
    let starts: Vec<Seq> =
        inspector.report().unwrap().blocks.iter().map(|block| block.seqs.start).collect();
    assert!(starts.contains(&0) && starts.contains(&3_990) && !starts.contains(&50), "{starts:?}");
    inspector.close().unwrap();
}

#[test]
fn nothing_is_written_over_what_is_damaged() {
    let folder = store_of_twenty();
    let (mut store, _) = open(folder.path());
    commit(&mut store, vec![put_dead(500, 10)]);
    close(store);
    tamper(folder.path(), |db| {
        db.insert(Kind::Block.key(1), &b"nonsense"[..]).unwrap();
    });
    let mut inspector = Inspector::open(folder.path()).unwrap();
    assert_eq!(inspector.replay(500).unwrap_err().kind(), StoreErrorKind::Damaged);
    assert_eq!(inspector.purge(500).unwrap_err().kind(), StoreErrorKind::Damaged);
    inspector.close().unwrap();
}

/// A store with blocks of one message at 0..40, of which most stand as close as those of former versions could after a
/// restart, so that sled has put pages of them beside its log.
fn store_with_blobs() -> TempDir {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 60 * KIB), put_dead(500, 10)]);
    close(store);
    tamper(folder.path(), |db| {
        for slot in 1..1_000 {
            db.remove(Kind::Block.key(slot)).unwrap();
        }
        let mut value = Vec::new();
        for first in 1..40 {
            let head = PartHead { first, messages: 1, part: 0, parts: 1 };
            let key = Kind::Block.key(1_000 + first);
            write_part(&key, head, &[records(first, 60 * KIB)], &mut value);
            db.insert(key, &value[..]).unwrap();
        }
    });
    folder
}

fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let mut files: Vec<_> = entries
        .filter(|entry| entry.path().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn what_sled_keeps_outside_its_log_can_be_seen_and_nothing_is_written_to_it() {
    let folder = store_with_blobs();
    let blobs = files(&folder.path().join("blobs"));
    assert!(!blobs.is_empty());
    let before = files(folder.path());
    for _ in 0..2 {
        let mut inspector = Inspector::open(folder.path()).unwrap();
        assert_eq!(inspector.damages().len(), 1, "{:?}", inspector.damages());
        let said = inspector.damages()[0].to_string();
        assert!(said.contains(&format!("its folder blobs has {} files", blobs.len())), "{said}");
        let report = inspector.report().unwrap();
        assert_eq!((report.session, report.blocks.len()), (Some(session()), 40));
        for seq in 0..40 {
            let block = inspector.block(seq).unwrap().unwrap();
            assert_eq!(block.records, records(seq, 60 * KIB));
        }
        assert_eq!(inspector.replay(500).unwrap_err().kind(), StoreErrorKind::Damaged);
        assert_eq!(inspector.purge(500).unwrap_err().kind(), StoreErrorKind::Damaged);
        inspector.close().unwrap();

        assert_eq!(files(&folder.path().join("blobs")), blobs);
        // sled puts zeros behind what is there.
        for (name, bytes) in before.iter().filter(|(name, _)| !name.starts_with("snap.")) {
            let after = fs::read(folder.path().join(name)).unwrap();
            assert!(after.starts_with(bytes), "{name} was written to");
        }
        let error = refused(folder.path());
        assert_eq!(error.kind(), StoreErrorKind::Damaged);
        assert!(
            error.to_string().contains("`drawdown store show --raw` to take it out"),
            "{error}"
        );
    }
}

/// A store, synced for real, with blocks of ten messages at 0, 10, .. 90, each a commit of its own.
fn synced_store_of_ten() -> TempDir {
    let folder = folder();
    let options = OpenOptions::new(SocketType::Push);
    let (mut store, _) = SledStore::open(folder.path(), &options).unwrap();
    commit(&mut store, vec![reserve(1_000)]);
    (0..100)
        .step_by(10)
        .for_each(|first| commit(&mut store, vec![put(first..first + 10, 50 * KIB)]));
    close(store);
    folder
}

#[test]
fn a_wrong_byte_near_the_end_of_the_log_is_not_taken_for_a_crash() {
    for first in [0, 50, 90] {
        let folder = synced_store_of_ten();
        rot(folder.path(), first);
        let before = files(folder.path());
        for attempt in 0..3 {
            let inspector = Inspector::open(folder.path()).unwrap();
            let damages = inspector.damages();
            assert_eq!(damages.len(), 1, "block {first}, attempt {attempt}: {damages:?}");
            let lost = 11 - first / 10;
            let said = format!(", which hides its last {}; the rest", Counted(lost, "commit"));
            assert!(damages[0].to_string().contains(&said), "{damages:?}");
            let report = inspector.report().unwrap();
            assert!(
                (0..100)
                    .step_by(10)
                    .filter(|block| *block != first)
                    .eq(report.blocks.iter().map(|block| block.seqs.start))
            );
            assert_eq!((report.session, report.next_seq), (Some(session()), 1_000));
            inspector.close().unwrap();
            let error = refused(folder.path());
            assert_eq!(error.kind(), StoreErrorKind::Damaged, "block {first}, attempt {attempt}");
            assert!(files(folder.path()) == before, "nothing was written to it");
        }
    }
}

/// A store, synced for real, with blocks of one message at 0..160 in several segments of sled's log, some of which were
/// confirmed since and are gone; opened so often.
fn store_of_segments(openings: usize) -> TempDir {
    let folder = folder();
    let options = OpenOptions::new(SocketType::Push);
    let (mut store, _) = SledStore::open(folder.path(), &options).unwrap();
    commit(&mut store, vec![reserve(1_000)]);
    for first in (0..160).step_by(8) {
        commit(&mut store, (first..first + 8).map(|seq| put(seq..seq + 1, 50 * KIB)).collect());
    }
    let removals = (0..160).filter(|seq| is_removed(*seq));
    commit(&mut store, removals.map(|block| StoreOp::RemoveBlock { block }).collect());
    close(store);
    for _ in 1..openings {
        close(SledStore::open(folder.path(), &options).unwrap().0);
    }
    folder
}

const fn is_removed(seq: Seq) -> bool {
    seq % 7 == 3
}

/// The blocks that it has, and the store.
fn stores_of_segments() -> impl Iterator<Item = (Vec<Seq>, TempDir)> {
    let left = (0..160).filter(|seq| !is_removed(*seq)).collect::<Vec<Seq>>();
    (1..=3).map(move |openings| (left.clone(), store_of_segments(openings)))
}

/// A store, synced for real, most of whose segments were used several times: of 800 blocks every tenth has stayed, and the last
/// ten.
fn store_that_was_used() -> (Vec<Seq>, TempDir) {
    let folder = folder();
    let options = OpenOptions::new(SocketType::Push);
    let (mut store, _) = SledStore::open(folder.path(), &options).unwrap();
    commit(&mut store, vec![reserve(1_000)]);
    for first in (0..800).step_by(10) {
        let puts = (first..first + 10).map(|seq| put(seq..seq + 1, 50 * KIB));
        let done = (first.saturating_sub(10)..first).filter(|seq| seq % 10 != 0);
        commit(&mut store, puts.collect());
        commit(&mut store, done.map(|block| StoreOp::RemoveBlock { block }).collect());
    }
    close(store);
    ((0..800).filter(|seq| seq % 10 == 0 || *seq >= 790).collect(), folder)
}

/// That whoever opens this store has all of it; or is refused, nothing is written to it, and all but so many of its blocks can
/// be taken out. Says whether it was refused.
fn is_whole_or_refused(path: &Path, wanted: &[Seq], missing: usize, how: &str) -> bool {
    let before = files(path);
    let refused = match SledStore::open(path, &OpenOptions::new(SocketType::Push)) {
        Ok((_, recovered)) => {
            assert_eq!(starts(&recovered.unwrap().blocks), wanted, "{how}: not refused");
            return false;
        }
        Err(error) => error,
    };
    assert_eq!(refused.kind(), StoreErrorKind::Damaged, "{how}: {refused}");
    let inspector = Inspector::open(path).unwrap();
    assert!(!inspector.damages().is_empty(), "{how}");
    let found: Vec<Seq> =
        inspector.report().unwrap().blocks.iter().map(|block| block.seqs.start).collect();
    for seq in &found {
        let block = inspector.block(*seq).unwrap().unwrap();
        assert_eq!(block.records, records(*seq, 50 * KIB), "{how}: block {seq}");
    }
    let here = wanted.iter().filter(|seq| found.contains(seq)).count();
    assert!(here + missing >= wanted.len(), "{how}: {here} blocks are left; {refused}");
    inspector.close().unwrap();
    assert!(files(path) == before, "{how}: it was written to; {refused}");
    true
}

#[test]
fn one_wrong_bit_anywhere_costs_one_block_at_the_most_and_none_without_a_word() {
    for (wanted, whole) in stores_of_segments().chain([store_that_was_used()]) {
        let log = fs::read(whole.path().join("db")).unwrap();
        let end = log.iter().rposition(|byte| *byte != 0).unwrap();
        assert!(end > 3 * SEGMENT_BYTES);
        let mut refused = 0;
        // A prime, so that it meets headers as well as what follows them.
        for place in (0..end).step_by(299_993).chain((0..end).step_by(SEGMENT_BYTES)) {
            let image = image_of(whole.path());
            turn_bits(&image.path().join("db"), &[place + 3]);
            let how = format!("byte {place} of {end}");
            refused += usize::from(is_whole_or_refused(image.path(), &wanted, 1, &how));
        }
        assert!(refused > 10, "{refused}");
    }
}

#[test]
fn a_hole_of_a_page_costs_the_blocks_that_it_is_in() {
    let (wanted, whole) = stores_of_segments().next().unwrap();
    let log = fs::read(whole.path().join("db")).unwrap();
    for place in [0, SEGMENT_BYTES, 2 * SEGMENT_BYTES + 500_000] {
        let image = image_of(whole.path());
        let mut log = log.clone();
        log[place..place + 4 * KIB].fill(0);
        fs::write(image.path().join("db"), log).unwrap();
        let how = format!("zeros at {place}");
        assert!(is_whole_or_refused(image.path(), &wanted, 2, &how), "{how}");
    }
}

#[test]
fn a_log_that_was_cut_short_keeps_what_is_left_of_it() {
    let (wanted, whole) = stores_of_segments().next().unwrap();
    let log = fs::read(whole.path().join("db")).unwrap();
    let end = log.iter().rposition(|byte| *byte != 0).unwrap();
    for length in [end, end - 1_000, end * 2 / 3, SEGMENT_BYTES, SEGMENT_BYTES / 2] {
        let image = image_of(whole.path());
        fs::write(image.path().join("db"), &log[..length]).unwrap();
        // What was confirmed last is there again; each block takes 50 KiB.
        let missing = (end - length).div_ceil(50 * KIB) + 1;
        let how = format!("{length} of {end} bytes");
        assert!(is_whole_or_refused(image.path(), &wanted, missing, &how), "{how}");
    }
}

#[test]
fn what_was_never_synced_may_be_missing() {
    let folder = synced_store_of_ten();
    let options = OpenOptions::new(SocketType::Push);
    let (mut store, _) = SledStore::open(folder.path(), &options).unwrap();
    store.commit(&Commit { ops: vec![put(100..110, 50 * KIB)], sync: false }).unwrap();
    let image = image_of(folder.path());
    assert_eq!(recovered(image.path()).blocks.len(), 10);
}

#[test]
fn a_store_without_its_file_of_syncs_is_damaged() {
    let folder = synced_store_of_ten();
    fs::remove_file(folder.path().join("SYNCED")).unwrap();
    let error = refused(folder.path());
    assert!(error.to_string().contains("its file SYNCED is missing"), "{error}");
}

/// Does something to a file.
type Change = fn(&Path);

fn turn_bits(file: &Path, places: &[usize]) {
    let mut bytes = fs::read(file).unwrap();
    places.iter().for_each(|place| bytes[*place] ^= 1);
    fs::write(file, bytes).unwrap();
}

#[test]
fn messages_can_be_seen_also_without_the_small_files_beside_them() {
    let harms: [(&str, &str, Change); 5] = [
        ("STATE", "has a wrong checksum", |file| turn_bits(file, &[20])),
        ("STATE", "is not one of Drawdown's", |file| turn_bits(file, &[3])),
        ("STATE", "is missing", |file| fs::remove_file(file).unwrap()),
        ("SYNCED", "has a wrong checksum in both places", |file| turn_bits(file, &[0, 512])),
        ("SYNCED", "is missing", |file| fs::remove_file(file).unwrap()),
    ];
    for (name, what, harm) in harms {
        let folder = synced_store_of_ten();
        let file = folder.path().join(name);
        harm(&file);
        let harmed = fs::read(&file).ok();
        for _ in 0..2 {
            let inspector = Inspector::open(folder.path()).unwrap();
            let damages: Vec<_> = inspector.damages().iter().map(ToString::to_string).collect();
            assert_eq!(damages, [format!("its file {name} {what}")]);
            let report = inspector.report().unwrap();
            assert_eq!(report.socket_type, if name == "STATE" { "unknown" } else { "push" });
            assert_eq!(
                (report.session, report.next_seq),
                (Some(session()), 1_000),
                "{name} {what}"
            );
            assert_eq!(report.blocks.len(), 10, "{name} {what}");
            assert_eq!(inspector.block(95).unwrap().unwrap().records, records(90, 50 * KIB));
            inspector.close().unwrap();
            refused(folder.path());
            assert_eq!(fs::read(&file).ok(), harmed, "{name} {what}: nothing was written to it");
        }
    }
}

#[test]
fn nothing_is_cut_off_by_looking_although_nobody_knows_what_was_synced() {
    let folder = synced_store_of_ten();
    rot(folder.path(), 30);
    fs::remove_file(folder.path().join("SYNCED")).unwrap();
    let before = files(folder.path());
    for _ in 0..2 {
        let inspector = Inspector::open(folder.path()).unwrap();
        let said = inspector.damages()[0].to_string();
        assert!(said.contains(", which hides its last 8 commits; the rest"), "{said}");
        assert_eq!(inspector.report().unwrap().blocks.len(), 9);
        assert_eq!(inspector.block(95).unwrap().unwrap().records, records(90, 50 * KIB));
        inspector.close().unwrap();
        assert!(files(folder.path()) == before, "nothing was written to it");
    }
}

#[test]
fn what_is_left_is_not_said_to_lack_commits_that_it_has() {
    let folder = synced_store_of_ten();
    let options = OpenOptions::new(SocketType::Push);
    let (mut store, _) = SledStore::open(folder.path(), &options).unwrap();
    // So many that sled writes the page anew in which the key of the syncs would be, were it of the same tree.
    for _ in 0..4 {
        let done = (0..40).map(|seq| put_done(0, seq % 9..seq % 9 + 1));
        commit(&mut store, done.collect());
    }
    close(store);
    rot(folder.path(), 50);
    let inspector = Inspector::open(folder.path()).unwrap();
    assert_eq!(inspector.damages().len(), 1, "{:?}", inspector.damages());
    assert_eq!(inspector.report().unwrap().blocks.len(), 9);
}

#[test]
fn what_stands_in_a_damaged_message_is_not_taken_for_the_stores_own() {
    let other = folder();
    let mut store = new_store(other.path());
    commit(&mut store, vec![put(500..510, 10 * KIB), put(510..520, 10 * KIB)]);
    close(store);
    let mut log = fs::read(other.path().join("db")).unwrap();
    log.truncate(50 * KIB);

    // Somebody sends a copy of it.
    let folder = synced_store_of_ten();
    let options = OpenOptions::new(SocketType::Push);
    let (mut store, _) = SledStore::open(folder.path(), &options).unwrap();
    let copy = StoreOp::PutBlock { seqs: 100..101, parts: vec![log.clone().into()] };
    commit(&mut store, vec![copy]);
    commit(&mut store, vec![put(101..102, KIB)]);
    close(store);
    let file = folder.path().join("db");
    let found = fs::read(&file).unwrap().windows(log.len()).position(|bytes| bytes == log);
    turn_bits(&file, &[found.unwrap()]);

    let inspector = Inspector::open(folder.path()).unwrap();
    let blocks = inspector.report().unwrap().blocks;
    let expected = (0..100).step_by(10).chain([101]);
    assert!(expected.eq(blocks.iter().map(|block| block.seqs.start)), "{blocks:?}");
}

#[test]
fn a_folder_without_data_is_not_looked_into_because_its_marker_is_damaged() {
    let folder = folder();
    CursorStore::open(folder.path()).unwrap();
    turn_bits(&folder.path().join("STATE"), &[20]);
    let error = Inspector::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Damaged);
    let said = error.to_string();
    assert!(said.contains("none of it can be read") && !said.contains("store verify"), "{said}");
    assert!(!folder.path().join("db").exists());
}
