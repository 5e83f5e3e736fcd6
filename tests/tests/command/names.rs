//! Endpoints that name others, and names that move.

use std::fs;
use std::net::Ipv4Addr;

use drawdown_tests::name_server::{NameServer, Target};
use tempfile::tempdir;

use crate::process::{Running, run, start};

const SERVICE: &str = "_jobs._tcp.drawdown.test";
const HOST: &str = "worker.drawdown.test";

fn puller(count: &str) -> (Running, String) {
    let mut pull = start(["pull", "--bind", "tcp://127.0.0.1:0", "--count", count]);
    let endpoint = pull.bound();
    (pull, endpoint)
}

fn target(endpoint: &str) -> Target<'static> {
    let port = endpoint.rsplit(':').next().unwrap().parse().unwrap();
    Target { priority: 0, weight: 0, port, host: HOST }
}

#[test]
fn a_sender_follows_its_file_of_endpoints_and_loses_nothing() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("endpoints");
    let (old, at_old) = puller("2");
    let (new, at_new) = puller("3");
    fs::write(&file, format!("# where the workers are\n{at_old}\n")).unwrap();
    let url = format!("file://{}", file.display());
    let mut push = start(["push", "--connect", &url, "--receipts"]);
    push.send("a\nb\n");
    push.line();
    push.line();
    assert_eq!(old.end().with_code(0), "a\nb\n");
    // Nobody is there for this one.
    push.send("c\n");
    fs::write(&file, "tcp://nowhere\n").unwrap();
    push.hears("line 1: \"tcp://nowhere\" is not an endpoint: the port is missing");
    fs::write(&file, "").unwrap();
    push.hears("it names no endpoint");
    fs::remove_file(&file).unwrap();
    push.hears("there is no such file");
    fs::write(&file, &at_new).unwrap();
    push.hears(&format!("connecting to {at_new}; leaving {at_old}"));
    push.send("d\ne\n");
    assert_eq!(new.end().with_code(0), "c\nd\ne\n");
    push.end().with_code(0);
}

#[test]
fn of_a_service_with_two_targets_one_leaves() {
    let server = NameServer::start().unwrap();
    server.set_host(HOST, &[Ipv4Addr::LOCALHOST]);
    let (staying, at_staying) = puller("4");
    let mut leaving = start(["pull", "-vv", "--bind", "tcp://127.0.0.1:0", "--count", "1"]);
    let at_leaving = leaving.bound();
    let (stays, leaves) = (target(&at_staying), target(&at_leaving));
    server.set_service(SERVICE, &[stays, leaves]);
    let url = format!("srv+tcp://{SERVICE}");
    let name_server = server.address().to_string();
    let mut push = start(["push", "--connect", &url, "--name-server", &name_server]);
    push.hears(&format!("{url}: connecting to tcp://{HOST}:"));
    server.set_service(SERVICE, &[stays]);
    push.hears(&format!("{url}: leaving tcp://{HOST}:{}", leaves.port));
    leaving.hears("Disconnected");
    push.send("a\nb\nc\nd\n");
    assert_eq!(staying.end().with_code(0), "a\nb\nc\nd\n");
    push.end().with_code(0);
    // It is free for others.
    run(["push", "--connect", &at_leaving], "e\n").with_code(0);
    assert_eq!(leaving.line(), "e");
}

#[test]
fn a_name_that_stands_for_nothing_is_told_and_waited_for() {
    let server = NameServer::start().unwrap();
    let (pull, endpoint) = puller("1");
    let url = format!("tcp://{HOST}:{}", target(&endpoint).port);
    let name_server = server.address().to_string();
    let mut push = start(["push", "--connect", &url, "--name-server", &name_server]);
    push.send("a\n");
    let sentence = push.hears("the host name could not be looked up");
    assert!(sentence.contains(&url), "{sentence}");
    server.set_host(HOST, &[Ipv4Addr::LOCALHOST]);
    assert_eq!(pull.end().with_code(0), "a\n");
    push.end().with_code(0);
}

#[test]
fn what_stands_for_other_endpoints_is_not_bound() {
    for url in ["file:///run/endpoints", "srv+tcp://_jobs._tcp.test"] {
        for command in ["push", "pull", "pub", "sub", "rep --echo"] {
            let args = command.split(' ').chain(["--bind", url]);
            let refused = run(args, "").says("only to connect to");
            assert_eq!(refused.with_code(2), "", "{command}");
        }
    }
    let name = run(["pull", "--connect", "srv+tcp://jobs:7000"], "");
    name.says("its records say the ports").with_code(2);
    let name_server = ["pull", "--connect", "srv+tcp://jobs", "--name-server", "localhost"];
    run(name_server, "").says("it is no IP address").with_code(2);
}

#[test]
fn the_help_says_what_can_be_connected_to() {
    for command in ["push", "pull", "pub", "sub", "req", "rep", "proxy", "bench push"] {
        let help = run(command.split(' ').chain(["--help"]), "").with_code(0);
        for form in ["srv+tcp://NAME", "file:///PATH"] {
            assert!(help.contains(form), "{command}: {help}");
        }
    }
}
