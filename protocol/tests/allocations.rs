//! The hot path does not allocate for each message.

mod common;

use allocation_counter::measure;
use bytes::Bytes;
use common::callers::{Callers, REMEMBERED, TOGETHER};
use common::pair::Pair;

/// Allocations and bytes for each of many messages, from `send` to their confirmation, once everything is warm.
fn per_message(payload: &[u8]) -> (f64, f64) {
    const COUNT: u64 = 50_000;
    let mut pair = Pair::new(1_000);
    pair.deliver(payload, COUNT);
    let counted = measure(|| pair.deliver(payload, COUNT));
    assert_eq!(pair.push.stats(drawdown_protocol::Time::ZERO).confirmed, 2 * COUNT);
    (counted.count_total as f64 / COUNT as f64, counted.bytes_total as f64 / COUNT as f64)
}

#[test]
fn small_messages_share_their_allocations() {
    for bytes in [8, 64, 256] {
        let (count, allocated) = per_message(&vec![7; bytes]);
        eprintln!("{bytes} bytes: {count:.4} allocations and {allocated:.0} bytes a message");
        assert!(count < 0.1, "{count} allocations for a message of {bytes} bytes");
    }
}

#[test]
fn calls_that_are_under_way_together_share_their_allocations() {
    const COUNT: u64 = 50_000;
    let payload = Bytes::from(vec![7; 64]);
    let mut callers = Callers::new();
    callers.call(&payload, COUNT);
    let counted = measure(|| callers.call(&payload, COUNT));
    let count = counted.count_total as f64 / COUNT as f64;
    eprintln!("{count:.4} allocations a call");
    // Runs, blocks and frames have some each; a call has none.
    assert!(count < 0.12, "{count} allocations for a call");
    let remembered = callers.server.0.stats(drawdown_protocol::Time::ZERO).remembered;
    assert!(
        remembered <= REMEMBERED + TOGETHER,
        "{remembered}: those that are not confirmed count for themselves"
    );
}
