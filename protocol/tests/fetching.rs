//! What a proxy fetches for subscribers that are behind its ring.

mod common;

use std::ops::Range;
use std::time::Duration;

use allocation_counter::measure;
use common::raw::Raw;
use common::{encoded, filter, handshake, hello, later, peer, publish, published, record, session};
use drawdown_protocol::limits::{FETCH_BYTES, LANES_MAX};
use drawdown_protocol::message::cost_bytes_max;
use drawdown_protocol::wire::{
    Control, Frame, Heartbeat, More, PublishRun, Request, Ring, Skip, StartAt,
};
use drawdown_protocol::{
    Identity, Lineage, LinkConfig, Now, ProxyConfig, ProxyEngine, PublishConfig, RingConfig, Side,
    SocketType, Time,
};

const NOW: Now = Now { time: Time::ZERO, wall: common::WALL };
const HOLE: Range<u64> = 50..100;
const HEAD: u64 = 200;

/// A publisher that says its RING again after each answer, as with a heartbeat. What it has lost is in its hole.
struct Source {
    raw: Raw,
    hole: Range<u64>,
    asked: usize,
}

impl Source {
    fn of(proxy: &mut ProxyEngine, name: u8, hole: Range<u64>) -> Self {
        let mut raw = Raw::connect(proxy, "source", NOW);
        raw.says(proxy, &handshake(&hello(SocketType::Pub, peer(name))), NOW);
        raw.says(proxy, &Self::ring(), NOW);
        Self { raw, hole, asked: 0 }
    }

    fn ring() -> Vec<u8> {
        let lineage = Lineage { session: session(), epoch: 1, since: 0 };
        encoded(&Control::Ring(Ring { lineage, oldest: 0, head: HEAD, live: true }))
    }

    fn answers(&mut self, proxy: &mut ProxyEngine) {
        self.answers_at(NOW, proxy);
    }

    fn answers_at(&mut self, now: Now, proxy: &mut ProxyEngine) {
        for frame in self.raw.hears(proxy, now) {
            let Frame::Control(Control::Request(Request { request, start, .. })) = frame else {
                continue;
            };
            self.asked += 1;
            let next = if let StartAt::Next(next) = start { next } else { 0 };
            if next < self.hole.start {
                let count = (self.hole.start - next) as u32;
                self.raw.says(proxy, &publish(request, next, next, count), now);
            }
            let behind = next.max(self.hole.end);
            if behind < HEAD {
                let count = (HEAD - behind) as u32;
                self.raw.says(proxy, &publish(request, behind, behind, count), now);
            }
            self.raw.says(proxy, &Self::ring(), now);
        }
    }
}

/// A subscriber that asks for all that is from `next` on.
fn subscribes(proxy: &mut ProxyEngine, next: u64) -> Raw {
    wants(proxy, b"", next)
}

/// The same, of one topic.
fn wants(proxy: &mut ProxyEngine, topic: &[u8], next: u64) -> Raw {
    let mut raw = Raw::on(proxy.open_link(Identity::new("sub"), Side::Downstream, NOW.time));
    raw.says(proxy, &handshake(&hello(SocketType::Sub, peer(0x60))), NOW);
    raw.says(proxy, &filter(topic), NOW);
    let request = Request {
        request: 1,
        session: session(),
        start: StartAt::Next(next),
        last: None,
        messages: 1_000,
        bytes: 1 << 40,
    };
    raw.says(proxy, &encoded(&Control::Request(request)), NOW);
    raw
}

/// A proxy that retains ten messages.
fn proxy() -> ProxyEngine {
    ProxyEngine::new(config(), peer(0x40))
}

fn config() -> ProxyConfig {
    let ring = RingConfig { messages: 10, ..RingConfig::default() };
    let down = PublishConfig { ring, ..PublishConfig::default() };
    ProxyConfig { down, ..ProxyConfig::default() }
}

