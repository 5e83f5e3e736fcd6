//! Sources that hang, let go, or are gone: how long a subscriber waits before it puts up with a loss.

mod common;

use common::raw::Raw;
use common::{encoded, handshake, hello, later, peer, publish, session};
use drawdown_protocol::wire::{Control, Frame, Hello, Request, Ring, Skip};
use drawdown_protocol::{Lineage, Now, SocketType, SubscribeConfig, SubscribeEngine, Time};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };

/// A subscriber that is to have so many sources.
fn subscriber(sources: usize) -> SubscribeEngine {
    let mut subscriber = SubscribeEngine::new(SubscribeConfig::default(), peer(0x30));
    subscriber.add_filter(b"", NOW.time).unwrap();
    subscriber.set_sources_expected(sources);
    subscriber
}

/// A source that sends no heartbeats.
fn source(subscriber: &mut SubscribeEngine, name: u8) -> Raw {
    let mut raw = Raw::connect(subscriber, "source", NOW);
    let hello = Hello { heartbeat_ms: 0, ..hello(SocketType::Pub, peer(name)) };
    raw.says(subscriber, &handshake(&hello), NOW);
    raw
}

fn ring(epoch: u64, since: u64, oldest: u64, head: u64) -> Vec<u8> {
    let lineage = Lineage { session: session(), epoch, since };
    encoded(&Control::Ring(Ring { lineage, oldest, head, live: true }))
}

/// The name of what it is asked for last, if it is asked.
fn asked(raw: &mut Raw, subscriber: &mut SubscribeEngine, now: Now) -> Option<u32> {
    let heard = raw.hears(subscriber, now);
    heard.into_iter().rev().find_map(|frame| match frame {
        Frame::Control(Control::Request(Request { request, .. })) => Some(request),
        _ => None,
    })
}

#[test]
fn a_source_that_hangs_is_left_for_one_that_lacks_something_once_patience_is_over() {
    let mut subscriber = subscriber(3);
    let mut hangs = source(&mut subscriber, 0x50);
    hangs.says(&mut subscriber, &ring(1, 0, 0, 10), NOW);
    assert!(asked(&mut hangs, &mut subscriber, NOW).is_some());
    let mut other = source(&mut subscriber, 0x51);
    other.says(&mut subscriber, &ring(1, 0, 5, 20), NOW);
    assert_eq!(asked(&mut other, &mut subscriber, NOW), None);
    // The third one never comes, and nothing happens but what the subscriber wants to be called for.
    let patience = subscriber.config().patience;
    for _ in 0..5 {
        let due = subscriber.poll_timeout().expect("it does not wait for ever");
        let now = Now { time: due, ..NOW };
        subscriber.handle_timeout(due);
        if asked(&mut other, &mut subscriber, now).is_some() {
            assert_eq!(due, NOW.time + patience);
            return;
        }
        assert!(subscriber.poll_timeout() > Some(due), "it is called again and again");
    }
    panic!("it is never asked");
}

#[test]
fn what_is_left_of_a_publisher_does_not_stand_for_the_one_that_has_come_back() {
    let mut subscriber = subscriber(1);
    let mut back = source(&mut subscriber, 0x51);
    back.says(&mut subscriber, &ring(2, 100, 0, 100), NOW);
    assert!(asked(&mut back, &mut subscriber, NOW).is_some());
    let mut before = source(&mut subscriber, 0x50);
    before.says(&mut subscriber, &ring(1, 0, 90, 100), NOW);
    assert_eq!(asked(&mut before, &mut subscriber, NOW), None);
    let now = later(NOW, 60_000);
    subscriber.link_lost(back.link, "the connection broke", now.time);
    assert_eq!(asked(&mut before, &mut subscriber, now), None, "it may be back in a moment");
    let due = subscriber.poll_timeout().expect("it does not wait for ever");
    assert_eq!(due, now.time + subscriber.config().grace);
    subscriber.handle_timeout(due);
    assert!(asked(&mut before, &mut subscriber, now).is_some());
}

#[test]
fn a_loss_is_believed_although_another_source_comes_and_lets_go_again_and_again() {
    let mut subscriber = subscriber(2);
    let mut good = source(&mut subscriber, 0x50);
    good.says(&mut subscriber, &ring(1, 0, 0, 1), NOW);
    let mut request = asked(&mut good, &mut subscriber, NOW).expect("it is asked");
    good.says(&mut subscriber, &publish(request, 0, 0, 1), NOW);
    let mut flaps = source(&mut subscriber, 0x51);
    let lineage = Lineage { session: session(), epoch: 0, since: 0 };
    let forgotten = encoded(&Control::Ring(Ring { lineage, oldest: 0, head: 0, live: false }));
    for turn in 1..10 {
        let now = later(NOW, turn * 500);
        subscriber.handle_timeout(now.time);
        flaps.says(&mut subscriber, &ring(1, 0, 60, 100), now);
        flaps.says(&mut subscriber, &forgotten, now);
        flaps.hears(&mut subscriber, now);
        good.says(&mut subscriber, &ring(1, 0, 50, 100), now);
        request = asked(&mut good, &mut subscriber, now).unwrap_or(request);
        let lost = Skip { request, from: 50, next: 50 };
        good.says(&mut subscriber, &encoded(&Control::Skip(lost)), now);
    }
    assert_eq!(subscriber.stats(NOW.time).missed, 49);
}
