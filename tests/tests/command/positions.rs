//! Where subscribers begin and go on, and what they are told of what they have not had.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::tempdir;

use crate::numbers::{feed, lines, number, numbers};
use crate::process::{Running, run, start, start_unread};

const SESSION: &str = "11111111-2222-4333-8444-555555555555";

/// A publisher of these numbers as lines, all of which are published.
fn published(args: &[&str], numbers: Range<u64>) -> (Running, String) {
    let bind = ["pub", "--bind", "tcp://127.0.0.1:0"];
    let mut publisher = start(bind.into_iter().chain(args.iter().copied()));
    let endpoint = publisher.bound();
    feed(&mut publisher, &lines("", numbers.clone()));
    await_number(&endpoint, numbers.end - 1);
    (publisher, endpoint)
}

/// Waits until this number is published.
fn await_number(endpoint: &str, last: u64) {
    let mut witness = start(["sub", "--connect", endpoint]);
    while number(&witness.line()) < last {}
}

fn subscribe(endpoint: &str, args: &[&str]) -> Vec<u64> {
    let connect = ["sub", "--connect", endpoint];
    numbers(&run(connect.into_iter().chain(args.iter().copied()), "").with_code(0))
}

/// The value of `key=VALUE` in a line.
#[track_caller]
fn value<'a>(line: &'a str, key: &str) -> &'a str {
    let mut words = line.split(' ').filter_map(|word| word.split_once('='));
    words.find(|(found, _)| *found == key).unwrap_or_else(|| panic!("no {key} in {line}")).1
}

#[test]
fn a_subscriber_begins_where_it_is_told_to() {
    let (mut publisher, endpoint) = published(&[], 0..5);
    assert_eq!(subscribe(&endpoint, &["--count", "5"]), [0, 1, 2, 3, 4]);
    assert_eq!(subscribe(&endpoint, &["--from", "oldest", "--count", "2"]), [0, 1]);
    assert_eq!(subscribe(&endpoint, &["--from", "3", "--count", "2"]), [3, 4]);

    let mut newest = start(["sub", "--connect", &endpoint, "--from", "newest"]);
    let had = AtomicBool::new(false);
    let line = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Nothing tells when it is there: something new is published until it has some of it.
            while !had.load(Ordering::Relaxed) {
                publisher.send("more\n");
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let line = newest.line();
        had.store(true, Ordering::Relaxed);
        line
    });
    assert!(number(&line) >= 5 && line.ends_with("\tmore"), "{line}");
}

#[test]
fn a_number_that_is_not_there_yet_is_waited_for() {
    let (mut publisher, endpoint) = published(&[], 0..3);
    let mut subscriber = start(["sub", "--connect", &endpoint, "--from", "5", "--count", "2"]);
    let sentence = subscriber.hears("is not published yet");
    assert!(sentence.contains("number 5 of session "), "{sentence}");
    publisher.send("3\n4\n5\n6\n7\n");
    let ended = subscriber.end();
    assert!(!ended.stderr.contains("gap"), "{ended:?}");
    assert_eq!(ended.with_code(0), "5\t\t5\n6\t\t6\n");
}

#[test]
fn a_cursor_goes_on_with_the_next_message() {
    let (publisher, endpoint) = published(&[], 0..9);
    let folder = tempdir().unwrap();
    let cursor = folder.path().join("cursor");
    let cursor = cursor.to_str().unwrap();
    let first = subscribe(&endpoint, &["--cursor", cursor, "--count", "3"]);
    let second = subscribe(&endpoint, &["--cursor", cursor, "--count", "3"]);
    // It knows better than the command line.
    let third = subscribe(&endpoint, &["--cursor", cursor, "--count", "3", "--from", "oldest"]);
    assert_eq!([first, second, third].concat(), (0..9).collect::<Vec<_>>());
    publisher.end().with_code(0);
}

#[test]
fn a_subscriber_that_is_killed_goes_on_without_a_hole() {
    let (mut publisher, endpoint) = published(&["--ring", "100000"], 0..1_000);
    let folder = tempdir().unwrap();
    let cursor = folder.path().join("cursor");
    let args = ["sub", "--connect", &endpoint, "--cursor", cursor.to_str().unwrap()];
    let mut next = 0;
    for kill in 1..=5 {
        let mut subscriber = start(args);
        while number(&subscriber.line()) + 1 < 1_000 * kill {}
        subscriber.signal(Signal::KILL);
        let ended = subscriber.end();
        assert_eq!(ended.code, None);
        // It may have been killed within a line.
        let output = String::from_utf8_lossy(&ended.stdout);
        let whole = output.rfind('\n').map_or("", |end| &output[..=end]);
        let had = numbers(whole);
        assert!(had[0] <= next, "{} came after {next} were had", had[0]);
        assert!(had.is_sorted_by(|one, other| one + 1 == *other), "{had:?}");
        next = had[had.len() - 1] + 1;
        feed(&mut publisher, &lines("", 1_000 * kill..1_000 * (kill + 1)));
    }
}

