//! A proxy with a ring of 0: it asks upstream for what a subscriber waits for, and nobody waits for one that is slow.

mod common;

use common::raw::Raw;
use common::{encoded, filter, handshake, hello, later, peer, published, record, session};
use drawdown_protocol::limits::LINK_STUCK;
use drawdown_protocol::message::cost_bytes;
use drawdown_protocol::wire::{
    Control, End, Frame, More, PublishRun, Request, Ring, Skip, StartAt,
};
use drawdown_protocol::{
    Identity, Lineage, Now, ProxyConfig, ProxyEngine, PublishConfig, RingConfig, Side, SocketType,
    Time,
};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };
const MESSAGES: u64 = 20;
const PAYLOAD_BYTES: usize = 1_000;
/// What a quick subscriber may be sent at a time.
const FEW: u64 = 5;

fn proxy() -> ProxyEngine {
    let ring = RingConfig { messages: 0, ..RingConfig::default() };
    let down = PublishConfig { ring, ..PublishConfig::default() };
    ProxyEngine::new(ProxyConfig { down, ..ProxyConfig::default() }, peer(0x40))
}

fn one_record() -> [Vec<u8>; 1] {
    [record(&[b'x'; PAYLOAD_BYTES], Some(&[2, 1, b't']))]
}

/// A publisher that has all of its messages, and sends one at a time.
struct Source {
    raw: Raw,
    requests: Vec<Asked>,
    /// Messages in all.
    sent: u64,
}

/// By which name it was asked, and how much it may send in all.
struct Asked {
    request: u32,
    next: u64,
    sent: u64,
    messages: u64,
    bytes: u64,
}

impl Asked {
    fn may_be_sent(&self, record_bytes: usize) -> bool {
        let next = self.sent + 1;
        let cost = cost_bytes(next, next * record_bytes as u64);
        self.next < MESSAGES && next <= self.messages && cost <= self.bytes
    }
}

impl Source {
    fn of(proxy: &mut ProxyEngine) -> Self {
        let mut raw = Raw::connect(proxy, "source", NOW);
        raw.says(proxy, &handshake(&hello(SocketType::Pub, peer(0x50))), NOW);
        let lineage = Lineage { session: session(), epoch: 1, since: 0 };
        let ring = Ring { lineage, oldest: 0, head: MESSAGES, live: true };
        raw.says(proxy, &encoded(&Control::Ring(ring)), NOW);
        let mut source = Self { raw, requests: Vec::new(), sent: 0 };
        assert!(!source.sends(proxy, NOW), "nobody waits yet");
        source
    }

    /// Answers, and sends the next message of each request that may be sent one. True if there was any.
    fn sends(&mut self, proxy: &mut ProxyEngine, now: Now) -> bool {
        for frame in self.raw.hears(proxy, now) {
            match frame {
                Frame::Control(Control::Request(asked)) => {
                    let Request { request, start, messages, bytes, .. } = asked;
                    let next = if let StartAt::Next(next) = start { next } else { 0 };
                    self.requests.push(Asked { request, next, sent: 0, messages, bytes });
                    let place = Skip { request, from: next, next };
                    self.raw.says(proxy, &encoded(&Control::Skip(place)), now);
                }
                Frame::Control(Control::More(More { request, messages, bytes })) => {
                    let mut requests = self.requests.iter_mut();
                    let asked =
                        requests.find(|asked| asked.request == request).expect("it was made");
                    (asked.messages, asked.bytes) = (messages, bytes);
                }
                Frame::Control(Control::End(End { request })) => {
                    self.requests.retain(|asked| asked.request != request);
                }
                _ => {}
            }
        }
        let one = one_record();
        let mut has_sent = false;
        for asked in &mut self.requests {
            if asked.may_be_sent(one[0].len()) {
                self.raw.says(proxy, &published(asked.request, asked.next, asked.next, &one), now);
                (asked.next, asked.sent, has_sent) = (asked.next + 1, asked.sent + 1, true);
                self.sent += 1;
            }
        }
        has_sent
    }
}

/// A subscriber, and what it has heard.
struct Sub {
    raw: Raw,
    heard: Vec<Frame>,
    stuck: bool,
}

