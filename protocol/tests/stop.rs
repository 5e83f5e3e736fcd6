//! A receiver that stops gives back what it has not begun.

mod common;

use common::pair::Pair;
use drawdown_protocol::Time;

#[test]
fn what_arrives_after_a_stop_goes_back_too() {
    let mut pair = Pair::new(100);
    pair.send(b"before", 10);
    pair.settle_down();
    // These are dispatched on credit that is being taken back.
    pair.send(b"under way", 10);
    pair.pull.stop();
    pair.settle_down();
    assert_eq!((pair.push.waiting(), pair.push.pending()), (20, 0));
    assert!(pair.pull.is_drained());
    assert_eq!(pair.work_off(), 0);
}

#[test]
fn what_was_settled_is_told_before_the_last_word() {
    let mut pair = Pair::new(100);
    pair.send(b"job", 10);
    pair.settle_down();
    assert_eq!(pair.work_off(), 10);
    pair.pull.close_links(Time::default());
    pair.settle_down();
    assert!(pair.push.is_drained());
}
