//! Senders that sit on room: others get it all the same.

mod common;

use common::raw::Raw;
use common::{data, encoded, handshake, hello, later, peer, record, run, work_off};
use drawdown_protocol::wire::{CloseCode, Control, Demand, Echo, Frame, Grant, Heartbeat};
use drawdown_protocol::{
    LinkState, Now, PullConfig, PullEngine, ReplyConfig, ReplyEngine, SocketType, Time,
};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };

fn pull() -> PullEngine {
    PullEngine::new(PullConfig { window_messages: 4, ..PullConfig::default() }, peer(0x30))
}

fn sender(pull: &mut PullEngine, name: u8, now: Now) -> Raw {
    let mut raw = Raw::connect(pull, "sender", now);
    let mut hello = hello(SocketType::Push, peer(name));
    hello.session = Some(drawdown_protocol::Session::from_uuid(common::uuid(name)));
    raw.says(pull, &handshake(&hello), now);
    raw
}

fn wants(pull: &mut PullEngine, raw: &mut Raw, waiting: u64, now: Now) {
    let demand = Demand { waiting, asks: false };
    raw.says(pull, &encoded(&Control::Demand(demand)), now);
}

/// The last grant that a sender hears.
fn granted(pull: &mut PullEngine, raw: &mut Raw, now: Now) -> Option<Grant> {
    let frames = raw.hears(pull, now);
    frames.into_iter().rev().find_map(|frame| match frame {
        Frame::Control(Control::Grant(grant)) => Some(grant),
        _ => None,
    })
}

/// It says that it is alive, and time passes.
fn beats(pull: &mut PullEngine, raws: &mut [&mut Raw], now: Now) {
    for raw in raws {
        let beat = encoded(&Control::Heartbeat(Heartbeat::default()));
        raw.says(pull, &beat, now);
    }
    pull.handle_timeout(now.time);
}

#[test]
fn a_sender_that_never_answers_a_lowered_grant_loses_its_link() {
    let mut pull = pull();
    let mut deaf = sender(&mut pull, 0x40, NOW);
    assert_eq!(granted(&mut pull, &mut deaf, NOW).map(|grant| grant.messages), Some(4));
    let mut other = sender(&mut pull, 0x50, NOW);
    wants(&mut pull, &mut other, 10, NOW);
    assert_eq!(granted(&mut pull, &mut deaf, NOW).map(|grant| grant.messages), Some(1));
    assert_eq!(granted(&mut pull, &mut other, NOW).map(|grant| grant.messages), Some(0));
    loses_its_link(&mut pull, &mut deaf, &mut other);
}

/// Both are alive, and nothing comes: one that sits on room loses it to the other, with its link, but not soon.
fn loses_its_link(pull: &mut PullEngine, one: &mut Raw, other: &mut Raw) {
    let mut seconds = 0;
    while pull.link_state(one.link) == LinkState::Open {
        seconds += 1;
        assert!(seconds < 60, "it keeps the room");
        beats(pull, &mut [one, other], later(NOW, seconds * 1_000));
    }
    let now = later(NOW, seconds * 1_000);
    let close = one.hears_close(pull, now).expect("a last word");
    assert_eq!(close.code, CloseCode::ProtocolViolation, "{close:?}");
    assert!(seconds > 30, "{seconds}: an answer may come a long way behind what was sent before");
    let got = granted(pull, other, now).map_or(0, |grant| grant.messages);
    assert!(got >= 2, "half of the window at a time, and not {got}");
}

#[test]
fn a_sender_that_says_it_has_sent_what_never_comes_loses_its_link() {
    let mut pull = pull();
    let mut liar = sender(&mut pull, 0x40, NOW);
    let first = granted(&mut pull, &mut liar, NOW).expect("all the room");
    let mut other = sender(&mut pull, 0x50, NOW);
    wants(&mut pull, &mut other, 10, NOW);
    let lowered = granted(&mut pull, &mut liar, NOW).expect("it is to give some back");
    let echo = Echo { serial: lowered.serial, messages: first.messages, bytes: first.bytes };
    liar.says(&mut pull, &encoded(&Control::Echo(echo)), NOW);
    assert_eq!(granted(&mut pull, &mut other, NOW).map(|grant| grant.messages), Some(0));
    loses_its_link(&mut pull, &mut liar, &mut other);
}

#[test]
fn what_is_to_be_granted_and_was_not_told_yet_is_not_granted() {
    let mut pull = pull();
    let mut raw = sender(&mut pull, 0x40, NOW);
    assert_eq!(granted(&mut pull, &mut raw, NOW).map(|grant| grant.messages), Some(4));
    raw.says(&mut pull, &data(run(0, 0, 4), &record(b"x", None).repeat(4)), NOW);
    assert_eq!(work_off(&mut pull, NOW).len(), 4);
    // There is room again, but who reads nothing cannot know.
    raw.says(&mut pull, &data(run(4, 4, 1), &record(b"x", None)), NOW);
    let close = raw.hears_close(&mut pull, NOW).expect("a last word");
    assert_eq!(close.code, CloseCode::CreditExceeded, "{close:?}");
}

