//! What the system is asked to write before a receipt is printed, as `strace` sees it.

use std::process::{Command, Stdio};

use crate::support::pusher::Pusher;
use drawdown_tests::command::binary;
use drawdown_tests::processes::{Child, text};

const MESSAGES: usize = 10;

/// Pushes one message after the other with nobody to take them. Gives for each receipt but the first how many syncs ended
/// between it and the one before; `None` where processes cannot be traced.
fn syncs_before_receipts(durability: &str) -> Option<Vec<usize>> {
    let traced = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !traced {
        println!("skipped: strace is not here, or may not trace");
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let trace = folder.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=fdatasync,fsync,write", "-o"]).arg(&trace);
    command.arg(binary());
    command.args(["push", "--bind", "tcp://127.0.0.1:0", "--receipts", "--drain-timeout", "1ms"]);
    command.args(["--durability", durability, "--store"]).arg(folder.path().join("outbox"));
    let mut pusher = Pusher::of(Child::start(command, text));
    for message in 0..MESSAGES {
        pusher.push(message as u64..message as u64 + 1);
        pusher.process.stdout.wait_for("a receipt", |receipts| receipts.get(message).map(|_| ()));
    }
    drop(pusher.process.take_stdin());
    assert_eq!(pusher.process.wait().code(), Some(3), "the messages are left, in the store");

    let mut counts = vec![0];
    for call in std::fs::read_to_string(trace).expect("strace wrote it").lines() {
        if call.contains("write(1, ") {
            counts.push(0);
        } else if call.contains("sync") && call.ends_with("= 0") {
            *counts.last_mut().expect("there is one from the start") += 1;
        }
    }
    assert_eq!(counts.len(), MESSAGES + 1, "one write for each receipt");
    // Making the store takes syncs of its own, as does whatever follows the last receipt.
    Some(counts[1..MESSAGES].to_vec())
}

#[test]
fn a_synced_message_is_on_disk_before_its_receipt_is_printed() {
    if let Some(syncs) = syncs_before_receipts("synced") {
        println!("syncs before each receipt: {syncs:?}");
        assert!(syncs.iter().all(|count| *count > 0), "{syncs:?}");
    }
}

#[test]
fn a_buffered_message_waits_for_no_disk() {
    if let Some(syncs) = syncs_before_receipts("buffered") {
        assert!(syncs.iter().all(|count| *count == 0), "{syncs:?}");
    }
}
