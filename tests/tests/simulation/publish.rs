//! PUB and SUB: the ring, filters, positions, gaps, sessions and cursors.

use std::time::Duration;

use drawdown_protocol::{
    Event, Gap, NewSession, OldSession, PublishConfig, RingConfig, Start, SubscribeConfig,
};
use drawdown_tests::sim::{Got, Keeps, Network, Node, Plan, PubPlan, SubPlan, WirePlan};

use super::ms;

pub(super) fn ring(messages: u64) -> PubPlan {
    let ring = RingConfig { messages, ..RingConfig::default() };
    PubPlan { config: PublishConfig { ring, ..PublishConfig::default() }, ..PubPlan::default() }
}

pub(super) fn sub(window_messages: u64) -> SubPlan {
    filtered(window_messages, &[b""])
}

fn filtered(window_messages: u64, filters: &[&[u8]]) -> SubPlan {
    let config = SubscribeConfig { window_messages, ..SubscribeConfig::default() };
    let filters = filters.iter().map(|prefix| prefix.to_vec()).collect();
    SubPlan { config, filters, fetch: 1, ack_every: 1, ..SubPlan::default() }
}

fn starting(start: Start) -> SubPlan {
    let mut plan = sub(100);
    plan.config.start = start;
    plan
}

/// One publisher and one subscriber, and time to connect.
fn pair(publisher: PubPlan, subscriber: SubPlan) -> Network {
    let wires = vec![WirePlan::between(Node::Pub(0), Node::Sub(0))];
    let plan = Plan { pubs: vec![publisher], subs: vec![subscriber], wires, ..Plan::default() };
    let mut network = Network::new(plan);
    network.run_ms(20);
    network
}

/// Everything that comes until nothing more does: numbers, gaps as (from, to).
pub(super) fn drain(network: &mut Network, sub: usize) -> (Vec<u64>, Vec<(u64, u64)>) {
    let (mut seqs, mut gaps) = (Vec::new(), Vec::new());
    loop {
        match network.get(sub) {
            Some(Got::Message { seq, .. }) => seqs.push(seq),
            Some(Got::Gap(Gap { from, to, .. })) => gaps.push((from, to)),
            Some(Got::NewSession(_)) => {}
            None => {
                network.run_ms(5);
                if !network.subscriber(sub).has_queued() {
                    return (seqs, gaps);
                }
            }
        }
    }
}

#[test]
fn a_publisher_never_blocks_and_its_ring_keeps_the_newest() {
    let mut network = pair(ring(10), sub(1));
    network.publish_all(0, b"", 1_000);
    let stats = network.publisher(0).stats(drawdown_protocol::Time::ZERO);
    assert_eq!((stats.rings[0].oldest, stats.rings[0].messages), (990, 10));
}

#[test]
fn a_ring_is_bounded_in_bytes() {
    let mut publisher = ring(1_000);
    publisher.config.ring.bytes = 5_000;
    let mut network = pair(publisher, sub(1));
    for _ in 0..100 {
        network.publish_bytes(0, b"", 1_000);
    }
    let ring = network.publisher(0).stats(drawdown_protocol::Time::ZERO).rings[0];
    assert!(ring.bytes <= 5_000 && ring.messages == 4, "{ring:?}");
}

#[test]
fn a_ring_is_bounded_in_age() {
    let mut publisher = ring(1_000);
    publisher.config.ring.age = Some(ms(100));
    let mut network = pair(publisher, sub(1));
    network.publish_all(0, b"", 5);
    network.run_ms(95);
    assert_eq!(network.publisher(0).oldest(), 0, "younger than their age");
    network.publish_all(0, b"", 5);
    network.run_ms(20);
    assert_eq!(network.publisher(0).oldest(), 5);
    network.run_ms(200);
    assert_eq!(network.publisher(0).oldest(), 10);
}

#[test]
fn a_subscriber_that_falls_behind_the_ring_is_told_what_it_has_missed() {
    let mut network = pair(ring(10), sub(2));
    network.publish_all(0, b"", 100);
    network.run_ms(20);
    let (seqs, gaps) = drain(&mut network, 0);
    // Two were on their way when the others went.
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].1, 89);
    assert_eq!(seqs.len() as u64 + gaps[0].1 - gaps[0].0 + 1, 100);
}

#[test]
fn the_last_loss_before_silence_is_told() {
    let mut publisher = ring(1);
    publisher.config.ring.age = Some(ms(50));
    let mut network = pair(publisher, sub(1));
    network.publish_all(0, b"", 5);
    // Nothing more is published, and what there was is gone before there is credit for it.
    network.run_ms(300);
    let (seqs, gaps) = drain(&mut network, 0);
    network.run_ms(1_500);
    let (later, more) = drain(&mut network, 0);
    let lost: u64 = gaps.iter().chain(&more).map(|(from, to)| to - from + 1).sum();
    assert_eq!(seqs.len() as u64 + later.len() as u64 + lost, 5);
    assert!(lost > 0);
}

