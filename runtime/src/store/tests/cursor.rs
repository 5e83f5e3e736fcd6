//! A subscriber's position survives, and what is not one is refused.

use drawdown_protocol::Position;
use drawdown_protocol::limits::SESSIONS_MAX;
use drawdown_protocol::wire::Fingerprint;

use super::*;
use crate::store::cursor;
use crate::store::small_file::SmallFile;
use crate::store::{CursorStore, Inspector, marker};

fn position(next: Seq) -> Position {
    let last = next.checked_sub(1).map(|seq| Fingerprint { seq, crc: 0x1234_5678 });
    Position { session: session(), next, last }
}

fn open_cursor(path: &Path) -> (CursorStore, Vec<Position>) {
    CursorStore::open(path).unwrap()
}

fn saved(path: &Path) -> Vec<Position> {
    open_cursor(path).1
}

fn cursor_refused(path: &Path) -> StoreError {
    CursorStore::open(path).unwrap_err()
}

/// A cursor at this number, closed.
fn cursor_at(next: Seq) -> TempDir {
    let folder = folder();
    open_cursor(folder.path()).0.save(&[position(next)]).unwrap();
    folder
}

#[test]
fn a_position_survives_that_its_cursor_is_opened_again() {
    let folder = folder();
    let path = folder.path().join("a/b/cursor");
    assert_eq!(saved(&path), []);
    assert_eq!(saved(&path), [], "nothing was saved");
    for next in [0, 7, 8, Seq::MAX] {
        let (mut cursor, _) = open_cursor(&path);
        cursor.save(&[position(3)]).unwrap();
        cursor.save(&[position(next)]).unwrap();
        drop(cursor);
        assert_eq!(saved(&path), [position(next)]);
    }
}

#[test]
fn positions_of_many_sessions_are_kept_in_their_order() {
    let folder = folder();
    let of =
        |name: u128| Position { session: Session::from_uuid(Uuid::from_u128(name)), ..position(7) };
    let many: Vec<Position> = (0..SESSIONS_MAX as u128).rev().map(of).collect();
    open_cursor(folder.path()).0.save(&many).unwrap();
    assert_eq!(saved(folder.path()), many);
}

#[test]
fn the_one_position_of_the_first_format_is_read_and_saved_in_the_next() {
    let folder = cursor_at(300);
    let first = SmallFile { version: 1, ..cursor::FILE };
    first.write(folder.path(), &position(200)).unwrap();
    let (mut cursor, found) = open_cursor(folder.path());
    assert_eq!(found, [position(200)]);
    cursor.save(&[position(200), position(201)]).unwrap();
    drop(cursor);
    assert_eq!(saved(folder.path()), [position(200), position(201)]);
}

#[test]
fn every_changed_bit_of_a_position_is_seen() {
    let folder = cursor_at(300);
    let file = folder.path().join(cursor::FILE.name);
    let whole = fs::read(&file).unwrap();
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, changed).unwrap();
        let error = cursor_refused(folder.path());
        let kind = error.kind();
        assert!(
            kind == StoreErrorKind::Damaged || kind == StoreErrorKind::NewerFormat,
            "bit {bit}: {error}"
        );
    }
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let error = cursor_refused(folder.path());
        assert_eq!(error.kind(), StoreErrorKind::Damaged, "cut to {length}");
        let said = error.to_string();
        assert!(said.starts_with("the cursor at ") && said.contains("its file CURSOR"), "{said}");
        assert!(!said.contains("store verify"), "that is for stores: {said}");
    }
    fs::write(&file, whole).unwrap();
    assert_eq!(saved(folder.path()), [position(300)]);
}

#[test]
fn a_position_that_is_missing_is_never_a_fresh_start() {
    let folder = cursor_at(300);
    fs::remove_file(folder.path().join(cursor::FILE.name)).unwrap();
    let error = cursor_refused(folder.path());
    assert_eq!(error.kind(), StoreErrorKind::Damaged);
    assert!(error.to_string().contains("its file CURSOR is missing"), "{error}");
}

