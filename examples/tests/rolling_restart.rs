//! The rolling restart as people run it.

mod support;

use support::{end_once, is_empty, run_in, said_by};

#[test]
fn nothing_is_lost_and_an_orderly_end_costs_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let said = said_by(run_in("rolling_restart", scratch.path()));
    assert!(said.contains("\nthe sink restarted by SIGTERM; "), "{said}");
    assert!(said.contains("\nstreamer 2 restarted by SIGKILL; "), "{said}");
    assert!(said.contains(": 0 jobs done twice under SIGTERM, "), "{said}");
    assert!(said.contains("\nEVERY JOB DONE: all of "), "{said}");
    assert!(is_empty(scratch.path()));
}

#[test]
fn told_to_end_it_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    end_once(run_in("rolling_restart", scratch.path()), |line| line.ends_with(" started\n"));
    assert!(is_empty(scratch.path()));
}