/// What became of the numbers from `next` on: those in between that are gone, and where the rest ends.
fn received(heard: Vec<Frame>, mut next: u64) -> (Vec<Range<u64>>, u64) {
    let mut gone = Vec::new();
    for frame in heard {
        let (from, end) = match frame {
            Frame::Publish(PublishRun { header, .. }) => {
                (header.from, header.first_seq + u64::from(header.count))
            }
            Frame::Control(Control::Skip(Skip { from, next, .. })) => (from, next),
            _ => continue,
        };
        if from > next {
            gone.push(next..from);
        }
        next = end;
    }
    (gone, next)
}

#[test]
fn a_proxy_asks_no_source_again_for_what_it_has_answered_to_have_lost() {
    let mut proxy = proxy();
    let mut sources = [0x50, 0x51].map(|name| Source::of(&mut proxy, name, HOLE));
    let mut turns = |proxy: &mut ProxyEngine, mut subscriber: Option<&mut Raw>| {
        let mut heard = Vec::new();
        for _ in 0..20 {
            sources.iter_mut().for_each(|source| source.answers(proxy));
            heard.extend(subscriber.iter_mut().flat_map(|raw| raw.hears(proxy, NOW)));
        }
        (heard, sources.iter_mut().map(|source| std::mem::take(&mut source.asked)).sum::<usize>())
    };
    turns(&mut proxy, None);
    for start in [70, 30] {
        let mut subscriber = subscribes(&mut proxy, start);
        let (heard, asked) = turns(&mut proxy, Some(&mut subscriber));
        let hole = start.max(HOLE.start)..HOLE.end;
        assert_eq!(received(heard, start), (vec![hole], HEAD), "from {start}");
        assert!(asked <= 4, "sources were asked {asked} times");
    }
}

/// Each of them has been sent what it has credit for, as far as the proxy can tell, and its connection takes nothing more.
#[test]
fn subscribers_that_read_nothing_keep_nobody_from_what_is_fetched() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy, 0x50, 0..0);
    source.answers(&mut proxy);
    for _ in 0..LANES_MAX {
        let mut stuck = subscribes(&mut proxy, 0);
        stuck.hears(&mut proxy, NOW);
        source.answers(&mut proxy);
    }
    let mut reading = subscribes(&mut proxy, 0);
    let mut heard = reading.hears(&mut proxy, NOW);
    let now = later(NOW, 1_000);
    reading.says(&mut proxy, &encoded(&Control::Heartbeat(Heartbeat::default())), now);
    for _ in 0..10 {
        source.answers(&mut proxy);
        heard.extend(reading.hears(&mut proxy, now));
    }
    assert_eq!(received(heard, 0), (vec![], HEAD));
}

#[test]
fn what_is_fetched_for_those_who_read_nothing_is_bounded_in_all() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy, 0x50, 0..0);
    source.answers(&mut proxy);
    let records = vec![record(&[b'x'; 1_000], None); HEAD as usize];
    let mut stuck = Vec::with_capacity(3 * LANES_MAX);
    let fetched = measure(|| {
        for turn in 0..stuck.capacity() as u64 {
            let now = later(NOW, turn * 250);
            let mut raw = subscribes(&mut proxy, 0);
            raw.hears(&mut proxy, now);
            stuck.push(raw);
            for frame in source.raw.hears(&mut proxy, now) {
                if let Frame::Control(Control::Request(Request { request, .. })) = frame {
                    source.raw.says(&mut proxy, &published(request, 0, 0, &records), now);
                }
            }
        }
    });
    let bound = (LANES_MAX as u64 + 8) * HEAD * 1_004;
    assert!(fetched.bytes_current.unsigned_abs() < bound, "{} bytes", fetched.bytes_current);
    let now = later(NOW, 60_000);
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.extend(stuck[0].hears(&mut proxy, now));
        source.answers(&mut proxy);
    }
    assert_eq!(received(heard, 0), (vec![], HEAD), "what was let go of is fetched again");
}

