//! Publishers that break the rules.

use drawdown_protocol::limits::{MARKERS_MAX, SESSIONS_MAX};
use drawdown_protocol::wire::{
    CloseCode, Control, Filter, Frame, Hello, More, Prefix, Request, Ring, Skip, StartAt,
};
use drawdown_protocol::{
    Gap, Lineage, LinkState, Session, SubscribeConfig, SubscribeEngine, Taken,
};
use uuid::Uuid;

use crate::common::raw::Raw;
use crate::common::{encoded, handshake, peer, publish, session};
use crate::{
    NOW, WINDOW, ask, lineage, news, publisher_hello, publishing, request, ring, skip, subscribed,
    subscriber, taken,
};

#[test]
fn a_publisher_that_breaks_the_rules_loses_its_link() {
    let cases: [(Vec<u8>, CloseCode); 8] = [
        (publish(1, 2, 2, 1), CloseCode::ProtocolViolation),
        (publish(2, 3, 3, 1), CloseCode::ProtocolViolation),
        (publish(1, 3, 3, WINDOW as u32 - 2), CloseCode::CreditExceeded),
        (
            encoded(&Control::Skip(Skip { request: 1, from: 2, next: 9 })),
            CloseCode::ProtocolViolation,
        ),
        (
            encoded(&Control::Skip(Skip { request: 1, from: 9, next: 8 })),
            CloseCode::ProtocolViolation,
        ),
        (ring(lineage(1, 0), 9, 8), CloseCode::ProtocolViolation),
        (ring(lineage(1, 1), 0, 9), CloseCode::Conflict),
        (ring(lineage(2, 2), 0, 9), CloseCode::Conflict),
    ];
    for (bytes, code) in cases {
        let (mut subscriber, mut raw) = publishing();
        raw.says(&mut subscriber, &publish(1, 0, 0, 3), NOW);
        raw.says(&mut subscriber, &bytes, NOW);
        let close = raw.hears_close(&mut subscriber, NOW).expect("a last word");
        assert_eq!(close.code, code, "{bytes:?}: {close}");
        let Some(Taken::Batch(batch)) = subscriber.take(99) else {
            panic!("what came before stays")
        };
        assert_eq!(batch.len(), 3);
        assert!(subscriber.take(99).is_none());
    }
}

#[test]
fn a_publication_beyond_its_credit_is_refused_when_it_begins_to_arrive() {
    let begun = |request, seq| {
        let mut bytes = publish(request, seq, seq, 1);
        bytes.pop();
        bytes
    };
    let cases = [
        (begun(1, WINDOW), CloseCode::CreditExceeded),
        (begun(2, WINDOW), CloseCode::ProtocolViolation),
    ];
    for (bytes, code) in cases {
        let (mut subscriber, mut raw) = publishing();
        raw.says(&mut subscriber, &publish(1, 0, 0, WINDOW as u32 - 1), NOW);
        raw.says(&mut subscriber, &begun(1, WINDOW - 1), NOW);
        assert_eq!(subscriber.link_state(raw.link), LinkState::Open, "there is credit for it");
        raw.says(&mut subscriber, b"x", NOW);
        raw.says(&mut subscriber, &bytes, NOW);
        assert_eq!(raw.hears_close(&mut subscriber, NOW).expect("a last word").code, code);
    }
}

#[test]
fn an_older_incarnation_is_refused_as_soon_as_it_says_too_much() {
    let (mut subscriber, _raw) = publishing();
    let mut newer = Raw::connect(&mut subscriber, "newer", NOW);
    newer.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    newer.says(&mut subscriber, &ring(lineage(2, 12), 12, 14), NOW);
    let mut older = Raw::connect(&mut subscriber, "older", NOW);
    older.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    older.says(&mut subscriber, &ring(lineage(1, 0), 0, 12), NOW);
    assert_eq!(subscriber.link_state(older.link), LinkState::Open, "it is only behind");
    older.says(&mut subscriber, &ring(lineage(1, 0), 0, 13), NOW);
    let close = older.hears_close(&mut subscriber, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::Fenced);
}

