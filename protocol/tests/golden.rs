//! The examples of `WIRE.md` are what this crate writes and reads: the page cannot rot.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use common::raw::Raw;
use common::{hello, peer, session, span, spans};
use drawdown_protocol::limits;
use drawdown_protocol::wire::{
    Attach, Behind, Close, CloseCode, Control, Decoder, Demand, Echo, End, Filter, Fingerprint,
    Forgot, Frame, Future, Grant, Heartbeat, Hello, Hop, Hops, More, Origin, Outcome, Prefix,
    Recall, Request, Retract, Ring, Settle, Settlement, Skip, StartAt, Take, Taken, VERSION_MAX,
    VERSION_MIN, encode_control, encode_copies_header,
};
use drawdown_protocol::{
    CallOptions, Cursor, Gap, Identity, Lineage, LinkId, LinkState, Message, Now, Position,
    Priority, PublishConfig, PublishEngine, PullConfig, PullEngine, PushConfig, PushEngine,
    ReplyConfig, ReplyEngine, RequestConfig, RequestEngine, RouterConfig, RouterEngine, Run,
    Session, Settled, Side, SocketType, Start, SubCursor, SubscribeConfig, SubscribeEngine, Time,
    Transmit, message,
};

const PAGE: &str = include_str!("../WIRE.md");

/// The blocks of the page that are fenced as `hex` and a label: their bytes, without what follows a `#`.
fn blocks() -> BTreeMap<&'static str, Vec<u8>> {
    let mut blocks = BTreeMap::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("```hex ") else {
            continue;
        };
        let digits = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace());
        let bytes = digits.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        assert_eq!(blocks.insert(label, bytes), None, "two blocks are called {label}");
    }
    blocks
}

fn settled(first: u64, count: u64, outcome: Outcome) -> Settlement {
    Settlement { deliveries: span(first, count), outcome }
}

