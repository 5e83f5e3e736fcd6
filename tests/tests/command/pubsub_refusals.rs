//! What cannot work with publishers and subscribers is refused with a sentence.

use drawdown_tests::patience::ANY_PORT;
use tempfile::tempdir;

use crate::process::run;

const SESSION: &str = "11111111-2222-4333-8444-555555555555";

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    for (line, words) in [
        ("pub", "--bind"),
        ("sub --connect tcp://127.0.0.1:0", "for --bind only"),
        ("pub --bind tcp://127.0.0.1:0 --next-seq 5", "--session"),
        ("pub --bind tcp://127.0.0.1:0 --session nobody --next-seq 5", "it is no UUID"),
        ("pub --bind tcp://127.0.0.1:0 --durability buffered", "--store"),
        ("pub --bind tcp://127.0.0.1:0 --linger soon", "write it like \"30s\""),
        ("sub --bind tcp://127.0.0.1:0 --from yesterday", "the number of a message"),
        ("sub --bind tcp://127.0.0.1:0 --count 0", "--count"),
        ("proxy --upstream-bind tcp://127.0.0.1:0", "--downstream-bind"),
        ("proxy --downstream-bind tcp://127.0.0.1:0", "--upstream-bind"),
        (
            "proxy --upstream-connect tcp://*:7000 --downstream-bind tcp://127.0.0.1:0",
            "for --bind only",
        ),
        ("bench sub --bind tcp://127.0.0.1:0 --count 1 --size 8 --subscribers 0", "--subscribers"),
    ] {
        let ended = run(line.split(' '), "").says(words);
        assert!(ended.stderr.starts_with("drawdown: "), "{line}: {ended:?}");
        assert_eq!(ended.with_code(2), "", "{line}");
    }
    let args = ["pub", "--bind", ANY_PORT, "--session", SESSION];
    run(args, "").says("--next-seq").with_code(2);
}

#[test]
fn limits_that_are_passed_are_named() {
    let filter = "x".repeat(256);
    let args = ["sub", "--bind", ANY_PORT, "--filter", &filter];
    run(args, "").says("a filter of 256 bytes is longer than a topic can be").with_code(2);
    let args = ["pub", "--bind", ANY_PORT, "--ring", "0"];
    run(args, "").says("a ring of 0 keeps nothing for anybody").with_code(2);
}

#[test]
fn a_folder_of_another_kind_of_socket_is_refused() {
    let folder = tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (ring, outbox, cursor) = (path("ring"), path("outbox"), path("cursor"));
    run(["pub", "--bind", ANY_PORT, "--store", &ring], "a\n").with_code(0);
    run(["push", "--bind", ANY_PORT, "--store", &outbox], "").with_code(0);
    run(["sub", "--bind", ANY_PORT, "--cursor", &cursor, "--idle-exit", "1ms"], "").with_code(0);
    let proxy =
        ["proxy", "--upstream-bind", ANY_PORT, "--downstream-bind", ANY_PORT, "--store", &ring];
    run(proxy, "").says("it belongs to a PUB socket, not to a proxy").with_code(1);
    for (args, words) in [
        (["pub", "--store", &outbox], "it belongs to a PUSH socket"),
        (["pub", "--store", &cursor], "it belongs to a SUB socket"),
        (["push", "--store", &ring], "it belongs to a PUB socket"),
        (["sub", "--cursor", &ring], "it belongs to a PUB socket"),
        (["sub", "--cursor", &outbox], "it belongs to a PUSH socket"),
    ] {
        let ended = run(args.into_iter().chain(["--bind", ANY_PORT]), "").says(words);
        ended.says("nothing was changed").with_code(1);
    }
    let ended = run(["store", "ls", &cursor], "").says("it is the cursor of a SUB socket");
    ended.with_code(1);
}

#[test]
fn a_session_that_is_not_the_stores_is_refused() {
    let folder = tempdir().unwrap();
    let ring = folder.path().join("ring");
    let args = ["pub", "--bind", ANY_PORT, "--store", ring.to_str().unwrap()];
    run(args, "a\n").with_code(0);
    let ended = run(args.into_iter().chain(["--session", SESSION, "--next-seq", "1"]), "");
    ended.says("the store holds session ").says("nothing was changed").with_code(2);
}

#[test]
fn every_command_explains_itself_with_examples() {
    for command in ["pub", "sub", "proxy", "bench pub", "bench sub"] {
        let help = run(command.split(' ').chain(["--help"]), "").with_code(0);
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(help.contains(&format!("drawdown {command} ")), "{command}: {help}");
    }
}
