//! A peer in another language, which knows `protocol/WIRE.md` and none of this code.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::pusher::Pusher;
use drawdown_tests::command::binary;
use drawdown_tests::processes::lines::{self, Name};
use drawdown_tests::processes::{Child, text};

const MESSAGES: u64 = 1_000;

/// The peer with these arguments; `None` where there is no Python.
fn peer(args: &[&str]) -> Option<Command> {
    let mut python = Command::new("python3");
    let silent = python.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if !silent.status().is_ok_and(|status| status.success()) {
        println!("skipped: there is no python3");
        return None;
    }
    let mut peer = Command::new("python3");
    peer.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/peer.py")).args(args);
    Some(peer)
}

/// Gives it all messages; its stdin is closed then.
fn feed<T: Send + 'static>(sender: &mut Child<T>) {
    let mut stdin = sender.take_stdin();
    for index in 0..MESSAGES {
        let mut line = lines::line((0, index));
        line.push(b'\n');
        stdin.write_all(&line).expect("it reads its stdin");
    }
}

fn assert_complete(receiver: &Child<Result<Name, String>>) {
    let expected = (0..MESSAGES).map(|index| Ok((0, index)));
    assert!(receiver.stdout.items().iter().cloned().eq(expected), "all, as they were, in order");
}

#[test]
fn a_peer_in_python_pulls_from_the_command() {
    let mut pusher = Pusher::start(&[]);
    let port = pusher.endpoint.rsplit(':').next().expect("it has a port");
    let count = MESSAGES.to_string();
    let Some(peer) = peer(&["pull", "127.0.0.1", port, "--count", &count]) else { return };
    let mut peer = Child::start(peer, lines::check);
    feed(&mut pusher.process);
    // It ends well only if every message is confirmed.
    pusher.process.finish();
    peer.finish();
    assert_complete(&peer);
}

#[test]
fn a_peer_in_python_keeps_copies_of_what_waits_and_takes_them() {
    let mut pusher = Pusher::start(&[]);
    let port = pusher.endpoint.rsplit(':').next().expect("it has a port");
    let count = MESSAGES.to_string();
    let args = ["pull", "127.0.0.1", port, "--count", &count, "--window", "1", "--future", "8"];
    let Some(peer) = peer(&args) else { return };
    let mut peer = Child::start(peer, lines::check);
    feed(&mut pusher.process);
    pusher.process.finish();
    peer.finish();
    assert_complete(&peer);
    let said = peer.stderr.items();
    let taken: u64 = said
        .iter()
        .find_map(|line| line.strip_prefix("copies ")?.parse().ok())
        .expect("it says how many it took");
    assert!(taken > MESSAGES / 2, "{taken} of {MESSAGES} were there when they were asked for");
}

#[test]
fn a_peer_in_python_pushes_to_the_command() {
    let Some(peer) = peer(&["push", "127.0.0.1", "0", "--listen"]) else { return };
    let mut peer = Child::start(peer, text);
    let port = peer.stderr.wait_for("the port of the peer", |lines| {
        lines.iter().find_map(|line| line.strip_prefix("listening ")).map(str::to_owned)
    });
    let mut command = Command::new(binary());
    command.args(["pull", "--connect", &format!("tcp://127.0.0.1:{port}")]);
    command.args(["--count", &MESSAGES.to_string()]);
    let mut puller = Child::start(command, lines::check);
    feed(&mut peer);
    puller.finish();
    peer.finish();
    assert_complete(&puller);
}
