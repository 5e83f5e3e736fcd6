//! Publishers and their subscribers.

mod net;
mod proxies;
mod sessions;
mod sources;

use std::time::Duration;

use drawdown_protocol::wire::Fingerprint;
use drawdown_protocol::{
    Lineage, LinkState, NewSession, OldSession, RingConfig, Start, SubCursor, SubscribeConfig,
    SubscribeEngine, Taken, Time,
};
use net::{Got, Net, Node, lineage, message, ring, session, window};

#[test]
fn a_late_subscriber_gets_what_is_retained_and_all_that_follows() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    net.publish(publisher, "a", "one");
    net.publish(publisher, "b", "two");
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(publisher, subscriber);
    net.publish(publisher, "", "three");
    let expected = [message(0, "a", "one"), message(1, "b", "two"), message(2, "", "three")];
    assert_eq!(net.take(subscriber), expected);
    net.publish_many(publisher, 50);
    assert_eq!(net.seqs(subscriber), (3..53).collect::<Vec<_>>());
}

#[test]
fn only_what_matches_comes_and_the_position_moves_on_all_the_same() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(10), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &["a.", "b"]);
    net.join(publisher, subscriber);
    for topic in ["a.x", "a", "b", "c", "bb", "", "a.y"] {
        net.publish(publisher, topic, "payload");
    }
    assert_eq!(net.seqs(subscriber), [0, 2, 4, 6]);
    for _ in 0..50 {
        net.publish(publisher, "c", "payload");
        net.pass(Duration::from_secs(1));
    }
    assert_eq!(net.seqs(subscriber), [0; 0]);
    let [last] = net.last[&subscriber][..] else { panic!("there is one session") };
    assert_eq!(last.next, 57);
    let config = SubscribeConfig { start: Start::After(last), ..window(10) };
    let resumed = net.subscriber(config, &["a."]);
    net.join(publisher, resumed);
    net.publish(publisher, "a.z", "payload");
    assert_eq!(net.take(resumed), [message(57, "a.z", "payload")], "and no gap");
    let [first] = net.sub(subscriber).positions()[..] else { panic!("there is one session") };
    assert_eq!(first.next, 57, "what waits takes it back behind nothing that was not wanted");
}

#[test]
fn what_was_evicted_is_one_exact_gap_and_the_last_loss_is_told_too() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(10), lineage(1, 0));
    let subscriber = net.subscriber(window(4), &[""]);
    net.join(publisher, subscriber);
    net.publish_many(publisher, 4);
    net.publish_many(publisher, 40);
    let got = net.take(subscriber);
    assert_eq!(got[4], Got::Gap(4, 33));
    assert_eq!(got.len(), 4 + 1 + 10, "{got:?}");

    let age = Some(Duration::from_secs(10));
    let aged = net.publisher(
        RingConfig { age, ..ring(100) },
        Lineage { session: session(8), ..lineage(1, 0) },
    );
    net.publish_many(aged, 5);
    let other = net.subscriber(window(2), &[""]);
    net.join(aged, other);
    net.pass(Duration::from_secs(20));
    assert_eq!(net.take(other).last(), Some(&Got::Gap(2, 4)), "although nothing follows");
}

#[test]
fn windows_of_one_and_none_never_stall() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let one = net.subscriber(window(1), &[""]);
    let none = net.subscriber(window(0), &[""]);
    net.join(publisher, one);
    net.join(publisher, none);
    net.publish_many(publisher, 10);
    assert_eq!(net.seqs(one), (0..10).collect::<Vec<_>>());
    assert_eq!(net.seqs(none), [0; 0]);
    for seq in 0..10 {
        let now = net.now.time;
        net.sub(none).set_waiting(1, now);
        net.run();
        assert_eq!(net.sub(none).queued().messages, 1);
        net.sub(none).set_waiting(0, now);
        net.run();
        assert_eq!(net.seqs(none), [seq]);
    }
}

#[test]
fn filters_change_while_it_runs() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &["a"]);
    net.join(publisher, subscriber);
    net.publish(publisher, "a", "");
    net.publish(publisher, "b", "");
    assert_eq!(net.seqs(subscriber), [0]);
    let now = net.now.time;
    net.pass(Duration::from_secs(2));
    net.sub(subscriber).add_filter(b"b", now).unwrap();
    assert!(net.sub(subscriber).remove_filter(b"a", now));
    net.run();
    net.publish(publisher, "a", "");
    net.publish(publisher, "b", "");
    assert_eq!(net.seqs(subscriber), [3]);
}

