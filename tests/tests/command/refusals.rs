//! What cannot work is refused with a sentence.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use drawdown_tests::command::binary;
use tempfile::tempdir;

use crate::process::{run, start, start_as};

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    for (line, words) in [
        ("push", "--bind"),
        ("push --bind nonsense", "does not say which transport"),
        ("push --bind 127.0.0.1:17000", "for TCP write \"tcp://127.0.0.1:17000\""),
        ("push --bind tcp://127.0.0.1", "the port is missing"),
        ("pull --connect http://127.0.0.1:80", "the transport \"http\" is unknown"),
        ("push --bind inproc://jobs", "is for sockets of one process"),
        ("pull --connect tcp://127.0.0.1:0", "for --bind only"),
        ("pull --connect tcp://*:7000", "for --bind only"),
        ("pull --connect tcp://0.0.0.0:7000", "for --bind only"),
        ("push --connect tcp://[::]:7000", "for --bind only"),
        ("push --bind tcp://127.0.0.1:0 --ttl soon", "write it like \"30s\""),
        ("push --bind tcp://127.0.0.1:0 --durability buffered", "--store"),
        ("push --bind tcp://127.0.0.1:0 --max-message 1TB", "the unit \"TB\" is unknown"),
        ("pull --bind tcp://127.0.0.1:0 --parallel 2", "--exec"),
        ("pull --bind tcp://127.0.0.1:0 --exec=", "there is no command in it"),
        ("rep --bind tcp://127.0.0.1:0 --exec=", "there is no command in it"),
        ("req --bind tcp://127.0.0.1:0 --timeout 0s", "over before anything is done"),
        ("push --bind tcp://127.0.0.1:0 --ttl 0s", "over before anything is done"),
        ("pull --bind tcp://127.0.0.1:0 --idle-exit 0s", "over before anything is done"),
        ("sub --bind tcp://127.0.0.1:0 --idle-exit 0s", "over before anything is done"),
        ("pub --bind tcp://127.0.0.1:0 --ring-bytes 0", "room for nothing"),
        (
            "pull --bind tcp://127.0.0.1:0 --count 0",
            "'0' for '--count <COUNT>': that is too low; write 1 or more",
        ),
        (
            "pull --bind tcp://127.0.0.1:0 --window -1",
            "'-1' for '--window <COUNT>': that is too low; write 0 or more",
        ),
        (
            "sub --bind tcp://127.0.0.1:0 --window many",
            "'many' for '--window <COUNT>': it is no whole number; write one, 0 or more",
        ),
        ("bench push --bind tcp://127.0.0.1:0 --count 1 --size 7", "at least 8 bytes"),
        ("push --bind tcp://127.0.0.1:0 --json", "--json"),
        ("dead purge /nowhere", "--all"),
        ("store show /nowhere --raw --json", "'--raw' cannot be used with '--json'"),
        ("store --json show /nowhere --raw", "--raw cannot be used with --json"),
        ("dead --json show /nowhere --seq 1 --raw", "--raw cannot be used with --json"),
        ("dance", "dance"),
    ] {
        let ended = run(line.split(' '), "").says(words);
        assert!(ended.stderr.starts_with("drawdown: "), "{line}: {ended:?}");
        assert_eq!(ended.with_code(2), "", "{line}");
    }
}

#[test]
fn an_endpoint_that_cannot_be_bound_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", listener.local_addr().unwrap());
    for (endpoint, words) in [
        (taken.as_str(), "another socket has that port"),
        ("tcp://0.0.0.0:0", "add --dangerously-allow-anonymous if anybody at all"),
        ("ipc:///nowhere/at/all.sock", "the folder of that path does not exist"),
    ] {
        for side in ["push", "pull"] {
            let ended = run([side, "--bind", endpoint], "").says("drawdown: cannot bind");
            ended.says(words).with_code(1);
        }
    }
    let args = ["push", "--bind", "tcp://0.0.0.0:0", "--dangerously-allow-anonymous"];
    run(args, "").says("bound tcp://0.0.0.0:").with_code(0);
}

#[test]
fn a_store_that_is_in_use_is_refused() {
    let folder = tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--store", store]);
    push.bound();
    for args in [
        &["push", "--bind", "tcp://127.0.0.1:0", "--store", store][..],
        &["store", "ls", store],
        &["dead", "replay", store, "--all"],
    ] {
        run(args, "").says("close the other socket").with_code(1);
    }
    push.end().with_code(0);
}

