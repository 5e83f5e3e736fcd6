//! Several sources of one session.

use std::time::Duration;

use drawdown_protocol::{PublishConfig, PublishEngine, SubscribeConfig};

use crate::net::{Got, Net, Node, lineage, message, peer, ring, window};

/// How long a source may be behind another one.
const LAG: Duration = Duration::from_millis(200);

/// A subscriber at number 10 that takes from one that has all of 0 to 99, and knows another one, whose ring all below 90 has
/// left since it told what it has.
fn behind_at_the_better_of_two_sources(lag: Duration) -> (Net, usize, [usize; 2]) {
    let mut net = Net::default();
    let [all, few] = [1_000, 10].map(|messages| net.publisher(ring(messages), lineage(1, 0)));
    let subscriber = net.subscriber(SubscribeConfig { lag, ..window(10) }, &[""]);
    net.sub(subscriber).set_sources_expected(2);
    for source in [all, few] {
        net.join(source, subscriber);
        net.publish_many(source, 100);
    }
    assert!(net.asks(subscriber, all) && !net.asks(subscriber, few));
    (net, subscriber, [all, few])
}

#[test]
fn a_source_that_is_lost_for_a_moment_is_waited_for_however_old_the_session_is() {
    for heartbeats in [true, false] {
        let (mut net, subscriber, [all, few]) = behind_at_the_better_of_two_sources(LAG);
        if heartbeats {
            net.pass(Duration::from_secs(10));
        } else {
            net.now.time = net.now.time + Duration::from_secs(10);
        }
        net.cut(all, subscriber);
        net.pass(Duration::from_millis(9_900));
        assert!(!net.asks(subscriber, few), "before anybody else can have come");
        net.join(all, subscriber);
        assert_eq!(net.seqs(subscriber), (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn a_source_that_stays_away_is_waited_for_until_its_grace_time_is_over() {
    let (mut net, subscriber, [all, few]) = behind_at_the_better_of_two_sources(LAG);
    net.pass(Duration::from_secs(10));
    net.cut(all, subscriber);
    net.pass(Duration::from_millis(9_900));
    assert!(!net.asks(subscriber, few), "it may be started again");
    net.pass(Duration::from_millis(200));
    assert!(net.asks(subscriber, few));
    let got = net.take(subscriber);
    assert_eq!(got[10], Got::Gap(10, 89));
    assert_eq!(got.len(), 10 + 1 + 10, "{got:?}");
}

#[test]
fn a_source_that_answers_late_is_asked_again_before_what_it_has_is_taken_for_lost() {
    let (mut net, subscriber, [all, few]) = behind_at_the_better_of_two_sources(LAG / 10);
    // Both tell what they have.
    net.pass(Duration::from_secs(1));
    net.silence(all, subscriber);
    let first = net.seqs(subscriber);
    net.pass(LAG * 5 / 2);
    net.end_silence(all, subscriber);
    assert!(net.asks(subscriber, all) && !net.asks(subscriber, few));
    assert_eq!([first, net.seqs(subscriber)].concat(), (0..100).collect::<Vec<_>>());
}

#[test]
fn a_source_that_is_refused_whenever_it_comes_is_not_waited_for() {
    let mut net = Net::default();
    // It went on beyond where the one began that came after it.
    let old = net.publisher(ring(1_000), lineage(1, 0));
    let new = net.publisher(ring(1_000), lineage(2, 515));
    net.publish_many(old, 600);
    net.publish_many(new, 1);
    let subscriber = net.subscriber(window(10), &[""]);
    net.sub(subscriber).set_sources_expected(2);
    net.join(new, subscriber);
    for _ in 0..5 {
        net.join(old, subscriber);
        net.cut(old, subscriber);
        net.pass(Duration::from_millis(500));
    }
    assert!(net.asks(subscriber, new));
}

#[test]
fn a_source_that_has_nothing_more_is_left_for_one_that_has_although_neither_says_anything() {
    let mut net = Net::default();
    let quiet = |net: &mut Net, lineage| {
        let node = net.publisher(ring(1_000), lineage);
        let mut config = PublishConfig { ring: ring(1_000), ..PublishConfig::default() };
        config.link.heartbeat = Duration::ZERO;
        let name = peer(100 + node as u128);
        net.nodes[node] = Node::Pub(Box::new(PublishEngine::new(config, name, lineage)));
        node
    };
    let (before, after) = (quiet(&mut net, lineage(1, 0)), quiet(&mut net, lineage(2, 515)));
    net.publish_many(before, 500);
    net.publish_many(after, 1);
    let subscriber = net.subscriber(window(1_000), &[""]);
    net.sub(subscriber).set_sources_expected(2);
    net.join(before, subscriber);
    net.join(after, subscriber);
    // Only what it asked to be woken for happens.
    for _ in 0..20 {
        let Some(at) = net.sub(subscriber).poll_timeout() else { break };
        net.now.time = at;
        net.sub(subscriber).handle_timeout(at);
        net.run();
    }
    let got = net.take(subscriber);
    assert_eq!(got[500..], [Got::Gap(500, 514), message(515, "t", "payload")]);
}
