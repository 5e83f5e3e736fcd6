//! A subscriber's cursor on a disk that fails: what was not acknowledged comes again, and nothing is passed over.

use std::path::Path;
use std::process::Command;

use drawdown_tests::command::binary;
use drawdown_tests::processes::{Child, bound, build_shim, text};

use crate::fault::{Calls, Fault};

/// Lines that are published, and how many of them a first subscriber takes.
const LINES: usize = 12;
const TAKEN: usize = 6;

fn subscribe(endpoint: &str, disk: &Path, count: usize) -> Command {
    let mut command = Command::new(binary());
    command.args(["sub", "--connect", endpoint, "--count", &count.to_string(), "--cursor"]);
    command.arg(disk.join("cursor"));
    command
}

/// A subscriber with this fault, and one after it without. Says what is wrong; otherwise what the first asked of its disk.
fn try_fault(endpoint: &str, shim: &Path, fault: Fault) -> Result<Calls, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = folder.path().canonicalize().expect("it is there").join("disk");
    std::fs::create_dir(&disk).expect("it is new");
    let log = folder.path().join("calls");

    let mut faulty = subscribe(endpoint, &disk, TAKEN);
    fault.plant(&mut faulty, shim, &disk, &log);
    let mut faulty = Child::start(faulty, text);
    let code = faulty.wait().code();
    let calls = Calls::read(&log);
    let (taken, said) = (faulty.stdout.items().clone(), faulty.stderr.items().join("\n"));
    let tells = said.contains(&format!("the cursor at {}", disk.join("cursor").display()));
    // A position can be saved again: a new file, and a new sync of it.
    let is_over = fault.count == 1 && code == Some(0);
    if calls.first_fault().is_some() && !is_over && (code != Some(1) || !tells) {
        return Err(format!("{fault:?}: code {code:?}, it said: {said}"));
    }

    let mut next = Child::start(subscribe(endpoint, &disk, 1), text);
    next.wait();
    let first = next.stdout.items().first().and_then(|line| number_in(line));
    if first.is_none_or(|first| first > taken.len()) {
        let said = next.stderr.items().join("\n");
        return Err(format!("{fault:?}: after {taken:?} came {first:?}, it said: {said}"));
    }
    Ok(calls)
}

/// A line begins with its number, and a tab.
fn number_in(line: &str) -> Option<usize> {
    line.split('\t').next()?.parse().ok()
}

#[test]
fn a_cursor_on_a_disk_that_fails_passes_nothing_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(shim) = build_shim("fault_shim", folder.path()) else { return };
    let mut publisher = Command::new(binary());
    publisher.args(["pub", "--bind", "tcp://127.0.0.1:0"]);
    let mut publisher = Child::start(publisher, text);
    let endpoint = bound(&publisher);
    (0..LINES).for_each(|line| publisher.write(format!("{line}\n").as_bytes()));

    let calls = try_fault(&endpoint, &shim, Fault::once("no call", 1)).expect("all is well");
    let mut failures = Vec::new();
    for kind in ["sync", "write", "rename", "open"] {
        for from in 1..=calls.count(kind, "") {
            for fault in [Fault::once(kind, from), Fault::for_good(kind, from)] {
                failures.extend(try_fault(&endpoint, &shim, fault).err());
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
