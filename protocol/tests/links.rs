//! How many links a socket has, and how long.

mod common;

use common::raw::{Raw, Socket};
use common::{encoded, handshake, hello, later, peer, session};
use drawdown_protocol::wire::{CloseCode, Control, Frame, Heartbeat};
use drawdown_protocol::{
    Event, Lineage, LinkConfig, LinkState, Now, PublishConfig, PublishEngine, PullConfig,
    PullEngine, PushConfig, PushEngine, ReplyConfig, ReplyEngine, RequestConfig, RequestEngine,
    SocketType, SubscribeConfig, SubscribeEngine, Time,
};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };

fn one_link() -> LinkConfig {
    LinkConfig { links_max: 1, ..LinkConfig::default() }
}

/// One that comes when there are as many as may be hears why it is turned away, and so does the application.
fn turns_the_second_away<E: Socket>(mut engine: E, poll_event: fn(&mut E) -> Option<Event>) {
    let mut first = Raw::connect(&mut engine, "first", NOW);
    let mut second = Raw::connect(&mut engine, "second", NOW);
    let is_close = |frame: &Frame| matches!(frame, Frame::Control(Control::Close(_)));
    assert!(!first.hears(&mut engine, NOW).iter().any(is_close));
    let close = second.hears_close(&mut engine, NOW).expect("it is turned away");
    assert_eq!(close.code, CloseCode::TooMany);
    engine.lose(second.link, NOW.time);
    let events: Vec<_> = std::iter::from_fn(|| poll_event(&mut engine)).collect();
    let [Event::Disconnected { link, peer: None, identity, reason, by_us: true }] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((*link, identity.as_str(), reason), (second.link, "second", &close));
}

#[test]
fn a_link_too_many_is_turned_away_and_told_of() {
    let (link, name) = (one_link(), peer(0x20));
    let push = PushConfig { link: link.clone(), ..PushConfig::default() };
    turns_the_second_away(PushEngine::new(push, name, session()), PushEngine::poll_event);
    let pull = PullConfig { link: link.clone(), ..PullConfig::default() };
    turns_the_second_away(PullEngine::new(pull, name), PullEngine::poll_event);
    let lineage = Lineage { session: session(), epoch: 1, since: 0 };
    let publish = PublishConfig { link: link.clone(), ..PublishConfig::default() };
    turns_the_second_away(PublishEngine::new(publish, name, lineage), PublishEngine::poll_event);
    let subscribe = SubscribeConfig { link: link.clone(), ..SubscribeConfig::default() };
    turns_the_second_away(SubscribeEngine::new(subscribe, name), SubscribeEngine::poll_event);
    let request = RequestConfig { link: link.clone(), ..RequestConfig::default() };
    turns_the_second_away(RequestEngine::new(request, name, 1), RequestEngine::poll_event);
    let reply = ReplyConfig { link, ..ReplyConfig::default() };
    turns_the_second_away(ReplyEngine::new(reply, name), ReplyEngine::poll_event);
}

#[test]
fn a_heartbeat_is_not_missed_before_it_can_have_come() {
    let link = LinkConfig { heartbeat_misses: 1, ..LinkConfig::default() };
    let config = PushConfig { link, ..PushConfig::default() };
    let mut push = PushEngine::new(config, peer(0x20), session());
    let mut raw = Raw::connect(&mut push, "receiver", NOW);
    raw.says(&mut push, &handshake(&hello(SocketType::Pull, peer(0x30))), NOW);
    let beat = encoded(&Control::Heartbeat(Heartbeat::default()));
    // One comes each second, now and then a little late.
    for second in 1..10 {
        let late = 20 * (second % 2);
        push.handle_link_timeout(raw.link, later(NOW, 1_000 * second + late).time);
        assert_eq!(push.link_state(raw.link), LinkState::Open, "after {second} s");
        raw.says(&mut push, &beat, later(NOW, 1_000 * second + late));
    }
    let last = later(NOW, 9_020);
    push.handle_link_timeout(raw.link, later(last, 1_499).time);
    assert_eq!(push.link_state(raw.link), LinkState::Open);
    assert_eq!(push.poll_link_timeout(raw.link), Some(later(last, 1_500).time));
    push.handle_link_timeout(raw.link, later(last, 1_500).time);
    assert_eq!(push.link_state(raw.link), LinkState::Closing);
}
