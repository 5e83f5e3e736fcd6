//! Proxies: a subscriber cannot tell them from the publisher.

use drawdown_protocol::{ProxyConfig, PublishConfig, RingConfig};
use drawdown_tests::sim::{Keeps, Network, Node, Plan, ProxyPlan, PubPlan, SubPlan, WirePlan};

use super::publish::{drain, ring, sub};

/// Milliseconds until everybody has noticed that a node died.
const NOTICED: u64 = 3_500;

fn proxy(messages: u64) -> ProxyPlan {
    let ring = RingConfig { messages, ..RingConfig::default() };
    let down = PublishConfig { ring, ..PublishConfig::default() };
    ProxyPlan { config: ProxyConfig { down, ..ProxyConfig::default() }, ..ProxyPlan::default() }
}

fn network(
    publisher: PubPlan,
    proxies: Vec<ProxyPlan>,
    subs: Vec<SubPlan>,
    wires: &[(Node, Node)],
) -> Network {
    let wires = wires.iter().map(|(up, down)| WirePlan::between(*up, *down)).collect();
    let mut network =
        Network::new(Plan { pubs: vec![publisher], proxies, subs, wires, ..Plan::default() });
    network.run_ms(50);
    network
}

/// A publisher, a proxy, a subscriber, in a row.
fn row(publisher: PubPlan, between: ProxyPlan, subscriber: SubPlan) -> Network {
    let wires = [(Node::Pub(0), Node::Proxy(0)), (Node::Proxy(0), Node::Sub(0))];
    network(publisher, vec![between], vec![subscriber], &wires)
}

/// A publisher, two proxies that take from it, and a subscriber of both.
fn diamond(messages: u64) -> Network {
    let wires = [
        (Node::Pub(0), Node::Proxy(0)),
        (Node::Pub(0), Node::Proxy(1)),
        (Node::Proxy(0), Node::Sub(0)),
        (Node::Proxy(1), Node::Sub(0)),
    ];
    network(ring(1_000), vec![proxy(messages), proxy(messages)], vec![sub(10)], &wires)
}

#[test]
fn session_and_numbers_pass_unchanged() {
    for messages in [0, 1, 1_000] {
        let mut network = row(ring(1_000), proxy(messages), sub(100));
        network.publish_all(0, b"", 40);
        network.run_ms(50);
        let session = network.session(0);
        assert_eq!(drain(&mut network, 0), ((0..40).collect(), vec![]), "ring of {messages}");
        assert_eq!(network.reached(0, session), Some(40));
    }
}

#[test]
fn a_chain_of_proxies_is_like_one() {
    let wires = [
        (Node::Pub(0), Node::Proxy(0)),
        (Node::Proxy(0), Node::Proxy(1)),
        (Node::Proxy(1), Node::Proxy(2)),
        (Node::Proxy(2), Node::Sub(0)),
    ];
    let proxies = vec![proxy(0), proxy(5), proxy(0)];
    let mut network = network(ring(1_000), proxies, vec![sub(3)], &wires);
    network.publish_all(0, b"", 100);
    network.run_ms(200);
    assert_eq!(drain(&mut network, 0), ((0..100).collect(), vec![]));
}

#[test]
fn what_is_below_the_ring_of_a_proxy_is_fetched() {
    let mut network = row(ring(1_000), proxy(10), sub(100));
    network.kill(Node::Sub(0));
    network.publish_all(0, b"", 300);
    network.run_ms(50);
    network.start(Node::Sub(0));
    network.run_ms(50);
    assert_eq!(drain(&mut network, 0), ((0..300).collect(), vec![]));
}

#[test]
fn what_a_publisher_has_that_is_away_for_a_moment_is_not_lost() {
    for messages in [0, 1, 10] {
        let mut network = row(ring(1_000), proxy(messages), sub(10));
        network.publish_all(0, b"", 300);
        network.run_ms(50);
        network.unplug(0);
        network.run_ms(50);
        network.plug_in(0);
        network.run_ms(100);
        assert_eq!(drain(&mut network, 0), ((0..300).collect(), vec![]), "ring of {messages}");
    }
}

#[test]
fn what_a_publisher_had_that_stays_away_is_lost() {
    let mut network = row(ring(1_000), proxy(10), sub(10));
    network.publish_all(0, b"", 300);
    network.run_ms(50);
    network.unplug(0);
    network.run_ms(NOTICED);
    assert_eq!(drain(&mut network, 0), ((0..10).collect(), vec![]), "it may be started again");
    network.run_ms(10_000);
    assert_eq!(drain(&mut network, 0), ((290..300).collect(), vec![(10, 289)]));
}

