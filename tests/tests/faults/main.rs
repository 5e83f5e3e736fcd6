//! Disks that fail under the real command: whatever call fails, nothing that was accepted is lost, nothing is accepted
//! after it, and the command says what happened.
#![cfg(target_os = "linux")]

mod churn;
mod cursor;
mod damage;
mod fault;
mod lives;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use drawdown_tests::processes::build_shim;

use fault::{Calls, Fault};
use lives::{Ended, Outbox};

/// Lines in a life.
const LINES: usize = 10;

/// One life with a fault, and the next one without. Says whether there was a fault, or what is wrong.
fn try_fault(mut outbox: Outbox, shim: &Path, fault: Fault) -> Result<bool, String> {
    let ended = outbox.live(LINES, shim, fault);
    let was_faulty = ended.calls.first_fault().is_some();
    let judged = judge(&outbox, &ended, fault)
        .and_then(|()| outbox.deliver().map_err(|harm| format!("{harm:?}")));
    judged.map(|()| was_faulty).map_err(|what| {
        let Ended { code, said, calls } = &ended;
        format!("{fault:?} at {:?}: {what}; code {code:?}, it said: {said}", calls.first_fault())
    })
}

fn judge(outbox: &Outbox, ended: &Ended, fault: Fault) -> Result<(), String> {
    let Ended { code, said, calls } = ended;
    if said.contains("panicked") {
        return Err("it panicked".to_owned());
    }
    if fault.is_harmless() || calls.first_fault().is_none() {
        return if *code == Some(3) { Ok(()) } else { Err("it gave up".to_owned()) };
    }
    if calls.since_fault().said() > 0 {
        return Err("it accepted a message after the fault".to_owned());
    }
    let store = outbox.store();
    let names_it = said.contains(&format!("the store at {}", store.display()));
    if !names_it || !tells_what_is_left(said) {
        return Err("it does not say what became of the store".to_owned());
    }
    Ok(())
}

/// Whether an error of a store says what became of what was in it.
fn tells_what_is_left(said: &str) -> bool {
    let tells = [
        "what was accepted before",
        "what can still be read was left as it is",
        "nothing was",
        "could not be closed",
    ];
    tells.iter().any(|words| said.contains(words))
}

fn try_all(of: &str, outbox: &Outbox, shim: &Path, faults: &[Fault]) {
    let (next, missed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    let work = || {
        while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
            match try_fault(outbox.copy(), shim, *fault) {
                Ok(true) => {}
                Ok(false) => drop(missed.fetch_add(1, Ordering::Relaxed)),
                Err(failure) => failures.lock().expect("nobody panics with it").push(failure),
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
    let failures = failures.into_inner().expect("nobody panics with it");
    let missed = missed.into_inner();
    println!("{of}: {} of {} faults did harm, {missed} never came", failures.len(), faults.len());
    assert!(failures.is_empty(), "{failures:#?}");
    // No two lives end with quite the same calls.
    assert!(missed * 10 < faults.len(), "{missed} faults never came");
}

/// What a life without faults asks of the disk, beginning with this store.
fn calls_of(outbox: &Outbox, shim: &Path) -> Calls {
    let ended = outbox.copy().live(LINES, shim, Fault::once("no call", 1));
    assert_eq!(ended.code, Some(3), "messages are left: {}", ended.said);
    ended.calls
}

/// All ways in which any of the changes fails that one life makes, beginning with this store.
fn changes_that_fail(outbox: &Outbox, shim: &Path) -> Vec<Fault> {
    let calls = calls_of(outbox, shim);
    let count = |kind| calls.count(kind, "");
    let mut faults = Vec::new();
    for kind in ["sync", "write", "rename", "open"] {
        faults.extend((1..=count(kind)).map(|from| Fault::once(kind, from)));
    }
    faults.extend((1..=count("sync")).step_by(3).map(|from| Fault::for_good("sync", from)));
    faults.extend((1..=count("write")).step_by(4).map(Fault::full));
    faults.extend((1..=count("write")).step_by(4).map(|from| Fault::short("write", from)));
    faults
}

#[test]
fn a_disk_that_fails_while_a_store_is_made_loses_nothing_that_was_accepted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = build_shim("fault_shim", folder.path()) else { return };
    let outbox = Outbox::new();
    try_all("a new store", &outbox, &shim, &changes_that_fail(&outbox, &shim));
}

#[test]
fn a_disk_that_fails_while_a_store_is_opened_again_loses_nothing_that_was_accepted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = build_shim("fault_shim", folder.path()) else { return };
    let mut outbox = Outbox::new();
    outbox.live(LINES, &shim, Fault::once("no call", 1));
    try_all("a store with messages", &outbox, &shim, &changes_that_fail(&outbox, &shim));
}

#[test]
fn a_disk_that_cannot_be_read_for_a_moment_loses_nothing_that_was_accepted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = build_shim("fault_shim", folder.path()) else { return };
    let mut outbox = Outbox::new();
    // More than two of sled's segments.
    outbox.live(15 * LINES, &shim, Fault::once("no call", 1));
    let calls = calls_of(&outbox, &shim);
    let (reads, until_sled) = (calls.count("read", ""), calls.until("open conf").count("read", ""));
    // What was read once is in memory when sled reads it.
    let firsts = (1..=until_sled).chain((until_sled..reads).rev().step_by(3).take(LINES));
    let mut faults: Vec<Fault> = firsts.map(|from| Fault::once("read", from)).collect();
    for name in ["conf", "snap."] {
        let reads = calls.count("read", name);
        faults.extend((1..=reads).map(|from| Fault::once("read", from).of(name)));
    }
    faults.extend((1..=reads).step_by(5 * LINES).map(|from| Fault::short("read", from)));
    try_all("a store that is read", &outbox, &shim, &faults);
}

#[test]
fn a_sync_that_fails_while_the_log_shrinks_is_noticed_by_the_next_commit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = build_shim("fault_shim", folder.path()) else { return };
    let (code, calls) = churn::run(&shim, Fault::once("no call", 1));
    assert_eq!(code, Some(0));
    let syncs = calls.shrinking_syncs();
    assert!(!syncs.is_empty(), "the log has to shrink");
    let mut noticed = 0;
    for from in syncs {
        let (code, calls) = churn::run(&shim, Fault::once("fsync", from).of("db"));
        // sled shrinks its log beside the commits: one of them may have been synced already, and in this life that sync
        // may have come when the store was closed, behind all of them.
        let accepted = calls.since_fault().until("open db").said();
        assert!(accepted <= 1, "{accepted} commits were accepted after sync {from} had failed");
        match code {
            Some(churn::GAVE_UP) => noticed += 1,
            code => assert_eq!(code, Some(0), "sync {from}"),
        }
    }
    assert!(noticed > 0, "none of them failed while there were commits");
}
