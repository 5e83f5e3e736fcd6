//! How runs end: timeouts, signals, readers that go away.

use std::io::Read;
use std::process::Command;
use std::time::{Duration, Instant};

use drawdown_tests::patience::wait_until;
use rustix::process::Signal;
use tempfile::tempdir;

use crate::process::{dismiss, run, start, start_read_late, start_unheard, start_unread};

#[test]
fn a_pull_exits_when_nothing_comes() {
    run(["pull", "--bind", "tcp://127.0.0.1:0", "--idle-exit", "20ms"], "").with_code(0);
    let args = ["pull", "--bind", "tcp://127.0.0.1:0", "--idle-exit", "20ms", "--exec", "cat"];
    run(args, "").with_code(0);
}

#[test]
fn a_drain_that_times_out_names_what_is_left() {
    let args = ["push", "--bind", "tcp://127.0.0.1:0", "--drain-timeout", "20ms"];
    let pushed = run(args, "a\nb\nc\n").says("3 messages still waiting").says("is lost");
    pushed.with_code(3);
}

#[test]
fn sigterm_drains_a_push_whose_input_goes_on() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--receipts"]);
    let endpoint = push.bound();
    push.send("a\nb\nhalf a li");
    push.line();
    push.line();
    push.signal(Signal::TERM);
    push.hears("drawdown: SIGTERM: no more is read");
    let pulled = run(["pull", "--connect", &endpoint, "--count", "2"], "");
    assert_eq!(pulled.with_code(0), "a\nb\n");
    push.end().with_code(0);
}

#[test]
fn sigint_drains_only_for_so_long() {
    let args = ["push", "--bind", "tcp://127.0.0.1:0", "--receipts", "--drain-timeout", "20ms"];
    let mut push = start(args);
    push.send("a\n");
    push.line();
    push.signal(Signal::INT);
    push.end()
        .says("SIGINT: no more is read; waiting up to 20ms")
        .says("1 message still waiting")
        .with_code(3);
}

#[test]
fn lines_that_were_read_and_had_no_room_are_counted() {
    let args = [
        "push",
        "--bind",
        "tcp://127.0.0.1:0",
        "--receipts",
        "--queue",
        "2",
        "--drain-timeout",
        "20ms",
    ];
    let mut push = start(args);
    push.send("a\nb\nc\nd\ne\n");
    // They are read together: two are taken in, the others wait for room.
    push.line();
    push.line();
    push.signal(Signal::TERM);
    push.end().says("3 lines of what was read at last not taken in").with_code(3);
}

#[test]
fn what_has_no_room_does_not_make_the_drain_longer() {
    let timeout = Duration::from_secs(2);
    let args = ["push", "--bind", "tcp://127.0.0.1:0", "--receipts", "--queue", "1"];
    let mut push = start(args.into_iter().chain(["--drain-timeout", "2s"]));
    push.send("a\nb\n");
    push.line();
    let told = Instant::now();
    push.signal(Signal::TERM);
    let ended = push.end().says("1 line of what was read at last not taken in");
    let took = told.elapsed();
    ended.says("after 2s 1 message still waiting").with_code(3);
    assert!(took < 2 * timeout, "it took {took:?}");
}

#[test]
fn a_second_signal_stops_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--receipts"]);
        push.send("a\n");
        push.line();
        push.signal(signal);
        push.hears("no more is read");
        // Those that follow at once belong to the first.
        while push.is_running() {
            push.signal(signal);
        }
        push.end().says("stopped at once by a second signal").with_code(code);
    }
}

#[test]
fn a_second_signal_stops_at_once_though_nobody_reads_stderr() {
    let folder = tempdir().unwrap();
    let begun = folder.path().join("begun");
    let command = format!("touch {}; exec cat /dev/zero >&2", begun.display());
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let (mut pull, _stderr) =
        start_unheard(["pull", "--connect", &push.bound(), "--exec", &command]);
    push.send("a\n");
    wait_until(|| begun.exists());
    wait_until(|| {
        pull.signal(Signal::TERM);
        !pull.is_running()
    });
    pull.end().with_code(143);
}

#[test]
fn signals_that_come_together_are_one() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--receipts"]);
    let endpoint = push.bound();
    push.send("a\n");
    push.line();
    push.signal(Signal::STOP);
    push.signal(Signal::TERM);
    push.signal(Signal::INT);
    push.signal(Signal::CONT);
    push.hears("no more is read");
    assert_eq!(run(["pull", "--connect", &endpoint, "--count", "1"], "").with_code(0), "a\n");
    push.end().with_code(0);
}

#[test]
fn sigterm_ends_a_pull_in_good_order() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let mut pull = start(["pull", "--connect", &push.bound()]);
    push.send("a\n");
    assert_eq!(pull.line(), "a");
    pull.signal(Signal::TERM);
    pull.end().with_code(0);
    push.end().with_code(0);
}

#[test]
fn sigterm_lets_a_command_finish() {
    let folder = tempdir().unwrap();
    let go = folder.path().join("go");
    let wait = format!("echo started; until [ -e {} ]; do sleep 0.01; done", go.display());
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let mut pull = start(["pull", "--connect", &push.bound(), "--exec", &wait]);
    push.send("a\n");
    assert_eq!(pull.line(), "started");
    pull.signal(Signal::TERM);
    std::fs::write(go, "").unwrap();
    pull.end().with_code(0);
    push.end().with_code(0);
}