/// Its source has passed over what it does not want, and has not yet said so.
#[test]
fn one_whose_credit_changes_is_told_of_no_gap_in_what_it_does_not_want() {
    type Change = fn(&mut SubscribeEngine, Time);
    let changes: [(&str, u64, Change); 4] = [
        ("nothing", 10, |_, _| ()),
        ("a receive call is given up and another one made", 0, |subscriber, now| {
            subscriber.set_waiting(0, now);
            subscriber.set_waiting(1, now);
        }),
        ("paused and resumed", 10, |subscriber, now| {
            subscriber.set_paused(true, now);
            subscriber.set_paused(false, now);
        }),
        ("a smaller window", 10, |subscriber, now| subscriber.set_window(5, 32 << 20, now)),
    ];
    for (what, window_messages, change) in changes {
        let mut net = Net::default();
        let publisher = net.publisher(ring(10), lineage(1, 0));
        let subscriber = net.subscriber(window(window_messages), &["a"]);
        net.sub(subscriber).set_waiting(1, Time::ZERO);
        net.join(publisher, subscriber);
        for _ in 0..3 {
            (0..30).for_each(|_| _ = net.publish(publisher, "b", "not wanted"));
            let now = net.now.time;
            change(net.sub(subscriber), now);
            net.run();
        }
        net.publish(publisher, "a", "wanted");
        assert_eq!(net.take(subscriber), [message(90, "a", "wanted")], "{what}");
    }
}

#[test]
fn what_one_has_lost_is_a_gap_also_if_its_filters_change_before_it_is_told() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(10), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &["a"]);
    net.join(publisher, subscriber);
    (0..30).for_each(|_| _ = net.publish(publisher, "b", "not wanted yet"));
    let now = net.now.time;
    net.sub(subscriber).add_filter(b"b", now).unwrap();
    net.run();
    let retained = (20..30).map(|seq| message(seq, "b", "not wanted yet"));
    let expected: Vec<Got> = std::iter::once(Got::Gap(0, 19)).chain(retained).collect();
    assert_eq!(net.take(subscriber), expected);
}

#[test]
fn what_several_filters_match_comes_once() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let subscriber = net.subscriber(window(4), &["a", "abc", "ab", "b"]);
    net.join(publisher, subscriber);
    let mut seqs = Vec::new();
    for topic in ["abcd", "ab", "c", "b", "abc", "a"] {
        net.publish(publisher, topic, "");
        seqs.extend(net.seqs(subscriber));
    }
    assert_eq!(seqs, [0, 1, 3, 4, 5]);
    let now = net.now.time;
    assert!(net.sub(subscriber).remove_filter(b"a", now));
    net.run();
    for topic in ["a", "abc", "b"] {
        net.publish(publisher, topic, "");
    }
    assert_eq!(net.seqs(subscriber), [7, 8]);
}

#[test]
fn a_publisher_that_continues_is_no_news_and_one_that_does_not_is() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(publisher, subscriber);
    net.publish_many(publisher, 3);
    net.cut(publisher, subscriber);
    let second = net.publisher(ring(100), lineage(2, 3));
    net.join(second, subscriber);
    net.publish_many(second, 2);
    assert_eq!(net.seqs(subscriber), [0, 1, 2, 3, 4]);
    net.cut(second, subscriber);
    let new = session(9);
    let third = net.publisher(ring(100), Lineage { session: new, epoch: 3, since: 0 });
    net.join(third, subscriber);
    net.publish_many(third, 1);
    let got = net.take(subscriber);
    assert_eq!(got[0], Got::NewSession(NewSession { new, old: Some(session(7)) }));
    assert_eq!(got[1], message(0, "t", "payload"));
}

#[test]
fn a_gap_that_is_discarded_before_anybody_heard_of_it_is_told_again_after_a_crash() {
    let mut net = Net::default();
    let ended = net.publisher(ring(2), lineage(1, 0));
    net.publish_many(ended, 5);
    let start = Start::At(0);
    let config = SubscribeConfig { start, old_session: OldSession::Discard, ..window(100) };
    let subscriber = net.subscriber(config, &["another topic"]);
    net.join(ended, subscriber);
    net.cut(ended, subscriber);
    let new = session(9);
    let next = net.publisher(ring(2), Lineage { session: new, epoch: 3, since: 0 });
    net.join(next, subscriber);
    let positions = net.sub(subscriber).positions();
    let old = positions.iter().find(|position| position.session != new);
    assert_eq!(old.map(|position| position.next), Some(0));
    let old = Some(lineage(1, 0).session);
    assert_eq!(net.take(subscriber), [Got::NewSession(NewSession { new, old })]);
}

