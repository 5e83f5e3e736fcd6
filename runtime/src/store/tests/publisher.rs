//! What a publisher keeps: its ring, oldest block first, and which incarnation wrote it.

use drawdown_protocol::{Lineage, Message, Now, PeerId, PublishConfig, PublishEngine, Time};

use super::*;
use crate::store::format::LINEAGE_KEY;
use crate::store::{Inspector, boot};

fn publisher() -> OpenOptions {
    OpenOptions::new(SocketType::Pub).durability(Durability::Buffered)
}

fn open_ring(path: &Path) -> (SledStore, Option<Recovered>) {
    SledStore::open(path, &publisher()).unwrap()
}

fn lineage(epoch: u64, since: Seq) -> Lineage {
    Lineage { session: session(), epoch, since }
}

fn put_lineage(epoch: u64, since: Seq) -> StoreOp {
    StoreOp::PutLineage { lineage: lineage(epoch, since) }
}

#[test]
fn the_last_lineage_comes_back() {
    let folder = folder();
    let (mut store, found) = open_ring(folder.path());
    assert!(found.is_none());
    commit(&mut store, vec![reserve(Seq::MAX), put_lineage(100, 0), put(0..3, 100)]);
    close(store);
    let (mut store, found) = open_ring(folder.path());
    assert_eq!(found.unwrap().lineage, Some(lineage(100, 0)));
    commit(&mut store, vec![put_lineage(200, 3), put(3..4, 100)]);
    close(store);

    let inspector = Inspector::open(folder.path()).unwrap();
    let report = inspector.report().unwrap();
    assert_eq!((report.socket_type.as_str(), report.lineage), ("pub", Some(lineage(200, 3))));
    assert!(report.damages.is_empty());
    inspector.close().unwrap();
    let (store, found) = open_ring(folder.path());
    assert_eq!(found.unwrap().lineage, Some(lineage(200, 3)));
    close(store);
}

#[test]
fn a_crash_in_its_first_commit_does_not_take_from_a_publisher_where_its_numbers_begin() {
    let folder = folder();
    let (mut store, _) = open_ring(folder.path());
    let (config, peer) = (PublishConfig::default(), PeerId::from_uuid(Uuid::from_u128(1)));
    let mut publisher = PublishEngine::with_store(config.clone(), peer, lineage(100, 1_000));
    let first = publisher.poll_store(Time::ZERO).unwrap();
    // The power goes before the last sync of the commit, and after that of the reservation in it.
    store.commit(&Commit { sync: false, ..first }).unwrap();
    let image = image_of(folder.path());
    let recovered = open_ring(image.path()).1.unwrap();
    let publisher = PublishEngine::recover(config, peer, 200, recovered, Now::default());
    assert_eq!(publisher.next_seq(), 1_000);
}

#[cfg(target_os = "linux")]
#[test]
fn a_session_is_not_noted_before_what_stands_before_it_is_on_disk() {
    use crate::store::marker::Marker;
    use crate::store::sync;

    let folder = folder();
    let noted = || Marker::read(folder.path()).unwrap().unwrap().reserved;
    for before in [None, Some(session())] {
        let options = OpenOptions::new(SocketType::Pub);
        let (mut store, _) = SledStore::open(folder.path(), &options).unwrap();
        if before.is_some() {
            commit(&mut store, vec![reserve(100)]);
        }
        let broken = sync::tests::break_syncs_in(folder.path());
        let next = Session::from_uuid(Uuid::from_u128(2));
        let lineage = Lineage { session: next, epoch: 100, since: 1_000 };
        let reserve = StoreOp::Reserve { session: next, end: 2_000 };
        let ops = vec![StoreOp::PutLineage { lineage }, reserve];
        store.commit(&Commit { ops, sync: true }).unwrap_err();
        drop(broken);
        assert_eq!(noted().map(|reserved| reserved.session), before);
    }
}