#[test]
fn a_folder_that_is_no_store_is_refused() {
    let folder = tempdir().unwrap();
    let other = folder.path().join("letters.txt");
    std::fs::write(&other, "not a store").unwrap();
    for path in [folder.path(), &folder.path().join("nothing"), &other] {
        let path = path.to_str().unwrap();
        for args in [["store", "ls", path], ["store", "verify", path], ["dead", "ls", path]] {
            let ended = run(args, "").says("drawdown: the store at ");
            assert_eq!(ended.code, Some(1), "{ended:?}");
        }
        let ended = run(["push", "--bind", "tcp://127.0.0.1:0", "--store", path], "");
        // An empty path is where a new store may be; what is there otherwise stays as it is.
        assert_eq!(ended.code, Some(i32::from(!path.ends_with("nothing"))), "{ended:?}");
    }
    assert_eq!(std::fs::read(other).unwrap(), b"not a store");
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    // Nobody can make a folder there, whoever runs this.
    let store = format!("/proc/{}/outbox", std::process::id());
    let args = ["push", "--bind", "tcp://127.0.0.1:0", "--store", &store];
    let ended = run(args, "").says("could not make its folder").says("nothing was changed; check");
    ended.with_code(1);
}

#[test]
fn a_store_of_a_later_version_or_another_type_is_refused() {
    for (change, words) in [
        (newer as fn(&mut [u8]), "open it with the version that wrote it"),
        (of_a_pull, "it belongs to a PULL socket"),
    ] {
        let folder = tempdir().unwrap();
        let args =
            ["push", "--bind", "tcp://127.0.0.1:0", "--store", folder.path().to_str().unwrap()];
        run(args, "").with_code(0);
        change_state(folder.path(), change);
        run(args, "").says(words).says("nothing was changed").with_code(1);
    }
}

/// `STATE` is "drawdown", a version of two bytes, a CRC-32 of four, and what that covers.
fn change_state(store: &Path, change: impl Fn(&mut [u8])) {
    let file = store.join("STATE");
    let mut bytes = std::fs::read(&file).unwrap();
    change(&mut bytes);
    let crc = crc32(&bytes[14..]);
    bytes[10..14].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(file, bytes).unwrap();
}

fn newer(state: &mut [u8]) {
    state[8] += 1;
}

fn of_a_pull(state: &mut [u8]) {
    let at = state.windows(4).position(|word| word == b"push").unwrap();
    state[at..at + 4].copy_from_slice(b"pull");
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn a_disk_that_takes_no_more_ends_the_push() {
    let folder = tempdir().unwrap();
    let mut command = Command::new("sh");
    // A limit on the size of files stands for a full disk.
    command.args(["-c", "trap '' XFSZ; ulimit -f 12000; exec \"$0\" \"$@\""]).arg(binary());
    command.args(["push", "--bind", "tcp://127.0.0.1:0", "--drain-timeout", "10s", "--receipts"]);
    command.args(["--queue", "1000000", "--store"]).arg(folder.path());
    let mut push = start_as(command);
    let line = "x".repeat(99) + "\n";
    push.send(line.repeat(200_000));
    push.hears("drawdown: the store has failed and nothing more is accepted");
    let ended = push.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let receipts = String::from_utf8(ended.stdout).unwrap().lines().count();
    let store = folder.path().to_str().unwrap();
    let raw = run(["store", "show", store, "--raw"], "");
    let kept = raw.with_code(0).lines().count();
    assert!(kept >= receipts, "{receipts} were accepted and {kept} kept");
}

#[test]
fn a_disk_that_is_full_when_the_push_ends_is_no_store_that_keeps_the_rest() {
    let folder = tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 100000; exec \"$0\" \"$@\""]).arg(binary());
    command.args(["push", "--bind", "tcp://127.0.0.1:0", "--drain-timeout", "0s"]);
    command.args(["--queue", "1000000", "--store"]).arg(folder.path());
    let mut push = start_as(command);
    push.send(("x".repeat(8 << 10) + "\n").repeat(12_000));
    let ended = push.end();
    assert!(!ended.stderr.contains("the store keeps"), "{ended:?}");
    ended.says("drawdown: the store has failed and nothing more is accepted").with_code(1);
}

/// Runs the rest of a command line where the folder that comes first is on a file system that is mounted for reading.
const READ_ONLY: &str =
    r#"mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@" "$0""#;

#[test]
fn a_store_that_may_not_be_written_is_refused() {
    let folder = tempdir().unwrap();
    let store = folder.path();
    let pending = ["push", "--bind", "tcp://127.0.0.1:0", "--drain-timeout", "0s", "--store"];
    run(pending.iter().map(AsRef::as_ref).chain([store.as_os_str()]), "one\n").with_code(3);
    let inside = |command: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--map-root-user", "--mount", "sh", "-c", READ_ONLY]).arg(store);
        unshare.args(command);
        unshare
    };
    if !inside(&["true"]).status().is_ok_and(|status| status.success()) {
        eprintln!("skipped: this system lets nobody mount a folder in a name space of his own");
        return;
    }
    let binary = binary().to_str().unwrap();
    for args in [&["push", "--bind", "tcp://127.0.0.1:0", "--store"][..], &["store", "ls"]] {
        let ended = start_as(inside(&[&[binary], args].concat())).end();
        ended
            .says("Read-only file system")
            .says("what was accepted before is kept, nothing more; let this user write")
            .with_code(1);
    }
    let shown = run(["store", "show", store.to_str().unwrap(), "--raw"], "").with_code(0);
    assert_eq!(shown, "one\n");
}
