//! Commands that process messages.

use std::io::Read;

use tempfile::tempdir;

use crate::process::{run, start, start_read_late, start_unread};

#[test]
fn a_message_is_the_stdin_of_its_command() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    push.send("one\ntwo\n");
    let command = "echo \"$DRAWDOWN_SEQ $DRAWDOWN_FAILED_ATTEMPTS <$(cat)>\"";
    let args = ["pull", "--connect", &endpoint, "--count", "2", "--exec", command];
    let output = run(args, "").with_code(0);
    let lines: Vec<_> = output.lines().collect();
    assert!(lines[0].ends_with(" 0 <one>") && lines[1].ends_with(" 0 <two>"), "{lines:?}");
    push.end().with_code(0);
}

#[test]
fn a_command_need_not_read_a_large_message() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    push.send("x".repeat(1 << 20));
    run(["pull", "--connect", &endpoint, "--count", "1", "--exec", "true"], "").with_code(0);
    push.end().with_code(0);
}

#[test]
fn a_command_that_fails_rejects_with_its_status_and_last_words() {
    let folder = tempdir().unwrap();
    let store = folder.path().join("outbox");
    let store = store.to_str().unwrap();
    let args = ["push", "--bind", "tcp://127.0.0.1:0", "--store", store, "--max-attempts", "2"];
    let mut push = start(args);
    let endpoint = push.bound();
    push.send("good\nbad\n");
    let command = "read -r line; echo \"$line\"; [ $line = good ] || { \
                   echo first words >&2; echo no such thing >&2; exit 7; }";
    let pull = start(["pull", "--connect", &endpoint, "--exec", command]);
    let pushed = push.end().says("is now a dead letter after 2 failed attempts");
    pushed.says("0 messages expired and 1 dead letter").with_code(4);
    pull.signal(rustix::process::Signal::TERM);
    let pulled = pull.end().says("no such thing");
    assert_eq!(pulled.with_code(0), "good\nbad\nbad\n");

    let listed = run(["dead", "ls", store, "--json"], "").with_code(0);
    let letters: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(letters[0]["failed_attempts"], 2);
    assert_eq!(letters[0]["reason"], "exit status: 7: no such thing");
    let seq = letters[0]["seq"].to_string();
    assert_eq!(run(["dead", "show", store, "--seq", &seq, "--raw"], "").with_code(0), "bad");

    run(["dead", "replay", store, "--seq", &seq], "").with_code(0);
    let mut push = start(args);
    let pulled = run(["pull", "--connect", &push.bound(), "--count", "1"], "");
    assert_eq!(pulled.with_code(0), "bad\n");
    push.end().with_code(0);
}

#[test]
fn a_command_that_is_killed_rejects() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-attempts", "1"]);
    let endpoint = push.bound();
    push.send("a\n");
    let pull = start(["pull", "--connect", &endpoint, "--exec", "kill -9 $$"]);
    push.end().says("signal: 9 (SIGKILL)").with_code(4);
    drop(pull);
}

#[test]
fn commands_run_side_by_side() {
    let folder = tempdir().unwrap();
    let path = folder.path().display();
    // Each ends only when the other has begun.
    let command = format!(
        "read -r n; touch {path}/$n; until [ -e {path}/a -a -e {path}/b ]; do sleep 0.01; done"
    );
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    push.send("a\nb\n");
    let args =
        ["pull", "--connect", &endpoint, "--exec", &command, "--parallel", "2", "--count", "2"];
    run(args, "").with_code(0);
    push.end().with_code(0);
}

#[test]
fn a_child_that_keeps_the_pipes_does_not_hold_its_command_up() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    push.send("a\n");
    let command = "sleep 1000 <&0 & echo $!";
    let args = ["pull", "--connect", &endpoint, "--exec", command, "--count", "1"];
    let mut pull = start(args);
    let sleeper = pull.line();
    push.end().with_code(0);
    assert!(std::process::Command::new("kill").arg(sleeper).status().unwrap().success());
    pull.end().with_code(0);
}

#[test]
fn a_job_does_not_wait_behind_another_while_a_worker_is_free() {
    let folder = tempdir().unwrap();
    let path = folder.path().display();
    // Each ends only when the other has begun.
    let command = format!(
        "read -r n; echo $n; touch {path}/$n; until [ -e {path}/a -a -e {path}/b ]; do sleep 0.01; done"
    );
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    let worker = || start(["pull", "--connect", &endpoint, "--exec", &command, "--count", "1"]);
    let mut busy = worker();
    push.send("a\nb\n");
    assert_eq!(busy.line(), "a");
    let mut free = worker();
    assert_eq!(free.line(), "b");
    busy.end().with_code(0);
    free.end().with_code(0);
    push.end().with_code(0);
}

