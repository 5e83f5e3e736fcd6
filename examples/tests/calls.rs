//! The calls as people run them.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Cargo puts examples beside the folder that this test is in.
fn calls() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(format!("calls{EXE_SUFFIX}"))
}

/// A run that puts what it needs into `scratch`.
fn run_in(scratch: &Path) -> Command {
    let mut command = Command::new(calls());
    command.env("TMPDIR", scratch);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn every_call_is_answered_and_the_standby_works_only_when_it_must() {
    let scratch = tempfile::tempdir().unwrap();
    let output = run_in(scratch.path()).args(["--seconds", "6"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{errors}");
    assert!(said.contains("\nWHOLE: "), "{said}");
    let standby = said.lines().find(|line| line.starts_with("standby")).unwrap();
    assert!(standby.ends_with(" because servers were gone, 0 for no reason"), "{said}");
    assert!(
        !standby.contains(" 0 because servers were gone"),
        "it was needed in the middle: {said}"
    );
    assert!(is_empty(scratch.path()));
}

#[test]
fn told_to_end_it_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let mut run = run_in(scratch.path()).spawn().unwrap();
    let mut said = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(" clients started; ") {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended before it began");
    }
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    let mut errors = String::new();
    // All parts write there: it ends when the last of them is gone.
    run.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains("told to end"), "{errors}");
    assert!(!run.wait().unwrap().success());
    assert!(is_empty(scratch.path()));
}