#[test]
fn sessions_and_gaps_are_counted() {
    let (mut subscriber, mut raw) = publishing();
    for name in 1..SESSIONS_MAX as u128 {
        let other = Lineage { session: Session::from_uuid(Uuid::from_u128(name)), ..lineage(1, 0) };
        raw.says(&mut subscriber, &ring(other, 0, 1), NOW);
    }
    assert_eq!(subscriber.link_state(raw.link), LinkState::Open);
    let other = Lineage { session: Session::from_uuid(Uuid::from_u128(1_000)), ..lineage(1, 0) };
    raw.says(&mut subscriber, &ring(other, 0, 1), NOW);
    let close = raw.hears_close(&mut subscriber, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::TooMany);

    // Gaps that follow each other are one; those with what was passed over between them are bounded.
    let (mut subscriber, mut raw) = publishing();
    for skip in 0..2 * MARKERS_MAX as u64 {
        let skip = Skip { request: 1, from: 4 * skip + 2, next: 4 * skip + 4 };
        raw.says(&mut subscriber, &encoded(&Control::Skip(skip)), NOW);
    }
    let close = raw.hears_close(&mut subscriber, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::TooMany);
    let (mut subscriber, mut raw) = publishing();
    for next in 1..2 * MARKERS_MAX as u64 {
        let skip = Skip { request: 1, from: 2 * next, next: 2 * next };
        raw.says(&mut subscriber, &encoded(&Control::Skip(skip)), NOW);
    }
    let gap = subscriber.take(1);
    let expected = Gap { session: session(), from: 2, to: 4 * MARKERS_MAX as u64 - 3 };
    assert!(matches!(gap, Some(Taken::Gap(gap)) if gap == expected), "{gap:?}");
    assert_eq!(subscriber.link_state(raw.link), LinkState::Open);
}

#[test]
fn a_gap_that_is_one_too_many_is_told_of_with_what_comes_after_it() {
    let many = 2 * MARKERS_MAX as u64;
    let mut subscriber = subscriber();
    subscriber.set_window(many, 4 << 20, NOW.time);
    let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
    raw.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    raw.says(&mut subscriber, &ring(lineage(1, 0), 0, 1), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &publish(1, 0, 0, 1), NOW);
    // Every other number is lost.
    for seq in (2..2 * many).step_by(2) {
        raw.says(&mut subscriber, &publish(1, seq, seq, 1), NOW);
    }
    let close = raw.hears_close(&mut subscriber, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::TooMany);
    subscriber.remove_link(raw.link);
    let had = taken(&mut subscriber);
    assert_eq!(had, 0..2 * MARKERS_MAX as u64 + 1);
    assert_eq!(subscriber.queued().messages, 0);

    let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
    raw.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
    raw.says(&mut subscriber, &ring(lineage(1, 0), 2 * many - 1, 2 * many), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &publish(1, 2 * many - 1, 2 * many - 1, 1), NOW);
    assert_eq!(taken(&mut subscriber), had.end..2 * many);
    assert_eq!(subscriber.queued().messages, 0);
}

/// Takes all that waits; the numbers of messages and gaps, which follow each other.
#[test]
fn nothing_is_queued_after_a_stop() {
    let (mut subscriber, mut raw) = publishing();
    subscriber.stop();
    let other =
        Lineage { session: Session::from_uuid(Uuid::from_u128(u128::MAX)), ..lineage(1, 0) };
    for bytes in [ring(other, 0, 1), publish(1, 0, 0, 1), skip(1, 5, 5)] {
        raw.says(&mut subscriber, &bytes, NOW);
        assert!(!subscriber.has_queued());
    }
    assert_eq!(subscriber.link_state(raw.link), LinkState::Open);
}

#[test]
fn losses_are_counted_whatever_a_publisher_says() {
    let (mut subscriber, mut raw) = publishing();
    raw.says(&mut subscriber, &skip(1, 0, 0), NOW);
    raw.says(&mut subscriber, &skip(1, u64::MAX, u64::MAX), NOW);
    let other =
        Lineage { session: Session::from_uuid(Uuid::from_u128(u128::MAX)), ..lineage(1, 0) };
    raw.says(&mut subscriber, &ring(other, 0, 1), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &skip(2, 0, 0), NOW);
    raw.says(&mut subscriber, &skip(2, u64::MAX, u64::MAX), NOW);
    assert_eq!(subscriber.stats(NOW.time).missed, u64::MAX);
}

