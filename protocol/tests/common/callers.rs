//! A client and a server with a link between them, and calls that go over it some hundreds at a time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drawdown_protocol::wire::Decoder;
use drawdown_protocol::{
    AnswerMemory, Identity, LinkId, Now, PeerId, Priority, ReplyConfig, ReplyEngine, RequestConfig,
    RequestEngine, Settled, Transmit,
};
use uuid::Uuid;

/// A client and a server, and what each has read of the other.
pub(crate) struct Callers {
    client: (RequestEngine, LinkId, Decoder, BytesMut),
    pub(crate) server: (ReplyEngine, LinkId, Decoder, BytesMut),
}

/// Calls that are under way together.
pub(crate) const TOGETHER: u64 = 500;

/// Answers that a server remembers.
pub(crate) const REMEMBERED: u64 = 1_000;

impl Callers {
    /// With a link between them.
    pub(crate) fn new() -> Self {
        let peer = |name| PeerId::from_uuid(Uuid::from_u128(name));
        let config = RequestConfig { pending_calls: TOGETHER, ..RequestConfig::default() };
        let mut client = RequestEngine::new(config, peer(1), 7);
        let memory =
            AnswerMemory { messages: REMEMBERED, bytes: 1 << 20, age: Duration::from_secs(60) };
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
        callers
    }

    /// What one has to say goes to the other, until there is no more.
    fn exchange(&mut self) {
        while self.say() {}
    }

    /// What each has to say at once goes to the other; false if that is nothing.
    fn say(&mut self) -> bool {
        let now = Now::default();
        let (client, at_client, from_server, read) = &mut self.client;
        let (server, at_server, from_client, received) = &mut self.server;
        let (mut asks, mut answers) = (Transmit::new(), Transmit::new());
        client.poll_transmit(*at_client, now, &mut asks);
        asks.pieces().for_each(|piece| received.extend_from_slice(piece));
        while let Some(frame) = from_client.decode(received).unwrap() {
            server.handle_frame(*at_server, frame, now);
        }
        server.poll_transmit(*at_server, now, &mut answers);
        answers.pieces().for_each(|piece| read.extend_from_slice(piece));
        while let Some(frame) = from_server.decode(read).unwrap() {
            client.handle_frame(*at_client, frame, now);
        }
        while client.poll_wake().is_some() {}
        while server.poll_wake().is_some() {}
        !asks.is_empty() || !answers.is_empty()
    }

    /// Makes so many calls, a few hundred at a time, and has them answered.
    pub(crate) fn call(&mut self, payload: &Bytes, count: u64) {
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
