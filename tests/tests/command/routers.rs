//! Clients and servers with routers between them, which are stopped, killed and started again.

use std::path::Path;

use drawdown_tests::patience::ANY_PORT;
use rustix::process::Signal;
use tempfile::tempdir;

use crate::numbers::lines;
use crate::process::{Running, dismiss, run, start};

/// A router that both sides come to, and where they find it.
fn router(upstream: &str, downstream: &str, args: &[&str]) -> (Running, String, String) {
    let ends = ["router", "--upstream-bind", upstream, "--downstream-bind", downstream];
    let mut router = start(ends.into_iter().chain(args.iter().copied()));
    let mut bound = |side: &str, endpoint: &str| match endpoint.ends_with(":0") {
        true => router.hears(&format!("bound {side} ")).replace(&format!("bound {side} "), ""),
        false => endpoint.to_owned(),
    };
    let (upstream, downstream) = (bound("upstream", upstream), bound("downstream", downstream));
    (router, upstream, downstream)
}

/// A server of these routers that echoes after a while, and says who it is.
fn server(routers: &[&str], name: &str) -> Running {
    let command = format!("read -r line; sleep 0.002; echo \"$line\" {name}");
    let ends = routers.iter().flat_map(|endpoint| ["--connect", endpoint]);
    start(["rep", "--exec", &command].into_iter().chain(ends))
}

#[track_caller]
fn kill(process: Running) {
    process.signal(Signal::KILL);
    assert_eq!(process.end().code, None);
}

/// What a client is to get for so many lines, whoever answers.
#[track_caller]
fn check(replies: &str, count: u64) {
    let numbers: String = replies
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(|number| format!("{number}\n"))
        .collect();
    assert_eq!(numbers, lines("", 0..count));
}

fn socket(folder: &Path, name: &str) -> String {
    format!("ipc://{}", folder.join(name).display())
}

#[test]
fn calls_pass_through_two_routers() {
    let (first, clients, between) = router(ANY_PORT, ANY_PORT, &[]);
    let args = ["--upstream-connect", &between, "--downstream-bind", ANY_PORT];
    let mut second = start(["router"].into_iter().chain(args));
    let servers = second.hears("bound downstream ").replace("bound downstream ", "");
    let rep = start(["rep", "--connect", &servers, "--echo"]);
    let asked = run(["req", "--connect", &clients], lines("", 0..300));
    assert_eq!(asked.with_code(0), lines("", 0..300));
    dismiss(second);
    dismiss(first);
    dismiss(rep);
}

#[test]
fn one_of_two_routers_is_killed_and_comes_back_and_no_call_is_lost() {
    const COUNT: u64 = 300;
    for identity in [&["--identity", "east"][..], &[]] {
        let mut first = router(ANY_PORT, ANY_PORT, identity);
        let second = router(ANY_PORT, ANY_PORT, &[]);
        let servers = [(); 2].map(|()| server(&[&first.2, &second.2], "here"));
        let ends = ["--connect", &first.1, "--connect", &second.1];
        let mut client = start(["req", "--parallel", "8"].into_iter().chain(ends));
        client.send(lines("", 0..COUNT));
        for _ in 0..2 {
            (0..30).for_each(|_| drop(client.line()));
            kill(first.0);
            (0..30).for_each(|_| drop(client.line()));
            first.0 = router(&first.1, &first.2, identity).0;
        }
        check(&client.end().with_code(0), COUNT);
        dismiss(first.0);
        dismiss(second.0);
        servers.into_iter().for_each(dismiss);
    }
}

#[test]
fn two_sites_lend_to_each_other_and_each_goes_back_to_its_own() {
    let folder = tempdir().unwrap();
    let at = |name: &str| socket(folder.path(), name);
    let site = |name: &str, other: &str| {
        let lent = format!("{}?priority=2", at(&format!("{other}-clients")));
        let args = ["--identity", name, "--downstream-connect", &lent];
        let ends = (at(&format!("{name}-clients")), at(&format!("{name}-servers")));
        router(&ends.0, &ends.1, &args).0
    };
    let (east, west) = (site("east", "west"), site("west", "east"));
    let east_servers = at("east-servers");
    let mut own = server(&[&east_servers], "east");
    let others = server(&[&at("west-servers")], "west");
    let mut client = start(["req", "--connect", &at("east-clients"), "--parallel", "1"]);
    // Who serves at the very beginning depends on who was there first.
    let mut ask_until = |who: &str| {
        for number in 0.. {
            client.send(format!("{number}\n"));
            if client.line() == format!("{number} {who}") {
                return;
            }
            assert!(number < 2_000, "{who} never answers");
        }
    };
    ask_until("east");
    kill(own);
    ask_until("west");
    own = server(&[&east_servers], "east");
    ask_until("east");
    kill(west);
    ask_until("east");
    let west = site("west", "east");
    kill(own);
    ask_until("west");
    client.end().with_code(0);
    [east, west, others].into_iter().for_each(dismiss);
}

#[test]
fn a_router_that_is_told_to_stop_finishes_what_servers_have() {
    const COUNT: u64 = 200;
    let first = router(ANY_PORT, ANY_PORT, &[]);
    let second = router(ANY_PORT, ANY_PORT, &[]);
    let rep = server(&[&first.2, &second.2], "here");
    let ends = ["--connect", &first.1, "--connect", &second.1, "--retries", "0"];
    let mut client = start(["req", "--parallel", "8"].into_iter().chain(ends));
    client.send(lines("", 0..COUNT));
    (0..20).for_each(|_| drop(client.line()));
    dismiss(first.0);
    check(&client.end().with_code(0), COUNT);
    dismiss(second.0);
    dismiss(rep);
}

#[test]
fn a_router_that_is_its_own_server_is_refused_with_a_sentence() {
    let folder = tempdir().unwrap();
    let clients = socket(folder.path(), "clients");
    let args = ["--upstream-bind", &clients, "--downstream-connect", &clients];
    let mut router = start(["router"].into_iter().chain(args));
    router.hears("this router leads to itself");
    dismiss(router);
}
