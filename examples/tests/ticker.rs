//! The ticker as people run it.

mod support;

use support::{end_once, is_empty, run_in, said_by};

#[test]
fn every_subscriber_has_every_number() {
    let scratch = tempfile::tempdir().unwrap();
    let said = said_by(run_in("ticker", scratch.path()));
    for words in [
        "\nsubscriber 2 restarted on its cursor; ",
        "\nthe publisher restarted on its store, ",
        "\nWHOLE: ",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert_eq!(said.matches(" killed with SIGKILL\n").count(), 3, "{said}");
    assert!(is_empty(scratch.path()));
}

#[test]
fn told_to_end_it_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    end_once(run_in("ticker", scratch.path()), |line| line.ends_with(" started\n"));
    assert!(is_empty(scratch.path()));
}