/// Every control frame on the page, by its label.
fn controls() -> Vec<(&'static str, Control)> {
    let settle =
        |settlements: Vec<Settlement>| Settle { settlements: settlements.into_iter().collect() };
    let attach =
        |held, taken, confirmed, more| Attach { session: session(), held, taken, confirmed, more };
    let grant =
        |serial, messages, bytes| Grant { serial, messages, bytes, contended: false, answered: 0 };
    vec![
        (
            "hello-sender",
            Control::Hello(Hello {
                reports_taken: true,
                features: Hello::KNOWS_STREAMERS | Hello::FUTURES,
                ..hello(SocketType::Push, peer(0x20))
            }),
        ),
        (
            "hello-receiver",
            Control::Hello(Hello {
                features: Hello::KNOWS_STREAMERS,
                ..hello(SocketType::Pull, peer(0x30))
            }),
        ),
        (
            "hello-streamer",
            Control::Hello(Hello {
                session: Some(Session::from_uuid(common::uuid(0x40))),
                features: Hello::KNOWS_STREAMERS | Hello::STREAMER,
                ..hello(SocketType::Push, peer(0x40))
            }),
        ),
        (
            "hops",
            Control::Hops(Hops {
                routers: [(0x40, 0), (0x20, 1)]
                    .map(|(first, distance)| Hop { router: peer(first), distance })
                    .into_iter()
                    .collect(),
            }),
        ),
        (
            "behind",
            Control::Behind(Behind { receivers: 2, streamers: [peer(0x40)].into_iter().collect() }),
        ),
        ("origin", Control::Origin(Origin { session: session(), reports_taken: true })),
        ("attach-empty", Control::Attach(attach(spans(&[]), spans(&[]), spans(&[]), false))),
        ("grant-first", Control::Grant(grant(1, 4, 8 << 20))),
        ("grant-refill", Control::Grant(grant(2, 6, (8 << 20) + 90))),
        ("taken", Control::Taken(Taken { deliveries: spans(&[(0, 2)]) })),
        (
            "settle",
            Control::Settle(settle(vec![
                settled(0, 1, Outcome::Confirmed),
                settled(1, 1, Outcome::Rejected("bad".into())),
            ])),
        ),
        ("taken-again", Control::Taken(Taken { deliveries: spans(&[(2, 1)]) })),
        ("settle-again", Control::Settle(settle(vec![settled(2, 1, Outcome::Confirmed)]))),
        ("heartbeat-sender", Control::Heartbeat(Heartbeat { head: 2, deliveries: 3, settles: 2 })),
        (
            "heartbeat-receiver",
            Control::Heartbeat(Heartbeat { head: 0, deliveries: 3, settles: 0 }),
        ),
        ("grant-repeated", Control::Grant(grant(3, 6, (8 << 20) + 90))),
        ("grant-lowered", Control::Grant(grant(4, 3, 141))),
        ("echo", Control::Echo(Echo { serial: 4, messages: 3, bytes: 141 })),
        (
            "close",
            Control::Close(Close { code: CloseCode::Done, reason: "the socket was closed".into() }),
        ),
        ("demand", Control::Demand(Demand { waiting: 500, asks: false })),
        ("future", Control::Future(Future { messages: 2, bytes: 4_096 })),
        ("take", Control::Take(Take { copies: span(0, 1), first_delivery: 3, bytes: 39 })),
        ("recall", Control::Recall(Recall { copies: spans(&[(1, 1)]) })),
        ("forgot", Control::Forgot(Forgot { copies: spans(&[(1, 1)]) })),
        ("retract", Control::Retract(Retract { deliveries: spans(&[(7, 3)]) })),
        (
            "attach-return",
            Control::Attach(attach(
                spans(&[(40, 2), (50, 1)]),
                spans(&[(40, 2)]),
                spans(&[(0, 40)]),
                false,
            )),
        ),
        (
            "settle-all",
            Control::Settle(settle(vec![
                settled(0, 3, Outcome::Confirmed),
                settled(3, 1, Outcome::Rejected("no".into())),
                settled(4, 1, Outcome::Released),
                settled(5, 1, Outcome::RetryIn(2_000)),
                settled(6, 1, Outcome::Extended(30_000)),
                settled(7, 1, Outcome::Expired),
            ])),
        ),
        ("hello-publisher", Control::Hello(hello(SocketType::Pub, peer(0x20)))),
        ("hello-subscriber", Control::Hello(hello(SocketType::Sub, peer(0x30)))),
        ("ring", Control::Ring(Ring { lineage: lineage(), oldest: 5, head: 8, live: true })),
        (
            "filter",
            Control::Filter(Filter {
                add: [Prefix::new(b"a.").unwrap()].into_iter().collect(),
                ..Filter::default()
            }),
        ),
        (
            "request",
            Control::Request(Request {
                request: 1,
                session: session(),
                start: StartAt::Next(3),
                last: Some(had()),
                messages: 4,
                bytes: 8 << 20,
            }),
        ),
        ("skip-gap", Control::Skip(Skip { request: 1, from: 5, next: 5 })),
        ("skip", Control::Skip(Skip { request: 1, from: 7, next: 8 })),
        ("more", Control::More(More { request: 1, messages: 5, bytes: (8 << 20) + 46 })),
        ("end", Control::End(End { request: 1 })),
        (
            "hello-client",
            Control::Hello(Hello {
                features: Hello::KNOWS_ROUTERS | Hello::KNOWS_NAMING,
                ..hello(SocketType::Req, peer(0x20))
            }),
        ),
        (
            "hello-server",
            Control::Hello(Hello {
                features: Hello::KNOWS_NAMING,
                ..hello(SocketType::Rep, peer(0x30))
            }),
        ),
        ("grant-calls", Control::Grant(grant(2, 6, (8 << 20) + 110))),
        ("settle-answers", Control::Settle(settle(vec![settled(0, 2, Outcome::Confirmed)]))),
    ]
}

fn lineage() -> Lineage {
    Lineage { session: session(), epoch: common::WALL.as_millis(), since: 5 }
}