#[test]
fn a_worker_whose_command_is_not_there_ends_and_costs_no_attempt() {
    let folder = tempdir().unwrap();
    let script = folder.path().join("convert");
    std::fs::write(&script, "").unwrap();
    let script = script.to_str().unwrap();
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-attempts", "1"]);
    let endpoint = push.bound();
    push.send("a\n");
    for (command, words) in [
        (
            "/nowhere/convert",
            "drawdown: the command of --exec was not found (exit status: 127: sh: ",
        ),
        (script, "drawdown: the command of --exec cannot be run (exit status: 126: sh: "),
    ] {
        let ended = run(["pull", "--connect", &endpoint, "--exec", command], "");
        ended.says(words).says("the message goes back to its sender as it came").with_code(1);
    }
    let command = "echo $DRAWDOWN_FAILED_ATTEMPTS";
    let args = ["pull", "--connect", &endpoint, "--exec", command, "--count", "1"];
    assert_eq!(run(args, "").with_code(0), "0\n");
    push.end().with_code(0);
}

#[test]
fn a_worker_whose_stdout_nobody_reads_any_more_ends_and_costs_no_attempt() {
    for command in ["exec cat", "cat; exit $?"] {
        let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-attempts", "1"]);
        let endpoint = push.bound();
        let (pull, mut stdout) =
            start_read_late(["pull", "--connect", &endpoint, "--exec", command]);
        push.send("a\n");
        stdout.read_exact(&mut [0]).unwrap();
        drop(stdout);
        push.send("b\nc\n");
        let ended = pull.end().says("stdout was closed by its reader, and a command died of that");
        ended.says("its message goes back to its sender as it came").with_code(5);
        let command = "echo $(cat) $DRAWDOWN_FAILED_ATTEMPTS";
        let args = ["pull", "--connect", &endpoint, "--exec", command, "--count", "2"];
        assert_eq!(run(args, "").with_code(0), "b 0\nc 0\n");
        push.end().with_code(0);
    }
}

#[test]
fn a_command_that_dies_of_a_pipe_of_its_own_is_a_failure_of_its_message() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-attempts", "1"]);
    let mut pull = start(["pull", "--connect", &push.bound(), "--exec", "sh"]);
    push.send("kill -s PIPE $$\necho two\n");
    assert_eq!(pull.line(), "two");
    push.end().says("0 messages expired and 1 dead letter").with_code(4);
    pull.signal(rustix::process::Signal::TERM);
    pull.end().with_code(0);
}

#[test]
fn once_a_command_was_there_one_that_is_not_is_a_failure_of_its_message() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-attempts", "1"]);
    let mut pull = start(["pull", "--connect", &push.bound(), "--exec", "sh"]);
    push.send("echo one\n");
    assert_eq!(pull.line(), "one");
    push.send("nowhere\nnowhere\necho two\n");
    assert_eq!(pull.line(), "two");
    push.end().says("0 messages expired and 2 dead letters").with_code(4);
    pull.signal(rustix::process::Signal::TERM);
    let pulled = pull.end().says("tried again, for ever unless their sender has --max-attempts");
    assert_eq!(pulled.stderr.matches("a command was not found").count(), 1, "{pulled:?}");
    pulled.with_code(0);
}

#[test]
fn a_server_whose_command_is_not_there_ends() {
    let mut server = start(["rep", "--bind", "tcp://127.0.0.1:0", "--exec", "/nowhere/convert"]);
    let asked = run(["req", "--connect", &server.bound()], "a\n");
    asked.says("the server rejected the request: exit status: 127").with_code(4);
    server.end().says("drawdown: the command of --exec was not found (").with_code(1);
}

#[test]
fn what_was_confirmed_when_it_was_taken_counts_and_does_not_go_back() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let endpoint = push.bound();
    push.send("one\ntwo\nthree\nfour\n");
    let pull = ["pull", "--connect", &endpoint, "--ack", "taken", "--count", "1"];
    let failing = run(pull.into_iter().chain(["--exec", "cat; exit 1"]), "");
    assert_eq!(failing.with_code(0), "one");
    let missing = run(pull.into_iter().chain(["--exec", "/nowhere/convert"]), "");
    missing.says("the message is lost, since taking it confirmed it").with_code(1);
    let unread = start_unread(pull).end();
    unread.says("what is not written, 1 message, is lost, since taking it").with_code(5);
    assert_eq!(run(pull, "").with_code(0), "four\n");
    push.end().with_code(0);
}
