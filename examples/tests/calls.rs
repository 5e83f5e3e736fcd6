//! The calls as people run them.

mod support;

use support::{end_once, is_empty, run_in, said_by};

#[test]
fn every_call_is_answered_and_the_standby_works_only_when_it_must() {
    let scratch = tempfile::tempdir().unwrap();
    let mut run = run_in("calls", scratch.path());
    run.args(["--seconds", "6"]);
    let said = said_by(run);
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
    end_once(run_in("calls", scratch.path()), |line| line.contains(" clients started; "));
    assert!(is_empty(scratch.path()));
}
