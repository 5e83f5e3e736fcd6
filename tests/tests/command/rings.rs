//! Rings that outlive their process.

use rustix::process::Signal;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::numbers::{feed, lines, received};
use crate::process::{Running, run, start};

/// A store for a ring, and an endpoint that is the same after a restart.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn store(&self) -> String {
        self.0.path().join("ring").display().to_string()
    }

    fn endpoint(&self) -> String {
        format!("ipc://{}", self.0.path().join("news.sock").display())
    }

    fn publisher(&self, args: &[&str]) -> Running {
        let (endpoint, store) = (self.endpoint(), self.store());
        let all = ["pub", "--bind", &endpoint, "--store", &store];
        start(all.into_iter().chain(args.iter().copied()))
    }

    fn report(&self) -> Value {
        let text = run(["store", "ls", &self.store(), "--json"], "").with_code(0);
        serde_json::from_str(&text).unwrap()
    }
}

#[test]
fn all_is_on_disk_when_a_publisher_has_ended() {
    for durability in ["synced", "buffered"] {
        let place = Place::new();
        let mut publisher = place.publisher(&["--durability", durability]);
        publisher.send(lines("t", 0..10_000));
        publisher.end().with_code(0);
        assert_eq!(place.report()["pending"], 10_000, "{durability}");
    }
}

#[test]
fn a_restart_goes_on_with_the_next_number() {
    let place = Place::new();
    for round in 0..3 {
        let mut publisher = place.publisher(&[]);
        publisher.send(lines("t", 100 * round..100 * (round + 1)));
        publisher.end().with_code(0);
    }
    let publisher = place.publisher(&[]);
    let subscribed = run(["sub", "--connect", &place.endpoint(), "--count", "300"], "");
    assert_eq!(subscribed.with_code(0), received("t", 0..300));
    publisher.end().with_code(0);
}

#[test]
fn what_a_subscriber_has_had_survives_a_kill_of_the_publisher() {
    for durability in ["synced", "buffered"] {
        let place = Place::new();
        let mut subscriber = start(["sub", "--connect", &place.endpoint()]);
        for round in 0..3 {
            let mut publisher = place.publisher(&["--durability", durability]);
            feed(&mut publisher, &lines("t", 100 * round..100 * (round + 1)));
            for number in 100 * round..100 * (round + 1) {
                assert_eq!(subscriber.line(), format!("{number}\tt\t{number}"), "{durability}");
            }
            publisher.signal(Signal::KILL);
            assert_eq!(publisher.end().code, None);
        }
        subscriber.signal(Signal::TERM);
        let ended = subscriber.end();
        assert!(!ended.stderr.contains("session new="), "{ended:?}");
        assert!(!ended.stderr.contains("gap"), "{ended:?}");
        ended.with_code(0);
    }
}

#[test]
fn what_a_ring_keeps_can_be_seen() {
    let place = Place::new();
    let mut publisher = place.publisher(&["--ring", "10"]);
    publisher.send(lines("t", 0..100));
    publisher.end().with_code(0);
    let report = place.report();
    assert_eq!(report["lineage"]["since"], 0);
    assert_eq!(report["lineage"]["session"], report["session"]);
    let listed = run(["store", "ls", &place.store()], "").with_code(0);
    assert!(listed.contains(", the next message is number 100\n"), "{listed}");
    let shown = run(["store", "show", &place.store(), "--seq", "99"], "").with_code(0);
    assert!(shown.ends_with("  t: 99\n"), "{shown}");
    let shown = run(["store", "show", &place.store(), "--seq", "99", "--json"], "").with_code(0);
    let message: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&message["topic"], &message["payload"]), (&"t".into(), &"99".into()));
    run(["store", "verify", &place.store()], "").with_code(0);
}

#[test]
fn a_smaller_ring_keeps_less_of_what_is_there() {
    let place = Place::new();
    let mut publisher = place.publisher(&[]);
    publisher.send(lines("t", 0..100));
    publisher.end().with_code(0);
    let publisher = place.publisher(&["--ring", "10"]);
    let args = ["sub", "--connect", &place.endpoint(), "--count", "10"];
    assert_eq!(run(args, "").with_code(0), received("t", 90..100));
    publisher.end().with_code(0);
}
