//! What is published at one end comes out at the other, with its number and its topic.

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::numbers::{feed, lines, received};
use crate::process::{Running, dismiss, run, start};

/// Topics or none, any bytes, a tab in a message, and a last line without a newline.
const INPUT: &[u8] = b"a/x\tone\nb\ttwo\n\n\tfour\nfive\na/y\t\xff\x00\tsix\r\nlast";
const OUTPUT: &[u8] =
    b"0\ta/x\tone\n1\tb\ttwo\n2\t\t\n3\t\tfour\n4\t\tfive\n5\ta/y\t\xff\x00\tsix\r\n6\t\tlast\n";
const LINES: &str = "7";

/// A publisher of all of this, that stays until it is told to end.
fn publisher(args: &[&str], input: impl AsRef<[u8]>) -> Running {
    let mut publisher = start(["pub", "--linger", "1h"].into_iter().chain(args.iter().copied()));
    publisher.send(input);
    publisher.end_input();
    publisher
}

#[test]
fn lines_go_from_a_bound_publisher_to_a_connected_subscriber() {
    let mut publisher = publisher(&["--bind", "tcp://127.0.0.1:0"], INPUT);
    let subscribed = run(["sub", "--connect", &publisher.bound(), "--count", LINES], "");
    assert_eq!((subscribed.code, &subscribed.stdout[..]), (Some(0), OUTPUT), "{subscribed:?}");
    dismiss(publisher);
}

#[test]
fn lines_go_from_a_connected_publisher_to_a_bound_subscriber() {
    let mut subscriber = start(["sub", "--bind", "tcp://127.0.0.1:0", "--count", LINES]);
    let publisher = publisher(&["--connect", &subscriber.bound()], INPUT);
    let subscribed = subscriber.end();
    assert_eq!((subscribed.code, &subscribed.stdout[..]), (Some(0), OUTPUT), "{subscribed:?}");
    dismiss(publisher);
}

#[test]
fn each_line_goes_out_while_the_input_goes_on() {
    let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = publisher.bound();
    let mut subscribers = [(); 2].map(|()| start(["sub", "--connect", &endpoint]));
    for (seq, word) in ["a", "b", "c"].iter().enumerate() {
        publisher.send(format!("topic\t{word}\n"));
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.line(), format!("{seq}\ttopic\t{word}"));
        }
    }
    publisher.end().with_code(0);
    for subscriber in subscribers {
        dismiss(subscriber);
    }
}

#[test]
fn at_the_end_of_its_input_a_publisher_waits_for_those_who_are_there() {
    let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0"]);
    let mut subscriber = start(["sub", "--connect", &publisher.bound(), "--count", "2000"]);
    publisher.send("t\t0\n");
    assert_eq!(subscriber.line(), "0\tt\t0");
    publisher.send(lines("t", 1..2_000));
    publisher.end().with_code(0);
    let output = subscriber.end().with_code(0);
    assert!(output == received("t", 0..2_000), "{} lines came", output.lines().count());
}

#[test]
fn many_lines_come_in_order_and_once_each() {
    let args = ["--bind", "tcp://127.0.0.1:0", "--ring", "200000"];
    let mut publisher = publisher(&args, lines("t", 0..200_000));
    let args = ["sub", "--connect", &publisher.bound(), "--count", "200000"];
    let output = run(args, "").with_code(0);
    assert!(output == received("t", 0..200_000), "{} lines came", output.lines().count());
    dismiss(publisher);
}

#[test]
fn a_filter_takes_topics_by_how_they_begin() {
    let mut publisher = publisher(&["--bind", "tcp://127.0.0.1:0"], INPUT);
    let endpoint = publisher.bound();
    let wanted: [(&[&str], &[u8]); 3] = [
        (&["--filter", "a/", "--count", "2"], b"0\ta/x\tone\n5\ta/y\t\xff\x00\tsix\r\n"),
        (&["--filter", "b", "--filter", "a/x", "--count", "2"], b"0\ta/x\tone\n1\tb\ttwo\n"),
        (&["--filter", "", "--count", LINES], OUTPUT),
    ];
    for (filters, lines) in wanted {
        let args = ["sub", "--connect", &endpoint];
        let subscribed = run(args.into_iter().chain(filters.iter().copied()), "");
        assert_eq!((subscribed.code, &subscribed.stdout[..]), (Some(0), lines), "{subscribed:?}");
        assert!(!subscribed.stderr.contains("gap"), "{subscribed:?}");
    }
    dismiss(publisher);
}