#[test]
fn what_a_sender_asked_for_and_does_not_use_is_for_others() {
    let mut pull = pull();
    let mut idle = sender(&mut pull, 0x40, NOW);
    let mut other = sender(&mut pull, 0x50, NOW);
    wants(&mut pull, &mut idle, 100, NOW);
    let had = granted(&mut pull, &mut idle, NOW).map_or(0, |grant| grant.messages);
    let others = granted(&mut pull, &mut other, NOW).map_or(0, |grant| grant.messages);
    assert_eq!((had, others), (3, 1));
    wants(&mut pull, &mut other, 100, NOW);
    for seconds in 1..=3 {
        let now = later(NOW, seconds * 1_000);
        beats(&mut pull, &mut [&mut idle, &mut other], now);
        if let Some(grant) = granted(&mut pull, &mut idle, now) {
            let echo = Echo { serial: grant.serial, messages: 0, bytes: 0 };
            idle.says(&mut pull, &encoded(&Control::Echo(echo)), now);
        }
    }
    let got = granted(&mut pull, &mut other, later(NOW, 3_000)).map_or(0, |grant| grant.messages);
    assert!(got > others, "it has no more than in the beginning, for ever");
}

#[test]
fn what_a_sender_has_and_does_not_use_is_for_others_also_if_it_says_that_it_waits() {
    let mut pull = pull();
    let mut idle = sender(&mut pull, 0x40, NOW);
    assert_eq!(granted(&mut pull, &mut idle, NOW).map(|grant| grant.messages), Some(4));
    wants(&mut pull, &mut idle, 100, NOW);
    let mut other = sender(&mut pull, 0x50, NOW);
    wants(&mut pull, &mut other, 100, NOW);
    let now = later(NOW, 1_000);
    beats(&mut pull, &mut [&mut idle, &mut other], now);
    let lowered = granted(&mut pull, &mut idle, now).expect("it is to give them back");
    let echo = Echo { serial: lowered.serial, messages: 0, bytes: 0 };
    idle.says(&mut pull, &encoded(&Control::Echo(echo)), now);
    let got = granted(&mut pull, &mut other, now).map_or(0, |grant| grant.messages);
    assert!(got > 0, "it waits for ever");
}

#[test]
fn a_client_that_never_answers_a_lowered_grant_loses_its_link() {
    let config = ReplyConfig { window_messages: 4, ..ReplyConfig::default() };
    let mut rep = ReplyEngine::new(config, peer(0x30));
    let mut connect = |name| {
        let mut raw = Raw::connect(&mut rep, "client", NOW);
        raw.says(&mut rep, &handshake(&hello(SocketType::Req, peer(name))), NOW);
        raw.hears(&mut rep, NOW);
        raw
    };
    let (mut deaf, mut other) = (connect(0x40), connect(0x50));
    let demand = encoded(&Control::Demand(Demand { waiting: 10, asks: false }));
    other.says(&mut rep, &demand, NOW);
    deaf.hears(&mut rep, NOW);
    for seconds in 1..60 {
        for raw in [&mut deaf, &mut other] {
            let beat = encoded(&Control::Heartbeat(Heartbeat::default()));
            raw.says(&mut rep, &beat, later(NOW, seconds * 1_000));
        }
        rep.handle_timeout(later(NOW, seconds * 1_000).time);
    }
    assert_eq!(rep.link_state(deaf.link), LinkState::Closing);
    assert_eq!(rep.link_state(other.link), LinkState::Open);
}

#[test]
fn a_sender_that_uses_what_it_has_keeps_it() {
    let mut pull = pull();
    let mut busy = sender(&mut pull, 0x40, NOW);
    let mut other = sender(&mut pull, 0x50, NOW);
    wants(&mut pull, &mut busy, 100, NOW);
    let mut limit = granted(&mut pull, &mut busy, NOW).map_or(0, |grant| grant.messages);
    wants(&mut pull, &mut other, 100, NOW);
    for turn in 0..10 {
        let now = later(NOW, 600 * (turn + 1));
        assert!(turn < limit, "{turn}: it has no room any more");
        busy.says(&mut pull, &data(run(turn, turn, 1), &record(b"x", None)), now);
        common::work_off(&mut pull, now);
        beats(&mut pull, &mut [&mut busy, &mut other], now);
        limit = granted(&mut pull, &mut busy, now).map_or(limit, |grant| grant.messages);
    }
}
