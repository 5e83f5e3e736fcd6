//! Which server is asked, and how often.

use std::time::Duration;

use bytes::Bytes;
use drawdown_protocol::{
    AnswerError, CallError, CallOptions, Event, ReplyConfig, RequestConfig, SocketType,
};

use crate::common::raw::Raw;
use crate::common::{handshake, hello};
use crate::net::{Net, quick};

#[test]
fn a_call_waits_for_a_server_and_says_so_if_none_comes() {
    let mut net = Net::new(quick());
    let early = net.call("early");
    net.pass(Duration::from_secs(5));
    let server = net.server(1, 1);
    assert_eq!(net.serve(server), 1);
    assert_eq!(net.answered(early), b"earlyearly");
    let busy = net.call("busy");
    let taken = net.take(server).unwrap();
    let waits = net.call("waits");
    net.cut(server);
    net.pass(Duration::from_secs(20));
    assert_eq!((net.error(busy), net.error(waits)), (CallError::TimedOut, CallError::NoService));
    assert_eq!(
        net.servers[server].answer(taken.key, Bytes::new(), net.now.time),
        Err(AnswerError::Late)
    );
}

#[test]
fn the_server_with_most_room_is_asked_and_ties_go_round() {
    let mut net = Net::new(quick());
    let (small, large) = (net.server(2, 1), net.server(6, 1));
    for _ in 0..4 {
        net.call("x");
    }
    let unanswered = |net: &Net| (net.servers[small].unanswered(), net.servers[large].unanswered());
    assert_eq!(unanswered(&net), (0, 4));
    for _ in 0..4 {
        net.call("x");
    }
    assert_eq!(unanswered(&net), (2, 6));
    let mut even = Net::new(quick());
    for _ in 0..3 {
        even.server(1_000, 1);
    }
    for _ in 0..30 {
        even.call("x");
        (0..3).for_each(|server| assert!(even.serve(server) <= 1));
    }
    for server in &even.servers {
        assert_eq!(server.stats(even.now.time).answered, 10);
    }
}

#[test]
fn what_a_server_that_was_alone_has_left_counts_once_another_one_comes() {
    let mut net = Net::new(quick());
    let alone = net.server(10, 1);
    for _ in 0..8 {
        net.call("early");
    }
    net.run();
    let other = net.server(5, 1);
    for _ in 0..3 {
        net.call("late");
    }
    net.run();
    let unanswered = [alone, other].map(|server| net.servers[server].unanswered());
    assert_eq!(unanswered, [8, 3], "the one has room for 2, the other for 5, 4 and 3");
}

#[test]
fn a_worse_level_serves_only_while_every_better_one_is_busy_or_gone() {
    let mut net = Net::new(quick());
    let (best, worse) = (net.server(1, 1), net.server(10, 16));
    net.call("one");
    net.call("two");
    assert_eq!((net.servers[best].unanswered(), net.servers[worse].unanswered()), (1, 1));
    net.serve(best);
    net.serve(worse);
    net.call("three");
    assert_eq!(net.serve(best), 1, "it fails back by itself");
    net.cut(best);
    net.call("four");
    assert_eq!(net.serve(worse), 1);
    net.connect(best, 1);
    net.call("five");
    assert_eq!(net.serve(best), 1);
    let events: Vec<Event> = std::iter::from_fn(|| net.client.poll_event()).collect();
    let changes = events.iter().filter(|event| matches!(event, Event::LevelChanged { .. }));
    assert_eq!(changes.count(), 4);
}

#[test]
fn a_lost_server_is_replaced_at_once_and_its_late_answer_is_dropped() {
    let mut net = Net::new(quick());
    let (one, two) = (net.server(10, 1), net.server(5, 1));
    let number = net.call("x");
    let lost = net.take(one).expect("it has more room");
    net.cut(one);
    let call = net.take(two).expect("at once");
    assert_eq!(call.id(), lost.id(), "the same call");
    net.answer(two, &call);
    assert_eq!(net.answered(number), b"xx");
    net.connect(one, 1);
    net.answer(one, &lost);
    net.pass(Duration::from_secs(2));
    assert_eq!(net.settled.len(), 1);
}

#[test]
fn a_call_that_may_have_begun_goes_nowhere_else_if_it_is_to_run_at_most_once() {
    let mut net = Net::new(CallOptions { at_most_once: true, ..quick() });
    let (one, two) = (net.server(10, 1), net.server(5, 1));
    let number = net.call("x");
    net.take(one).unwrap();
    net.cut(one);
    assert!(net.take(two).is_none());
    net.pass(Duration::from_secs(11));
    assert_eq!(net.error(number), CallError::TimedOut);

    let number = net.call("y");
    assert!(net.take(two).is_some());
    let waiting = net.call("z");
    net.servers[two].stop(net.now.time);
    net.run();
    net.connect(one, 1);
    assert_eq!(net.serve(one), 1, "what was given back has not begun");
    assert_eq!(net.answered(waiting), b"zz");
    net.pass(Duration::from_secs(11));
    assert_eq!(net.error(number), CallError::TimedOut);
}

#[test]
fn a_server_that_does_not_answer_is_left_out_until_it_does() {
    let mut net = Net::new(quick());
    let (hangs, works) = (net.server(10, 1), net.server(5, 1));
    let number = net.call("x");
    let hung = net.take(hangs).unwrap();
    net.pass(Duration::from_millis(1_100));
    assert_eq!(net.serve(works), 1);
    assert_eq!(net.answered(number), b"xx");
    assert!(net.servers[hangs].is_cancelled(hung.key), "it is told that nobody waits");
    net.call("y");
    assert_eq!((net.serve(hangs), net.serve(works)), (0, 1), "it has more room, and is not asked");
    net.pass(Duration::from_secs(2));
    net.call("z");
    assert_eq!((net.serve(hangs), net.serve(works)), (1, 0), "after a while it is tried again");
    let refused = net.servers[hangs].answer(hung.key, Bytes::new(), net.now.time);
    assert_eq!(refused, Err(AnswerError::Cancelled));
}