#[test]
fn json_says_which_session_and_what_is_no_text() {
    let mut publisher = publisher(&["--bind", "tcp://127.0.0.1:0"], INPUT);
    let args = ["sub", "--connect", &publisher.bound(), "--count", LINES, "--json"];
    let output = run(args, "").with_code(0);
    let objects: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let messages: Vec<_> = objects.iter().filter(|object| object.get("seq").is_some()).collect();
    assert_eq!(messages.len(), 7, "{output}");
    let session = &messages[0]["session"];
    assert!(uuid::Uuid::parse_str(session.as_str().unwrap()).is_ok(), "{session}");
    let first = json!({ "seq": 0, "session": session, "topic": "a/x", "payload": "one" });
    assert_eq!(*messages[0], first);
    let sixth =
        json!({ "seq": 5, "session": session, "topic": "a/y", "payload_hex": "ff00097369780d" });
    assert_eq!(*messages[5], sixth);
    dismiss(publisher);
}

#[test]
fn a_large_message_goes_through_when_both_sides_allow_it() {
    let large = "x".repeat(3 << 20);
    let args = ["--bind", "tcp://127.0.0.1:0", "--max-message", "4MiB"];
    let mut publisher = publisher(&args, format!("topic\t{large}"));
    let endpoint = publisher.bound();
    let args = ["sub", "--connect", &endpoint, "--count", "1", "--max-message", "4MiB"];
    assert_eq!(run(args, "").with_code(0), format!("0\ttopic\t{large}\n"));
    dismiss(publisher);
}

#[test]
fn a_line_over_a_limit_is_named_and_the_others_go() {
    let topic = "t".repeat(256);
    let input = format!("t\tfirst\nt\tsecond\n{topic}\tx\n{}\nlast\n", "y".repeat(300));
    let args = ["pub", "--bind", "tcp://127.0.0.1:0", "--max-message", "5"];
    let mut publisher = start(args);
    let args = ["sub", "--connect", &publisher.bound(), "--count", "2"];
    let subscriber = start(args);
    publisher.send(input);
    assert_eq!(subscriber.end().with_code(0), "0\tt\tfirst\n1\t\tlast\n");
    publisher
        .end()
        .says("line 2 has a message of 6 bytes and the limit is 5; it was not published")
        .says("line 3 has a topic of 256 bytes and the limit is 255; it was not published")
        .says("line 4 has 300 bytes and the limit is 261 with its topic; it was not published")
        .says("not published: 3 lines over a limit; all others were")
        .with_code(4);
}

#[test]
fn a_publisher_that_is_told_to_end_ends_in_good_order() {
    let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0"]);
    let mut subscriber = start(["sub", "--connect", &publisher.bound()]);
    publisher.send("a\nb\nhalf a li");
    assert_eq!(subscriber.line(), "0\t\ta");
    assert_eq!(subscriber.line(), "1\t\tb");
    publisher.signal(Signal::TERM);
    publisher.hears("SIGTERM: no more is read");
    publisher.end().with_code(0);
    subscriber.signal(Signal::INT);
    assert_eq!(subscriber.end().with_code(0), "0\t\ta\n1\t\tb\n");
}

#[test]
fn nobody_waits_for_a_subscriber_that_stands_still() {
    let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0", "--ring", "100000"]);
    let endpoint = publisher.bound();
    let mut still = start(["sub", "--connect", &endpoint, "--window", "10"]);
    publisher.send("first\n");
    assert_eq!(still.line(), "0\t\tfirst");
    still.signal(Signal::STOP);
    feed(&mut publisher, &lines("", 1..50_000));
    let other = run(["sub", "--connect", &endpoint, "--count", "49999", "--from", "1"], "");
    assert_eq!(other.with_code(0), received("", 1..50_000));
    let published = publisher.end().says("after 1s a subscriber still lacked ");
    published.says("what is left is gone with this process").with_code(3);
}

#[test]
fn a_subscriber_exits_when_nothing_comes() {
    run(["sub", "--bind", "tcp://127.0.0.1:0", "--idle-exit", "20ms"], "").with_code(0);
}

#[test]
fn everybody_may_come_over_a_unix_socket_whoever_is_first() {
    let folder = tempdir().unwrap();
    let endpoint = format!("ipc://{}", folder.path().join("news.sock").display());
    for (first, second) in [("--bind", "--connect"), ("--connect", "--bind")] {
        let subscriber = start(["sub", first, &endpoint, "--count", LINES]);
        let publisher = publisher(&[second, &endpoint], INPUT);
        let subscribed = subscriber.end();
        assert_eq!((subscribed.code, &subscribed.stdout[..]), (Some(0), OUTPUT), "{subscribed:?}");
        dismiss(publisher);
    }
}
