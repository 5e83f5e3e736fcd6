//! Lines go in at one end and come out at the other.

use std::process::Command;

use drawdown_tests::command::binary;
use tempfile::tempdir;

use crate::process::{run, start, start_as};

/// Any bytes, empty lines, and a last line without a newline.
const INPUT: &[u8] = b"one\n\n\xff\x00two\r\n three \nlast";
const OUTPUT: &[u8] = b"one\n\n\xff\x00two\r\n three \nlast\n";
const LINES: &str = "5";

#[test]
fn lines_go_from_a_bound_push_to_a_connected_pull() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    push.send(INPUT);
    push.end_input();
    let pulled = run(["pull", "--connect", &endpoint, "--count", LINES], "");
    assert_eq!((pulled.code, &pulled.stdout[..]), (Some(0), OUTPUT), "{pulled:?}");
    push.end().with_code(0);
}

#[test]
fn lines_go_from_a_connected_push_to_a_bound_pull() {
    let mut pull = start(["pull", "--bind", "tcp://127.0.0.1:0", "--count", LINES]);
    let endpoint = pull.bound();
    run(["push", "--connect", &endpoint], INPUT).with_code(0);
    let pulled = pull.end();
    assert_eq!((pulled.code, &pulled.stdout[..]), (Some(0), OUTPUT), "{pulled:?}");
}

#[test]
fn lines_go_over_a_unix_socket_whoever_is_first() {
    let folder = tempdir().unwrap();
    let endpoint = format!("ipc://{}", folder.path().join("jobs.sock").display());
    for (first, second) in [("--bind", "--connect"), ("--connect", "--bind")] {
        let pull = start(["pull", first, &endpoint, "--count", LINES]);
        run(["push", second, &endpoint], INPUT).with_code(0);
        let pulled = pull.end();
        assert_eq!((pulled.code, &pulled.stdout[..]), (Some(0), OUTPUT), "{pulled:?}");
    }
}

#[test]
fn many_lines_come_in_order_and_once_each() {
    let input: String = (0..200_000).map(|n| format!("line {n}\n")).collect();
    let mut pull = start(["pull", "--bind", "tcp://127.0.0.1:0", "--count", "200000"]);
    let endpoint = pull.bound();
    run(["push", "--connect", &endpoint, "--queue", "1000"], &input).with_code(0);
    let output = pull.end().with_code(0);
    assert!(output == input, "{} lines came", output.lines().count());
}

#[test]
fn each_line_goes_out_while_the_input_goes_on() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--receipts"]);
    let mut pull = start(["pull", "--connect", &push.bound()]);
    let mut seqs = Vec::new();
    for word in ["a", "b", "c"] {
        push.send(format!("{word}\n"));
        assert_eq!(pull.line(), word);
        seqs.push(push.line().parse::<u64>().unwrap());
    }
    assert_eq!(seqs, [seqs[0], seqs[0] + 1, seqs[0] + 2]);
    push.end().with_code(0);
}

#[test]
fn a_large_message_goes_through_when_both_sides_allow_it() {
    let line = "x".repeat(3 << 20);
    let mut pull =
        start(["pull", "--bind", "tcp://127.0.0.1:0", "--count", "1", "--max-message", "4MiB"]);
    let endpoint = pull.bound();
    run(["push", "--connect", &endpoint, "--max-message", "4MiB"], &line).with_code(0);
    assert_eq!(pull.end().with_code(0), line + "\n");
}

#[test]
fn a_line_over_the_limit_is_named_and_the_others_go() {
    let mut pull = start(["pull", "--bind", "tcp://127.0.0.1:0", "--count", "2"]);
    let endpoint = pull.bound();
    let args = ["push", "--connect", &endpoint, "--max-message", "5", "--receipts"];
    let pushed = run(args, "first\nsecond\nthird")
        .says("drawdown: line 2 has 6 bytes and the limit is 5; it was not sent, the others are")
        .says("drawdown: not sent: 1 line over the limit; all others were");
    assert_eq!(pushed.with_code(4).lines().count(), 2);
    assert_eq!(pull.end().with_code(0), "first\nthird\n");
}

#[test]
fn a_pull_that_wants_some_leaves_the_rest_to_others() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    push.send((0..100).map(|n| format!("{n}\n")).collect::<String>());
    let first = run(["pull", "--connect", &endpoint, "--count", "40"], "").with_code(0);
    let second = run(["pull", "--connect", &endpoint, "--count", "60"], "").with_code(0);
    push.end().with_code(0);
    assert_eq!((first.lines().count(), second.lines().count()), (40, 60));
    let mut all: Vec<u32> =
        first.lines().chain(second.lines()).map(|line| line.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[test]
fn taking_confirms_if_asked_for() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    push.send("a\nb\n");
    let args = ["pull", "--connect", &endpoint, "--ack", "taken", "--count", "2"];
    assert_eq!(run(args, "").with_code(0), "a\nb\n");
    push.end().with_code(0);
}

#[test]
fn a_message_on_a_terminal_has_a_line_of_its_own() {
    let has_script = Command::new("script").arg("--version").output();
    if !has_script.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: this system has no script(1) to make a terminal");
        return;
    }
    let pull = format!("{} pull --bind tcp://127.0.0.1:0 --count 1", binary().display());
    let mut script = Command::new("script");
    script.args(["-qec", &pull, "/dev/null"]);
    let mut pull = start_as(script);
    let bound = pull.line();
    run(["push", "--connect", bound.trim_start_matches("bound ").trim_end()], "a\n").with_code(0);
    assert_eq!(pull.line(), "a\r");
    pull.end().with_code(0);
}