/// As many as are fetched for at a time, each of which has been sent one message, and one who waits.
fn all_lanes_are_taken(proxy: &mut ProxyEngine) -> (Source, Vec<Raw>, Raw) {
    let mut source = Source::of(proxy, 0x50, 0..0);
    source.answers(proxy);
    let mut fetched_for: Vec<Raw> = (0..LANES_MAX).map(|_| subscribes(proxy, 0)).collect();
    for raw in &mut fetched_for {
        raw.hears(proxy, NOW);
    }
    for (request, _) in requests(&mut source.raw, proxy) {
        source.raw.says(proxy, &publish(request, 0, 0, 1), NOW);
    }
    let mut waits = subscribes(proxy, 0);
    waits.hears(proxy, NOW);
    assert_eq!(requests(&mut source.raw, proxy), []);
    (source, fetched_for, waits)
}

#[test]
fn one_that_waits_to_be_fetched_for_needs_nobody_to_say_anything() {
    let link = LinkConfig { heartbeat: Duration::ZERO, ..LinkConfig::default() };
    let mut config = config();
    (config.up.link, config.down.link) = (link.clone(), link);
    let mut proxy = ProxyEngine::new(config, peer(0x40));
    let (mut source, _fetched_for, _waits) = all_lanes_are_taken(&mut proxy);
    let due = proxy.poll_timeout(NOW).expect("it wants to be called");
    let now = Now { time: due, ..NOW };
    proxy.handle_timeout(now);
    let heard = source.raw.hears(&mut proxy, now);
    let is_request = |frame: &&Frame| matches!(frame, Frame::Control(Control::Request(_)));
    assert_eq!(heard.iter().filter(is_request).count(), 1, "{heard:?}");
    assert_eq!(proxy.poll_timeout(now), None, "nobody waits any more");
}

#[test]
fn one_that_waits_to_be_fetched_for_takes_the_place_of_one_that_is_lost() {
    let mut proxy = proxy();
    let (mut source, fetched_for, _waits) = all_lanes_are_taken(&mut proxy);
    proxy.link_lost(fetched_for[5].link, "the connection broke", NOW.time);
    assert_eq!(requests(&mut source.raw, &mut proxy).len(), 1);
}

#[test]
fn those_who_wait_to_be_fetched_for_cost_nothing_when_others_speak() {
    let mut proxy = proxy();
    let (_source, mut fetched_for, _waits) = all_lanes_are_taken(&mut proxy);
    let _others: Vec<Raw> = (0..2_000)
        .map(|_| {
            let mut raw = subscribes(&mut proxy, 0);
            raw.hears(&mut proxy, NOW);
            raw
        })
        .collect();
    let heartbeat = encoded(&Control::Heartbeat(Heartbeat::default()));
    fetched_for[0].says(&mut proxy, &heartbeat, NOW);
    let cost = measure(|| fetched_for[0].says(&mut proxy, &heartbeat, NOW));
    assert!(cost.bytes_total < 10_000, "{} bytes for a heartbeat", cost.bytes_total);
}

#[test]
fn all_who_wait_to_be_fetched_for_have_their_turn() {
    let mut proxy = proxy();
    let (mut source, mut waiting, last) = all_lanes_are_taken(&mut proxy);
    waiting.push(last);
    waiting.extend((0..LANES_MAX).map(|_| subscribes(&mut proxy, 0)));
    let mut heard = vec![Vec::new(); waiting.len()];
    for turn in 1..20 {
        let now = later(NOW, turn * 250);
        proxy.handle_timeout(now);
        for _ in 0..2 {
            for (raw, heard) in waiting.iter_mut().zip(&mut heard) {
                heard.extend(raw.hears(&mut proxy, now));
            }
            source.answers_at(now, &mut proxy);
        }
    }
    for heard in heard {
        assert_eq!(received(heard, 0), (vec![], HEAD));
    }
}

