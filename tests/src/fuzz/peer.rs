//! A peer that has shaken hands, and then says anything.

use std::time::Duration;

use bytes::BytesMut;
use drawdown_protocol::wire::{Control, Decoder, Hello, encode_control, encode_preface};
use drawdown_protocol::{
    CallOptions, Identity, Lineage, LinkId, Now, PeerId, Priority, PublishEngine, PullEngine,
    PushEngine, ReplyEngine, RequestEngine, Session, SocketType, SubscribeEngine, Time, Transmit,
    WallTime, close_for,
};
use uuid::Uuid;

/// The kinds of frames, as the wire numbers them, and some that are none.
const KINDS: u8 = 24;

/// Lets a peer talk to an engine: the first byte says to which, then come frames of a kind, a length and a body each; kind 0
/// lets time pass.
pub fn peer(bytes: &[u8]) {
    let Some((&which, said)) = bytes.split_first() else {
        return;
    };
    let (us, session) =
        (PeerId::from_uuid(Uuid::from_u128(1)), Session::from_uuid(Uuid::from_u128(2)));
    match which % 6 {
        0 => {
            let mut push = PushEngine::new(Default::default(), us, session);
            for text in ["a", "b", "c"] {
                let _ = push.try_send(text.into(), now_at_start);
            }
            talk(&mut push, SocketType::Pull, said);
        }
        1 => talk(&mut PullEngine::new(Default::default(), us), SocketType::Push, said),
        2 => {
            let lineage = Lineage { session, epoch: 1, since: 0 };
            let mut publisher = PublishEngine::new(Default::default(), us, lineage);
            for topic in [&b"a"[..], b"ab", b"b"] {
                let _ = publisher.try_publish(topic, "x".into(), now_at_start);
            }
            talk(&mut publisher, SocketType::Sub, said);
        }
        3 => {
            let mut subscriber = SubscribeEngine::new(Default::default(), us);
            talk(&mut subscriber, SocketType::Pub, said);
        }
        4 => talk(&mut ReplyEngine::new(Default::default(), us), SocketType::Req, said),
        _ => {
            let mut client = RequestEngine::new(Default::default(), us, 7);
            for text in ["a", "b"] {
                let _ = client.call(text.into(), CallOptions::default(), now_at_start().time);
            }
            talk(&mut client, SocketType::Rep, said);
        }
    }
}

/// What all engines can do with a link.
trait Engine {
    fn open(&mut self, now: Time) -> LinkId;
    fn hear(&mut self, link: LinkId, input: &mut Input, now: Now);
    fn tick(&mut self, link: LinkId, now: Now);
    fn speak(&mut self, link: LinkId, now: Now) -> usize;
}

/// What a peer has said and nobody has read yet.
struct Input {
    decoder: Decoder,
    bytes: BytesMut,
}

macro_rules! engine {
    ($engine:ty, |$time:ident| $moment:expr $(, $priority:expr)?) => {
        impl Engine for $engine {
            fn open(&mut self, now: Time) -> LinkId {
                self.open_link(Identity::new("anybody"), $($priority,)? now)
            }

            fn hear(&mut self, link: LinkId, input: &mut Input, now: Now) {
                loop {
                    match input.decoder.decode(&mut input.bytes) {
                        Ok(Some(frame)) => self.handle_frame(link, frame, now),
                        Ok(None) => return,
                        Err(error) => return self.fail_link(link, close_for(&error), now.time),
                    }
                }
            }

            fn tick(&mut self, link: LinkId, now: Now) {
                self.handle_link_timeout(link, now.time);
                let $time = now;
                self.handle_timeout($moment);
            }

            fn speak(&mut self, link: LinkId, now: Now) -> usize {
                let mut out = Transmit::new();
                self.poll_transmit(link, now, &mut out);
                while self.poll_wake().is_some() {}
                while self.poll_event().is_some() {}
                out.len()
            }
        }
    };
}

engine!(PushEngine, |now| now);
engine!(PullEngine, |now| now.time);
engine!(PublishEngine, |now| now);
engine!(SubscribeEngine, |now| now.time);
engine!(ReplyEngine, |now| now.time);
engine!(RequestEngine, |now| now.time, Priority::BEST);

fn now_at_start() -> Now {
    Now { time: Time::from_micros(1_000_000), wall: WallTime::from_millis(1_700_000_000_000) }
}

fn talk(engine: &mut impl Engine, as_type: SocketType, mut said: &[u8]) {
    let mut now = now_at_start();
    let link = engine.open(now.time);
    let mut input = Input { decoder: Decoder::new(1 << 20), bytes: BytesMut::new() };
    encode_preface(&mut input.bytes);
    encode_control(&Control::Hello(hello(as_type)), &mut input.bytes);
    engine.hear(link, &mut input, now);
    engine.speak(link, now);
    while let Some((&[kind, length], rest)) = said.split_first_chunk::<2>() {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(length)));
        said = rest;
        match kind % KINDS {
            0 => {
                now.time = now.time + Duration::from_millis(u64::from(length) * 20);
                engine.tick(link, now);
            }
            kind => {
                let header = [kind, 0, 0, 0, body.len() as u8, 0, 0, 0];
                input.bytes.extend_from_slice(&header);
                input.bytes.extend_from_slice(body);
                engine.hear(link, &mut input, now);
            }
        }
        assert!(engine.speak(link, now) < 4 << 20, "a few bytes make it say megabytes");
    }
}

fn hello(socket_type: SocketType) -> Hello {
    let session = Session::from_uuid(Uuid::from_u128(3));
    Hello {
        socket_type,
        peer: PeerId::from_uuid(Uuid::from_u128(4)),
        session: (socket_type == SocketType::Push).then_some(session),
        features: Hello::KNOWS_NAMING,
        message_bytes_max: 1 << 20,
        heartbeat_ms: 1_000,
        reports_taken: false,
    }
}
