//! Messages that outlive their process, and what can be seen of them.

use std::path::Path;

use bytes::Bytes;
use drawdown::store::{OpenOptions, SledStore, Store};
use drawdown_protocol::store::{Attempts, Commit, StoreOp};
use drawdown_protocol::{Session, SocketType};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::{TempDir, tempdir};
use uuid::Uuid;

use crate::process::{Ended, run, start};

/// A store in a folder of its own.
struct Outbox(TempDir);

impl Outbox {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// A push that leaves its input behind.
    fn with_pending(input: &str) -> Self {
        let outbox = Self::new();
        let pushed = outbox.push("20ms", input).says("the store keeps what is left");
        pushed.with_code(3);
        outbox
    }

    fn push(&self, drain_timeout: &str, input: &str) -> Ended {
        let bind = ["push", "--bind", "tcp://127.0.0.1:0", "--store", self.path()];
        run(bind.into_iter().chain(["--drain-timeout", drain_timeout]), input)
    }

    fn report(&self) -> Value {
        let text = run(["store", "ls", self.path(), "--json"], "").with_code(0);
        serde_json::from_str(&text).unwrap()
    }

    /// Hands out what is there; gives what came.
    fn deliver(&self, count: &str) -> String {
        let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--store", self.path()]);
        let pulled = run(["pull", "--connect", &push.bound(), "--count", count], "");
        push.end().with_code(0);
        pulled.with_code(0)
    }
}

#[test]
fn a_restart_on_the_same_store_sends_what_is_pending() {
    let outbox = Outbox::with_pending("a\nb\n");
    assert_eq!(outbox.report()["pending"], 2);
    assert_eq!(outbox.deliver("2"), "a\nb\n");
    assert_eq!(outbox.report()["pending"], 0);
}

#[test]
fn what_a_receipt_names_survives_a_kill() {
    for durability in ["synced", "buffered"] {
        let outbox = Outbox::new();
        let mut push = start([
            "push",
            "--bind",
            "tcp://127.0.0.1:0",
            "--store",
            outbox.path(),
            "--receipts",
            "--durability",
            durability,
        ]);
        push.send((0..100).map(|n| format!("{n}\n")).collect::<String>());
        let seqs: Vec<u64> = (0..100).map(|_| push.line().parse().unwrap()).collect();
        assert_eq!(seqs, (seqs[0]..seqs[0] + 100).collect::<Vec<_>>());
        push.signal(Signal::KILL);
        assert_eq!(push.end().code, None);
        let expected: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert_eq!(outbox.deliver("100"), expected);
    }
}

#[test]
fn a_store_with_a_message_over_the_limit_is_kept_until_the_limit_is_raised() {
    let line = format!("{:5000}\n", "x");
    let outbox = Outbox::with_pending(&line);
    let bind = ["push", "--bind", "tcp://127.0.0.1:0", "--store", outbox.path()];
    let refused = run(bind.into_iter().chain(["--max-message", "1000"]), "a\n");
    refused
        .says("the store holds a message of 5000 bytes, and max_message is 1000")
        .says("nothing was changed or lost; raise max_message")
        .with_code(2);
    assert_eq!(outbox.deliver("1"), line);
}

#[test]
fn a_new_run_adds_to_what_is_pending() {
    let outbox = Outbox::with_pending("a\n");
    outbox.push("20ms", "b\n").with_code(3);
    assert_eq!(outbox.report()["pending"], 2);
    assert_eq!(outbox.deliver("2"), "a\nb\n");
}

#[test]
fn pending_messages_can_be_seen() {
    let outbox = Outbox::with_pending("plain\n\nnot \u{1} text\n");
    let shown = run(["store", "show", outbox.path(), "--json"], "").with_code(0);
    let messages: Vec<Value> =
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let payloads: Vec<_> = messages.iter().map(|message| &message["payload"]).collect();
    assert_eq!(payloads, ["plain", "", "not \u{1} text"]);
    let raw = run(["store", "show", outbox.path(), "--raw"], "").with_code(0);
    assert_eq!(raw, "plain\n\nnot \u{1} text\n");

    let seq = messages[2]["seq"].to_string();
    let one = run(["store", "show", outbox.path(), "--seq", &seq], "").with_code(0);
    assert!(one.contains("not \\x01 text"), "{one}");
    let one = run(["store", "show", outbox.path(), "--seq", &seq, "--raw"], "").with_code(0);
    assert_eq!(one, "not \u{1} text");
    let none = run(["store", "show", outbox.path(), "--seq", "99999"], "");
    none.says("message 99999 is not pending in this store").with_code(1);

    let listed = run(["store", "ls", outbox.path()], "").with_code(0);
    assert!(listed.contains("3 pending in 1 block, 0 dead letters, 0 damages"), "{listed}");
}