/// Of a publisher that was only away nothing is old: it did not begin the new session.
#[test]
fn what_is_discarded_of_a_publisher_that_comes_back_is_had_again() {
    let mut net = Net::default();
    let away = net.publisher(ring(100), lineage(1, 0));
    let config = SubscribeConfig { old_session: OldSession::Discard, ..window(100) };
    let subscriber = net.subscriber(config, &["a"]);
    net.join(away, subscriber);
    net.publish_many(away, 1);
    net.publish(away, "a", "first");
    assert_eq!(net.take(subscriber), [message(1, "a", "first")]);
    net.publish(away, "a", "second");
    net.publish_many(away, 2);
    net.cut(away, subscriber);
    let new = session(9);
    let other = net.publisher(ring(100), Lineage { session: new, epoch: 3, since: 0 });
    net.join(other, subscriber);
    let old = Some(lineage(1, 0).session);
    let position = |net: &mut Net| net.sub(subscriber).positions()[0].next;
    assert_eq!(position(&mut net), 2, "nobody has had what is discarded");
    assert_eq!(net.take(subscriber), [Got::NewSession(NewSession { new, old })]);
    net.join(away, subscriber);
    net.publish(away, "a", "third");
    assert_eq!(net.take(subscriber), [message(2, "a", "second"), message(5, "a", "third")]);
    let positions = net.sub(subscriber).positions();
    assert!(positions.iter().any(|position| Some(position.session) == old && position.next == 6));
}

/// A proxy with a ring of so many that has had five messages of a publisher which is gone, and a publisher after that.
#[test]
fn a_gap_that_was_only_handed_out_is_told_again_after_a_crash() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(10), lineage(1, 0));
    let config = SubscribeConfig { start: Start::At(0), ..window(10) };
    let subscriber = net.subscriber(config, &["a"]);
    net.publish_many(publisher, 20);
    net.join(publisher, subscriber);
    let next = |net: &mut Net| net.sub(subscriber).positions()[0].next;
    assert!(matches!(net.sub(subscriber).take(1), Some(Taken::Gap(gap)) if gap.to == 9));
    assert!(net.sub(subscriber).take(1).is_none());
    assert_eq!(next(&mut net), 0, "it may not have looked at it yet");
    net.publish(publisher, "a", "wanted");
    assert_eq!(net.take(subscriber), [message(20, "a", "wanted")]);
    assert_eq!(next(&mut net), 21);
}

fn one_after_the_other(first: Lineage, second: Lineage, messages: u64) -> (Net, usize, usize) {
    let mut net = Net::default();
    let proxy = net.proxy(messages);
    let ended = net.publisher(ring(100), first);
    net.join(ended, proxy);
    net.publish_many(ended, 5);
    net.cut(ended, proxy);
    let publisher = net.publisher(ring(100), second);
    net.join(publisher, proxy);
    (net, proxy, publisher)
}

#[test]
fn positions_in_several_sessions_are_all_gone_on_from() {
    let other = Lineage { session: session(3), ..lineage(2, 0) };
    for (first, second) in [(lineage(1, 0), other), (other, lineage(1, 0))] {
        let (mut net, proxy, publisher) = one_after_the_other(first, second, 10);
        net.publish_many(publisher, 3);
        let config = || SubscribeConfig { old_session: OldSession::Discard, ..window(100) };
        let before = net.subscriber(config(), &[""]);
        net.join(proxy, before);
        let had = net.take(before);
        let beside = |got: &&Got| matches!(got, Got::NewSession(NewSession { old: None, .. }));
        assert_eq!((had.len(), had.iter().filter(beside).count()), (9, 1), "{had:?}");
        let positions = net.last.remove(&before).expect("it has moved on");
        assert_eq!(positions.len(), 2);
        net.cut(proxy, before);
        // Of these it is not there for.
        net.publish_many(publisher, 20);
        let config = SubscribeConfig { positions, ..config() };
        let resumed = net.subscriber(config, &[""]);
        net.join(proxy, resumed);
        assert_eq!(net.seqs(resumed), (3..23).collect::<Vec<_>>(), "and nothing twice");
        assert_eq!(net.sub(resumed).poll_positions(), None);
        assert_eq!(net.sub(resumed).position().map(|position| position.next), Some(23));
    }
}

#[test]
fn from_now_on_holds_for_all_sessions_that_are_there() {
    let other = Lineage { session: session(3), ..lineage(2, 0) };
    for (first, second) in [(lineage(1, 0), other), (other, lineage(1, 0))] {
        let (mut net, proxy, publisher) = one_after_the_other(first, second, 100);
        net.publish_many(publisher, 5);
        let config = SubscribeConfig { start: Start::Newest, ..window(100) };
        let subscriber = net.subscriber(config, &[""]);
        net.join(proxy, subscriber);
        net.publish(publisher, "t", "new");
        let beside = |new| Got::NewSession(NewSession { new, old: None });
        let later = first.session.max(second.session);
        assert_eq!(net.take(subscriber), [beside(later), message(5, "t", "new")]);

        // What takes the place of one that it follows is had from its beginning.
        net.cut(publisher, proxy);
        let third = Lineage { session: session(5), ..lineage(3, 0) };
        let publisher = net.publisher(ring(100), third);
        net.publish(publisher, "t", "before");
        net.join(publisher, proxy);
        let after = NewSession { new: third.session, old: Some(later) };
        let expected = [Got::NewSession(after), message(0, "t", "before")];
        assert_eq!(net.take(subscriber), expected);
    }
}

