//! Proxies between peers that break the rules.

use drawdown_protocol::limits::UNWRITTEN_MESSAGES;
use drawdown_protocol::store::StoreOp;
use drawdown_protocol::wire::{Control, Frame, Preface, Ring, Skip};
use drawdown_protocol::{
    Identity, ProxyConfig, ProxyEngine, PublishConfig, RingConfig, Side, Transmit,
};

use crate::common::raw::Raw;
use crate::common::{handshake, later, peer, publish};
use crate::{NOW, lineage, publisher_hello, ring, skip};

#[test]
fn a_publisher_at_the_end_of_all_numbers_does_not_upset_the_store_of_a_proxy() {
    let mut proxy = ProxyEngine::with_store(ProxyConfig::default(), peer(0x40));
    let link = proxy.open_link(Identity::new("publisher"), Side::Upstream, NOW.time);
    let far = Ring { lineage: lineage(1, 0), oldest: 0, head: u64::MAX, live: true };
    let skip = |from| Control::Skip(Skip { request: 1, from, next: from });
    let frames = [Control::Hello(publisher_hello()), Control::Ring(far), skip(0), skip(u64::MAX)];
    proxy.handle_frame(link, Frame::Preface(Preface::OURS), NOW);
    for frame in frames {
        proxy.handle_frame(link, Frame::Control(frame), NOW);
        proxy.poll_transmit(link, NOW, &mut Transmit::new());
    }
    let reserved = proxy.poll_store(NOW.time).and_then(|commit| {
        commit.ops.into_iter().find_map(|op| match op {
            StoreOp::Reserve { end, .. } => Some(end),
            _ => None,
        })
    });
    assert_eq!(reserved, Some(u64::MAX));
    proxy.handle_stored(Ok(()), NOW);
    assert!(proxy.poll_store(later(NOW, 1_000).time).is_none(), "nothing is left to write");
}

#[test]
fn a_proxy_takes_no_more_from_upstream_than_its_disk_keeps_up_with() {
    let ring_of_10 = RingConfig { messages: 10, ..RingConfig::default() };
    let down = PublishConfig { ring: ring_of_10, ..PublishConfig::default() };
    let config = ProxyConfig { down, ..ProxyConfig::default() };
    let window = config.up.window_messages;
    let mut proxy = ProxyEngine::with_store(config, peer(0x40));
    let mut raw = Raw::connect(&mut proxy, "publisher", NOW);
    raw.says(&mut proxy, &handshake(&publisher_hello()), NOW);
    raw.says(&mut proxy, &ring(lineage(1, 0), 0, 0), NOW);
    let mut source = Source::default();

    let unwritten = |proxy: &ProxyEngine| {
        let stats = proxy.stats(NOW.time);
        (stats.down.rings[0].messages, stats.up.queued.messages)
    };
    source.feed(&mut proxy, &mut raw);
    let (in_ring, queued) = unwritten(&proxy);
    assert!((UNWRITTEN_MESSAGES..UNWRITTEN_MESSAGES + 2 * window).contains(&in_ring), "{in_ring}");
    assert_eq!(queued, window, "the rest stays upstream");

    let had = source.sent;
    write(&mut proxy);
    source.feed(&mut proxy, &mut raw);
    assert!(source.sent >= had + UNWRITTEN_MESSAGES, "it goes on");

    // Numbers that nobody has are not waited for.
    write(&mut proxy);
    let hole = 4 * UNWRITTEN_MESSAGES;
    source.skips(&mut proxy, &mut raw, hole);
    assert_eq!(proxy.stats(NOW.time).down.rings[0].next_seq, source.next);
    let had = source.sent;
    source.feed(&mut proxy, &mut raw);
    assert!(source.sent >= had + UNWRITTEN_MESSAGES, "it goes on");

    proxy.poll_store(NOW.time).expect("there is something to write");
    let had = source.sent;
    proxy.handle_stored(Err("the disk is gone".to_owned()), NOW);
    source.feed(&mut proxy, &mut raw);
    assert_eq!(source.sent, had, "after a failure nothing is asked for");
}

/// Writes all that there is to write.
fn write(proxy: &mut ProxyEngine) {
    while proxy.poll_store(NOW.time).is_some() {
        proxy.handle_stored(Ok(()), NOW);
    }
}

/// A publisher that sends all that its credit allows.
#[derive(Default)]
struct Source {
    sent: u64,
    /// The next number.
    next: u64,
    /// The request that it answers, and the credit of that.
    asked: (u32, u64),
}

impl Source {
    fn feed(&mut self, proxy: &mut ProxyEngine, raw: &mut Raw) {
        let before = self.sent;
        loop {
            self.listen(proxy, raw);
            let (request, credit) = self.asked;
            let count = (credit - self.sent).min(1_000) as u32;
            if count == 0 || self.sent - before > 4 * UNWRITTEN_MESSAGES {
                return;
            }
            raw.says(proxy, &publish(request, self.next, self.next, count), NOW);
            self.sent += u64::from(count);
            self.next += u64::from(count);
        }
    }

    /// Tells of so many numbers that are lost.
    fn skips(&mut self, proxy: &mut ProxyEngine, raw: &mut Raw, numbers: u64) {
        self.listen(proxy, raw);
        self.next += numbers;
        raw.says(proxy, &skip(self.asked.0, self.next, self.next), NOW);
    }

    fn listen(&mut self, proxy: &mut ProxyEngine, raw: &mut Raw) {
        for frame in raw.hears(proxy, NOW) {
            match frame {
                Frame::Control(Control::Request(asked)) => {
                    assert_eq!(self.sent, 0, "it is asked once");
                    self.asked = (asked.request, asked.messages);
                }
                Frame::Control(Control::More(more)) => self.asked.1 = more.messages,
                _ => {}
            }
        }
    }
}
