//! Files of a store that are not as they were left: the store is refused with a sentence, or all of it is delivered.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drawdown_tests::command::binary;
use drawdown_tests::processes::{Random, build_shim, text};

use crate::fault::Fault;
use crate::lives::{Harm, Outbox, check};
use crate::tells_what_is_left;

/// Does something to a store.
type Change = fn(&Path);

/// Bits that are turned, each in a store of its own.
const BITS: usize = 40;

/// A store with messages that nobody has taken; `None` where there is no shim to watch what is accepted.
fn outbox() -> Option<Outbox> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shim = build_shim("fault_shim", folder.path())?;
    let mut outbox = Outbox::new();
    for _ in 0..2 {
        let ended = outbox.live(20, &shim, Fault::once("no call", 1));
        assert_eq!(ended.code, Some(3), "messages are left: {}", ended.said);
    }
    Some(outbox)
}

/// Checks that all that was accepted can be taken out of a damaged store, of which `verify` says this.
#[track_caller]
fn can_be_taken_out(outbox: &Outbox, store: &Path, damage: &str) {
    let look = |args: &[&str]| {
        let mut command = Command::new(binary());
        command.arg("store").args(args).arg(store).stdin(Stdio::null());
        let output = command.output().expect("it starts");
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, said, error) = look(&["verify"]);
    assert_eq!(code, Some(1), "{said}{error}");
    assert!(said.contains(damage), "{said}{error}");
    let (code, listed, error) = look(&["ls"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(listed.contains(&format!("{} pending", outbox.accepted.len())), "{listed}");
    let (code, shown, error) = look(&["show", "--raw"]);
    assert_eq!(code, Some(1), "that it is all is not known: {error}");
    assert!(error.contains("shown is all that can be read"), "{error}");
    let shown: Result<BTreeSet<usize>, String> =
        shown.lines().map(|line| check(line.as_bytes())).collect();
    assert_eq!(shown.as_ref(), Ok(&outbox.accepted));
}

fn files(outbox: &Outbox) -> Vec<String> {
    let entries = fs::read_dir(outbox.store()).expect("it was made");
    let files =
        entries.map(|entry| entry.expect("it was made")).filter(|entry| entry.path().is_file());
    files.map(|entry| entry.file_name().into_string().expect("a plain name")).collect()
}

/// Opens a copy of the store that was changed like this. Says whether it was refused.
#[track_caller]
fn is_refused(outbox: &Outbox, what: &str, change: impl FnOnce(&Path)) -> bool {
    let copy = outbox.copy();
    change(&copy.store());
    let store = copy.store().display().to_string();
    match copy.deliver() {
        Ok(()) => false,
        Err(Harm::Refused(said)) => {
            assert!(said.contains(&store) && tells_what_is_left(&said), "{what}: {said}");
            assert!(!said.contains("panicked"), "{what}: {said}");
            true
        }
        Err(Harm::Lost(lost)) => panic!("{what}: {lost}"),
    }
}

#[test]
fn a_file_that_was_cut_short_or_removed_is_noticed() {
    let Some(outbox) = outbox() else { return };
    for name in files(&outbox) {
        let of = |store: &Path| store.join(&name);
        let refused = [
            is_refused(&outbox, &name, |store| fs::remove_file(of(store)).expect("it is there")),
            is_refused(&outbox, &name, |store| cut(&of(store), 0)),
            is_refused(&outbox, &name, |store| cut(&of(store), 1)),
        ];
        let expected: &[bool] = match &name[..] {
            "db" | "STATE" => &[true, true, true],
            // The first of its two places is left, which may be as good as both.
            "SYNCED" => &[true, true],
            // sled makes the others anew.
            _ => &[],
        };
        assert!(refused.starts_with(expected), "{name}: {refused:?}");
    }
}

#[test]
fn what_is_whole_can_be_taken_out_although_a_file_beside_it_is_not() {
    let Some(outbox) = outbox() else { return };
    let harms: [(&str, Change); 4] = [
        ("its file STATE has a wrong checksum", |store| turn_last_bit(&store.join("STATE"))),
        ("its file STATE is missing", |store| {
            fs::remove_file(store.join("STATE")).expect("it is there");
        }),
        ("its file SYNCED has a wrong checksum", |store| cut(&store.join("SYNCED"), 0)),
        ("its file SYNCED is missing", |store| {
            fs::remove_file(store.join("SYNCED")).expect("it is there");
        }),
    ];
    for (damage, harm) in harms {
        let is_refused = is_refused(&outbox, damage, |store| {
            harm(store);
            can_be_taken_out(&outbox, store, damage);
        });
        assert!(is_refused, "{damage}");
    }
}

fn turn_last_bit(file: &Path) {
    let mut bytes = fs::read(file).expect("it is there");
    *bytes.last_mut().expect("it is not empty") ^= 1;
    fs::write(file, bytes).expect("there is room");
}

/// Leaves so many tenths of a file.
fn cut(file: &Path, tenths: usize) {
    let bytes = fs::read(file).expect("it is there");
    fs::write(file, &bytes[..bytes.len() / 10 * tenths]).expect("there is room");
}

#[test]
fn a_file_among_the_blobs_is_noticed_and_left_alone() {
    let Some(outbox) = outbox() else { return };
    let mut blob = PathBuf::new();
    assert!(is_refused(&outbox, "a blob", |store| {
        blob = store.join("blobs/1");
        fs::write(&blob, "of somebody").expect("the folder is there");
        can_be_taken_out(&outbox, store, "its folder blobs has 1 file in it");
    }));
    is_refused(&outbox, "no folder of blobs", |store| {
        fs::remove_dir(store.join("blobs")).expect("it is empty");
    });
}

#[test]
fn a_bit_that_was_turned_is_never_delivered() {
    let Some(outbox) = outbox() else { return };
    let mut refused = 0;
    for number in 0..BITS {
        let mut random = Random::of(number as u64);
        refused += usize::from(is_refused(&outbox, &format!("bit {number}"), |store| {
            let file = store.join("db");
            let mut bytes = fs::read(&file).expect("it is there");
            let place = random.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 << random.below(8);
            fs::write(file, bytes).expect("there is room");
        }));
    }
    println!("{refused} of {BITS} were refused");
    assert!(refused > 0, "most of the file are messages");
}

#[test]
fn what_else_is_on_a_disk_that_does_not_give_a_page_can_be_taken_out() {
    let Some(outbox) = outbox() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shim = build_shim("fault_shim", folder.path()).expect("it was built before");
    let store = outbox.store();
    let mut lost = BTreeSet::new();
    let bytes = fs::metadata(store.join("db")).expect("it is there").len();
    for byte in (0..bytes).step_by(bytes as usize / 20) {
        let run = |args: &[&str]| {
            let mut command = Command::new(binary());
            command.args(args).arg(&store).stdin(Stdio::null());
            let fault = Fault::bad_page(byte).of("db");
            fault.plant(&mut command, &shim, &store, &folder.path().join("calls"));
            let output = command.output().expect("it starts");
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        };
        let (code, _, error) = run(&["push", "--bind", "tcp://127.0.0.1:0", "--store"]);
        assert_eq!(code, Some(1), "{error}");
        assert!(error.contains("could not read its data: Input/output error"), "{error}");
        assert!(
            error.contains("`drawdown store show --raw` takes out what can still be"),
            "{error}"
        );
        let (code, shown, error) = run(&["store", "show", "--raw"]);
        assert_eq!(code, Some(1), "that it is all is not known: {error}");
        let shown: Result<BTreeSet<usize>, String> =
            shown.lines().map(|line| check(line.as_bytes())).collect();
        let shown = shown.expect("what is shown is as it was sent");
        assert!(shown.is_subset(&outbox.accepted));
        let missing: Vec<_> = outbox.accepted.difference(&shown).copied().collect();
        assert!(missing.len() <= outbox.accepted.len() / 2, "byte {byte}: {missing:?} are lost");
        lost.extend(missing);
    }
    assert!(!lost.is_empty(), "most of the file are messages");
    outbox.deliver().expect("nothing was changed");
}

#[test]
fn a_store_has_one_process_at_a_time() {
    let Some(outbox) = outbox() else { return };
    let (push, endpoint) = outbox.start().expect("it is whole");
    for _ in 0..2 {
        match outbox.start() {
            Err(Harm::Refused(said)) => {
                assert!(said.contains("somebody else has it open; nothing was changed"), "{said}");
            }
            other => panic!("two have it open: {:?}", other.map(|(_, endpoint)| endpoint)),
        }
    }
    let said = outbox.verify().expect_err("it is in use");
    assert!(said.contains("somebody else has it open"), "{said}");
    outbox.deliver_by(push, &endpoint).expect("the first goes on");
}