#[test]
fn a_ring_that_turns_leaves_its_newest_blocks() {
    let folder = folder();
    let (mut store, _) = open_ring(folder.path());
    commit(&mut store, vec![reserve(Seq::MAX), put_lineage(100, 0)]);
    for first in (0..1_000).step_by(10) {
        let mut ops = vec![put(first..first + 10, 30 * KIB)];
        ops.extend(first.checked_sub(50).map(|block| StoreOp::RemoveBlock { block }));
        commit(&mut store, ops);
    }
    let image = image_of(folder.path());
    let removed = (950..990).step_by(10).map(|block| StoreOp::RemoveBlock { block });
    commit(&mut store, removed.collect());
    close(store);
    let blocks = |path: &Path| open_ring(path).1.unwrap().blocks;
    assert_eq!(starts(&blocks(image.path())), [950, 960, 970, 980, 990]);
    let newest = blocks(folder.path());
    assert_eq!(starts(&newest), [990], "the newest is never removed: its end is the next number");
    assert_eq!((newest[0].seqs.end, &newest[0].done[..]), (1_000, &[][..]));
    assert_eq!(newest[0].records, records(990, 30 * KIB));
}

#[test]
fn the_clock_of_a_publisher_that_was_noted_last_is_known_again() {
    let folder = folder();
    let (mut store, _) = open_ring(folder.path());
    let clock = |ahead| StoreOp::PutClock { ahead };
    commit(&mut store, vec![reserve(Seq::MAX), put_lineage(100, 0), clock(7), put(0..3, 100)]);
    commit(&mut store, vec![clock(-3_600_000)]);
    close(store);
    let (store, recovered) = open_ring(folder.path());
    assert_eq!(recovered.unwrap().clock_ahead, Some(-3_600_000));
    close(store);
}

#[test]
fn a_lineage_is_checked_like_everything_else() {
    let folder = folder();
    let (mut store, _) = open_ring(folder.path());
    commit(&mut store, vec![reserve(Seq::MAX), put_lineage(100, 0), put(0..3, 100)]);
    close(store);
    let (mut engine, ()) = Engine::open(folder.path(), &publisher(), |_| ()).unwrap();
    let mut value = engine.db.get(LINEAGE_KEY).unwrap().unwrap().to_vec();
    *value.last_mut().unwrap() ^= 1;
    engine.db.insert(LINEAGE_KEY, value).unwrap();
    engine.flush().unwrap();
    drop(engine);
    let error = SledStore::open(folder.path(), &publisher()).map(drop).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Damaged);
    assert!(error.to_string().contains("whose messages these are"), "{error}");
}

#[test]
fn a_publisher_and_a_pusher_refuse_each_others_stores() {
    for (owner, other) in [(SocketType::Push, SocketType::Pub), (SocketType::Pub, SocketType::Push)]
    {
        let folder = folder();
        let options = |of| OpenOptions::new(of).durability(Durability::Buffered);
        close(SledStore::open(folder.path(), &options(owner)).unwrap().0);
        let error = SledStore::open(folder.path(), &options(other)).map(drop).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::WrongSocketType);
        let said = format!("belongs to a {owner} socket, not to a {other} socket");
        assert!(error.to_string().contains(&said), "{error}");
    }
}

#[test]
fn a_subscriber_has_no_store_of_messages() {
    let folder = folder();
    let options = OpenOptions::new(SocketType::Sub).durability(Durability::Buffered);
    let error = SledStore::open(folder.path(), &options).map(drop).unwrap_err();
    assert!(error.to_string().contains("a SUB socket keeps no messages"), "{error}");
}

/// A publisher on what was found in its store.
fn publisher_on(found: Recovered) -> PublishEngine {
    let peer = PeerId::from_uuid(Uuid::from_u128(1));
    PublishEngine::recover(PublishConfig::default(), peer, 200, found, Now::default())
}

fn write_all(publisher: &mut PublishEngine, store: &mut SledStore) {
    while let Some(commit) = publisher.poll_store(Time::ZERO) {
        store.commit(&commit).unwrap();
        publisher.handle_stored(Ok(()), Now::default());
    }
}

