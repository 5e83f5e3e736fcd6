//! Requests and replies: lines are asked, commands answer.

use std::fs;
use std::path::Path;
use std::process::Command;

use drawdown_tests::command::binary;
use drawdown_tests::patience::{ANY_PORT, wait_until};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::process::{Running, dismiss, run, start, start_as, start_unheard, start_unread};
use crate::wire::Wire;

/// A server at a port that the system chose.
#[track_caller]
fn server(args: &[&str]) -> (Running, String) {
    let mut server = start(["rep", "--bind", ANY_PORT].into_iter().chain(args.iter().copied()));
    let endpoint = server.bound();
    (server, endpoint)
}

fn objects(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A command that waits until this file is there.
fn until_there(file: &Path) -> String {
    format!("until [ -e {} ]; do sleep 0.01; done", file.display())
}

#[test]
fn an_echo_gives_back_any_bytes() {
    let (server, endpoint) = server(&["--echo"]);
    let asked = run(["req", "--connect", &endpoint], b"one\n\ntwo\xff\0\r\nlast");
    assert_eq!(asked.stdout, b"one\n\ntwo\xff\0\r\nlast\n", "{asked:?}");
    asked.with_code(0);
    dismiss(server);
}

#[test]
fn a_server_may_connect_and_a_client_bind() {
    let mut client = start(["req", "--bind", ANY_PORT]);
    let server = start(["rep", "--connect", &client.bound(), "--echo"]);
    client.send("here\n");
    assert_eq!(client.line(), "here");
    client.send("and here\n");
    assert_eq!(client.end().with_code(0), "here\nand here\n");
    dismiss(server);
}

#[test]
fn a_request_is_the_stdin_of_its_command_and_its_stdout_the_reply() {
    let command = "read -r word; case $DRAWDOWN_CALL in ????????-*) echo \"<$word>\" ;; esac";
    let (server, endpoint) = server(&["--exec", command]);
    let asked = run(["req", "--connect", &endpoint], "one\ntwo\n");
    assert_eq!(asked.with_code(0), "<one>\n<two>\n");
    dismiss(server);
}

#[test]
fn replies_come_in_the_order_of_the_lines() {
    let folder = tempdir().unwrap();
    let done = folder.path().join("done");
    // The first is answered only when the last is, so that all are under way at a time.
    let command = format!(
        "read -r n; case $n in 1) {} ;; 4) touch {} ;; esac; echo reply $n",
        until_there(&done),
        done.display()
    );
    let (server, endpoint) = server(&["--exec", &command, "--window", "4"]);
    let asked = run(["req", "--connect", &endpoint, "--parallel", "4"], "1\n2\n3\n4\n5\n6\n");
    let replies: String = (1..=6).map(|n| format!("reply {n}\n")).collect();
    assert_eq!(asked.with_code(0), replies);
    dismiss(server);
}

#[test]
fn a_command_that_fails_rejects_with_its_status_and_last_words() {
    let command = "read -r n; [ $n != 2 ] || { echo half; echo first words >&2; \
                   echo no such thing >&2; exit 7; }; echo reply $n";
    let (server, endpoint) = server(&["--exec", command]);
    let asked = run(["req", "--connect", &endpoint], "1\n2\n3\n");
    let asked = asked
        .says("line 2: the server rejected the request: exit status: 7: no such thing\n")
        .says("no reply to 1 of 3 requests");
    assert_eq!(asked.with_code(4), "reply 1\nreply 3\n");
    dismiss(server);
}

#[test]
fn json_says_which_line_and_whether_it_may_have_run() {
    let command = "read -r n; case $n in fail) exit 3 ;; any) printf '\\377' ;; *) cat ;; esac";
    let (server, endpoint) = server(&["--exec", command, "--max-message", "64"]);
    let args = ["req", "--connect", &endpoint, "--json", "--max-message", "64"];
    let asked = run(args, format!("fail\nany\n{}\nempty", "x".repeat(65)));
    let objects = objects(&asked.with_code(4));
    let (sentence, reason) = ("the server rejected the request: exit status: 3", "exit status: 3");
    let rejected = json!({ "line": 1, "error": sentence, "reason": reason, "may_have_run": true });
    assert_eq!(objects[0], rejected);
    assert_eq!(objects[1], json!({ "line": 2, "reply_hex": "ff" }));
    assert_eq!((&objects[2]["line"], &objects[2]["may_have_run"]), (&json!(3), &json!(false)));
    assert!(objects[2]["error"].as_str().unwrap().contains("65 bytes and the limit is 64"));
    assert_eq!(objects[3], json!({ "line": 4, "reply": "" }));
    assert_eq!(objects.len(), 4);
    dismiss(server);
}

#[test]
fn without_a_server_each_line_fails_in_its_time() {
    let asked = run(["req", "--bind", ANY_PORT, "--timeout", "20ms"], "a\nb\n");
    let asked = asked
        .says("line 1: no service available: ")
        .says("line 2: no service available: ")
        .says("nobody has worked on it")
        .says("no reply to 2 of 2 requests");
    assert_eq!(asked.with_code(4), "");
}

#[test]
fn the_standby_serves_when_the_first_is_killed_and_not_before() {
    let folder = tempdir().unwrap();
    let endpoint = format!("ipc://{}", folder.path().join("standby.sock").display());
    let (first, first_endpoint) = server(&["--exec", "cat; echo ' by the first'"]);
    let ranked = format!("{endpoint}?priority=2");
    let mut client = start(["req", "--connect", &first_endpoint, "--connect", &ranked]);
    client.send("1\n");
    assert_eq!(client.line(), "1 by the first");
    let standby = start(["rep", "--bind", &endpoint, "--exec", "cat; echo ' by the standby'"]);
    let asked = run(["req", "--connect", &endpoint], "is it there?\n");
    assert_eq!(asked.with_code(0), "is it there? by the standby\n");
    client.send("2\n3\n");
    assert_eq!(client.line(), "2 by the first");
    assert_eq!(client.line(), "3 by the first");
    first.signal(Signal::KILL);
    first.end();
    client.send("4\n");
    assert_eq!(client.line(), "4 by the standby");
    client.end().with_code(0);
    dismiss(standby);
}

#[test]
fn a_server_that_does_not_answer_is_named_by_its_endpoint() {
    let ((silent, endpoint), (other, better)) = (server(&["--echo"]), server(&["--echo"]));
    let worse = format!("{better}?priority=2");
    let args = ["req", "--attempt-timeout", "100ms", "--connect", &endpoint, "--connect", &worse];
    let mut client = start(args);
    client.send("1\n");
    assert_eq!(client.line(), "1");
    silent.signal(Signal::STOP);
    client.send("2\n");
    let sentence = client.hears("did not answer in time");
    assert!(sentence.starts_with(&format!("drawdown: {endpoint}: ")), "{sentence}");
    assert_eq!(client.line(), "2");
    silent.signal(Signal::CONT);
    client.end().with_code(0);
    dismiss(silent);
    dismiss(other);
}

/// A client of two servers whose request the first one has begun; and that server, and the endpoint of the second.
fn begun_at_the_first(folder: &Path, drain_timeout: &str) -> (Running, Running, String) {
    let begun = folder.join("begun");
    // It ends at the latest when the folder goes.
    let command = format!("echo $$ > {0}; while [ -e {0} ]; do sleep 0.01; done", begun.display());
    let (first, endpoint) = server(&["--exec", &command, "--drain-timeout", drain_timeout]);
    let other = format!("ipc://{}", folder.join("other.sock").display());
    let mut client = start(["req", "--timeout", "1h", "--connect", &endpoint, "--connect", &other]);
    client.send("a\n");
    wait_for(&begun);
    (client, first, other)
}

#[test]
fn a_request_under_way_goes_elsewhere_when_its_server_is_killed() {
    let folder = tempdir().unwrap();
    let (client, first, other) = begun_at_the_first(folder.path(), "1h");
    first.signal(Signal::KILL);
    first.end();
    let second = start(["rep", "--bind", &other, "--echo"]);
    assert_eq!(client.end().with_code(0), "a\n");
    dismiss(second);
}

#[test]
fn a_command_does_not_outlive_a_server_that_is_killed() {
    let folder = tempdir().unwrap();
    let (client, first, _) = begun_at_the_first(folder.path(), "1h");
    let begun = folder.path().join("begun");
    wait_until(|| fs::read_to_string(&begun).unwrap().ends_with('\n'));
    let pid = fs::read_to_string(&begun).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    assert!(test_kill_process(pid).is_ok(), "it runs");
    first.signal(Signal::KILL);
    first.end();
    wait_until(|| test_kill_process(pid).is_err());
    drop(client);
}

#[test]
fn what_a_server_cannot_finish_at_its_end_goes_elsewhere() {
    let folder = tempdir().unwrap();
    let (client, first, other) = begun_at_the_first(folder.path(), "20ms");
    first.signal(Signal::TERM);
    first
        .end()
        .says("SIGTERM: no more is taken; waiting up to 20ms for 1 command to end")
        .with_code(3);
    let second = start(["rep", "--bind", &other, "--echo"]);
    assert_eq!(client.end().with_code(0), "a\n");
    dismiss(second);
}

#[test]
fn what_a_server_cannot_run_a_command_for_goes_elsewhere() {
    let mut client = start(["req", "--bind", ANY_PORT]);
    let endpoint = client.bound();
    let mut command = Command::new(binary());
    command.args(["rep", "--connect", &endpoint, "--exec", "cat"]).env("PATH", "/nowhere");
    let poor = start_as(command);
    client.send("a\n");
    poor.end().says("cannot run sh: ").says("the request goes elsewhere").with_code(1);
    let other = start(["rep", "--connect", &endpoint, "--exec", "cat"]);
    assert_eq!(client.end().with_code(0), "a\n");
    dismiss(other);
}

#[test]
fn a_server_that_is_told_to_end_finishes_what_it_has_begun() {
    let folder = tempdir().unwrap();
    let (client, first, _) = begun_at_the_first(folder.path(), "1h");
    first.signal(Signal::TERM);
    fs::remove_file(folder.path().join("begun")).unwrap();
    first.end().with_code(0);
    assert_eq!(client.end().with_code(0), "\n");
}

#[test]
fn a_client_that_is_told_to_end_withdraws_what_is_under_way() {
    let folder = tempdir().unwrap();
    let (client, first, _) = begun_at_the_first(folder.path(), "1h");
    let pid = fs::read_to_string(folder.path().join("begun")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    client.signal(Signal::INT);
    let ended = client.end().says("line 1: withdrawn on SIGINT before a reply came");
    ended.says("no reply to 1 of 1 request").with_code(4);
    // Its file is there, so nothing but its server has ended it.
    wait_until(|| test_kill_process(pid).is_err());
    dismiss(first);
}

#[test]
fn a_client_that_is_told_to_end_tells_replies_that_have_come_and_what_was_never_sent() {
    let folder = tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let limit = ["--max-message", "64"];
    let busy = format!("echo > {0}; while [ -e {0} ]; do sleep 0.01; done", file("1").display());
    let (first, endpoint) = server(&["--exec", &busy, limit[0], limit[1]]);
    let other = format!("ipc://{}", file("other.sock").display());
    let args = ["req", "--connect", &endpoint, "--connect", &other, "--parallel", "4"];
    let mut client = start(args.into_iter().chain(["--timeout", "1h"]).chain(limit));
    client.send("1\n");
    wait_for(&file("1"));

    let begin = format!("read -r n; echo > {}/$n; echo reply $n", folder.path().display());
    let args = ["rep", "--bind", &other, "--exec", &begin, "--window", "2"];
    let second = start(args.into_iter().chain(limit));
    client.send(format!("2\n3\n{}\n", "x".repeat(65)));
    wait_for(&file("2"));
    wait_for(&file("3"));
    // It ends when its client has confirmed its replies.
    dismiss(second);

    client.signal(Signal::TERM);
    let ended = client
        .end()
        .says("line 1: withdrawn on SIGTERM before a reply came")
        .says("line 4: the request has 65 bytes and the limit is 64; it was not sent")
        .says("no reply to 2 of 4 requests");
    assert_eq!(ended.with_code(4), "reply 2\nreply 3\n");
    dismiss(first);
}

#[test]
fn a_client_that_no_server_has_served_says_that_nothing_was_sent() {
    // Nobody listens at this port of the system's.
    let mut client = start(["req", "--connect", "tcp://127.0.0.1:1", "--json"]);
    client.send("1\n");
    client.hears("nobody answers");
    client.signal(Signal::TERM);
    let ended = client.end();
    assert!(ended.with_code(4).contains(r#""may_have_run":false"#));
}

#[test]
fn a_command_is_killed_when_its_caller_waits_no_longer() {
    let folder = tempdir().unwrap();
    let begun = folder.path().join("begun");
    let command = format!("echo $$ > {0}; while [ -e {0} ]; do sleep 0.01; done", begun.display());
    let (server, endpoint) = server(&["--exec", &command]);
    let mut client = start(["req", "--connect", &endpoint, "--timeout", "1s"]);
    client.send("a\n");
    let ended =
        client.end().says("line 1: no reply came in time although a server had the request");
    ended.with_code(4);
    let pid = fs::read_to_string(&begun).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
    wait_until(|| test_kill_process(pid).is_err());
    dismiss(server);
}

#[test]
fn a_server_with_a_store_never_works_twice_though_it_is_killed() {
    let folder = tempdir().unwrap();
    let [store, runs, go] = ["store", "runs", "go"].map(|name| folder.path().join(name));
    let command = format!(
        "read -r n; echo $n >> {}; [ $n = second ] || {}; echo $n in the first life",
        runs.display(),
        until_there(&go)
    );
    let store = ["--store", store.to_str().unwrap(), "--exec"];
    let life = |command: &str| server(&[store[0], store[1], store[2], command]);

    let (first, endpoint) = life(&command);
    let wire = Wire::before(&endpoint);
    let mut client = start(["req", "--connect", &wire.endpoint]);
    client.send("first\n");
    wait_for(&runs);
    wire.lose_replies();
    fs::write(&go, "").unwrap();
    // One at a time: when this one is answered, the reply before it is on disk.
    let second = run(["req", "--connect", &endpoint], "second\n");
    assert_eq!(second.with_code(0), "second in the first life\n");
    first.signal(Signal::KILL);
    first.end();

    let (server, endpoint) = life("cat; echo ' in the second life'");
    wire.lead_to(&endpoint);
    assert_eq!(client.line(), "first in the first life");
    client.send("third\n");
    assert_eq!(client.line(), "third in the second life");
    client.end().with_code(0);
    assert_eq!(fs::read_to_string(&runs).unwrap(), "first\nsecond\n");
    dismiss(server);
}

#[test]
fn a_client_whose_output_nobody_reads_ends_without_a_word() {
    let (server, endpoint) = server(&["--echo"]);
    let mut client = start_unread(["req", "--connect", &endpoint]);
    client.send("a\nb\n");
    let ended = client.end();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(5), ""));
    dismiss(server);
}

#[test]
fn a_reply_over_the_limit_is_refused_by_its_server() {
    let command = "head -c 2000000 /dev/zero";
    let (server, endpoint) = server(&["--exec", command]);
    let asked = run(["req", "--connect", &endpoint], "a\n");
    let asked = asked.says(
        "line 1: the server rejected the request: the command wrote more than the limit of 1048576",
    );
    let asked = asked.says("--max-message");
    assert_eq!(asked.with_code(4), "");
    dismiss(server);
}

#[test]
fn both_sides_of_a_measurement_count_every_call() {
    for (parallel, until) in
        [("1", ["--count", "300"]), ("50", ["--count", "3000"]), ("4", ["--for", "50ms"])]
    {
        let mut rep = start(["bench", "rep", "--bind", ANY_PORT, "--size", "64"]);
        let endpoint = rep.bound();
        let args = ["bench", "req", "--connect", &endpoint, "--size", "64", "--parallel", parallel];
        let asked = run(args.into_iter().chain(until), "").with_code(0);
        let asked: Value = serde_json::from_str(&asked).unwrap();
        let answered: Value = serde_json::from_str(&rep.end().with_code(0)).unwrap();
        assert_eq!((&asked["calls"], &asked["errors"]), (&answered["calls"], &json!(0)));
        if until[0] == "--count" {
            assert_eq!(asked["calls"], until[1].parse::<u64>().unwrap());
        }
        let latency = &asked["latency"];
        let times = ["p50_us", "p99_us", "p999_us"].map(|share| latency[share].as_f64().unwrap());
        assert!(times[0] > 0.0 && times.is_sorted(), "{asked}");
        assert!(asked["calls_per_second"].as_f64().unwrap() > 0.0, "{asked}");
    }
}

#[test]
fn a_measurement_tells_of_requests_without_a_reply() {
    let (server, endpoint) = server(&["--exec", "exit 1"]);
    let args = ["bench", "req", "--connect", &endpoint, "--size", "8", "--count", "2"];
    let asked = run(args, "").says("no reply to 2 requests; the first: the server rejected");
    let asked: Value = serde_json::from_str(&asked.with_code(4)).unwrap();
    assert_eq!((&asked["calls"], &asked["errors"]), (&json!(0), &json!(2)));
    dismiss(server);
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    for (line, words) in [
        ("rep --bind tcp://127.0.0.1:0", "--exec <COMMAND>|--echo"),
        ("rep --bind tcp://127.0.0.1:0 --echo --exec cat", "cannot be used with"),
        ("rep --bind tcp://127.0.0.1:0 --echo --window 0", "--window"),
        ("rep --bind tcp://127.0.0.1:0 --echo --durability buffered", "--store"),
        ("rep --echo", "--bind"),
        ("req --connect tcp://127.0.0.1:1?priority=0", "not a number from 1, the best, to 16"),
        ("req --connect tcp://127.0.0.1:1?prio=2", "the only known one is \"priority\""),
        ("req --connect tcp://127.0.0.1:1 --parallel 0", "--parallel"),
        ("req --connect tcp://127.0.0.1:1 --at-most-once --hedge-after 1s", "cannot be used with"),
        ("req --connect tcp://127.0.0.1:0", "for --bind only"),
        ("bench req --connect tcp://127.0.0.1:1 --size 8", "--count <COUNT>|--for <DURATION>"),
        ("bench rep --bind tcp://127.0.0.1:0 --size 7", "at least 8 bytes"),
    ] {
        let ended = run(line.split(' '), "").says(words);
        assert!(ended.stderr.starts_with("drawdown: "), "{line}: {ended:?}");
        assert_eq!(ended.with_code(2), "", "{line}");
    }
    let ranked = ["sub", "--connect", "tcp://127.0.0.1:1?priority=2"];
    run(ranked, "").says("priority").with_code(2);
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in ["req", "rep", "bench req", "bench rep"] {
        let help = run(command.split(' ').chain(["--help"]), "").with_code(0);
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(help.contains(&format!("drawdown {command} ")), "{command}: {help}");
    }
}

/// Somebody else writes it.
#[track_caller]
fn wait_for(file: &Path) {
    wait_until(|| fs::metadata(file).is_ok_and(|file| file.len() > 0));
}

#[test]
fn a_server_whose_stderr_nobody_reads_goes_on() {
    let folder = tempdir().unwrap();
    let begun = folder.path().join("begun");
    let command = format!(
        "read word; if [ $word = loud ]; then touch {}; head -c 400000 /dev/zero >&2; fi; echo $word",
        begun.display()
    );
    let (mut first, mut second) =
        (start(["req", "--bind", ANY_PORT]), start(["req", "--bind", ANY_PORT]));
    let (one, other) = (first.bound(), second.bound());
    let args = ["rep", "--connect", &one, "--connect", &other, "--window", "4", "--exec", &command];
    let _server = start_unheard(args);
    first.send("loud\n");
    wait_until(|| begun.exists());
    for _ in 0..20 {
        second.send("quiet\n");
        assert_eq!(second.line(), "quiet");
    }
}
