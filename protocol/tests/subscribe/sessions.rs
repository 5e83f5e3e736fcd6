//! Several sessions that share one window.

use std::collections::BTreeMap;

use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::{Lineage, Session, SubCursor, SubscribeConfig, Taken};

use crate::net::{Net, lineage, ring, session, window};

/// A subscriber of so many publishers, each of which has published so many messages.
fn follows(config: SubscribeConfig, publishers: u64, messages: u64) -> (Net, usize) {
    let mut net = Net::default();
    let subscriber = net.subscriber(config, &[""]);
    for name in 1..=publishers {
        let lineage = Lineage { session: session(name.into()), ..lineage(1, 0) };
        let publisher = net.publisher(ring(messages), lineage);
        net.publish_many(publisher, messages);
        net.join(publisher, subscriber);
    }
    (net, subscriber)
}

/// Takes so many messages, up to `at_a_time`, and counts how many are of each session.
fn take(net: &mut Net, subscriber: usize, messages: u64, at_a_time: u32) -> BTreeMap<Session, u64> {
    let mut taken = BTreeMap::new();
    while taken.values().sum::<u64>() < messages {
        let now = net.now.time;
        if let Taken::Batch(batch) = net.sub(subscriber).take(at_a_time).expect("a message waits") {
            let mut cursor = SubCursor::new(batch);
            while cursor.next(|| now).is_some() {
                *taken.entry(cursor.run().session()).or_default() += 1;
            }
            let consumed = cursor.report().unwrap();
            net.sub(subscriber).handle_consumed(&consumed, now);
            net.run();
        }
    }
    taken
}

#[test]
fn a_session_that_always_has_more_leaves_room_to_others() {
    let one_message = cost_bytes_max(1 << 20);
    let cases = [(1, 32 << 20), (1, one_message), (1_000, one_message), (1_000, 2 * one_message)];
    for (window_messages, window_bytes) in cases {
        let config = SubscribeConfig { window_bytes, ..window(window_messages) };
        for sessions in [2, 3] {
            let (mut net, subscriber) = follows(config.clone(), sessions, 3_000);
            let taken = take(&mut net, subscriber, 2_900, 1);
            let least = taken.values().min().filter(|_| taken.len() as u64 == sessions);
            assert!(least >= Some(&500), "{window_messages}, {window_bytes}: {taken:?}");
        }
    }
}

#[test]
fn no_session_of_many_is_left_out_whether_the_application_keeps_up_or_not() {
    for at_a_time in [1, u32::MAX] {
        let (mut net, subscriber) = follows(SubscribeConfig::default(), 40, 200);
        let taken = take(&mut net, subscriber, 4_000, at_a_time);
        assert_eq!(taken.len(), 40, "{at_a_time} at a time: {taken:?}");
    }
}

/// A proxy with a ring of 0 brings nothing for one that has not the bytes for any message that may come.
#[test]
fn what_is_too_little_for_a_message_is_given_to_a_session_that_has_nothing() {
    let config = SubscribeConfig { window_bytes: cost_bytes_max(1 << 20), ..window(1_000) };
    let mut net = Net::default();
    let subscriber = net.subscriber(config, &[""]);
    for name in [1, 2] {
        let lineage = Lineage { session: session(name), ..lineage(1, 0) };
        let publisher = net.publisher(ring(100), lineage);
        let proxy = net.proxy(0);
        net.join(publisher, proxy);
        net.join(proxy, subscriber);
        net.publish_many(publisher, 100);
    }
    let taken = take(&mut net, subscriber, 200, 1);
    assert_eq!(taken.into_values().collect::<Vec<_>>(), [100, 100]);
}
