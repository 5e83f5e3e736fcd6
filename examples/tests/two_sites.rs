//! The two sites as people run them.

mod support;

use support::{end_once, is_empty, run_in, said_by};

#[test]
fn each_site_works_on_its_own_calls_and_borrows_only_when_it_must() {
    let scratch = tempfile::tempdir().unwrap();
    let said = said_by(run_in("two_sites", scratch.path()));
    assert!(said.contains("\nall workers of the east killed with SIGKILL\n"), "{said}");
    assert!(said.contains("\nthe router of the west is back\n"), "{said}");
    assert!(said.contains("\nWHOLE: "), "{said}");
    assert!(is_empty(scratch.path()));
}

#[test]
fn told_to_end_it_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    end_once(run_in("two_sites", scratch.path()), |line| line.ends_with(" started\n"));
    assert!(is_empty(scratch.path()));
}