/// Of the topics `a`, `b`, `b`, and then `a` again and again.
fn by_topic(seq: u64) -> Vec<u8> {
    let topic = if (1..3).contains(&seq) { b'b' } else { b'a' };
    record(b"x", Some(&[2, 1, topic]))
}

/// The requests that a source hears: by which name, and from where.
fn requests(source: &mut Raw, proxy: &mut ProxyEngine) -> Vec<(u32, u64)> {
    let heard = source.hears(proxy, NOW).into_iter();
    let requests = heard.filter_map(|frame| match frame {
        Frame::Control(Control::Request(Request { request, start, .. })) => Some((request, start)),
        _ => None,
    });
    let from = |start| if let StartAt::Next(next) = start { next } else { 0 };
    requests.map(|(request, start)| (request, from(start))).collect()
}

fn says_by_topic(source: &mut Raw, proxy: &mut ProxyEngine, request: u32, seqs: Range<u64>) {
    let records: Vec<_> = seqs.clone().map(by_topic).collect();
    source.says(proxy, &published(request, seqs.start, seqs.start, &records), NOW);
}

#[test]
fn one_that_wants_another_topic_while_it_is_fetched_for_is_told_of_no_loss() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy, 0x50, 0..0).raw;
    let [(request, 0)] = requests(&mut source, &mut proxy)[..] else { panic!("no request") };
    says_by_topic(&mut source, &mut proxy, request, 0..HEAD);
    let mut subscriber = wants(&mut proxy, b"a", 0);
    subscriber.hears(&mut proxy, NOW);
    let [(request, 0)] = requests(&mut source, &mut proxy)[..] else { panic!("no fetch") };
    says_by_topic(&mut source, &mut proxy, request, 0..3);
    let mut heard = subscriber.hears(&mut proxy, NOW);
    // It has looked at what is not wanted, which its subscriber does not know, and has more at hand.
    says_by_topic(&mut source, &mut proxy, request, 3..10);
    subscriber.says(&mut proxy, &filter(b"b"), NOW);
    for _ in 0..4 {
        heard.extend(subscriber.hears(&mut proxy, NOW));
        for (request, from) in requests(&mut source, &mut proxy) {
            says_by_topic(&mut source, &mut proxy, request, from..HEAD);
        }
    }
    assert_eq!(received(heard, 0), (vec![], HEAD));
}

#[test]
fn what_is_fetched_for_one_that_gives_credit_without_end_is_bounded() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy, 0x50, 0..0);
    source.answers(&mut proxy);
    let mut subscriber = subscribes(&mut proxy, 0);
    subscriber.hears(&mut proxy, NOW);
    let asked = source.raw.hears(&mut proxy, NOW).into_iter().find_map(|frame| match frame {
        Frame::Control(Control::Request(request)) => Some(request.bytes),
        _ => None,
    });
    let message = cost_bytes_max(ProxyConfig::default().up.link.message_bytes_max);
    assert!(asked.is_some_and(|bytes| (message..=FETCH_BYTES.max(message)).contains(&bytes)));
}

#[test]
fn more_credit_of_one_that_is_fetched_for_is_more_for_what_is_fetched() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy, 0x50, 0..0);
    source.answers(&mut proxy);
    let mut subscriber = subscribes(&mut proxy, 0);
    subscriber.hears(&mut proxy, NOW);
    let [(request, 0)] = requests(&mut source.raw, &mut proxy)[..] else { panic!("no fetch") };
    let more = More { request: 1, messages: 1_010, bytes: 1 << 40 };
    subscriber.says(&mut proxy, &encoded(&Control::More(more)), NOW);
    subscriber.hears(&mut proxy, NOW);
    let [Frame::Control(Control::More(more))] = source.raw.hears(&mut proxy, NOW)[..] else {
        panic!("what is on its way is asked for anew")
    };
    assert_eq!((more.request, more.messages), (request, 1_010));
}

