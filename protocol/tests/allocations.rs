//! The hot path does not allocate for each message.

mod common;

use std::time::Duration;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use common::pair::Pair;
use drawdown_protocol::wire::Decoder;
use drawdown_protocol::{
    AnswerMemory, Identity, LinkId, Now, PeerId, Priority, ReplyConfig, ReplyEngine, RequestConfig,
    RequestEngine, Settled, Transmit,
};
use uuid::Uuid;

/// Allocations and bytes for each of many messages, from `send` to their confirmation, once everything is warm.
fn per_message(payload: &[u8]) -> (f64, f64) {
    const COUNT: u64 = 50_000;
    let mut pair = Pair::new(1_000);
    pair.deliver(payload, COUNT);
    let counted = measure(|| pair.deliver(payload, COUNT));
    assert_eq!(pair.push.stats(drawdown_protocol::Time::ZERO).confirmed, 2 * COUNT);
    (counted.count_total as f64 / COUNT as f64, counted.bytes_total as f64 / COUNT as f64)
}

#[test]
fn small_messages_share_their_allocations() {
    for bytes in [8, 64, 256] {
        let (count, allocated) = per_message(&vec![7; bytes]);
        eprintln!("{bytes} bytes: {count:.4} allocations and {allocated:.0} bytes a message");
        assert!(count < 0.1, "{count} allocations for a message of {bytes} bytes");
    }
}

/// A client and a server, and what each has read of the other.
struct Callers {
    client: (RequestEngine, LinkId, Decoder, BytesMut),
    server: (ReplyEngine, LinkId, Decoder, BytesMut),
}

/// Calls that are under way together.
const TOGETHER: u64 = 500;

impl Callers {
    fn new() -> Self {
        let peer = |name| PeerId::from_uuid(Uuid::from_u128(name));
        let config = RequestConfig { pending_calls: TOGETHER, ..RequestConfig::default() };
        let mut client = RequestEngine::new(config, peer(1), 7);
        let memory = AnswerMemory { messages: 1_000, bytes: 1 << 20, age: Duration::from_secs(60) };
        let config = ReplyConfig { window_messages: TOGETHER, memory, ..ReplyConfig::default() };
        let mut server = ReplyEngine::new(config, peer(2));
        let now = Now::default();
        let at_client = client.open_link(Identity::new("server"), Priority::BEST, now.time);
        let at_server = server.open_link(Identity::new("client"), now.time);
        let reader = || (Decoder::new(1 << 20), BytesMut::with_capacity(1 << 20));
        let ((from_server, at), (from_client, by)) = (reader(), reader());
        let mut callers = Self {
            client: (client, at_client, from_server, at),
            server: (server, at_server, from_client, by),
        };
        callers.exchange();
        callers.exchange();
        callers
    }

    fn exchange(&mut self) {
        let now = Now::default();
        let (client, at_client, from_server, read) = &mut self.client;
        let (server, at_server, from_client, received) = &mut self.server;
        let mut out = Transmit::new();
        client.poll_transmit(*at_client, now, &mut out);
        out.pieces().for_each(|piece| received.extend_from_slice(piece));
        while let Some(frame) = from_client.decode(received).unwrap() {
            server.handle_frame(*at_server, frame, now);
        }
        let mut out = Transmit::new();
        server.poll_transmit(*at_server, now, &mut out);
        out.pieces().for_each(|piece| read.extend_from_slice(piece));
        while let Some(frame) = from_server.decode(read).unwrap() {
            client.handle_frame(*at_client, frame, now);
        }
        while client.poll_wake().is_some() {}
        while server.poll_wake().is_some() {}
    }

    /// Makes so many calls, a few hundred at a time, and has them answered.
    fn call(&mut self, payload: &Bytes, count: u64) {
        let now = Now::default();
        for _ in 0..count / TOGETHER {
            for _ in 0..TOGETHER {
                let options = self.client.0.config().call;
                self.client.0.call(payload.into(), options, now.time).unwrap();
            }
            self.exchange();
            while let Some(call) = self.server.0.take(now.time) {
                self.server.0.answer(call.key, payload.clone(), now.time).unwrap();
            }
            self.exchange();
            let settled = std::iter::from_fn(|| self.client.0.poll_settled());
            let answers = settled.filter(|(_, settled)| matches!(settled, Settled::Answered(_)));
            assert_eq!(answers.count() as u64, TOGETHER);
        }
    }
}

#[test]
fn calls_that_are_under_way_together_share_their_allocations() {
    const COUNT: u64 = 50_000;
    let payload = Bytes::from(vec![7; 64]);
    let mut callers = Callers::new();
    callers.call(&payload, COUNT);
    let counted = measure(|| callers.call(&payload, COUNT));
    let count = counted.count_total as f64 / COUNT as f64;
    eprintln!("{count:.4} allocations a call");
    assert!(count < 0.1, "{count} allocations for a call");
    let remembered = callers.server.0.stats(drawdown_protocol::Time::ZERO).remembered;
    assert!(
        remembered <= 1_000 + TOGETHER,
        "{remembered}: those that are not confirmed count for themselves"
    );
}