#[test]
fn filters_are_applied_at_the_publisher() {
    let mut network = pair(ring(100), filtered(100, &[b"ab", b"c"]));
    for topic in [b"a".as_slice(), b"ab", b"abc", b"b", b"c", b"", b"ca"] {
        network.publish(0, topic).expect("it is taken in");
    }
    network.run_ms(20);
    assert_eq!(drain(&mut network, 0), (vec![1, 2, 4, 6], vec![]));
    let stats = network.publisher(0).stats(drawdown_protocol::Time::ZERO);
    assert_eq!(stats.links[0].sent, 4, "nothing else has crossed the wire");
}

#[test]
fn without_a_filter_nothing_comes() {
    let mut network = pair(ring(100), filtered(100, &[]));
    network.publish_all(0, b"", 3);
    network.run_ms(50);
    assert_eq!(network.get(0), None);
}

#[test]
fn a_filter_counts_from_where_the_subscriber_is() {
    let mut network = pair(ring(100), filtered(100, &[b"a"]));
    network.publish_all(0, b"a", 2);
    network.publish_all(0, b"b", 2);
    network.run_ms(1_500);
    assert_eq!(drain(&mut network, 0).0, [0, 1]);
    network.want(0, &[b"b"]);
    network.run_ms(20);
    network.publish_all(0, b"a", 1);
    network.publish_all(0, b"b", 1);
    network.run_ms(20);
    assert_eq!(drain(&mut network, 0).0, [5], "what was passed before is not looked at again");
}

#[test]
fn a_filtered_subscriber_moves_on_while_nothing_matches() {
    let mut network = pair(ring(10), filtered(100, &[b"a"]));
    network.publish_all(0, b"b", 100);
    network.run_ms(2_500);
    let session = network.session(0);
    assert_eq!(network.reached(0, session), Some(100));
    network.publish_all(0, b"a", 1);
    network.run_ms(20);
    assert_eq!(drain(&mut network, 0), (vec![100], vec![]), "no gap is claimed");
}

#[test]
fn a_window_of_zero_gives_credit_only_while_a_call_waits() {
    let mut network = pair(ring(100), sub(0));
    network.publish_all(0, b"", 3);
    network.run_ms(50);
    assert_eq!(network.publisher(0).stats(drawdown_protocol::Time::ZERO).links[0].sent, 0);
    network.call(0);
    network.run_ms(20);
    assert!(matches!(network.get(0), Some(Got::Message { seq: 0, .. })));
    network.run_ms(50);
    assert_eq!(network.get(0), None, "nobody waits");
}

#[test]
fn a_window_of_one_takes_everything_in_turn() {
    let mut network = pair(ring(100), sub(1));
    network.publish_all(0, b"", 50);
    network.run_ms(5);
    assert_eq!(drain(&mut network, 0), ((0..50).collect(), vec![]));
}

#[test]
fn a_late_joiner_gets_all_that_is_retained() {
    let mut network = pair(ring(10), sub(100));
    network.kill(Node::Sub(0));
    network.publish_all(0, b"", 25);
    network.start(Node::Sub(0));
    network.run_ms(20);
    assert_eq!(drain(&mut network, 0), ((15..25).collect(), vec![]));
}

#[test]
fn who_starts_with_the_newest_gets_what_comes_after() {
    let mut network = pair(ring(100), starting(Start::Newest));
    network.kill(Node::Sub(0));
    network.publish_all(0, b"", 25);
    network.start(Node::Sub(0));
    network.run_ms(20);
    network.publish_all(0, b"", 2);
    network.run_ms(20);
    assert_eq!(drain(&mut network, 0).0, [25, 26]);
}

#[test]
fn who_starts_with_a_number_gets_what_follows_and_is_told_what_is_gone() {
    let mut network = pair(ring(10), starting(Start::At(12)));
    network.kill(Node::Sub(0));
    network.publish_all(0, b"", 25);
    network.start(Node::Sub(0));
    network.run_ms(20);
    assert_eq!(drain(&mut network, 0), ((15..25).collect(), vec![(12, 14)]));
}

