//! Clients and servers, joined by nothing but their bytes.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::raw::Raw;
use common::{handshake, hello};
use drawdown_protocol::wire::Decoder;
use drawdown_protocol::{
    AnswerError, AnswerMemory, CallError, CallNumber, CallOptions, Event, Identity, LinkId,
    Message, Now, PeerId, Priority, ReplyConfig, ReplyEngine, RequestConfig, RequestEngine,
    Settled, SocketType, TakenCall, Transmit,
};
use uuid::Uuid;

fn peer(name: u128) -> PeerId {
    PeerId::from_uuid(Uuid::from_u128(name))
}

struct Way {
    client_link: LinkId,
    server: usize,
    server_link: LinkId,
    to_server: (Decoder, BytesMut),
    to_client: (Decoder, BytesMut),
    /// Nothing passes, and nobody knows.
    frozen: bool,
}

/// A client and its servers.
struct Net {
    client: RequestEngine,
    servers: Vec<ReplyEngine>,
    ways: Vec<Way>,
    now: Now,
    settled: BTreeMap<CallNumber, Settled>,
}

impl Net {
    fn new(call: CallOptions) -> Self {
        Self::with(RequestConfig { call, ..RequestConfig::default() })
    }

    fn with(config: RequestConfig) -> Self {
        let config = RequestConfig { pending_calls: 1_000, ..config };
        Self {
            client: RequestEngine::new(config, peer(1), 7),
            servers: Vec::new(),
            ways: Vec::new(),
            now: Now::default(),
            settled: BTreeMap::new(),
        }
    }

    fn server(&mut self, window: u64, level: u8) -> usize {
        let config = ReplyConfig { window_messages: window, ..ReplyConfig::default() };
        self.server_with(config, level)
    }

    fn server_with(&mut self, config: ReplyConfig, level: u8) -> usize {
        self.servers.push(ReplyEngine::new(config, peer(10 + self.servers.len() as u128)));
        self.connect(self.servers.len() - 1, level);
        self.servers.len() - 1
    }

    fn connect(&mut self, server: usize, level: u8) {
        let priority = Priority::new(level).unwrap();
        let now = self.now.time;
        let client_link = self.client.open_link(Identity::new("server"), priority, now);
        let server_link = self.servers[server].open_link(Identity::new("client"), now);
        let direction = || (Decoder::new(1 << 20), BytesMut::new());
        let (to_server, to_client) = (direction(), direction());
        self.ways.push(Way {
            client_link,
            server,
            server_link,
            to_server,
            to_client,
            frozen: false,
        });
        self.run();
    }

    fn cut(&mut self, server: usize) {
        let now = self.now.time;
        for way in self.ways.extract_if(.., |way| way.server == server) {
            self.client.link_lost(way.client_link, "cut", now);
            self.servers[server].link_lost(way.server_link, "cut", now);
        }
        self.run();
    }

    fn run(&mut self) {
        for _ in 0..1_000 {
            let mut busy = false;
            for way in self.ways.iter_mut().filter(|way| !way.frozen) {
                let server = &mut self.servers[way.server];
                let mut out = Transmit::new();
                self.client.poll_transmit(way.client_link, self.now, &mut out);
                busy |= !out.is_empty();
                out.pieces().for_each(|piece| way.to_server.1.extend_from_slice(piece));
                while let Some(frame) = way.to_server.0.decode(&mut way.to_server.1).unwrap() {
                    server.handle_frame(way.server_link, frame, self.now);
                }
                let mut out = Transmit::new();
                server.poll_transmit(way.server_link, self.now, &mut out);
                busy |= !out.is_empty();
                out.pieces().for_each(|piece| way.to_client.1.extend_from_slice(piece));
                while let Some(frame) = way.to_client.0.decode(&mut way.to_client.1).unwrap() {
                    self.client.handle_frame(way.client_link, frame, self.now);
                }
            }
            while self.client.poll_wake().is_some() {
                busy = true;
            }
            for server in &mut self.servers {
                while server.poll_wake().is_some() {
                    busy = true;
                }
            }
            while let Some((number, settled)) = self.client.poll_settled() {
                assert!(self.settled.insert(number, settled).is_none(), "call {number} ends twice");
            }
            if !busy {
                return;
            }
        }
        panic!("they never come to rest");
    }

    fn pass(&mut self, time: Duration) {
        for _ in 0..20 {
            self.now.time = self.now.time + time / 20;
            self.now.wall = self.now.wall + time / 20;
            let now = self.now.time;
            for way in &self.ways {
                self.client.handle_link_timeout(way.client_link, now);
                self.servers[way.server].handle_link_timeout(way.server_link, now);
            }
            self.client.handle_timeout(now);
            self.servers.iter_mut().for_each(|server| server.handle_timeout(now));
            self.run();
        }
    }

    fn call(&mut self, payload: &'static str) -> CallNumber {
        let options = self.client.config().call;
        self.call_with(payload, options)
    }

    fn call_with(&mut self, payload: &'static str, options: CallOptions) -> CallNumber {
        let number = self.client.call(Message::from(payload), options, self.now.time).unwrap();
        self.run();
        number
    }

    fn take(&mut self, server: usize) -> Option<TakenCall> {
        self.servers[server].take(self.now.time)
    }

    /// Answers everything that waits at a server with the request, twice over.
    fn serve(&mut self, server: usize) -> usize {
        let mut count = 0;
        while let Some(call) = self.take(server) {
            self.answer(server, &call);
            count += 1;
        }
        count
    }

    fn answer(&mut self, server: usize, call: &TakenCall) {
        let answer = Bytes::from([&call.payload[..], &call.payload[..]].concat());
        self.servers[server].answer(call.key, answer, self.now.time).unwrap();
        self.run();
    }

    fn answered(&self, number: CallNumber) -> &[u8] {
        match &self.settled[&number] {
            Settled::Answered(answer) => answer,
            other => panic!("call {number}: {other:?}"),
        }
    }

    fn error(&self, number: CallNumber) -> CallError {
        match &self.settled[&number] {
            Settled::Failed(error) => error.clone(),
            other => panic!("call {number}: {other:?}"),
        }
    }
}

fn quick() -> CallOptions {
    CallOptions {
        timeout: Duration::from_secs(10),
        attempt_timeout: Duration::from_secs(1),
        ..CallOptions::default()
    }
}

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
    assert_eq!(call.id, lost.id, "the same call");
    net.answer(two, &call);
    assert_eq!(net.answered(number), b"xx");
    net.connect(one, 1);
    net.answer(one, &lost);
    net.pass(Duration::from_secs(2));
    assert_eq!(net.settled.len(), 1);
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
    let hello = handshake(&hello(SocketType::Req, common::peer(0x20)));
    idle.says(&mut net.servers[server], &hello, net.now);
    let large: &'static str = Box::leak("x".repeat(500_000).into_boxed_str());
    (0..30).for_each(|_| _ = net.call(large));
    assert!(net.client.stats(net.now.time).links[0].room.messages > 20, "bytes are short");
    assert_eq!(net.serve(server), 30, "all that have waited come in the end");
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
    assert_eq!(net.take(slow).map(|call| call.id), None, "it was withdrawn");
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