#[test]
fn a_position_that_cannot_be_saved_is_told() {
    let (mut publisher, endpoint) = published(&[], 0..3);
    let folder = tempdir().unwrap();
    let cursor = folder.path().join("cursor");
    let args = ["sub", "--connect", &endpoint, "--cursor", cursor.to_str().unwrap(), "--count"];
    run(args.into_iter().chain(["3"]), "").with_code(0);
    // A folder where the new file should be: no privilege writes to that.
    std::fs::create_dir(cursor.join("CURSOR.new")).unwrap();
    let mut subscriber = start(args.into_iter().chain(["2"]));
    publisher.send("3\n");
    assert_eq!(subscriber.line(), "3\t\t3");
    subscriber.hears("drawdown: the position cannot be saved");
    std::fs::remove_dir(cursor.join("CURSOR.new")).unwrap();
    publisher.send("4\n");
    subscriber.end().with_code(0);
    publisher.end().with_code(0);
}

#[test]
fn what_could_not_be_written_is_not_acknowledged() {
    let (publisher, endpoint) = published(&[], 0..3);
    let folder = tempdir().unwrap();
    let cursor = folder.path().join("cursor");
    let cursor = cursor.to_str().unwrap();
    let unread = start_unread(["sub", "--connect", &endpoint, "--cursor", cursor]).end();
    assert_eq!((unread.code, unread.stderr.as_str()), (Some(5), ""));
    assert_eq!(subscribe(&endpoint, &["--cursor", cursor, "--count", "3"]), [0, 1, 2]);
    publisher.end().with_code(0);
}

#[test]
fn a_gap_is_told_with_its_first_and_its_last_number() {
    let (publisher, endpoint) = published(&["--ring", "10"], 0..100);
    let oldest = subscribe(&endpoint, &["--count", "1"])[0];
    assert_eq!(oldest, 90);
    let args = ["sub", "--connect", &endpoint, "--from", "5", "--count", "2"];
    let ended = run(args, "");
    let gaps: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("gap ")).collect();
    assert_eq!(gaps.len(), 1, "{ended:?}");
    let session = value(gaps[0], "session").to_owned();
    assert_eq!(gaps[0], format!("gap session={session} from=5 to=89"));
    assert_eq!(ended.with_code(0), "90\t\t90\n91\t\t91\n");

    let objects = run(args.into_iter().chain(["--json"]), "").with_code(0);
    let objects: Vec<Value> =
        objects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let gap = objects.iter().position(|object| object.get("gap").is_some()).unwrap();
    let told = serde_json::json!({ "gap": { "session": session, "from": 5, "to": 89 } });
    assert_eq!(objects[gap], told);
    assert_eq!(objects[gap + 1]["seq"], 90);
    publisher.end().with_code(0);
}

#[test]
fn a_subscriber_that_stood_still_is_told_what_it_missed() {
    let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0", "--ring", "10"]);
    let endpoint = publisher.bound();
    let mut subscriber = start(["sub", "--connect", &endpoint, "--window", "10"]);
    publisher.send("0\n");
    assert_eq!(subscriber.line(), "0\t\t0");
    subscriber.signal(Signal::STOP);
    feed(&mut publisher, &lines("", 1..10_000));
    await_number(&endpoint, 9_999);
    subscriber.signal(Signal::CONT);
    let mut had = 1;
    while number(&subscriber.line()) < 9_999 {
        had += 1;
    }
    subscriber.signal(Signal::TERM);
    let ended = subscriber.end();
    let gaps = ended.stderr.lines().filter(|line| line.starts_with("gap "));
    let bound = |line, key| value(line, key).parse::<u64>().unwrap();
    let missed: u64 = gaps.map(|line| bound(line, "to") - bound(line, "from") + 1).sum();
    assert!(missed > 0, "{ended:?}");
    assert_eq!(had + 1 + missed, 10_000, "{ended:?}");
    assert_eq!(numbers(&ended.with_code(0)).len() as u64, had + 1);
}

#[test]
fn a_publisher_that_numbers_anew_is_told_of() {
    let folder = tempdir().unwrap();
    let endpoint = format!("ipc://{}", folder.path().join("news.sock").display());
    let mut subscriber = start(["sub", "--connect", &endpoint]);
    let mut session = None;
    for word in ["a", "b", "c"] {
        let mut publisher = start(["pub", "--bind", &endpoint]);
        publisher.send(format!("{word}\n"));
        assert_eq!(subscriber.line(), format!("0\t\t{word}"));
        if word != "a" {
            let line = subscriber.hears("session ");
            let (new, old) = (value(&line, "new").to_owned(), value(&line, "old"));
            assert_eq!(line, format!("session new={new} old={old}"));
            assert!(session.is_none_or(|session| session == old), "{line}");
            assert_ne!(new, old);
            session = Some(new);
        }
        publisher.end().with_code(0);
    }
    subscriber.signal(Signal::TERM);
    let ended = subscriber.end();
    assert_eq!(ended.stderr.matches("session new=").count(), 2, "{ended:?}");
    ended.with_code(0);
}

#[test]
fn a_publisher_without_a_store_may_go_on_with_its_session() {
    let folder = tempdir().unwrap();
    let endpoint = format!("ipc://{}", folder.path().join("news.sock").display());
    let mut subscriber = start(["sub", "--connect", &endpoint, "--json"]);
    let mut next = || -> Value { serde_json::from_str(&subscriber.line()).unwrap() };
    for (next_seq, word) in [("7", "a"), ("8", "b")] {
        let args = ["pub", "--bind", &endpoint, "--session", SESSION, "--next-seq", next_seq];
        let mut publisher = start(args);
        publisher.send(format!("{word}\n"));
        let message = next();
        assert_eq!(message["session"], SESSION, "{message}");
        assert_eq!(message["seq"].to_string(), next_seq, "{message}");
        assert_eq!(message["payload"], word);
        publisher.end().with_code(0);
    }
}
