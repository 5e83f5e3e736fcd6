//! Senders that are killed, and whose store is gone with them.

use std::time::Duration;

use drawdown::PullSocket;
use drawdown_tests::patience::wait_until;
use rustix::process::Signal;

use crate::numbers::lines;
use crate::process::{Running, run, start};

const SESSION: &str = "5be6b9b4-9df6-4ce4-8f0f-3c8b6f1f3c55";

/// A sender that goes on with the session at this number.
fn sender(endpoint: &str, store: &str, next_seq: &str) -> Running {
    let session = ["--session", SESSION, "--next-seq", next_seq];
    let args = ["push", "--bind", endpoint, "--store", store, "--receipts"];
    start(args.into_iter().chain(session))
}

/// The numbers of this many accepted messages.
fn receipts(push: &mut Running, count: usize) -> Vec<u64> {
    (0..count).map(|_| push.line().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_store_is_lost_has_back_what_its_receiver_had() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let mut push = sender("tcp://127.0.0.1:0", first.to_str().unwrap(), "0");
    let endpoint = push.bound();
    let pull = PullSocket::builder().window(3).future(2, 1 << 20);
    let pull = pull.connect(&endpoint).await.unwrap();
    push.send(lines("", 0..10));
    assert_eq!(receipts(&mut push, 10), (0..10).collect::<Vec<_>>());
    let begun = pull.recv().await.unwrap().unwrap();
    wait_until(|| {
        let stats = pull.stats();
        (stats.queued.messages, stats.copies.messages) == (3, 2)
    });

    push.signal(Signal::KILL);
    push.end();
    std::fs::remove_dir_all(first).unwrap();
    let mut push = sender(&endpoint, second.to_str().unwrap(), "1000");
    push.hears("a receiver has given back 6 messages");
    begun.ack().await.unwrap();
    // What it has not begun with goes back to its sender, who has the contents again.
    pull.close(Duration::from_secs(10)).await.unwrap();
    push.send("new\n");
    assert_eq!(receipts(&mut push, 1), [1_000]);
    let pulled = run(["pull", "--connect", &endpoint, "--count", "6"], "");
    assert_eq!(pulled.with_code(0), format!("{}new\n", lines("", 1..6)));
    push.end().with_code(0);
}

#[test]
fn a_session_that_is_not_the_stores_is_refused_with_both_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let store = store.to_str().unwrap();
    let push = sender("tcp://127.0.0.1:0", store, "0");
    push.end().with_code(0);
    let other = "00000000-0000-4000-8000-000000000001";
    let args = ["push", "--bind", "tcp://127.0.0.1:0", "--store", store];
    let other = args.into_iter().chain(["--session", other, "--next-seq", "0"]);
    let refused = run(other, "").says("the store holds session").says(SESSION);
    assert_ne!(refused.code, Some(0));
}
