//! The butterfly as people run it, on a folder of its own.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{end_once, is_empty, run_in, said_by};

/// A run over `files` that puts what it needs into `scratch`.
fn run_over(files: &Path, scratch: &Path) -> Command {
    let mut command = run_in("butterfly", scratch);
    command.args(["--workers", "3"]).arg(files);
    command
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

    let said = said_by(run_over(files.path(), scratch.path()));
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

    end_once(run_over(files.path(), scratch.path()), |line| line.ends_with(" started\n"));
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
