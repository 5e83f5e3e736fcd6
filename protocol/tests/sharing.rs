//! Senders that sit on room: others get it all the same.

mod common;

use common::raw::Raw;
use common::{data, encoded, handshake, hello, later, peer, record, run};
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
    let mut seconds = 0;
    while pull.link_state(deaf.link) == LinkState::Open {
        seconds += 1;
        assert!(seconds < 60, "it keeps the room");
        beats(&mut pull, &mut [&mut deaf, &mut other], later(NOW, seconds * 1_000));
    }
    let now = later(NOW, seconds * 1_000);
    let close = deaf.hears_close(&mut pull, now).expect("a last word");
    assert_eq!(close.code, CloseCode::ProtocolViolation, "{close:?}");
    assert!(seconds > 30, "{seconds}: an answer may come a long way behind what was sent before");
    let got = granted(&mut pull, &mut other, now).map_or(0, |grant| grant.messages);
    assert!(got >= 2, "half of the window at a time, and not {got}");
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
