//! `drawdown bench`.

use drawdown_tests::patience::wait_until;
use serde_json::Value;
use tempfile::tempdir;

use crate::process::{run, start};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"))
}

#[test]
fn both_sides_count_every_message() {
    for (batch, size) in [("256", "256"), ("0", "8"), ("1", "100"), ("7", "64KiB")] {
        let common = ["--count", "3000", "--batch", batch, "--size", size];
        let receiver = ["bench", "pull", "--bind", "tcp://127.0.0.1:0"];
        let mut pull = start(receiver.into_iter().chain(common));
        let endpoint = pull.bound();
        let sender = ["bench", "push", "--connect", &endpoint];
        let sent = json(&run(sender.into_iter().chain(common), "").with_code(0));
        let received = json(&pull.end().with_code(0));
        assert_eq!((&sent["accepted"], &sent["confirmed"]), (&3000.into(), &3000.into()));
        assert_eq!(received["messages"], 3000);
        let bytes = if size == "64KiB" { 65_536 } else { size.parse::<u64>().unwrap() } * 3000;
        assert_eq!(received["bytes"], bytes);
        assert!(received["messages_per_second"].as_f64().unwrap() > 0.0, "{received}");
    }
}

#[test]
fn what_is_accepted_without_a_receiver_is_in_the_store() {
    let folder = tempdir().unwrap();
    let store = folder.path().to_str().unwrap();
    let args = [
        "bench",
        "push",
        "--bind",
        "tcp://127.0.0.1:0",
        "--count",
        "5000",
        "--size",
        "64",
        "--store",
        store,
        "--accept-only",
    ];
    assert_eq!(json(&run(args, "").with_code(0))["accepted"], 5000);
    let held = json(&run(["store", "ls", store, "--json"], "").with_code(0));
    assert_eq!(held["pending"], 5000);
}

#[test]
fn latency_is_told_in_percentiles() {
    let mut pull =
        start(["bench", "pull", "--bind", "tcp://127.0.0.1:0", "--count", "50", "--size", "64"]);
    let endpoint = pull.bound();
    let args =
        ["bench", "push", "--connect", &endpoint, "--count", "50", "--size", "64", "--latency"];
    let sent = json(&run(args, "").with_code(0));
    assert_eq!(sent["latency"]["until"], "confirmed");
    let (p50, p99) = (&sent["latency"]["p50_us"], &sent["latency"]["p99_us"]);
    assert!(p50.as_f64().unwrap() <= p99.as_f64().unwrap(), "{sent}");
    pull.end().with_code(0);
}

#[test]
fn a_message_of_another_kind_is_noticed() {
    let mut pull =
        start(["bench", "pull", "--bind", "tcp://127.0.0.1:0", "--count", "1", "--size", "8"]);
    let endpoint = pull.bound();
    let push = start(["push", "--connect", &endpoint, "--drain-timeout", "20ms"]);
    let mut push = push;
    push.send("too short to be one\n");
    pull.end().says("is not what was sent").with_code(1);
    drop(push);
}

#[test]
fn a_command_has_as_many_workers_as_it_is_told() {
    let args = ["bench", "rep", "--bind", "tcp://127.0.0.1:0", "--size", "8", "--threads"];
    for threads in [1, 8] {
        let mut rep = start(args.into_iter().chain([threads.to_string().as_str()]));
        let endpoint = rep.bound();
        let workers = || rep.threads().iter().filter(|name| *name == "tokio-rt-worker").count();
        wait_until(|| workers() >= threads);
        // Those on which something blocks have the same name, and are few.
        assert!(workers() < threads + 4, "{:?}", rep.threads());
        let req = ["bench", "req", "--connect", &endpoint, "--size", "8", "--count", "100"];
        let asked = run(req.into_iter().chain(["--threads", "1"]), "").with_code(0);
        assert_eq!(json(&asked)["calls"], 100);
        rep.end().with_code(0);
    }
    run(args.into_iter().chain(["0"]), "").says("write 1 or more").with_code(2);
}