#[test]
fn a_cursor_goes_on_after_what_was_acknowledged() {
    let mut subscriber = sub(100);
    subscriber.cursor = true;
    let mut network = pair(ring(100), subscriber);
    network.publish_all(0, b"", 10);
    network.run_ms(20);
    for _ in 0..4 {
        network.get(0);
    }
    network.get_unacknowledged(0);
    network.run_ms(50);
    network.kill(Node::Sub(0));
    network.start(Node::Sub(0));
    network.run_ms(20);
    assert_eq!(drain(&mut network, 0).0, [4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_cursor_goes_on_in_every_session() {
    let subscriber = SubPlan { cursor: true, ..sub(100) };
    let subs = vec![subscriber];
    let between = |publisher| WirePlan::between(Node::Pub(publisher), Node::Sub(0));
    let wires = vec![between(0), between(1)];
    let plan = Plan { pubs: vec![ring(10), ring(10)], subs, wires, ..Plan::default() };
    let mut network = Network::new(plan);
    network.run_ms(20);
    network.publish_all(0, b"", 5);
    network.publish_all(1, b"", 5);
    network.run_ms(20);
    assert_eq!(drain(&mut network, 0).0.len(), 10);
    network.run_ms(50);
    network.kill(Node::Sub(0));
    network.publish_all(0, b"", 20);
    network.start(Node::Sub(0));
    // It waits a second for the other endpoint before it puts up with the gap.
    network.run_ms(1_100);
    assert_eq!(drain(&mut network, 0), ((15..25).collect(), vec![(5, 14)]), "no more, no less");
}

#[test]
fn a_publisher_that_remembers_its_numbers_goes_on_with_them() {
    let publisher = PubPlan { keeps: Keeps::Numbers, ..ring(100) };
    let mut network = pair(publisher, sub(100));
    network.publish_all(0, b"", 5);
    network.run_ms(20);
    let session = network.session(0);
    network.kill(Node::Pub(0));
    network.start(Node::Pub(0));
    network.run_ms(50);
    network.publish_all(0, b"", 2);
    network.run_ms(20);
    assert_eq!(network.session(0), session);
    assert_eq!(drain(&mut network, 0), ((0..7).collect(), vec![]));
}

#[test]
fn a_publisher_with_a_store_comes_back_with_its_ring() {
    let publisher = PubPlan { keeps: Keeps::Store, commit: ms(1), ..ring(100) };
    let mut network = pair(publisher, sub(100));
    network.publish_all(0, b"", 5);
    network.run_ms(50);
    network.kill(Node::Sub(0));
    network.kill(Node::Pub(0));
    network.start(Node::Pub(0));
    network.publish_all(0, b"", 2);
    network.start(Node::Sub(0));
    network.run_ms(50);
    assert_eq!(drain(&mut network, 0), ((0..7).collect(), vec![]));
}

#[test]
fn a_new_session_is_told_before_its_first_message() {
    let mut network = pair(ring(100), sub(100));
    network.publish_all(0, b"", 2);
    network.run_ms(20);
    let old = network.session(0);
    network.kill(Node::Pub(0));
    network.start(Node::Pub(0));
    network.run_ms(50);
    network.publish_all(0, b"", 1);
    network.run_ms(20);
    let new = network.session(0);
    let got: Vec<Got> = std::iter::from_fn(|| network.get(0)).collect();
    let told = Got::NewSession(NewSession { new, old: Some(old) });
    let message = |session, seq| Got::Message { session, seq, topic: Vec::new() };
    assert_eq!(got, [message(old, 0), message(old, 1), told, message(new, 0)]);
}

#[test]
fn what_is_queued_of_an_old_session_can_be_discarded() {
    let mut subscriber = sub(100);
    subscriber.config.old_session = OldSession::Discard;
    let mut network = pair(ring(100), subscriber);
    network.publish_all(0, b"", 5);
    network.run_ms(20);
    network.kill(Node::Pub(0));
    network.start(Node::Pub(0));
    network.run_ms(50);
    network.publish_all(0, b"", 1);
    network.run_ms(20);
    let new = network.session(0);
    let got: Vec<Got> = std::iter::from_fn(|| network.get(0)).collect();
    assert!(matches!(got[0], Got::NewSession(told) if told.new == new), "{got:?}");
    assert_eq!(got.len(), 2, "{got:?}");
}

/// A publisher whose numbers are remembered, another one to take its place, and a subscriber of both.
fn doubles() -> Network {
    let first = PubPlan { keeps: Keeps::Numbers, ..ring(100) };
    let second = PubPlan { twin_of: Some(0), ..first.clone() };
    let wires = [0, 1].map(|publisher| WirePlan::between(Node::Pub(publisher), Node::Sub(0)));
    let subs = vec![sub(100)];
    let plan = Plan { pubs: vec![first, second], subs, wires: wires.into(), ..Plan::default() };
    let mut network = Network::new(plan);
    network.run_ms(20);
    network
}

#[test]
fn an_older_publisher_that_still_runs_is_fenced() {
    let mut network = doubles();
    network.publish_all(0, b"", 3);
    network.run_ms(20);
    network.double();
    network.run_ms(50);
    network.publish_all(1, b"", 2);
    network.publish_all(0, b"", 4);
    network.run_ms(1_500);
    // The numbers 3 and 4 have two meanings now; the subscriber knows the newer one only.
    assert_eq!(drain(&mut network, 0), ((0..5).collect(), vec![]));
}

#[test]
fn numbers_that_were_had_already_are_a_conflict() {
    let mut network = doubles();
    network.publish_all(0, b"", 3);
    network.run_ms(20);
    network.unplug(1);
    network.double();
    // Nobody tells the old one: its numbers go on, and the subscriber has them.
    network.publish_all(0, b"", 4);
    network.run_ms(20);
    network.plug_in(1);
    network.run_for(Duration::from_millis(200));
    assert!(network.happened(0, |event| matches!(event, Event::Conflict { .. })));
    assert_eq!(drain(&mut network, 0), ((0..7).collect(), vec![]));
}
