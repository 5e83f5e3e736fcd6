//! A client and its servers, whose bytes are carried by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drawdown_protocol::wire::Decoder;
use drawdown_protocol::{
    CallError, CallNumber, CallOptions, Identity, LinkId, Message, Now, PeerId, Priority,
    ReplyConfig, ReplyEngine, RequestConfig, RequestEngine, Settled, TakenCall, Transmit,
};
use uuid::Uuid;

pub(super) fn peer(name: u128) -> PeerId {
    PeerId::from_uuid(Uuid::from_u128(name))
}

pub(super) struct Way {
    pub(super) client_link: LinkId,
    pub(super) server: usize,
    pub(super) server_link: LinkId,
    pub(super) to_server: (Decoder, BytesMut),
    pub(super) to_client: (Decoder, BytesMut),
    /// Nothing passes, and nobody knows.
    pub(super) frozen: bool,
}

/// A client and its servers.
pub(super) struct Net {
    pub(super) client: RequestEngine,
    pub(super) servers: Vec<ReplyEngine>,
    pub(super) ways: Vec<Way>,
    pub(super) now: Now,
    pub(super) settled: BTreeMap<CallNumber, Settled>,
}

impl Net {
    pub(super) fn new(call: CallOptions) -> Self {
        Self::with(RequestConfig { call, ..RequestConfig::default() })
    }

    pub(super) fn with(config: RequestConfig) -> Self {
        let config = RequestConfig { pending_calls: 1_000, ..config };
        Self {
            client: RequestEngine::new(config, peer(1), 7),
            servers: Vec::new(),
            ways: Vec::new(),
            now: Now::default(),
            settled: BTreeMap::new(),
        }
    }

    pub(super) fn server(&mut self, window: u64, level: u8) -> usize {
        let config = ReplyConfig { window_messages: window, ..ReplyConfig::default() };
        self.server_with(config, level)
    }

    pub(super) fn server_with(&mut self, config: ReplyConfig, level: u8) -> usize {
        self.servers.push(ReplyEngine::new(config, peer(10 + self.servers.len() as u128)));
        self.connect(self.servers.len() - 1, level);
        self.servers.len() - 1
    }

    pub(super) fn connect(&mut self, server: usize, level: u8) {
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

    pub(super) fn cut(&mut self, server: usize) {
        let now = self.now.time;
        for way in self.ways.extract_if(.., |way| way.server == server) {
            self.client.link_lost(way.client_link, "cut", now);
            self.servers[server].link_lost(way.server_link, "cut", now);
        }
        self.run();
    }

    pub(super) fn run(&mut self) {
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

    pub(super) fn pass(&mut self, time: Duration) {
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

    pub(super) fn call(&mut self, payload: &'static str) -> CallNumber {
        let options = self.client.config().call;
        self.call_with(payload, options)
    }

    pub(super) fn call_with(&mut self, payload: &'static str, options: CallOptions) -> CallNumber {
        let number = self.client.call(Message::from(payload), options, self.now.time).unwrap();
        self.run();
        number
    }

    pub(super) fn take(&mut self, server: usize) -> Option<TakenCall> {
        self.servers[server].take(self.now.time)
    }

    /// Answers everything that waits at a server with the request, twice over.
    pub(super) fn serve(&mut self, server: usize) -> usize {
        let mut count = 0;
        while let Some(call) = self.take(server) {
            self.answer(server, &call);
            count += 1;
        }
        count
    }

    pub(super) fn answer(&mut self, server: usize, call: &TakenCall) {
        let answer = Bytes::from([call.payload(), call.payload()].concat());
        self.servers[server].answer(call.key, answer, self.now.time).unwrap();
        self.run();
    }

    pub(super) fn answered(&self, number: CallNumber) -> &[u8] {
        match &self.settled[&number] {
            Settled::Answered(answer) => answer,
            other => panic!("call {number}: {other:?}"),
        }
    }

    pub(super) fn error(&self, number: CallNumber) -> CallError {
        match &self.settled[&number] {
            Settled::Failed(error) => error.clone(),
            other => panic!("call {number}: {other:?}"),
        }
    }
}

pub(super) fn quick() -> CallOptions {
    CallOptions {
        timeout: Duration::from_secs(10),
        attempt_timeout: Duration::from_secs(1),
        ..CallOptions::default()
    }
}