impl Sub {
    /// Asks for as much as this from the first number on.
    fn of(proxy: &mut ProxyEngine, name: u8, topic: &[u8], messages: u64, bytes: u64) -> Self {
        let (session, start) = (session(), StartAt::Next(0));
        let request = Request { request: 1, session, start, last: None, messages, bytes };
        Self::that_asks(proxy, name, topic, request)
    }

    fn that_asks(proxy: &mut ProxyEngine, name: u8, topic: &[u8], request: Request) -> Self {
        let mut raw = Raw::on(proxy.open_link(Identity::new("sub"), Side::Downstream, NOW.time));
        raw.says(proxy, &handshake(&hello(SocketType::Sub, peer(name))), NOW);
        raw.says(proxy, &filter(topic), NOW);
        raw.says(proxy, &encoded(&Control::Request(request)), NOW);
        let heard = raw.hears(proxy, NOW);
        Self { raw, heard, stuck: false }
    }

    fn hears(&mut self, proxy: &mut ProxyEngine, now: Now) {
        self.heard.extend(self.raw.hears(proxy, now));
    }

    /// May be sent so much in all.
    fn gives(&mut self, proxy: &mut ProxyEngine, messages: u64, bytes: u64, now: Now) {
        let more = More { request: 1, messages, bytes };
        self.raw.says(proxy, &encoded(&Control::More(more)), now);
    }

    /// The numbers of the messages that came; none before them is gone.
    fn seqs(&self) -> Vec<u64> {
        let (mut seqs, mut next) = (Vec::new(), 0);
        for frame in &self.heard {
            let (from, messages) = match frame {
                Frame::Publish(PublishRun { header, .. }) => {
                    (header.from, header.first_seq..header.first_seq + u64::from(header.count))
                }
                Frame::Control(Control::Skip(Skip { from, next, .. })) => (*from, *next..*next),
                _ => continue,
            };
            assert!(from <= next, "{next} to {from} are gone");
            next = messages.end;
            seqs.extend(messages);
        }
        seqs
    }

    /// It takes what comes, and what was too much for it is fetched.
    fn catches_up(&mut self, source: &mut Source, proxy: &mut ProxyEngine, now: Now) {
        for _ in 0..2 * MESSAGES {
            self.hears(proxy, now);
            source.sends(proxy, now);
        }
    }
}

/// Lets messages come as long as the quick one is sent some. Drivers transmit when they are woken.
fn flow(source: &mut Source, proxy: &mut ProxyEngine, quick: &mut Sub, slow: &mut Sub, now: Now) {
    while source.sends(proxy, now) {
        while let Some(woken) = proxy.poll_wake() {
            if woken == quick.raw.link {
                quick.hears(proxy, now);
            } else if woken == slow.raw.link && slow.stuck {
                proxy.handle_blocked(woken, now.time);
            } else if woken == slow.raw.link {
                slow.hears(proxy, now);
            }
        }
        let had = quick.seqs().len() as u64;
        quick.gives(proxy, had + FEW, 1 << 40, now);
        quick.hears(proxy, now);
    }
}

fn all() -> Vec<u64> {
    (0..MESSAGES).collect()
}

#[test]
fn one_with_messages_left_and_few_bytes_stops_nobody() {
    for (topic, slow_first) in [(b"".as_slice(), true), (b"t", true), (b"", false), (b"t", false)] {
        let mut proxy = proxy();
        let mut source = Source::of(&mut proxy);
        // As much as is left to it while its application takes its time.
        let slow = |proxy: &mut _| Sub::of(proxy, 0x60, topic, 1_000, 3_500);
        let first = slow_first.then(|| slow(&mut proxy));
        let mut quick = Sub::of(&mut proxy, 0x70, topic, FEW, 1 << 40);
        let mut slow = first.unwrap_or_else(|| slow(&mut proxy));
        flow(&mut source, &mut proxy, &mut quick, &mut slow, NOW);
        assert_eq!(quick.seqs(), all(), "with {topic:?}, {slow_first}");
        slow.gives(&mut proxy, 1_000, 1 << 40, NOW);
        slow.catches_up(&mut source, &mut proxy, NOW);
        assert_eq!(slow.seqs(), all());
    }
}