#[test]
fn a_command_that_outlasts_the_drain_gives_its_message_back() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-attempts", "1"]);
    let endpoint = push.bound();
    let mut pull = start([
        "pull",
        "--connect",
        &endpoint,
        "--exec",
        "echo $$; sleep 1000",
        "--drain-timeout",
        "20ms",
    ]);
    push.send("a\n");
    let group = pull.line();
    pull.signal(Signal::TERM);
    pull.end().says("commands still ran after 20ms and were killed").with_code(3);
    assert!(is_gone(&group), "the command is still there");
    let pulled = run(["pull", "--connect", &endpoint, "--count", "1"], "");
    assert_eq!(pulled.with_code(0), "a\n", "it was nobody's failure");
    push.end().with_code(0);
}

/// Whether no process of this group runs; one that nobody has waited for does not.
fn is_gone(group: &str) -> bool {
    let listing = Command::new("ps").args(["-e", "-o", "pgid=,stat="]).output().unwrap();
    !String::from_utf8_lossy(&listing.stdout).lines().any(|line| {
        let mut words = line.split_whitespace();
        words.next() == Some(group) && !words.next().unwrap_or("Z").starts_with('Z')
    })
}

#[test]
fn messages_that_cannot_be_written_go_to_others() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-attempts", "1"]);
    let endpoint = push.bound();
    push.send("a\nb\n");
    let pull = start_unread(["pull", "--connect", &endpoint]);
    pull.end().says("drawdown: cannot write to stdout").with_code(5);
    let pulled = run(["pull", "--connect", &endpoint, "--count", "2"], "");
    assert_eq!(pulled.with_code(0), "a\nb\n");
    push.end().with_code(0);
}

/// A line that does not fit into a pipe.
fn long_line() -> String {
    "x".repeat(100_000) + "\n"
}

#[test]
fn a_pull_whose_stdout_is_not_read_in_time_gives_its_messages_back() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-attempts", "1"]);
    let endpoint = push.bound();
    push.send(long_line() + "b\n");
    let args = ["pull", "--connect", &endpoint, "--drain-timeout", "20ms"];
    let (pull, mut stdout) = start_read_late(args);
    stdout.read_exact(&mut [0]).unwrap();
    pull.signal(Signal::TERM);
    let ended = pull.end().says("SIGTERM: no more is taken; waiting up to 20ms");
    let ended = ended.says("cannot write to stdout (its reader did not take it within 20ms)");
    ended.says("goes back to its sender as it came").with_code(3);
    let pulled = run(["pull", "--connect", &endpoint, "--count", "2"], "");
    assert!(pulled.with_code(0) == long_line() + "b\n", "it was nobody's failure");
    push.end().with_code(0);
}

#[test]
fn whoever_reads_stdout_has_some_time_after_a_signal() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    push.send(long_line());
    let (mut pull, mut stdout) = start_read_late(["pull", "--connect", &push.bound()]);
    stdout.read_exact(&mut [0]).unwrap();
    pull.signal(Signal::TERM);
    pull.hears("SIGTERM: no more is taken; waiting up to 30s until what was taken is written");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(rest == long_line()[1..], "{} bytes came", rest.len());
    pull.end().with_code(0);
    push.end().with_code(0);
}

#[test]
fn a_subscriber_hears_signals_while_nobody_reads_its_stdout() {
    let mut publisher = start(["pub", "--bind", "tcp://127.0.0.1:0", "--linger", "1h"]);
    publisher.send(long_line());
    let (mut sub, mut stdout) = start_read_late(["sub", "--connect", &publisher.bound()]);
    stdout.read_exact(&mut [0]).unwrap();
    sub.signal(Signal::TERM);
    sub.hears("SIGTERM: waiting up to 5s until what has come is written");
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert!(rest == "\t\t".to_owned() + &long_line(), "{} bytes came", rest.len());
    sub.end().with_code(0);
    dismiss(publisher);
}

#[test]
fn a_push_whose_receipts_nobody_reads_ends_on_a_signal() {
    // More receipts than a pipe takes.
    let mut pull = start(["pull", "--bind", "tcp://127.0.0.1:0", "--count", "20000"]);
    let args = ["push", "--connect", &pull.bound(), "--receipts", "--drain-timeout", "2s"];
    let (mut push, stdout) = start_read_late(args);
    push.send("x\n".repeat(20_000));
    pull.end().with_code(0);
    push.signal(Signal::TERM);
    push.hears("SIGTERM: waiting up to 2s until the receipts are read");
    push.end().says("the last receipts were not read; the messages were sent").with_code(3);
    drop(stdout);
}

#[test]
fn a_client_whose_replies_nobody_reads_ends_on_a_signal() {
    let mut server = start(["rep", "--bind", "tcp://127.0.0.1:0", "--echo"]);
    let (mut client, mut stdout) = start_read_late(["req", "--connect", &server.bound()]);
    client.send(long_line());
    stdout.read_exact(&mut [0]).unwrap();
    client.signal(Signal::TERM);
    let ended = client.end().says("cannot write to stdout (its reader did not take it within 5s)");
    ended.says("the replies from there on are lost").with_code(3);
    dismiss(server);
}

#[test]
fn an_expired_message_is_named() {
    let args = ["push", "--bind", "tcp://127.0.0.1:0", "--ttl", "20ms"];
    let pushed =
        run(args, "a\n").says("expired: its shelf life ended before anybody was done with it");
    pushed.says("1 message expired and 0 dead letters").with_code(4);
}
