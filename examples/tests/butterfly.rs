//! The butterfly as people run it, on a folder of its own.

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Cargo puts examples beside the folder that this test is in.
fn butterfly() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(format!("butterfly{EXE_SUFFIX}"))
}

/// A run over `files` that puts what it needs into `scratch`.
fn run_over(files: &Path, scratch: &Path) -> Command {
    let mut command = Command::new(butterfly());
    command.args(["--workers", "3"]).arg(files).env("TMPDIR", scratch);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// 600 small files in folders, half of them empty, the others with three lines each.
fn write_files(folder: &Path) {
    for number in 0..600 {
        let folder = folder.join(format!("folder {}", number % 7));
        fs::create_dir_all(&folder).unwrap();
        let lines = if number % 2 == 0 { "one two\n\nthree\n" } else { "" };
        fs::write(folder.join(format!("{number}.txt")), lines).unwrap();
    }
}

#[test]
fn nothing_is_lost_and_nothing_counted_twice() {
    let (files, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_files(files.path());
    // Larger than a message is unless sockets are told otherwise.
    fs::write(files.path().join("large"), vec![b'x'; 2 << 20]).unwrap();

    let output = run_over(files.path(), scratch.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}\n{errors}");
    let sum =
        "EQUAL: pipeline and plain pass counted 601 files, 900 lines, 901 words, 2,101,652 bytes";
    assert!(said.contains(sum), "{said}");
    assert!(said.contains(") killed with SIGKILL\n"), "{said}");
    assert!(said.contains("\nworker 4 joined late\n"), "{said}");
    assert!(said.contains("\nventilator restarted on its store, "), "{said}");
    assert!(is_empty(scratch.path()));
}

#[test]
fn told_to_end_it_leaves_nothing_behind() {
    let (files, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_files(files.path());

    let mut run = run_over(files.path(), scratch.path()).spawn().unwrap();
    let mut said = BufReader::new(run.stdout.take().unwrap());
    let mut line = String::new();
    while !line.ends_with(" started\n") {
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

#[test]
fn without_a_file_it_says_what_to_do() {
    let (files, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let output = run_over(files.path(), scratch.path()).output().unwrap();
    assert!(!output.status.success());
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(errors.contains("name a folder that has some"), "{errors}");
}
