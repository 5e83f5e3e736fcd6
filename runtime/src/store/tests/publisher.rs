//! What a publisher keeps: its ring, oldest block first, and which incarnation wrote it.

use drawdown_protocol::{Lineage, Now, PeerId, PublishConfig, PublishEngine, Time};

use super::*;
use crate::store::Inspector;
use crate::store::format::LINEAGE_KEY;

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
