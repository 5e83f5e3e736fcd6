//! Proxies between publishers and subscribers, and what they fetch.

use std::time::Duration;

use drawdown_protocol::limits::{ENDED_SESSIONS_MAX, SESSIONS_MAX};
use drawdown_protocol::{Lineage, Start, SubscribeConfig, Time};

use crate::net::{Got, Net, lineage, message, ring, session, window};

#[test]
fn a_proxy_is_no_different_whatever_its_ring() {
    for messages in [0, 1, 5, 100] {
        let mut net = Net::default();
        let publisher = net.publisher(ring(100), lineage(1, 0));
        net.publish_many(publisher, 20);
        let proxy = net.proxy(messages);
        net.join(publisher, proxy);
        let first = net.subscriber(window(3), &[""]);
        net.join(proxy, first);
        assert_eq!(net.seqs(first), (0..20).collect::<Vec<_>>(), "ring of {messages}");
        net.publish_many(publisher, 20);
        net.pass(Duration::from_secs(2));
        assert_eq!(net.seqs(first), (20..40).collect::<Vec<_>>(), "ring of {messages}");
        let late = net.subscriber(window(7), &[""]);
        net.join(proxy, late);
        net.pass(Duration::from_secs(2));
        assert_eq!(net.seqs(late), (0..40).collect::<Vec<_>>(), "late, ring of {messages}");
        net.publish_many(publisher, 5);
        net.pass(Duration::from_secs(2));
        assert_eq!(net.seqs(first), (40..45).collect::<Vec<_>>(), "ring of {messages}");
        assert_eq!(net.seqs(late), (40..45).collect::<Vec<_>>(), "late, ring of {messages}");
    }
}

#[test]
fn two_proxies_survive_the_loss_of_one_and_of_the_publisher() {
    let mut net = Net::default();
    let publisher = net.publisher(ring(5), lineage(1, 0));
    let (one, two) = (net.proxy(1_000), net.proxy(1_000));
    net.join(publisher, one);
    net.join(publisher, two);
    let subscriber = net.subscriber(window(3), &[""]);
    net.join(one, subscriber);
    net.join(two, subscriber);
    net.publish_many(publisher, 50);
    assert_eq!(net.seqs(subscriber), (0..50).collect::<Vec<_>>());
    net.publish_many(publisher, 50);
    net.cut(one, subscriber);
    net.cut(publisher, one);
    net.cut(publisher, two);
    let late = net.subscriber(window(3), &[""]);
    net.join(two, late);
    assert_eq!(net.seqs(subscriber), (50..100).collect::<Vec<_>>());
    assert_eq!(net.seqs(late), (0..100).collect::<Vec<_>>());
    let again = net.publisher(ring(5), lineage(2, 100));
    net.join(again, two);
    net.publish_many(again, 10);
    assert_eq!(net.seqs(subscriber), (100..110).collect::<Vec<_>>());
    assert_eq!(net.seqs(late), (100..110).collect::<Vec<_>>());
}

#[test]
fn a_proxy_lets_go_of_sessions_that_have_ended_and_of_the_oldest_first() {
    let mut net = Net::default();
    let proxy = net.proxy(20);
    let slow = net.subscriber(window(1), &[""]);
    net.join(proxy, slow);
    let names = 1_000..1_070;
    for name in names.clone() {
        net.publisher_ends(proxy, session(name), 15);
        net.pass(Duration::from_secs(2));
        let rings = net.rings(proxy);
        assert!(rings.len() <= ENDED_SESSIONS_MAX + 1, "{} sessions", rings.len());
        let messages: u64 = rings.iter().map(|ring| ring.messages).sum();
        assert!(messages <= 20 + 20 + rings.len() as u64, "{messages} messages");
    }
    let got = net.take(slow);
    assert_eq!(got[0], message(0, "t", "payload"));
    assert!(got.contains(&Got::Gap(1, 14)), "it was at the first: {got:?}");
    let late = net.subscriber(window(100), &[""]);
    net.join(proxy, late);
    net.take(late);
    let newest = net.rings(proxy).iter().map(|ring| ring.lineage.session).max();
    assert_eq!(newest, Some(session(names.end - 1)));
    assert!(net.sub(late).stats(Time::ZERO).sessions.contains(&(newest.unwrap(), Some(15))));
}

#[test]
fn a_proxy_has_no_more_sessions_than_a_subscriber_follows_however_fast_they_come() {
    let mut net = Net::default();
    let proxy = net.proxy(20);
    let subscriber = net.subscriber(window(100), &[""]);
    net.join(proxy, subscriber);
    let mut seen = 0;
    for name in 1_000..1_100 {
        net.publisher_ends(proxy, session(name), 1);
        assert!(net.rings(proxy).len() <= SESSIONS_MAX);
        let got = net.take(subscriber);
        seen += got.iter().filter(|got| matches!(got, Got::Message(0, ..))).count();
    }
    assert_eq!(seen, 100);
    let links = net.sub(subscriber).stats(Time::ZERO).links;
    assert!(links[0].sessions.len() <= SESSIONS_MAX, "it forgets what its source has forgotten");
}