fn publish(publisher: &mut PublishEngine, store: &mut SledStore, messages: usize) {
    for _ in 0..messages {
        publisher.try_publish(b"t", Message::from("payload"), Now::default).unwrap();
    }
    write_all(publisher, store);
}

/// What is left of a store if the system goes down now.
fn power_cut(path: &Path) -> TempDir {
    let image = image_of(path);
    boot::FILE.write(image.path(), &"another boot").unwrap();
    image
}

/// A store that is only buffered, with three messages of a publisher that goes on.
fn buffered_three() -> (TempDir, SledStore, PublishEngine) {
    let folder = folder();
    let (mut store, _) = open_ring(folder.path());
    let peer = PeerId::from_uuid(Uuid::from_u128(1));
    let mut publisher = PublishEngine::with_store(PublishConfig::default(), peer, lineage(100, 0));
    publish(&mut publisher, &mut store, 3);
    (folder, store, publisher)
}

#[cfg(target_os = "linux")]
#[test]
fn a_buffered_publisher_goes_on_behind_what_a_power_cut_may_have_taken() {
    let (folder, mut store, mut publisher) = buffered_three();
    let image = power_cut(folder.path());
    // Subscribers saw them, and the system had not written them.
    publish(&mut publisher, &mut store, 2);

    // Until numbers are reserved behind them, each try finds the same.
    for durability in [Durability::Buffered, Durability::Synced] {
        let options = OpenOptions::new(SocketType::Pub).durability(durability);
        let (_, found) = SledStore::open(image.path(), &options).unwrap();
        let found = found.unwrap();
        let (cut_off, end) = (found.cut_off, found.next_seq);
        assert!(cut_off && end > 5, "{durability}");
        assert_eq!(publisher_on(found).next_seq(), end);
    }
    let (mut store, found) = open_ring(image.path());
    let mut publisher = publisher_on(found.unwrap());
    let next_seq = publisher.next_seq();
    write_all(&mut publisher, &mut store);
    let before_any = image_of(image.path());
    publish(&mut publisher, &mut store, 1);
    for (image, next_seq) in [(before_any.path(), next_seq), (image.path(), next_seq + 1)] {
        let image = image_of(image);
        let (store, found) = open_ring(image.path());
        let found = found.unwrap();
        assert!(!found.cut_off, "the system was up all the time");
        assert_eq!(publisher_on(found).next_seq(), next_seq);
        close(store);
    }
    // The next cut is another one.
    let found = open_ring(power_cut(image.path()).path()).1.unwrap();
    assert!(found.cut_off && found.next_seq > next_seq + 1);
}

#[cfg(target_os = "linux")]
#[test]
fn only_a_system_that_goes_down_takes_numbers_from_a_publisher_that_is_buffered() {
    let (folder, store, _) = buffered_three();
    let killed = image_of(folder.path());
    let found = open_ring(killed.path()).1.unwrap();
    assert_eq!((found.cut_off, publisher_on(found).next_seq()), (false, 3));

    close(store);
    assert!(!folder.path().join("BOOT").exists(), "all of it is on disk");
    let found = open_ring(folder.path()).1.unwrap();
    assert_eq!((found.cut_off, publisher_on(found).next_seq()), (false, 3));

    // One that is synced now has all of it on disk, and needs no such file.
    close(SledStore::open(killed.path(), &OpenOptions::new(SocketType::Pub)).unwrap().0);
    assert!(!killed.path().join("BOOT").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_damaged_note_of_the_boot_costs_numbers_only() {
    let (folder, store, _) = buffered_three();
    let image = image_of(folder.path());
    close(store);
    fs::write(image.path().join("BOOT"), b"drawb").unwrap();
    let found = open_ring(image.path()).1.unwrap();
    assert!(found.cut_off);
    assert!(publisher_on(found).next_seq() > 3);
}