#[test]
fn an_older_incarnation_is_fenced_and_numbers_are_not_used_again() {
    let mut net = Net::default();
    let old = net.publisher(ring(100), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(old, subscriber);
    net.publish_many(old, 3);
    let new = net.publisher(ring(100), lineage(2, 3));
    net.join(new, subscriber);
    net.publish(old, "t", "of the old one");
    net.publish(new, "t", "of the new one");
    net.pass(Duration::from_secs(3));
    let links = net.ways.iter().filter(|way| way.from.0 == old).map(|way| way.from.1);
    let Node::Pub(engine) = &net.nodes[old] else { unreachable!() };
    assert!(links.into_iter().all(|link| engine.link_state(link) == LinkState::Closing));
    let got = net.take(subscriber);
    assert!(
        !got.contains(&message(3, "t", "of the new one"))
            || !got.contains(&message(3, "t", "of the old one"))
    );
}

#[test]
fn another_message_of_the_same_number_is_a_conflict() {
    let mut net = Net::default();
    let one = net.publisher(ring(100), lineage(1, 0));
    let other = net.publisher(ring(100), lineage(1, 0));
    net.publish(one, "t", "one");
    net.publish(other, "t", "other");
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(one, subscriber);
    assert_eq!(net.take(subscriber), [message(0, "t", "one")]);
    net.cut(one, subscriber);
    net.join(other, subscriber);
    net.publish_many(other, 3);
    assert_eq!(net.take(subscriber), []);
}

#[test]
fn a_source_that_is_short_of_bytes_is_given_more() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(100), lineage(1, 0));
    let config = SubscribeConfig { window_bytes: 1, ..window(1_000) };
    let subscriber = net.subscriber(config, &[""]);
    net.join(publisher, subscriber);
    let long = "x".repeat(900_000);
    for seq in 0..5 {
        net.publish(publisher, "t", "small");
        net.publish(publisher, "t", &long);
        assert_eq!(net.seqs(subscriber), [2 * seq, 2 * seq + 1]);
    }
}

#[test]
fn what_expires_in_the_queue_keeps_no_position_back() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(5), lineage(1, 0));
    let subscriber = net.subscriber(window(10), &[""]);
    net.join(publisher, subscriber);
    let expire = |net: &mut Net, count| {
        (0..count).for_each(|_| net.publish_for(publisher, Duration::from_secs(5)));
        net.pass(Duration::from_secs(10));
    };
    let position = |net: &mut Net| net.sub(subscriber).position().map(|position| position.next);

    net.publish_many(publisher, 1);
    expire(&mut net, 2);
    let now = net.now.time;
    let Some(Taken::Batch(batch)) = net.sub(subscriber).take(1) else { panic!("no message") };
    let mut cursor = SubCursor::new(batch);
    assert_eq!(cursor.next(|| now).map(|item| item.seq), Some(0));
    net.sub(subscriber).handle_consumed(&cursor.report().unwrap(), now);
    assert_eq!(net.take(subscriber), []);
    assert_eq!(position(&mut net), Some(0), "it is at work on the first");
    net.sub(subscriber).acknowledge(session(7), Fingerprint { seq: 0, crc: 0 });
    assert_eq!(position(&mut net), Some(3));

    expire(&mut net, 2);
    assert_eq!(net.take(subscriber), []);
    assert_eq!(position(&mut net), Some(5));
    let stats = net.sub(subscriber).stats(now);
    assert_eq!((stats.received, stats.taken, stats.expired), (5, 1, 4));
}

#[test]
fn a_subscriber_of_several_sessions_is_as_far_behind_as_in_the_worst_of_them() {
    let other = Lineage { session: session(3), ..lineage(2, 0) };
    for (first, second) in [(lineage(1, 0), other), (other, lineage(1, 0))] {
        let (mut net, proxy, _publisher) = one_after_the_other(first, second, 100);
        let subscriber = net.subscriber(window(2), &[""]);
        net.join(proxy, subscriber);
        let Node::Proxy(engine) = &net.nodes[proxy] else { unreachable!() };
        let link = engine.stats(net.now.time).down.links.remove(0);
        assert_eq!(link.position.map(|position| position + link.behind), Some(5));
        assert!(link.behind >= 3, "{link:?}");
    }
}