#[test]
fn one_whose_connection_is_stuck_stops_nobody() {
    for topic in [b"".as_slice(), b"t"] {
        let mut proxy = proxy();
        let mut source = Source::of(&mut proxy);
        let mut quick = Sub::of(&mut proxy, 0x70, topic, FEW, 1 << 40);
        let mut slow = Sub::of(&mut proxy, 0x60, topic, 1_000, 1 << 40);
        slow.stuck = true;
        flow(&mut source, &mut proxy, &mut quick, &mut slow, NOW);
        assert_eq!(quick.seqs().len() as u64, FEW, "for a moment it is waited for");
        assert_eq!(proxy.poll_timeout(NOW), Some(NOW.time + LINK_STUCK));
        let now = later(NOW, LINK_STUCK.as_millis() as u64);
        proxy.handle_timeout(now);
        flow(&mut source, &mut proxy, &mut quick, &mut slow, now);
        assert_eq!(quick.seqs(), all(), "with {topic:?}");
        assert!(proxy.poll_timeout(now).is_none_or(|due| due > now.time), "nothing is due");
        slow.catches_up(&mut source, &mut proxy, now);
        assert_eq!(slow.seqs(), all());
    }
}

#[test]
fn one_whose_connection_is_stuck_keeps_what_it_waits_for_if_nobody_else_waits() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy);
    let mut alone = Sub::of(&mut proxy, 0x60, b"", 1_000, 1 << 40);
    while source.sends(&mut proxy, NOW) {}
    proxy.handle_blocked(alone.raw.link, NOW.time);
    let now = later(NOW, 10 * LINK_STUCK.as_millis() as u64);
    proxy.handle_timeout(now);
    alone.catches_up(&mut source, &mut proxy, now);
    assert_eq!(alone.seqs(), all());
    assert_eq!(source.sent, MESSAGES, "nothing is fetched twice");
}

#[test]
fn one_that_gives_credit_without_end_has_no_more_brought_than_the_window_of_the_proxy() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy);
    let _greedy = Sub::of(&mut proxy, 0x60, b"", u64::MAX, u64::MAX);
    source.sends(&mut proxy, NOW);
    let window = ProxyConfig::default().up.window_messages;
    let granted: Vec<u64> = source.requests.iter().map(|asked| asked.messages).collect();
    assert_eq!(granted, [window]);
}

#[test]
fn one_that_wants_only_what_is_new_gets_nothing_that_was_published_before() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy);
    let (start, session) = (StartAt::Newest, session());
    let request = Request { request: 1, session, start, last: None, messages: 100, bytes: 1 << 40 };
    let mut sub = Sub::that_asks(&mut proxy, 0x60, b"", request);
    while source.sends(&mut proxy, NOW) {
        sub.hears(&mut proxy, NOW);
    }
    let heard = sub.heard;
    assert!(!heard.iter().any(|frame| matches!(frame, Frame::Publish(_))), "what was there before");
    let begins = heard.iter().any(|frame| match frame {
        Frame::Control(Control::Skip(skip)) => skip.next == MESSAGES,
        _ => false,
    });
    assert!(begins, "it is told from where on it hears all");
}

#[test]
fn a_source_that_passes_over_what_it_is_asked_for_is_not_asked_for_it_again() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy);
    let mut quick = Sub::of(&mut proxy, 0x70, b"", FEW, 1 << 40);
    let mut slow = Sub::of(&mut proxy, 0x60, b"", 1_000, 3_500);
    flow(&mut source, &mut proxy, &mut quick, &mut slow, NOW);
    assert_eq!(quick.seqs(), all());
    slow.gives(&mut proxy, 1_000, 1 << 40, NOW);
    let one = one_record();
    let mut asked = 0;
    for _ in 0..20 {
        slow.hears(&mut proxy, NOW);
        for frame in source.raw.hears(&mut proxy, NOW) {
            if let Frame::Control(Control::Request(Request { request, start, .. })) = frame
                && let StartAt::Next(next) = start
            {
                asked += 1;
                source.raw.says(&mut proxy, &published(request, next, next + 2, &one), NOW);
            }
        }
    }
    assert!((1..10).contains(&asked), "{asked} times");
}
