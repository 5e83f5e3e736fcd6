//! Examples, run as people run them.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Cargo puts examples beside the folder that this test is in.
fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(format!("{example}{EXE_SUFFIX}"))
}

/// A run that puts what it needs into `scratch`.
pub(crate) fn run_in(example: &str, scratch: &Path) -> Command {
    let mut command = Command::new(program(example));
    command.env("TMPDIR", scratch);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a run says that succeeds.
pub(crate) fn said_by(mut run: Command) -> String {
    let output = run.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{errors}");
    said
}

/// Tells a run to end once a line of it shows that it is under way: it does, with all its parts.
pub(crate) fn end_once(mut run: Command, is_under_way: impl Fn(&str) -> bool) {
    let mut run = run.spawn().unwrap();
    let mut said = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    while !is_under_way(&line) {
        line.clear();
        assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended before it began");
    }
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    let mut errors = String::new();
    // All parts write there: it ends when the last of them is gone.
    run.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains("told to end"), "{errors}");
    assert!(!run.wait().unwrap().success());
}

pub(crate) fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}
