//! What a store refuses, and that it leaves everything as it was.

use super::*;
use crate::store::{Inspector, marker, sync};

#[test]
fn a_store_has_one_user_at_a_time() {
    let folder = folder();
    let store = new_store(folder.path());
    assert_eq!(refused(folder.path()).kind(), StoreErrorKind::Locked);
    assert_eq!(Inspector::open(folder.path()).unwrap_err().kind(), StoreErrorKind::Locked);
    close(store);
    close(open(folder.path()).0);
}

#[test]
fn sleds_own_lock_is_a_lock_too() {
    let folder = folder();
    close(new_store(folder.path()));
    let other = fs::File::open(folder.path().join("db")).unwrap();
    other.lock().unwrap();
    assert_eq!(refused(folder.path()).kind(), StoreErrorKind::Locked);
}

#[test]
fn a_store_of_another_socket_type_is_refused() {
    let folder = folder();
    close(new_store(folder.path()));
    let options = OpenOptions::new(SocketType::Pull).durability(Durability::Buffered);
    let error = SledStore::open(folder.path(), &options).map(drop).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::WrongSocketType);
    assert!(
        error.to_string().contains("belongs to a PUSH socket, not to a PULL socket"),
        "{error}"
    );
}

#[test]
fn a_store_of_a_newer_version_is_refused_whatever_follows() {
    let folder = folder();
    close(new_store(folder.path()));
    fs::write(folder.path().join(marker::FILE.name), b"drawdown\x02\0something new").unwrap();
    let error = refused(folder.path());
    assert_eq!(error.kind(), StoreErrorKind::NewerFormat);
    assert!(error.to_string().contains("format 2"), "{error}");
}

#[test]
fn a_marker_that_was_changed_is_damage() {
    let folder = folder();
    close(new_store(folder.path()));
    let file = folder.path().join(marker::FILE.name);
    let good = fs::read(&file).unwrap();
    for at in [0, 10, 14, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        assert_eq!(refused(folder.path()).kind(), StoreErrorKind::Damaged, "byte {at}");
    }
    for length in [0, 9, 13, good.len() - 1] {
        fs::write(&file, &good[..length]).unwrap();
        assert_eq!(refused(folder.path()).kind(), StoreErrorKind::Damaged, "cut to {length}");
    }
    fs::write(&file, good).unwrap();
    close(open(folder.path()).0);
}

#[test]
fn what_is_not_a_store_is_left_alone() {
    let folder = folder();
    let missing = folder.path().join("missing");
    let not_made = buffered().create(false);
    let kind = |path: &Path, options: &OpenOptions| {
        SledStore::open(path, options).map(drop).unwrap_err().kind()
    };
    assert_eq!(kind(&missing, &not_made), StoreErrorKind::NotAStore);
    assert_eq!(Inspector::open(&missing).unwrap_err().kind(), StoreErrorKind::NotAStore);
    assert!(!missing.exists());

    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert_eq!(kind(&empty, &not_made), StoreErrorKind::NotAStore);

    let foreign = folder.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("db"), b"of somebody else").unwrap();
    assert_eq!(kind(&foreign, &buffered()), StoreErrorKind::NotAStore);
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);

    assert_eq!(kind(&foreign.join("db"), &buffered()), StoreErrorKind::NotAStore);
    let memory = buffered().durability(Durability::Memory);
    assert_eq!(kind(&missing, &memory), StoreErrorKind::NotAStore);
}

#[test]
fn a_store_that_was_never_completely_made_is_not_one_to_look_into() {
    let folder = folder();
    marker::Marker::new(SocketType::Push).write(folder.path()).unwrap();
    assert_eq!(Inspector::open(folder.path()).unwrap_err().kind(), StoreErrorKind::NotAStore);
}

#[test]
fn a_value_that_sled_keeps_outside_its_log_is_damage() {
    let folder = folder();
    close(new_store(folder.path()));
    fs::write(folder.path().join("blobs/1234"), b"not synced").unwrap();
    let error = refused(folder.path());
    assert_eq!(error.kind(), StoreErrorKind::Damaged);
    assert!(error.to_string().contains("blobs"), "{error}");
    assert!(folder.path().join("blobs/1234").exists());
}

#[test]
fn a_damaged_file_of_sleds_is_an_answer_not_a_panic() {
    let folder = folder();
    let mut store = new_store(folder.path());
    commit(&mut store, vec![put(0..1, 100)]);
    close(store);
    fs::write(folder.path().join("conf"), b"segment_size: 12\nnonsense\nxxxx").unwrap();
    assert_eq!(refused(folder.path()).kind(), StoreErrorKind::Damaged);
}

#[cfg(target_os = "linux")]
#[test]
fn a_synced_store_syncs_by_our_own_function() {
    let folder = folder();
    let before = sync::calls().unwrap();
    let (store, _) = SledStore::open(folder.path(), &OpenOptions::new(SocketType::Push)).unwrap();
    assert!(sync::calls().unwrap() > before);
    close(store);
}
