//! What the command says of itself.

use crate::process::{run, start_unread};

#[test]
fn every_command_explains_itself_with_examples() {
    for command in [
        "push",
        "pull",
        "proxy",
        "streamer",
        "router",
        "store",
        "dead",
        "bench",
        "bench push",
        "bench pull",
        "completions",
    ] {
        let args = command.split(' ').chain(["--help"]);
        let help = run(args, "").with_code(0);
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(help.contains(&format!("drawdown {command} ")), "{command}: {help}");
    }
}

#[test]
fn the_help_documents_exit_codes() {
    let help = run(["--help"], "").with_code(0);
    assert!(help.contains("Exit codes:") && help.contains("a drain timed out"), "{help}");
    assert!(run(["--version"], "").with_code(0).starts_with("drawdown "));
}

#[test]
fn there_are_completions_for_shells() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(["completions", shell], "").with_code(0);
        assert!(script.contains("drawdown") && script.contains("receipts"), "{shell}");
    }
}

#[test]
fn help_that_cannot_be_shown_is_an_error() {
    for args in ["--help", "--version", "completions bash"] {
        start_unread(args.split(' ')).end().says("cannot write to stdout: ").with_code(5);
    }
}