#[test]
fn sessions_that_nothing_comes_of_are_not_told_of() {
    let (mut subscriber, mut raw) = publishing();
    let of = |name: u128| Lineage {
        session: Session::from_uuid(Uuid::from_u128(name)),
        ..lineage(1, 0)
    };
    let ended = |name, head| Ring { lineage: of(name), oldest: 5, head, live: false };
    for name in 1..SESSIONS_MAX as u128 {
        raw.says(&mut subscriber, &encoded(&Control::Ring(ended(name, 5))), NOW);
    }
    assert_eq!(subscriber.link_state(raw.link), LinkState::Open);
    assert!(subscriber.take(1).is_none(), "nor is the application told");
    assert_eq!(news(&mut subscriber), 0);
    raw.says(&mut subscriber, &encoded(&Control::Ring(ended(1, 6))), NOW);
    raw.says(&mut subscriber, &ring(of(2), 5, 5), NOW);
    assert_eq!(news(&mut subscriber), 2, "one has something, the other has its publisher");
}

/// Without heartbeats, and with a filter, only a SKIP tells that a source has nothing more that is wanted.
#[test]
fn the_only_credit_goes_on_to_the_session_that_has_something() {
    let config = SubscribeConfig { window_messages: 1, ..SubscribeConfig::default() };
    let mut subscriber = SubscribeEngine::new(config, peer(0x30));
    subscriber.add_filter(b"b", NOW.time).unwrap();
    let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
    let silent = Hello { heartbeat_ms: 0, ..publisher_hello() };
    raw.says(&mut subscriber, &handshake(&silent), NOW);
    let other =
        Lineage { session: Session::from_uuid(Uuid::from_u128(u128::MAX)), ..lineage(1, 0) };
    raw.says(&mut subscriber, &ring(lineage(1, 0), 0, 5), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &skip(1, 0, 4), NOW);
    raw.says(&mut subscriber, &ring(other, 0, 0), NOW);
    raw.hears(&mut subscriber, NOW);
    raw.says(&mut subscriber, &skip(2, 0, 0), NOW);
    raw.says(&mut subscriber, &ring(other, 0, 8), NOW);
    let mut heard = raw.hears(&mut subscriber, NOW);
    // The first one may have found nothing and kept silent: it is asked once more.
    raw.says(&mut subscriber, &skip(3, 4, 5), NOW);
    let more = Control::More(More { request: 2, messages: 1, bytes: 16 << 20 });
    heard.extend(raw.hears(&mut subscriber, NOW));
    assert!(heard.contains(&Frame::Control(more)), "{heard:?}");
}

#[test]
fn a_request_that_is_given_credit_only_later_says_then_that_nothing_is_wanted() {
    let (mut publisher, mut raw) = subscribed();
    let filters = Filter {
        add: [Prefix::new(b"of no message").unwrap()].into_iter().collect(),
        remove: [Prefix::new(b"").unwrap()].into_iter().collect(),
    };
    raw.says(&mut publisher, &encoded(&Control::Filter(filters)), NOW);
    raw.says(&mut publisher, &ask(Request { bytes: 0, ..request(1, StartAt::Oldest, 0) }), NOW);
    let told = |from, next| Frame::Control(Control::Skip(Skip { request: 1, from, next }));
    assert_eq!(raw.hears(&mut publisher, NOW), [told(0, 0)], "it may not look");
    let [Frame::Control(Control::Ring(_))] = raw.hears(&mut publisher, NOW)[..] else {
        panic!("it does not say that there is something");
    };
    let more = |messages| encoded(&Control::More(More { request: 1, messages, bytes: 1 << 20 }));
    raw.says(&mut publisher, &more(1), NOW);
    assert_eq!(raw.hears(&mut publisher, NOW), [told(0, 10)]);
    raw.says(&mut publisher, &more(2), NOW);
    assert_eq!(raw.hears(&mut publisher, NOW), [], "nothing is news");
}

#[test]
fn sessions_without_end_do_not_pile_up_before_an_application_that_takes_nothing() {
    let (mut subscriber, raw) = publishing();
    subscriber.link_lost(raw.link, "the connection broke", NOW.time);
    let mut names = 1..;
    for _ in 0..2 * MARKERS_MAX / SESSIONS_MAX {
        let mut raw = Raw::connect(&mut subscriber, "publisher", NOW);
        raw.says(&mut subscriber, &handshake(&publisher_hello()), NOW);
        for name in names.by_ref().take(SESSIONS_MAX) {
            let other =
                Lineage { session: Session::from_uuid(Uuid::from_u128(name)), ..lineage(1, 0) };
            raw.says(&mut subscriber, &ring(other, 0, 1), NOW);
        }
        subscriber.link_lost(raw.link, "the connection broke", NOW.time);
    }
    let waiting = std::iter::from_fn(|| subscriber.take(1)).count();
    assert!(waiting <= MARKERS_MAX, "{waiting}");
}