#[test]
fn a_proxy_keeps_what_it_has_of_publishers_that_are_away_together() {
    let mut net = Net::default();
    let proxy = net.proxy(20);
    let publishers: Vec<usize> = (0..40)
        .map(|name| {
            let lineage = Lineage { session: session(1_000 + name), ..lineage(1, 0) };
            let publisher = net.publisher(ring(1), lineage);
            net.join(publisher, proxy);
            net.publish_many(publisher, 20);
            publisher
        })
        .collect();
    net.pass(Duration::from_secs(5));
    publishers.iter().for_each(|publisher| net.cut(*publisher, proxy));
    net.pass(Duration::from_secs(60));
    publishers.iter().for_each(|publisher| net.join(*publisher, proxy));
    net.pass(Duration::from_secs(5));
    assert_eq!(net.rings(proxy).iter().map(|ring| ring.messages).sum::<u64>(), 40 * 20);
}

/// A proxy that retains 190 to 199. It takes from another one that was cut off from the publisher, and has 0 to 49, and from
/// the publisher.
fn between_one_cut_off_and_the_publisher(retained: u64) -> (Net, usize) {
    let mut net = Net::default();
    let publisher = net.publisher(ring(retained), lineage(1, 0));
    let cut_off = net.proxy(1_000);
    net.join(publisher, cut_off);
    net.publish_many(publisher, 50);
    net.cut(publisher, cut_off);
    let proxy = net.proxy(10);
    net.join(cut_off, proxy);
    net.join(publisher, proxy);
    net.publish_many(publisher, 150);
    net.pass(Duration::from_secs(3));
    assert_eq!(net.rings(proxy)[0].oldest, 190);
    (net, proxy)
}

fn from(next: u64) -> SubscribeConfig {
    SubscribeConfig { start: Start::At(next), ..window(1_000) }
}

#[test]
fn what_a_proxy_fetches_it_asks_of_a_source_that_has_it() {
    let (mut net, proxy) = between_one_cut_off_and_the_publisher(1_000);
    let subscriber = net.subscriber(from(70), &[""]);
    net.join(proxy, subscriber);
    assert_eq!(net.seqs(subscriber), (70..200).collect::<Vec<_>>());
}

#[test]
fn what_no_source_of_a_proxy_has_is_a_gap_also_between_what_they_have() {
    let (mut net, proxy) = between_one_cut_off_and_the_publisher(100);
    let numbers = |from, to| (from..to).map(|seq| message(seq, "t", "payload"));
    for (start, before) in [(70, numbers(0, 0)), (30, numbers(30, 50))] {
        let subscriber = net.subscriber(from(start), &[""]);
        net.join(proxy, subscriber);
        let gap = Got::Gap(start.max(50), 99);
        let expected: Vec<Got> = before.chain([gap]).chain(numbers(100, 200)).collect();
        assert_eq!(net.take(subscriber), expected);
    }
}

#[test]
fn what_a_source_does_not_send_is_fetched_from_another_one() {
    for silent in [0, 1] {
        let mut net = Net::default();
        let sources = [1_000; 2].map(|messages| net.publisher(ring(messages), lineage(1, 0)));
        let proxy = net.proxy(10);
        for source in sources {
            net.publish_many(source, 200);
            net.join(source, proxy);
        }
        net.pass(Duration::from_secs(1));
        net.silence(sources[silent], proxy);
        let subscriber = net.subscriber(from(0), &[""]);
        net.join(proxy, subscriber);
        net.pass(Duration::from_secs(1));
        assert_eq!(net.seqs(subscriber), (0..200).collect::<Vec<_>>(), "source {silent} is silent");
    }
}

/// It has asked for what there is: what is not there any more it is told of only if it asks for that.
#[test]
fn a_new_subscriber_of_a_proxy_without_its_publisher_begins_with_what_is_there() {
    let mut net = Net::default();
    let (publisher, proxy) = (net.publisher(ring(100), lineage(1, 0)), net.proxy(3));
    net.join(publisher, proxy);
    net.publish_many(publisher, 10);
    net.cut(publisher, proxy);
    net.pass(Duration::from_secs(11));
    for (start, gap) in [(Start::Oldest, None), (Start::At(0), Some(Got::Gap(0, 6)))] {
        let subscriber = net.subscriber(SubscribeConfig { start, ..window(10) }, &[""]);
        net.join(proxy, subscriber);
        net.pass(Duration::from_secs(2));
        let had = net.take(subscriber);
        let messages = (7..10).map(|seq| message(seq, "t", "payload"));
        assert_eq!(had, gap.into_iter().chain(messages).collect::<Vec<_>>(), "{start:?}");
    }
}