#[test]
fn a_loss_upstream_is_told_downstream() {
    let mut network = row(ring(10), proxy(1_000), sub(1_000));
    network.unplug(0);
    network.run_ms(20);
    network.publish_all(0, b"", 100);
    network.plug_in(0);
    network.run_ms(100);
    // The proxy had heard where the session begins before it was cut off.
    assert_eq!(drain(&mut network, 0), ((90..100).collect(), vec![(0, 89)]));
}

#[test]
fn a_source_that_falls_silent_is_left_for_one_that_has_more_before_it_is_taken_for_dead() {
    // One of the two is asked.
    for silent in [2, 3] {
        let mut network = diamond(100);
        network.publish_all(0, b"", 5);
        network.run_ms(20);
        assert_eq!(drain(&mut network, 0), ((0..5).collect(), vec![]));
        network.silence(silent);
        network.publish_all(0, b"", 5);
        network.run_ms(1_700);
        assert_eq!(drain(&mut network, 0), ((5..10).collect(), vec![]), "wire {silent}");
    }
}

#[test]
fn when_one_of_two_proxies_dies_nothing_is_lost_and_nothing_comes_twice() {
    let mut network = diamond(100);
    network.publish_all(0, b"", 30);
    network.run_ms(20);
    let (before, gaps) = drain(&mut network, 0);
    assert!(gaps.is_empty());
    network.kill(Node::Proxy(0));
    network.publish_all(0, b"", 30);
    network.run_ms(NOTICED);
    let (after, gaps) = drain(&mut network, 0);
    assert!(gaps.is_empty());
    network.start(Node::Proxy(0));
    network.run_ms(50);
    network.kill(Node::Proxy(1));
    network.publish_all(0, b"", 30);
    network.run_ms(NOTICED);
    let (last, gaps) = drain(&mut network, 0);
    assert!(gaps.is_empty());
    assert_eq!([before, after, last].concat(), (0..90).collect::<Vec<_>>());
}

#[test]
fn a_proxy_keeps_the_ring_while_the_publisher_restarts() {
    let publisher = PubPlan { keeps: Keeps::Numbers, ..ring(1_000) };
    let mut network = row(publisher, proxy(1_000), sub(100));
    network.kill(Node::Sub(0));
    network.publish_all(0, b"", 20);
    network.run_ms(50);
    network.kill(Node::Pub(0));
    network.start(Node::Sub(0));
    network.run_ms(50);
    assert_eq!(drain(&mut network, 0), ((0..20).collect(), vec![]), "while it is away");
    network.start(Node::Pub(0));
    network.run_ms(NOTICED);
    network.publish_all(0, b"", 5);
    network.run_ms(50);
    assert_eq!(drain(&mut network, 0), ((20..25).collect(), vec![]));
}

#[test]
fn a_proxy_with_a_store_keeps_the_ring_over_its_own_restart() {
    let mut keeper = proxy(1_000);
    keeper.store = true;
    let mut network = row(ring(1_000), keeper, sub(100));
    network.kill(Node::Sub(0));
    network.publish_all(0, b"", 20);
    network.run_ms(50);
    network.kill(Node::Pub(0));
    network.kill(Node::Proxy(0));
    network.start(Node::Proxy(0));
    network.start(Node::Sub(0));
    network.run_ms(50);
    assert_eq!(drain(&mut network, 0), ((0..20).collect(), vec![]));
}

#[test]
fn a_subscriber_of_publisher_and_proxy_loses_nothing_with_either() {
    let wires = [
        (Node::Pub(0), Node::Proxy(0)),
        (Node::Pub(0), Node::Sub(0)),
        (Node::Proxy(0), Node::Sub(0)),
    ];
    let mut network = network(ring(5), vec![proxy(1_000)], vec![sub(1)], &wires);
    network.publish_all(0, b"", 4);
    network.run_ms(50);
    // More than the publisher's ring, in steps that the proxy can follow.
    for _ in 0..20 {
        network.publish_all(0, b"", 4);
        network.run_ms(5);
    }
    network.run_ms(1_500);
    assert_eq!(drain(&mut network, 0), ((0..84).collect(), vec![]));
}
