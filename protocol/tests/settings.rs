//! Settings of a socket that change while it runs, or may not.

mod common;

use std::time::Duration;

use common::raw::Raw;
use common::{attach, encoded, handshake, hello, later, peer, session, spans};
use drawdown_protocol::wire::{Control, Frame, Grant, Taken};
use drawdown_protocol::{LinkConfig, Now, PublishConfig, PushConfig, PushEngine, SocketType};

const NOW: Now = Now { time: drawdown_protocol::Time::ZERO, wall: common::WALL };
const HOUR: Duration = Duration::from_secs(3_600);
const SECOND: Duration = Duration::from_secs(1);

/// An attached receiver that has granted room for so many messages, and what it was sent then.
fn receiver(push: &mut PushEngine, name: u8, messages: u64, now: Now) -> (Raw, Vec<Frame>) {
    let mut raw = Raw::connect(push, "receiver", now);
    raw.says(push, &handshake(&hello(SocketType::Pull, peer(name))), now);
    raw.says(push, &encoded(&Control::Attach(attach(&[], &[], &[]))), now);
    let grant = Grant { serial: 1, messages, bytes: 1 << 20, contended: false, answered: 0 };
    raw.says(push, &encoded(&Control::Grant(grant)), now);
    let heard = raw.hears(push, now);
    (raw, heard)
}

fn push(config: PushConfig, messages: u64) -> PushEngine {
    let mut push = PushEngine::new(config, peer(0x20), session());
    for _ in 0..messages {
        push.try_send("job".into(), || NOW).unwrap();
    }
    push
}

fn is_asked_back(heard: &[Frame]) -> bool {
    heard.iter().any(|frame| matches!(frame, Frame::Control(Control::Retract(_))))
}

#[test]
fn a_shorter_grace_time_holds_for_who_goes_away_while_another_is_still_waited_for() {
    let mut push = push(PushConfig { grace: HOUR, ..PushConfig::default() }, 3);
    let (first, _) = receiver(&mut push, 0x30, 1, NOW);
    push.link_lost(first.link, "cut", NOW.time);
    push.reconfigure(NOW, |config| config.grace = SECOND);
    let (second, _) = receiver(&mut push, 0x40, 2, NOW);
    push.link_lost(second.link, "cut", NOW.time);
    let then = later(NOW, 1_000);
    assert_eq!(push.poll_timeout(NOW), Some(then.time));
    push.handle_timeout(then);
    assert_eq!((push.pending(), push.waiting()), (1, 2), "the first one's hour is not over");
    push.handle_timeout(later(NOW, 3_600_000));
    assert_eq!((push.pending(), push.waiting()), (0, 3));
    assert_eq!(push.poll_timeout(then), None);
}

/// Whether a message in flight is asked back within a second and a half once `reassign_after` is a second, and was `before`.
fn is_reassigned(before: Option<Duration>) -> bool {
    let mut push = push(PushConfig { reassign_after: before, ..PushConfig::default() }, 2);
    let (mut busy, _) = receiver(&mut push, 0x30, 2, NOW);
    let taken = Control::Taken(Taken { deliveries: spans(&[(0, 1)]) });
    busy.says(&mut push, &encoded(&taken), NOW);
    receiver(&mut push, 0x40, 1, NOW);
    push.reconfigure(NOW, |config| config.reassign_after = Some(SECOND));
    let end = later(NOW, 1_500);
    while let Some(next) = push.poll_timeout(NOW).filter(|next| *next <= end.time) {
        push.handle_timeout(Now { time: next, ..NOW });
    }
    is_asked_back(&busy.hears(&mut push, end))
}

#[test]
fn a_shorter_time_before_messages_are_asked_back_holds_for_those_in_flight() {
    assert!(is_reassigned(Some(HOUR)));
    assert!(is_reassigned(None));
}

#[test]
fn the_largest_message_stays_what_it_is_as_long_as_a_socket_runs() {
    let before = LinkConfig::default();
    let slower = LinkConfig { heartbeat: Duration::from_secs(5), ..before.clone() };
    let smaller = LinkConfig { message_bytes_max: 100, ..before };
    let push = |link: &LinkConfig| PushConfig { link: link.clone(), ..PushConfig::default() };
    let publish = |link: &LinkConfig| PublishConfig { link: link.clone(), ..Default::default() };
    assert_eq!(PushConfig::default().check_change(&push(&slower)), Ok(()));
    assert_eq!(PublishConfig::default().check_change(&publish(&slower)), Ok(()));
    assert!(PushConfig::default().check_change(&push(&smaller)).is_err());
    assert!(PublishConfig::default().check_change(&publish(&smaller)).is_err());
}

#[test]
fn heartbeats_do_not_become_shorter_than_a_socket_can_be_made_with() {
    let change = |heartbeat| {
        let link = LinkConfig { heartbeat, ..LinkConfig::default() };
        let publish = PublishConfig { link: link.clone(), ..Default::default() };
        let push = PushConfig { link, ..PushConfig::default() };
        [PushConfig::default().check_change(&push), PublishConfig::default().check_change(&publish)]
    };
    // One of no whole millisecond would be none to a peer, and always due here.
    for shorter in [Duration::from_nanos(1), Duration::from_millis(9)] {
        assert!(change(shorter).iter().all(Result::is_err), "{shorter:?}");
    }
    for possible in [Duration::ZERO, Duration::from_millis(10)] {
        assert_eq!(change(possible), [Ok(()), Ok(())], "{possible:?}");
    }
}