#[test]
fn a_call_is_tried_so_often_and_not_more() {
    let mut net = Net::new(CallOptions { retries: 2, ..quick() });
    let server = net.server(10, 1);
    let number = net.call("x");
    let mut taken = 0;
    for _ in 0..40 {
        taken += usize::from(net.take(server).is_some());
        net.pass(Duration::from_millis(200));
    }
    assert_eq!(net.error(number), CallError::TimedOut);
    assert_eq!(net.client.stats(net.now.time).dispatched, 3);
    assert!((1..=3).contains(&taken), "{taken}");
}

#[test]
fn a_hedged_call_is_answered_by_whoever_is_first() {
    let hedge_after = Some(Duration::from_millis(100));
    let mut net = Net::new(CallOptions { hedge_after, ..quick() });
    let (slow, quick) = (net.server(10, 1), net.server(5, 1));
    let number = net.call("x");
    let slow_call = net.take(slow).unwrap();
    assert!(net.take(quick).is_none());
    net.pass(Duration::from_millis(150));
    assert_eq!(net.serve(quick), 1);
    assert_eq!(net.answered(number), b"xx");
    assert!(net.servers[slow].is_cancelled(slow_call.key));
}

#[test]
fn calls_that_only_a_busy_server_may_have_hold_up_no_others() {
    let mut net = Net::new(CallOptions { at_most_once: true, ..quick() });
    let busy = net.server(100, 1);
    let (bound, mut begun) = ((0..100).map(|_| net.call("x")).count(), 0);
    while net.take(busy).is_some() {
        begun += 1;
    }
    assert_eq!(begun, bound);
    net.cut(busy);
    net.connect(busy, 1);
    assert_eq!(net.client.stats(net.now.time).links[0].room.messages, 0, "it works on them still");
    let idle = net.server(5, 1);
    let number = net.call("y");
    assert_eq!(net.serve(idle), 1);
    assert_eq!(net.answered(number), b"yy");
}

#[test]
fn a_client_that_is_short_of_bytes_does_not_ask_without_pause() {
    let mut net = Net::new(quick());
    let window_bytes = 9 << 20;
    let config = ReplyConfig { window_messages: 100, window_bytes, ..ReplyConfig::default() };
    let server = net.server_with(config, 1);
    let mut idle = Raw::connect(&mut net.servers[server], "idle", net.now);
    let hello = handshake(&hello(SocketType::Req, crate::common::peer(0x20)));
    idle.says(&mut net.servers[server], &hello, net.now);
    let large: &'static str = Box::leak("x".repeat(500_000).into_boxed_str());
    (0..30).for_each(|_| _ = net.call(large));
    assert!(net.client.stats(net.now.time).links[0].room.messages > 20, "bytes are short");
    assert_eq!(net.serve(server), 30, "all that have waited come in the end");
}

#[test]
fn a_hedge_waits_for_a_second_server_with_room() {
    let hedge_after = Some(Duration::from_millis(100));
    let mut net = Net::new(CallOptions { hedge_after, ..quick() });
    let (slow, quick) = (net.server(10, 1), net.server(5, 1));
    net.servers[quick].set_paused(true);
    net.run();
    let number = net.call("x");
    net.pass(Duration::from_millis(150));
    net.servers[quick].set_paused(false);
    net.run();
    assert_eq!(net.serve(quick), 1, "as soon as it has room");
    assert_eq!(net.answered(number), b"xx");
    assert_eq!(net.take(slow).map(|call| call.id()), None, "it was withdrawn");
}

#[test]
fn a_server_that_failed_is_used_again_once_it_was_well_for_long_enough() {
    let fail_back_after = Duration::from_secs(2);
    let config = RequestConfig { fail_back_after, call: quick(), ..RequestConfig::default() };
    let mut net = Net::with(config);
    let (best, worse) = (net.server(10, 1), net.server(10, 5));
    net.call("one");
    assert_eq!(net.serve(best), 1, "who comes for the first time has not failed");
    net.cut(best);
    net.connect(best, 1);
    net.call("two");
    assert_eq!(net.serve(worse), 1, "it is back only now");
    net.pass(Duration::from_millis(1_900));
    net.cut(best);
    net.connect(best, 1);
    net.pass(Duration::from_millis(1_900));
    net.call("three");
    assert_eq!(net.serve(worse), 1, "it failed once more");
    net.pass(Duration::from_millis(200));
    net.call("four");
    assert_eq!(net.serve(best), 1);

    net.cut(best);
    net.connect(best, 1);
    net.cut(worse);
    net.call("five");
    assert_eq!(net.serve(best), 1, "better than none");
    let events: Vec<Event> = std::iter::from_fn(|| net.client.poll_event()).collect();
    let trials = events.iter().filter(|event| matches!(event, Event::ServerOnTrial { .. }));
    let trusted = events.iter().filter(|event| matches!(event, Event::ServerTrusted { .. }));
    assert_eq!((trials.count(), trusted.count()), (3, 1));
}

#[test]
fn windows_of_any_length_keep_calls_going() {
    for window in [0, 1, 2, 100] {
        let mut net = Net::new(quick());
        let server = net.server(window, 1);
        for _ in 0..20 {
            let number = net.call("x");
            net.servers[server].set_waiting(1);
            net.run();
            let call = net.take(server).unwrap();
            net.servers[server].set_waiting(0);
            net.run();
            net.answer(server, &call);
            assert_eq!(net.answered(number), b"xx");
        }
    }
}
