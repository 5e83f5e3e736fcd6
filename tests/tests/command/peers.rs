//! Peers that speak something else, and peers that are not there.

use std::io::Write;
use std::net::TcpStream;

use tempfile::tempdir;

use crate::process::{run, start};

/// Connects as somebody who says this.
fn stranger(endpoint: &str, words: &[u8]) {
    let mut stream = TcpStream::connect(endpoint.strip_prefix("tcp://").unwrap()).unwrap();
    stream.write_all(words).unwrap();
    // Until the other side has hung up.
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

#[test]
fn strangers_are_turned_away_with_one_warning_for_each_reason() {
    let mut pull = start(["pull", "--bind", "tcp://127.0.0.1:0", "--count", "1"]);
    let endpoint = pull.bound();
    for _ in 0..3 {
        stranger(&endpoint, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    stranger(&endpoint, b"DRAWDOWN\x09\x0a\0\0");
    run(["push", "--connect", &endpoint], "a\n").with_code(0);
    let pulled = pull.end().says("the peer 9 to 10");
    assert_eq!(
        pulled.stderr.matches("drawdown: turned tcp:127.0.0.1 away: ").count(),
        2,
        "{pulled:?}"
    );
    assert_eq!(pulled.with_code(0), "a\n");
}

#[test]
fn the_words_of_a_peer_stay_in_their_line() {
    let mut pull = start(["pull", "--bind", "tcp://127.0.0.1:0"]);
    let said = b"no\r\ndrawdown: \x1b[2Jall is well";
    let reason = [&99u32.to_le_bytes()[..], &(said.len() as u64).to_le_bytes(), said].concat();
    let close = [&[11, 0, 0, 0, reason.len() as u8, 0, 0, 0][..], &reason].concat();
    stranger(&pull.bound(), &[&b"DRAWDOWN\x01\x01\0\0"[..], &close].concat());
    let sentence = pull.hears("all is well");
    let shown = r"no\r\ndrawdown: \u{1b}[2Jall is well";
    assert_eq!(sentence, format!("drawdown: tcp:127.0.0.1 turned this side away: {shown}"));
}

#[test]
fn who_was_turned_away_did_answer() {
    let folder = tempdir().unwrap();
    let missing = format!("ipc://{}", folder.path().join("jobs.sock").display());
    let mut bound = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let mut other = start(["push", "--connect", &bound.bound(), "--connect", &missing]);
    other.hears("2 of the 2 endpoints do not answer yet, or were turned away (tcp://");
}

#[test]
fn sockets_that_do_not_fit_say_so_on_both_sides() {
    let mut bound = start(["push", "--bind", "tcp://127.0.0.1:0"]);
    let mut other = start(["push", "--connect", &bound.bound()]);
    bound.hears("a PUSH socket does not talk to a PUSH socket");
    other.hears("a PUSH socket does not talk to a PUSH socket");
    bound.end().with_code(0);
    other.end().with_code(0);
}

#[test]
fn limits_that_do_not_fit_are_named() {
    let mut push = start(["push", "--bind", "tcp://127.0.0.1:0", "--max-message", "2MiB"]);
    let mut pull = start(["pull", "--connect", &push.bound()]);
    push.hears("2097152");
    pull.hears("2097152");
}

#[test]
fn a_peer_that_is_not_there_is_missed_and_waited_for() {
    let folder = tempdir().unwrap();
    let endpoint = format!("ipc://{}", folder.path().join("jobs.sock").display());
    let mut pull = start(["pull", "--connect", &endpoint, "--count", "1"]);
    let sentence = pull.hears("nobody answers");
    assert_eq!(sentence, format!("drawdown: nobody answers at {endpoint} yet; trying on"));
    run(["push", "--bind", &endpoint], "a\n").with_code(0);
    assert_eq!(pull.end().with_code(0), "a\n");
}

#[test]
fn a_peer_that_comes_back_is_found_again() {
    let folder = tempdir().unwrap();
    let endpoint = format!("ipc://{}", folder.path().join("jobs.sock").display());
    let mut push = start(["push", "--connect", &endpoint, "--receipts"]);
    for word in ["a", "b", "c"] {
        push.send(format!("{word}\n"));
        push.line();
        let pulled = run(["pull", "--bind", &endpoint, "--count", "1"], "");
        assert_eq!(pulled.with_code(0), format!("{word}\n"));
    }
    push.end().with_code(0);
}

#[test]
fn a_socket_may_have_many_endpoints() {
    let folder = tempdir().unwrap();
    let ipc = format!("ipc://{}", folder.path().join("jobs.sock").display());
    let mut pull = start(["pull", "--bind", "tcp://127.0.0.1:0", "--bind", &ipc, "--count", "2"]);
    let tcp = pull.bound();
    assert_eq!(pull.bound(), ipc);
    run(["push", "--connect", &tcp], "by tcp\n").with_code(0);
    run(["push", "--connect", &ipc], "by ipc\n").with_code(0);
    assert_eq!(pull.end().with_code(0), "by tcp\nby ipc\n");
}