/// What the page's subscriber has had.
fn had() -> Fingerprint {
    Fingerprint { seq: 2, crc: message::crc(b"a.x", b"old") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

/// The blocks of one direction, in the order in which they are said.
fn said_in_order(labels: &[&str]) -> Vec<u8> {
    let blocks = blocks();
    labels.iter().flat_map(|label| blocks[label].clone()).collect()
}

#[test]
fn each_control_frame_is_written_and_read_as_the_page_shows_it() {
    for (label, control) in controls() {
        let golden = said_in_order(&[label]);
        let mut written = BytesMut::new();
        encode_control(&control, &mut written);
        assert_eq!(hex(&written), hex(&golden), "{label}");

        let mut decoder = Decoder::new(1 << 20);
        let mut input = BytesMut::from(&said_in_order(&["preface", "hello-sender"])[..]);
        decoder.decode(&mut input).unwrap();
        if !label.starts_with("hello") {
            decoder.decode(&mut input).unwrap();
        }
        input.clear();
        input.extend_from_slice(&golden);
        assert_eq!(decoder.decode(&mut input), Ok(Some(Frame::Control(control))), "{label}");
        assert!(input.is_empty(), "{label}");
    }
}

#[test]
fn no_block_of_the_page_goes_unchecked() {
    let of_the_conversation = [
        "preface",
        "data-first",
        "data-again",
        "publish",
        "calls",
        "answers",
        "call-routed",
        "copies",
    ];
    let mut checked: Vec<_> = controls().into_iter().map(|(label, _)| label).collect();
    checked.extend(of_the_conversation);
    checked.sort_unstable();
    assert_eq!(blocks().into_keys().collect::<Vec<_>>(), checked);
}

#[test]
fn numbers_on_the_page_are_those_of_the_code() {
    let known: [(&str, u128); 17] = [
        ("HANDSHAKE_BYTES_MAX", limits::HANDSHAKE_BYTES_MAX as u128),
        ("CONTROL_BYTES_MAX", limits::CONTROL_BYTES_MAX as u128),
        ("RANGES_MAX", limits::RANGES_MAX as u128),
        ("REASON_BYTES_MAX", limits::REASON_BYTES_MAX as u128),
        ("MESSAGE_BYTES_DEFAULT", limits::MESSAGE_BYTES_DEFAULT as u128),
        ("MESSAGE_BYTES_MAX", limits::MESSAGE_BYTES_MAX as u128),
        ("ATTRIBUTES_BYTES_MAX", limits::ATTRIBUTES_BYTES_MAX as u128),
        ("MESSAGE_OVERHEAD_BYTES", u128::from(limits::MESSAGE_OVERHEAD_BYTES)),
        ("HANDSHAKE_TIMEOUT", limits::HANDSHAKE_TIMEOUT.as_millis()),
        ("PUT_OFF_MAX", limits::PUT_OFF_MAX.as_millis()),
        ("ATTACH_SESSIONS_MAX", limits::ATTACH_SESSIONS_MAX as u128),
        ("ATTACH_FRAMES_MAX", limits::ATTACH_FRAMES_MAX as u128),
        ("TOPIC_BYTES_MAX", limits::TOPIC_BYTES_MAX as u128),
        ("FILTERS_DEFAULT", limits::FILTERS_DEFAULT as u128),
        ("REQUESTS_MAX", limits::REQUESTS_MAX as u128),
        ("SESSIONS_MAX", limits::SESSIONS_MAX as u128),
        ("STREAMERS_MAX", limits::STREAMERS_MAX as u128),
    ];
    for (name, value) in known {
        let row = PAGE.lines().find(|line| line.ends_with(&format!("| `{name}` |"))).unwrap();
        let digits = row.split('|').nth(2).unwrap().split_whitespace().next().unwrap();
        assert_eq!(digits.replace(',', "").parse(), Ok(value), "{row}");
    }
    let preface = said_in_order(&["preface"]);
    assert_eq!(preface[8..10], [VERSION_MIN, VERSION_MAX]);
    assert!(PAGE.starts_with(&format!("# The wire of Drawdown, version {VERSION_MAX}\n")));
}

#[test]
fn codes_on_the_page_are_those_of_the_code() {
    let codes = [
        CloseCode::Done,
        CloseCode::ProtocolViolation,
        CloseCode::VersionMismatch,
        CloseCode::SocketTypeMismatch,
        CloseCode::CreditExceeded,
        CloseCode::TooLarge,
        CloseCode::HeartbeatTimeout,
        CloseCode::HandshakeTimeout,
        CloseCode::NotAuthorized,
        CloseCode::TooMany,
        CloseCode::Internal,
        CloseCode::Fenced,
        CloseCode::Conflict,
        CloseCode::Loop,
    ];
    for code in codes {
        let mut frame = BytesMut::new();
        encode_control(&Control::Close(Close { code, reason: "".into() }), &mut frame);
        let index = u32::from_le_bytes(*frame[8..].first_chunk().unwrap());
        assert!(PAGE.contains(&format!("\n| {index} | {code:?} |")), "{code:?} is {index}");
    }
}

/// The two sockets of the page's conversation, and the link between them.
struct Conversation {
    push: PushEngine,
    pull: PullEngine,
    sender: (LinkId, Decoder),
    receiver: (LinkId, Decoder),
    now: Now,
}

impl Conversation {
    fn begin() -> Self {
        let now = Now { time: Time::ZERO, wall: common::WALL };
        let config = PushConfig { attempts_max: Some(5), ..PushConfig::default() };
        let mut push = PushEngine::new(config, peer(0x20), session());
        let config =
            PullConfig { window_messages: 4, window_bytes: 8 << 20, ..PullConfig::default() };
        let mut pull = PullEngine::new(config, peer(0x30));
        let sender = push.open_link(Identity::new("receiver"), now.time);
        let receiver = pull.open_link(Identity::new("sender"), now.time);
        Self {
            push,
            pull,
            sender: (sender, Decoder::new(1 << 20)),
            receiver: (receiver, Decoder::new(1 << 20)),
            now,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = Now { time: self.now.time + time, wall: self.now.wall + time };
        self.push.handle_timeout(self.now);
        self.push.handle_link_timeout(self.sender.0, self.now.time);
        self.pull.handle_link_timeout(self.receiver.0, self.now.time);
    }

    fn send(&mut self, message: Message<'_>) {
        let now = self.now;
        self.push.try_send(message, || now).unwrap();
    }

    /// The application takes everything.
    fn take(&mut self) -> Vec<Arc<Run>> {
        let mut runs = Vec::new();
        while let Some(batch) = self.pull.take(1) {
            runs.push(Arc::clone(batch.run()));
            let mut cursor = Cursor::new(batch);
            while cursor.next(|| self.now.time).is_some() {}
            self.pull.handle_consumed(&cursor.report().unwrap());
        }
        runs
    }

    /// The sender says what these blocks show, and nothing else; the receiver hears it.
    fn sender_says(&mut self, labels: &[&str]) {
        let mut out = Transmit::new();
        self.push.poll_transmit(self.sender.0, self.now, &mut out);
        let (link, decoder) = &mut self.receiver;
        for frame in hear(&out, labels, decoder) {
            self.pull.handle_frame(*link, frame, self.now);
        }
    }

    /// The receiver says what these blocks show, and nothing else; the sender hears it.
    fn receiver_says(&mut self, labels: &[&str]) {
        let mut out = Transmit::new();
        self.pull.poll_transmit(self.receiver.0, self.now, &mut out);
        let (link, decoder) = &mut self.sender;
        for frame in hear(&out, labels, decoder) {
            self.push.handle_frame(*link, frame, self.now);
        }
    }
}

fn hear(out: &Transmit, labels: &[&str], decoder: &mut Decoder) -> Vec<Frame> {
    let said: Vec<u8> = out.pieces().flatten().copied().collect();
    assert_eq!(hex(&said), hex(&said_in_order(labels)), "{labels:?}");
    let mut input = BytesMut::from(&said[..]);
    std::iter::from_fn(|| decoder.decode(&mut input).unwrap()).collect()
}

#[test]
fn two_engines_hold_the_conversation_of_the_page() {
    let mut c = Conversation::begin();
    c.send(Message::from("one"));
    c.send(Message::from("two").with_ttl(Duration::from_secs(60)));
    c.receiver_says(&["preface", "hello-receiver"]);
    c.sender_says(&["preface", "hello-sender"]);
    c.receiver_says(&["attach-empty", "grant-first"]);
    c.sender_says(&["data-first"]);

    let taken = c.take();
    c.receiver_says(&["taken", "grant-refill"]);
    let [one, two] = &taken[..] else { panic!("two messages were taken: {taken:?}") };
    one.confirm(0);
    c.pull.handle_confirmed([Arc::clone(one)]);
    c.pull.settle(two, 1, &Outcome::Rejected("bad".into()));
    c.receiver_says(&["settle"]);

    c.pass(Duration::from_millis(10));
    c.sender_says(&["data-again"]);
    let taken = c.take();
    c.receiver_says(&["taken-again"]);
    taken[0].confirm(0);
    c.pull.handle_confirmed(taken);
    c.receiver_says(&["settle-again"]);
    assert!(c.push.is_drained());

    c.pass(Duration::from_secs(1));
    c.sender_says(&["heartbeat-sender"]);
    c.receiver_says(&["heartbeat-receiver", "grant-repeated"]);
    c.pull.set_paused(true);
    c.receiver_says(&["grant-lowered"]);
    c.sender_says(&["echo"]);
    c.pull.close_links(c.now.time);
    c.receiver_says(&["close"]);
    assert_eq!(c.push.link_state(c.sender.0), LinkState::Closing);
}

#[test]
fn copies_are_written_and_read_as_the_page_shows_them() {
    let now = Now { time: Time::ZERO, wall: common::WALL };
    let records = [common::record(b"six", None), common::record(b"ten", None)].concat();
    let mut written = BytesMut::new();
    encode_copies_header(common::run(0, 9, 2), records.len(), &mut written);
    written.extend_from_slice(&records);
    assert_eq!(hex(&written), hex(&said_in_order(&["copies"])));

    let config = PullConfig { future_messages: 2, future_bytes: 4_096, ..PullConfig::default() };
    let mut pull = PullEngine::new(config, peer(0x30));
    let mut sender = Raw::connect(&mut pull, "sender", now);
    sender.says(&mut pull, &said_in_order(&["preface", "hello-sender"]), now);
    let future = Control::Future(Future { messages: 2, bytes: 4_096 });
    assert!(sender.hears(&mut pull, now).contains(&Frame::Control(future)));
    sender.says(&mut pull, &said_in_order(&["copies"]), now);
    assert_eq!((pull.copies().messages, pull.copies().bytes), (2, 2 * 39));
    sender.says(&mut pull, &said_in_order(&["recall"]), now);
    assert_eq!((pull.copies().messages, pull.copies().bytes), (1, 39));
    assert!(!pull.has_queued(), "none of it is a message");
}

/// Says what these blocks show, and nothing else; gives what that was.
macro_rules! says {
    ($engine:expr, $link:expr, $labels:expr, $decoder:expr, $now:expr) => {{
        let mut out = Transmit::new();
        $engine.poll_transmit($link, $now, &mut out);
        hear(&out, $labels, $decoder)
    }};
}

#[test]
fn a_publisher_and_a_subscriber_hold_the_conversation_of_the_page() {
    let mut now = Now { time: Time::ZERO, wall: common::WALL };
    let mut publisher = PublishEngine::new(PublishConfig::default(), peer(0x20), lineage());
    for (topic, payload) in [("b", "five"), ("a.y", "new"), ("b", "seven")] {
        publisher.try_publish(topic.as_bytes(), Message::from(payload), || now).unwrap();
    }
    let had = Position { session: session(), next: 3, last: Some(had()) };
    let config = SubscribeConfig {
        window_messages: 4,
        window_bytes: 8 << 20,
        start: Start::After(had),
        ..SubscribeConfig::default()
    };
    let mut subscriber = SubscribeEngine::new(config, peer(0x30));
    subscriber.add_filter(b"a.", now.time).unwrap();
    let p = publisher.open_link(Identity::new("subscriber"), now.time);
    let s = subscriber.open_link(Identity::new("publisher"), now.time);
    let (mut to_s, mut to_p) = (Decoder::new(1 << 20), Decoder::new(1 << 20));
    for frame in says!(subscriber, s, &["preface", "hello-subscriber"], &mut to_p, now) {
        publisher.handle_frame(p, frame, now);
    }
    for frame in says!(publisher, p, &["preface", "hello-publisher", "ring"], &mut to_s, now) {
        subscriber.handle_frame(s, frame, now);
    }
    for frame in says!(subscriber, s, &["filter", "request"], &mut to_p, now) {
        publisher.handle_frame(p, frame, now);
    }
    for frame in says!(publisher, p, &["skip-gap", "publish"], &mut to_s, now) {
        subscriber.handle_frame(s, frame, now);
    }
    let gap = subscriber.take(9);
    let expected = Gap { session: session(), from: 3, to: 4 };
    assert!(matches!(gap, Some(drawdown_protocol::Taken::Gap(gap)) if gap == expected), "{gap:?}");
    let Some(drawdown_protocol::Taken::Batch(batch)) = subscriber.take(9) else {
        panic!("a message was sent")
    };
    let mut cursor = SubCursor::new(batch);
    assert_eq!(cursor.next(|| now.time).map(|item| item.seq), Some(6));
    subscriber.handle_consumed(&cursor.report().unwrap(), now.time);
    for frame in says!(subscriber, s, &["more"], &mut to_p, now) {
        publisher.handle_frame(p, frame, now);
    }
    let second = Duration::from_secs(1);
    now = Now { time: now.time + second, wall: now.wall + second };
    publisher.handle_link_timeout(p, now.time);
    for frame in says!(publisher, p, &["ring", "skip"], &mut to_s, now) {
        subscriber.handle_frame(s, frame, now);
    }
    subscriber.stop();
    for frame in says!(subscriber, s, &["end"], &mut to_p, now) {
        publisher.handle_frame(p, frame, now);
    }
    assert_eq!(publisher.stats(now.time).links[0].position, None, "no request is open");
}

#[test]
fn a_client_and_a_server_hold_the_conversation_of_the_page() {
    let mut now = Now { time: Time::ZERO, wall: common::WALL };
    // The client's 8 bytes are made of its peer id and of entropy.
    let (high, low) = peer(0x20).as_uuid().as_u64_pair();
    let entropy = high ^ low ^ 0xa0a1_a2a3_a4a5_a6a7;
    let config = RequestConfig { pending_calls: 2, ..RequestConfig::default() };
    let mut client = RequestEngine::new(config, peer(0x20), entropy);
    let config =
        ReplyConfig { window_messages: 4, window_bytes: 8 << 20, ..ReplyConfig::default() };
    let mut server = ReplyEngine::new(config, peer(0x30));
    let c = client.open_link(Identity::new("server"), Priority::BEST, now.time);
    let s = server.open_link(Identity::new("client"), now.time);
    let (mut to_s, mut to_c) = (Decoder::new(1 << 20), Decoder::new(1 << 20));
    for frame in says!(client, c, &["preface", "hello-client"], &mut to_s, now) {
        server.handle_frame(s, frame, now);
    }
    for frame in says!(server, s, &["preface", "hello-server", "grant-first"], &mut to_c, now) {
        client.handle_frame(c, frame, now);
    }
    for payload in ["ping", "pong"] {
        client.call(Message::from(payload), CallOptions::default(), now.time).unwrap();
    }
    for frame in says!(client, c, &["calls"], &mut to_s, now) {
        server.handle_frame(s, frame, now);
    }
    let (ping, pong) = (server.take(now.time).unwrap(), server.take(now.time).unwrap());
    assert_eq!((ping.payload(), pong.payload()), (&b"ping"[..], &b"pong"[..]));
    assert_eq!(ping.deadline, Some(now.time + Duration::from_secs(30)));
    server.answer(ping.key, "ok", now.time).unwrap();
    server.reject(pong.key, "no".into(), now.time).unwrap();
    for frame in says!(server, s, &["grant-calls", "answers"], &mut to_c, now) {
        client.handle_frame(c, frame, now);
    }
    assert_eq!(client.poll_settled(), Some((0, Settled::Answered("ok".into()))));
    assert!(matches!(client.poll_settled(), Some((1, Settled::Failed(_)))));
    assert!(!server.is_drained());
    let second = Duration::from_secs(1);
    now = Now { time: now.time + second, wall: now.wall + second };
    client.handle_link_timeout(c, now.time);
    let mut out = Transmit::new();
    client.poll_transmit(c, now, &mut out);
    let said: Vec<u8> = out.pieces().flatten().copied().collect();
    let settle = said_in_order(&["settle-answers"]);
    assert_eq!(hex(&said[..settle.len()]), hex(&settle), "before the heartbeat itself");
    let mut input = BytesMut::from(&said[..]);
    while let Some(frame) = to_s.decode(&mut input).unwrap() {
        server.handle_frame(s, frame, now);
    }
    assert!(server.is_drained());
}

#[test]
fn a_router_passes_a_call_on_as_the_page_says() {
    let mut now = Now { time: Time::ZERO, wall: common::WALL };
    let (high, low) = peer(0x20).as_uuid().as_u64_pair();
    let entropy = high ^ low ^ 0xa0a1_a2a3_a4a5_a6a7;
    let mut client = RequestEngine::new(RequestConfig::default(), peer(0x20), entropy);
    let mut router = RouterEngine::new(RouterConfig::default(), peer(0x50), peer(0x40));
    let c = client.open_link(Identity::new("router"), Priority::BEST, now.time);
    let identity = Identity::new("client");
    let up = router.open_link(identity, Side::Upstream, Priority::BEST, now.time);
    let identity = Identity::new("server");
    let down = router.open_link(identity, Side::Downstream, Priority::BEST, now.time);
    let decode = |said: &[u8], decoder: &mut Decoder| {
        let mut input = BytesMut::from(said);
        std::iter::from_fn(|| decoder.decode(&mut input).unwrap()).collect::<Vec<_>>()
    };
    let said = |out: &Transmit| out.pieces().flatten().copied().collect::<Vec<u8>>();
    let server_says = said_in_order(&["preface", "hello-server", "grant-first"]);
    for frame in decode(&server_says, &mut Decoder::new(1 << 20)) {
        router.handle_frame(down, frame, now);
    }
    let mut out = Transmit::new();
    router.poll_transmit(down, now, &mut out);
    let (mut to_router, mut to_client) = (Decoder::new(1 << 20), Decoder::new(1 << 20));
    let options = CallOptions { at_most_once: true, ..CallOptions::default() };
    client.call(Message::from("ping"), options, now.time).unwrap();
    for _ in 0..2 {
        let mut out = Transmit::new();
        client.poll_transmit(c, now, &mut out);
        for frame in decode(&said(&out), &mut to_router) {
            router.handle_frame(up, frame, now);
        }
        let mut out = Transmit::new();
        router.poll_transmit(up, now, &mut out);
        for frame in decode(&said(&out), &mut to_client) {
            client.handle_frame(c, frame, now);
        }
    }
    let later = Duration::from_secs(5);
    now = Now { time: now.time + later, wall: now.wall + later };
    let mut out = Transmit::new();
    router.poll_transmit(down, now, &mut out);
    assert_eq!(hex(&said(&out)), hex(&said_in_order(&["call-routed"])));
}
