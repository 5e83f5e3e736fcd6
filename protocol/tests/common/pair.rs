//! A sender and a receiver, joined by nothing but their bytes.

use std::sync::Arc;

use bytes::BytesMut;
use drawdown_protocol::wire::{Decoder, Frame};
use drawdown_protocol::{
    Cursor, Identity, LinkId, Now, PeerId, PullConfig, PullEngine, PushConfig, PushEngine, Session,
    Transmit,
};
use uuid::Uuid;

/// Two engines and their link. Time stands still.
pub(crate) struct Pair {
    pub(crate) push: PushEngine,
    pub(crate) pull: PullEngine,
    pub(crate) sender: LinkId,
    receiver: LinkId,
    there: Wire,
    back: Wire,
    frames: Vec<Frame>,
    now: Now,
}

/// One direction.
struct Wire {
    out: Transmit,
    input: BytesMut,
    decoder: Decoder,
}

impl Wire {
    fn new() -> Self {
        Self { out: Transmit::new(), input: BytesMut::new(), decoder: Decoder::new(1 << 20) }
    }

    /// Carries what was written and cuts it into frames; says whether there was anything.
    fn carry(&mut self, frames: &mut Vec<Frame>) -> bool {
        if self.out.is_empty() {
            return false;
        }
        self.input.reserve(self.out.len());
        for piece in self.out.pieces() {
            self.input.extend_from_slice(piece);
        }
        self.out.clear();
        while let Some(frame) = self.decoder.decode(&mut self.input).unwrap() {
            frames.push(frame);
        }
        true
    }
}

impl Pair {
    /// Attached, with this much room.
    pub(crate) fn new(window_messages: u64) -> Self {
        let config = PullConfig { window_messages, ..PullConfig::default() };
        Self::with(PushConfig::default(), config)
    }

    /// Attached, with these settings.
    pub(crate) fn with(push: PushConfig, pull: PullConfig) -> Self {
        let now = Now::default();
        let peer = |name| PeerId::from_uuid(Uuid::from_u128(name));
        let session = Session::from_uuid(Uuid::from_u128(3));
        let mut push = PushEngine::new(push, peer(1), session);
        let mut pull = PullEngine::new(pull, peer(2));
        let sender = push.open_link(Identity::new("the other"), now.time);
        let receiver = pull.open_link(Identity::new("the other"), now.time);
        let (there, back) = (Wire::new(), Wire::new());
        let mut pair = Self { push, pull, sender, receiver, there, back, frames: Vec::new(), now };
        pair.settle_down();
        pair
    }

    /// Takes so many messages in.
    pub(crate) fn send(&mut self, payload: &[u8], count: u64) {
        for _ in 0..count {
            self.push.try_send(payload.into(), || self.now).unwrap();
        }
    }

    /// Carries bytes both ways until there are none.
    pub(crate) fn settle_down(&mut self) {
        let mut busy = true;
        while busy {
            self.push.poll_transmit(self.sender, self.now, &mut self.there.out);
            busy = self.there.carry(&mut self.frames);
            for frame in self.frames.drain(..) {
                self.pull.handle_frame(self.receiver, frame, self.now);
            }
            self.pull.poll_transmit(self.receiver, self.now, &mut self.back.out);
            busy |= self.back.carry(&mut self.frames);
            for frame in self.frames.drain(..) {
                self.push.handle_frame(self.sender, frame, self.now);
            }
            while self.push.poll_wake().is_some() || self.pull.poll_wake().is_some() {}
            while self.push.poll_event().is_some() || self.pull.poll_event().is_some() {}
        }
    }

    /// The application takes and confirms everything that waits, one by one; says how much that was.
    pub(crate) fn work_off(&mut self) -> u64 {
        let mut count = 0;
        while let Some(batch) = self.pull.take(u32::MAX) {
            let run = Arc::clone(batch.run());
            let mut cursor = Cursor::new(batch);
            while let Some(item) = cursor.next(|| self.now.time) {
                run.confirm(item.index);
                count += 1;
            }
            if let Some(consumed) = cursor.report() {
                self.pull.handle_consumed(&consumed);
            }
            self.pull.handle_confirmed([run]);
        }
        self.pull.flush();
        count
    }

    /// So many messages, from `send` to their confirmation.
    pub(crate) fn deliver(&mut self, payload: &[u8], count: u64) {
        self.send(payload, count);
        while !self.push.is_drained() {
            self.settle_down();
            self.work_off();
        }
    }
}
