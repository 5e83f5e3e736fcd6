//! What publishing costs: into a full ring, with so many filters, to so many subscribers.
//!
//! `cargo bench -p drawdown-protocol --bench publish`. Divide by the messages of an iteration: the `items` column does.

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use drawdown_protocol::limits::FILTERS_PER_FRAME;
use drawdown_protocol::wire::{Control, Filter, Frame, Hello, Preface, Prefix, Request, StartAt};
use drawdown_protocol::{
    Identity, Lineage, LinkId, Message, Now, PeerId, PublishConfig, PublishEngine, RingConfig,
    Session, SocketType, Time, Transmit,
};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const MESSAGES: u64 = 1_000;

fn main() {
    divan::main();
}

fn publisher(ring: u64) -> PublishEngine {
    let config = PublishConfig {
        ring: RingConfig { messages: ring, ..RingConfig::default() },
        ..PublishConfig::default()
    };
    let session = Session::from_uuid(Uuid::from_u128(1));
    let lineage = Lineage { session, epoch: 1, since: 0 };
    PublishEngine::new(config, PeerId::from_uuid(Uuid::from_u128(2)), lineage)
}

/// A subscriber with these filters, that never runs out of credit.
fn subscribe(publisher: &mut PublishEngine, filters: impl Iterator<Item = Vec<u8>>) -> LinkId {
    let now = Now::default();
    let link = publisher.open_link(Identity::new("subscriber"), Time::ZERO);
    let mut say = |frame| publisher.handle_frame(link, frame, now);
    say(Frame::Preface(Preface::OURS));
    say(Frame::Control(Control::Hello(Hello {
        socket_type: SocketType::Sub,
        peer: PeerId::from_uuid(Uuid::from_u128(3)),
        session: None,
        features: 0,
        message_bytes_max: 1 << 20,
        heartbeat_ms: 0,
        reports_taken: false,
    })));
    let filters: Vec<Prefix> = filters.filter_map(|bytes| Prefix::new(&bytes).ok()).collect();
    for some in filters.chunks(FILTERS_PER_FRAME) {
        let add = some.iter().cloned().collect();
        say(Frame::Control(Control::Filter(Filter { add, ..Filter::default() })));
    }
    say(Frame::Control(Control::Request(Request {
        request: 1,
        session: Session::from_uuid(Uuid::from_u128(1)),
        start: StartAt::Newest,
        last: None,
        messages: u64::MAX,
        bytes: u64::MAX,
    })));
    transmit(publisher, link);
    link
}

/// Lets a link write all that it has to say.
fn transmit(publisher: &mut PublishEngine, link: LinkId) -> usize {
    let mut bytes = 0;
    loop {
        let mut out = Transmit::new();
        publisher.poll_transmit(link, Now::default(), &mut out);
        while publisher.poll_wake().is_some() {}
        match out.len() {
            0 => return bytes,
            written => bytes += written,
        }
    }
}

fn publish(publisher: &mut PublishEngine, topic: &[u8], payload: &[u8]) {
    for _ in 0..MESSAGES {
        // A publisher in memory refuses nothing of this size.
        let _ = publisher.try_publish(topic, Message::from(payload), Now::default);
    }
    while publisher.poll_wake().is_some() {}
}

/// Each message evicts one.
#[divan::bench(args = [16, 64, 256, 1_024])]
fn into_a_full_ring(bencher: Bencher<'_, '_>, size: usize) {
    let payload = vec![7; size];
    let mut publisher = publisher(10_000);
    (0..11).for_each(|_| publish(&mut publisher, b"", &payload));
    bencher
        .counter(ItemsCount::new(MESSAGES))
        .bench_local(|| publish(&mut publisher, b"", black_box(&payload)));
}

/// A subscriber with so many filters, of which one matches: looked up in an index, not one by one.
#[divan::bench(args = [1, 100, 10_000, 100_000])]
fn among_filters(bencher: Bencher<'_, '_>, filters: u32) {
    let mut publisher = publisher(10_000);
    let names = (0..filters).map(|name| format!("topic.{name}.").into_bytes());
    let link = subscribe(&mut publisher, names);
    bencher.counter(ItemsCount::new(MESSAGES)).bench_local(|| {
        publish(&mut publisher, b"topic.0.x", black_box(&[7; 256]));
        transmit(&mut publisher, link)
    });
}

/// To so many subscribers that want everything: the cost of publishing and of all their frames.
#[divan::bench(args = [1, 10, 100])]
fn to_subscribers(bencher: Bencher<'_, '_>, subscribers: u64) {
    let mut publisher = publisher(10_000);
    let links: Vec<LinkId> =
        (0..subscribers).map(|_| subscribe(&mut publisher, std::iter::once(Vec::new()))).collect();
    bencher.counter(ItemsCount::new(MESSAGES * subscribers)).bench_local(|| {
        publish(&mut publisher, b"", black_box(&[7; 256]));
        links.iter().map(|link| transmit(&mut publisher, *link)).sum::<usize>()
    });
}