#[test]
fn a_position_without_the_marker_is_refused() {
    let folder = cursor_at(300);
    fs::remove_file(folder.path().join(marker::FILE.name)).unwrap();
    assert_eq!(cursor_refused(folder.path()).kind(), StoreErrorKind::NotAStore);
}

#[test]
fn what_a_crash_leaves_of_a_new_position_does_no_harm() {
    let folder = cursor_at(300);
    let left = folder.path().join(cursor::FILE.new_name);
    fs::write(&left, b"ddcur").unwrap();
    let (mut cursor, found) = open_cursor(folder.path());
    assert_eq!(found, [position(300)]);
    cursor.save(&[position(301)]).unwrap();
    drop(cursor);
    assert!(!left.exists());
    assert_eq!(saved(folder.path()), [position(301)]);
}

#[test]
fn a_crash_between_the_first_position_and_its_mark_keeps_the_position() {
    let folder = cursor_at(300);
    marker::Marker::new(SocketType::Sub).write(folder.path()).unwrap();
    assert_eq!(saved(folder.path()), [position(300)]);
}

#[test]
fn a_cursor_has_one_user_at_a_time() {
    let folder = cursor_at(300);
    let (cursor, _) = open_cursor(folder.path());
    let error = cursor_refused(folder.path());
    assert_eq!(error.kind(), StoreErrorKind::Locked);
    assert!(error.to_string().starts_with("the cursor at "), "{error}");
    drop(cursor);
    open_cursor(folder.path());
}

#[test]
fn a_store_is_no_cursor_and_a_cursor_is_no_store() {
    for socket_type in [SocketType::Push, SocketType::Pub] {
        let store = folder();
        let options = OpenOptions::new(socket_type).durability(Durability::Buffered);
        close(SledStore::open(store.path(), &options).unwrap().0);
        let error = cursor_refused(store.path());
        assert_eq!(error.kind(), StoreErrorKind::WrongSocketType);
        let said = format!("belongs to a {socket_type} socket, not to a SUB socket");
        assert!(error.to_string().contains(&said), "{error}");
        close(SledStore::open(store.path(), &options).unwrap().0);

        let cursor = cursor_at(300);
        let error = SledStore::open(cursor.path(), &options).map(drop).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::WrongSocketType);
        let said = format!("belongs to a SUB socket, not to a {socket_type} socket");
        assert!(error.to_string().contains(&said), "{error}");
        assert_eq!(saved(cursor.path()), [position(300)]);
    }
}

#[test]
fn a_cursor_is_not_a_store_to_look_into() {
    let cursor = cursor_at(300);
    let error = Inspector::open(cursor.path()).unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::NotAStore);
    assert!(error.to_string().contains("cursor of a SUB socket"), "{error}");
    assert!(!cursor.path().join("db").exists());
}

#[test]
fn a_folder_with_other_files_is_not_made_a_cursor() {
    let folder = folder();
    fs::write(folder.path().join("notes.txt"), b"of somebody else").unwrap();
    assert_eq!(cursor_refused(folder.path()).kind(), StoreErrorKind::NotAStore);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(target_os = "linux")]
#[test]
fn a_position_that_cannot_be_saved_leaves_the_one_before() {
    let folder = cursor_at(300);
    let (mut cursor, _) = open_cursor(folder.path());
    // A folder where the new file should be: no privilege writes to that.
    let aside = folder.path().join(cursor::FILE.new_name);
    fs::create_dir(&aside).unwrap();
    let error = cursor.save(&[position(301)]).unwrap_err();
    assert!(error.to_string().contains("could not write its file CURSOR"), "{error}");
    assert!(error.to_string().contains("position that was saved before is kept"), "{error}");
    fs::remove_dir(&aside).unwrap();
    cursor.save(&[position(302)]).unwrap();
    drop(cursor);
    assert_eq!(saved(folder.path()), [position(302)]);
}
