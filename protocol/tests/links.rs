//! How many links a socket has.

mod common;

use common::raw::{Raw, Socket};
use common::{peer, session};
use drawdown_protocol::wire::{CloseCode, Control, Frame};
use drawdown_protocol::{
    Event, Lineage, LinkConfig, Now, PublishConfig, PublishEngine, PullConfig, PullEngine,
    PushConfig, PushEngine, ReplyConfig, ReplyEngine, RequestConfig, RequestEngine,
    SubscribeConfig, SubscribeEngine, Time,
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