#[test]
fn a_whole_store_is_called_whole_and_a_damaged_one_is_not() {
    let outbox = Outbox::with_pending(&format!("{:999}\n", "x").repeat(20_000));
    let verified = run(["store", "verify", outbox.path()], "").with_code(0);
    assert!(verified.starts_with("whole: "), "{verified}");

    damage(outbox.0.path());
    let verified = run(["store", "verify", outbox.path()], "").says("drawdown: ");
    assert_eq!(verified.code, Some(1), "{verified:?}");
    let verified = run(["store", "verify", outbox.path(), "--json"], "").with_code(1);
    let answer: Value = serde_json::from_str(&verified).unwrap();
    assert_eq!(answer["ok"], false);
    assert!(!answer["damages"].as_array().unwrap().is_empty(), "{answer}");
    outbox.push("20ms", "").says("what can still be read was left as it is").with_code(1);

    let shown = run(["store", "show", outbox.path(), "--raw"], "").says("shown is all that can");
    let lines = shown.with_code(1).lines().count();
    assert!((20_000 - 66..20_000).contains(&lines), "a block of 64 KiB may be lost, not {lines}");
}

/// Changes a byte early in the data.
fn damage(store: &Path) {
    let file = store.join("db");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1_000_000] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[test]
fn dead_letters_can_be_listed_replayed_and_purged() {
    let outbox = Outbox::new();
    let mut push = start([
        "push",
        "--bind",
        "tcp://127.0.0.1:0",
        "--store",
        outbox.path(),
        "--max-attempts",
        "1",
    ]);
    let endpoint = push.bound();
    push.send("a\nb\nc\n");
    let pull = start(["pull", "--connect", &endpoint, "--exec", "echo refused >&2; exit 1"]);
    push.end().says("3 dead letters").with_code(4);
    drop(pull);

    let text = run(["dead", "ls", outbox.path(), "--json"], "").with_code(0);
    let letters: Vec<Value> = serde_json::from_str(&text).unwrap();
    let seqs: Vec<_> = letters.iter().map(|letter| letter["seq"].to_string()).collect();
    assert_eq!(seqs.len(), 3);
    assert!(letters.iter().all(|letter| letter["bytes"] == 1), "{text}");
    let listed = run(["dead", "ls", outbox.path()], "").with_code(0);
    assert_eq!(listed.matches("1 bytes  ").count(), 3, "{listed}");
    assert_eq!(listed.matches("[failed 1 time, at last: exit status: 1: refused]").count(), 3);

    let args = ["dead", "replay", outbox.path(), "--seq", &seqs[0], "--seq", "99999"];
    let replayed = run(args, "").says("no dead letter of number 99999; nothing was changed");
    assert_eq!(replayed.with_code(1), "");
    run(["dead", "purge", outbox.path(), "--seq", &seqs[1], "--json"], "").with_code(0);
    run(["dead", "replay", outbox.path(), "--all"], "").with_code(0);
    for args in
        [["dead", "ls", outbox.path()].as_slice(), &["dead", "purge", outbox.path(), "--all"]]
    {
        assert_eq!(run(args, "").with_code(0), "no dead letters\n");
    }
    let mut delivered: Vec<_> = outbox.deliver("2").lines().map(str::to_owned).collect();
    delivered.sort_unstable();
    assert_eq!(delivered, ["a", "c"]);
}

#[test]
fn a_letter_whose_shelf_life_is_over_is_delivered_once_it_is_replayed() {
    let outbox = Outbox::new();
    // What expired in 1970: the message 1 of a block that is there, and the message 7 of one that is gone.
    let late = |payload: &[u8; 1]| {
        let head = b"\x01\0\0\x80\x0a\0\x01\x08\x01\0\0\0\0\0\0\0";
        Bytes::from([&head[..], payload].concat())
    };
    let plain = Bytes::from_static(b"\x01\0\0\0a");
    let done = |seqs| StoreOp::PutDone { block: 0, done: vec![seqs] };
    let letter = |seq, record| StoreOp::PutDead { seq, attempts: Attempts::default(), record };
    let options = OpenOptions::new(SocketType::Push);
    let (mut store, _) = SledStore::open(outbox.0.path(), &options).unwrap();
    let ops = vec![
        StoreOp::Reserve { session: Session::from_uuid(Uuid::from_u128(1)), end: 100 },
        StoreOp::PutBlock { seqs: 0..2, parts: vec![plain, late(b"b")] },
        done(1..2),
        letter(1, late(b"b")),
        letter(7, late(b"c")),
    ];
    store.commit(&Commit { ops, sync: true }).unwrap();
    Box::new(store).close().unwrap();

    let replayed = run(["dead", "replay", outbox.path(), "--all"], "").with_code(0);
    assert_eq!(replayed, "replayed 1\nreplayed 7\n");
    assert_eq!(outbox.deliver("3"), "a\nb\nc\n");
    assert_eq!(outbox.report()["pending"], 0);
}