/// A publisher that sends as much as it may; of all its messages only one has the topic `b`.
struct Rare {
    raw: Raw,
    /// By which name it is asked, where it goes on, and how much it has sent and may send in all.
    asked: Vec<(u32, u64, u64, u64)>,
    /// How often it was asked, or given more credit.
    rounds: usize,
}

const WANTED: u64 = 150;

impl Rare {
    fn answers(&mut self, proxy: &mut ProxyEngine) {
        for frame in self.raw.hears(proxy, NOW) {
            match frame {
                Frame::Control(Control::Request(asked)) => {
                    let next = if let StartAt::Next(next) = asked.start { next } else { 0 };
                    self.asked.push((asked.request, next, 0, asked.messages));
                }
                Frame::Control(Control::More(more)) => {
                    let asked = self.asked.iter_mut().find(|asked| asked.0 == more.request);
                    asked.expect("it was made").3 = more.messages;
                }
                _ => continue,
            }
            self.rounds += 1;
        }
        for (request, next, sent, limit) in &mut self.asked {
            let count = (*limit - *sent).min(HEAD - *next);
            let topic = |seq| if seq == WANTED { b'b' } else { b'a' };
            let seqs = *next..*next + count;
            let records: Vec<_> = seqs.map(|seq| record(b"x", Some(&[2, 1, topic(seq)]))).collect();
            if count > 0 {
                self.raw.says(proxy, &published(*request, *next, *next, &records), NOW);
            }
            (*next, *sent) = (*next + count, *sent + count);
        }
    }
}

/// Round trips to the publisher, not messages, are what takes time.
#[test]
fn what_is_not_wanted_is_fetched_many_at_a_time_also_for_one_that_may_be_sent_one_message() {
    let mut proxy = proxy();
    let mut source = Rare { raw: Source::of(&mut proxy, 0x50, 0..0).raw, asked: vec![], rounds: 0 };
    source.answers(&mut proxy);
    source.rounds = 0;
    let mut subscriber = Raw::on(proxy.open_link(Identity::new("sub"), Side::Downstream, NOW.time));
    subscriber.says(&mut proxy, &handshake(&hello(SocketType::Sub, peer(0x60))), NOW);
    subscriber.says(&mut proxy, &filter(b"b"), NOW);
    let (request, session, start) = (1, session(), StartAt::Next(0));
    let one = Request { request, session, start, last: None, messages: 1, bytes: 1 << 20 };
    subscriber.says(&mut proxy, &encoded(&Control::Request(one)), NOW);
    let mut heard = Vec::new();
    for _ in 0..2 * HEAD {
        heard.extend(subscriber.hears(&mut proxy, NOW));
        source.answers(&mut proxy);
    }
    assert_eq!(received(heard, 0), (vec![], WANTED + 1));
    assert!(source.rounds < 20, "the source was asked {} times", source.rounds);
}

/// Otherwise it takes its source for one that hangs, and begins again at another one, for ever.
#[test]
fn one_that_is_fetched_for_is_told_how_far_that_has_come() {
    let mut proxy = proxy();
    let mut source = Source::of(&mut proxy, 0x50, 0..0).raw;
    let [(request, 0)] = requests(&mut source, &mut proxy)[..] else { panic!("no request") };
    says_by_topic(&mut source, &mut proxy, request, 0..HEAD);
    let mut subscriber = wants(&mut proxy, b"c", 0);
    let heard = subscriber.hears(&mut proxy, NOW);
    assert_eq!(received(heard, 0), (vec![], 0));
    let [(request, 0)] = requests(&mut source, &mut proxy)[..] else { panic!("no fetch") };
    says_by_topic(&mut source, &mut proxy, request, 0..100);
    let mut heard = subscriber.hears(&mut proxy, NOW);
    let now = Now { time: proxy.poll_link_timeout(subscriber.link).expect("a heartbeat"), ..NOW };
    proxy.handle_link_timeout(subscriber.link, now.time);
    heard.extend(subscriber.hears(&mut proxy, now));
    assert_eq!(received(heard, 0), (vec![], 100));
}
