//! What is answered, and what is known of it afterwards.

use std::time::Duration;

use bytes::Bytes;
use drawdown_protocol::{
    AnswerError, AnswerMemory, CallError, CallOptions, ReplyConfig, RequestConfig, TakenCall,
};

use crate::net::{Net, quick};

#[test]
fn calls_are_answered_each_with_its_own_answer() {
    let mut net = Net::new(quick());
    let server = net.server(10, 1);
    let (one, two) = (net.call("one"), net.call("two"));
    let calls: Vec<TakenCall> = std::iter::from_fn(|| net.take(server)).collect();
    for call in calls.iter().rev() {
        net.answer(server, call);
    }
    assert_eq!((net.answered(one), net.answered(two)), (&b"oneone"[..], &b"twotwo"[..]));
    net.pass(Duration::from_secs(2));
    assert!(net.servers[server].is_drained(), "the client has confirmed");
}

#[test]
fn an_answer_is_given_again_after_a_reconnect_and_nobody_works_twice() {
    for at_most_once in [false, true] {
        let mut net = Net::new(CallOptions { at_most_once, ..quick() });
        let server = net.server(10, 1);
        let number = net.call("x");
        let call = net.take(server).unwrap();
        net.ways[0].frozen = true;
        net.answer(server, &call);
        net.cut(server);
        assert!(net.settled.is_empty(), "the answer was lost on the way");
        net.connect(server, 1);
        assert_eq!(net.answered(number), b"xx");
        assert_eq!(net.servers[server].stats(net.now.time).taken, 1);

        let number = net.call("y");
        let call = net.take(server).unwrap();
        net.cut(server);
        net.connect(server, 1);
        assert!(net.take(server).is_none(), "it is being worked on");
        net.answer(server, &call);
        assert_eq!(net.answered(number), b"yy", "where its caller is now");
    }
}

#[test]
fn an_answer_that_is_waited_for_is_known_for_longer_than_others_if_its_call_must_not_run_twice() {
    let patient = CallOptions { timeout: Duration::from_secs(300), ..quick() };
    for at_most_once in [false, true] {
        let mut net = Net::new(CallOptions { at_most_once, ..patient });
        let server = net.server(10, 1);
        let remembered = |net: &Net| net.servers[server].stats(net.now.time).remembered;
        let number = net.call("x");
        let call = net.take(server).unwrap();
        net.ways[0].frozen = true;
        net.answer(server, &call);
        net.cut(server);
        net.pass(Duration::from_secs(200));
        assert_eq!(remembered(&net), u64::from(at_most_once), "the others are known for a minute");
        if at_most_once {
            net.connect(server, 1);
            assert_eq!(net.answered(number), b"xx");
            assert_eq!(net.servers[server].stats(net.now.time).taken, 1);
            net.pass(Duration::from_secs(1));
            assert_eq!(remembered(&net), 0, "its client has it, and it is old");
        }
    }
}

#[test]
fn an_answer_that_nobody_comes_for_is_forgotten_after_its_call_s_time() {
    let patient = CallOptions { timeout: Duration::from_secs(300), ..quick() };
    let mut net = Net::new(CallOptions { at_most_once: true, ..patient });
    let server = net.server(10, 1);
    net.call("x");
    let call = net.take(server).unwrap();
    net.ways[0].frozen = true;
    net.answer(server, &call);
    net.cut(server);
    net.pass(Duration::from_secs(300));
    assert_eq!(net.servers[server].stats(net.now.time).remembered, 1, "a late word may come");
    net.pass(Duration::from_secs(61));
    assert_eq!(net.servers[server].stats(net.now.time).remembered, 0);
    assert_eq!(net.servers[server].poll_timeout(), None);
}

#[test]
fn a_call_that_comes_again_while_it_is_being_put_down_is_worked_on_anew() {
    let mut net = Net::new(quick());
    let server = net.server(10, 1);
    let number = net.call("x");
    let hung = net.take(server).unwrap();
    net.pass(Duration::from_millis(1_100));
    assert!(net.servers[server].is_cancelled(hung.key), "its application is told");
    net.pass(Duration::from_millis(1_100));
    assert!(!net.servers[server].is_cancelled(hung.key), "there is nobody else to ask");
    net.servers[server].put_down(hung.key, "put down".into(), net.now.time).unwrap();
    net.run();
    assert_eq!(net.serve(server), 1);
    assert_eq!(net.answered(number), b"xx");

    let number = net.call("y");
    let call = net.take(server).unwrap();
    net.client.cancel(number, net.now.time);
    net.run();
    let told = net.servers[server].put_down(call.key, "put down".into(), net.now.time);
    assert_eq!(told, Err(AnswerError::Cancelled), "nobody asked again");
    assert_eq!(net.servers[server].unanswered(), 0);
}

#[test]
fn a_rejection_tells_why_and_a_call_that_is_given_up_is_withdrawn() {
    let mut net = Net::new(quick());
    let server = net.server(10, 1);
    let number = net.call("x");
    let call = net.take(server).unwrap();
    net.servers[server].reject(call.key, "no such thing".into(), net.now.time).unwrap();
    net.run();
    assert_eq!(net.error(number), CallError::Rejected("no such thing".into()));
    let again = net.servers[server].answer(call.key, Bytes::new(), net.now.time);
    assert_eq!(again, Err(AnswerError::Unknown));

    let (begun, unbegun) = (net.call("begun"), net.call("unbegun"));
    let call = net.take(server).unwrap();
    net.client.cancel(begun, net.now.time);
    net.client.cancel(unbegun, net.now.time);
    net.run();
    assert!(net.take(server).is_none() && net.servers[server].is_cancelled(call.key));
    assert_eq!(net.settled.len(), 1);
    let long = Bytes::from(vec![0; (1 << 20) + 1]);
    let too_long = net.servers[server].answer(call.key, long, net.now.time);
    assert!(matches!(too_long, Err(AnswerError::TooLong { .. })));
}

#[test]
fn answers_are_confirmed_soon_although_nothing_else_is_said() {
    let mut config = RequestConfig { call: quick(), ..RequestConfig::default() };
    config.link.heartbeat = Duration::ZERO;
    let mut net = Net::with(config);
    let mut config = ReplyConfig::default();
    config.link.heartbeat = Duration::ZERO;
    let server = net.server_with(config, 1);
    net.call("x");
    net.serve(server);
    assert!(!net.servers[server].is_drained(), "the next call would say it");
    net.pass(Duration::from_millis(10));
    assert!(net.servers[server].is_drained());
}

#[test]
fn an_answer_is_sent_although_nothing_is_to_be_remembered() {
    let mut net = Net::new(quick());
    let memory = AnswerMemory { messages: 0, bytes: 0, age: Duration::from_secs(60) };
    let server = net.server_with(ReplyConfig { memory, ..ReplyConfig::default() }, 1);
    let numbers = ["one", "two"].map(|payload| net.call(payload));
    assert_eq!(net.serve(server), 2);
    assert_eq!(numbers.map(|number| net.answered(number).len()), [6, 6]);
    assert_eq!(net.servers[server].stats(net.now.time).remembered, 0);
}
