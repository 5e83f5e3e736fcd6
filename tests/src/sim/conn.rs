//! A connection of two nodes: two streams, and a driver at each end.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drawdown_protocol::wire::{Decoder, Frame, WireError};
use drawdown_protocol::{
    CallId, Delivery, LinkId, LinkState, PeerId, Seq, Session, Time, Transmit,
};

use super::agenda::Side;
use super::check::{CreditWatch, RequestsWatch};
use super::pipe::Pipe;
use super::plan::WirePlan;

/// Everything about one connection.
pub(crate) struct Conn {
    pub(crate) wire: usize,
    pub(crate) dialler: Side,
    pub(crate) jitter: Duration,
    pub(crate) ends: [Option<End>; 2],
    /// By the side that writes.
    pub(crate) pipes: [Pipe; 2],
    pub(crate) credit: CreditWatch,
    /// Of a subscriber.
    pub(crate) requests: RequestsWatch,
    /// What the PUSH engine has not been told the end of, by delivery number.
    pub(crate) flights: BTreeMap<Delivery, Seq>,
    pub(crate) next_delivery: Delivery,
    /// Copies that the PUSH engine has placed, by their order, and what each costs in bytes.
    pub(crate) copies: BTreeMap<u64, (Seq, u64)>,
    /// Calls, by delivery number.
    pub(crate) asked: Vec<CallId>,
    /// What messages are of, as a streamer says.
    pub(crate) origin: Option<Session>,
    /// The receiver's name, as it says.
    pub(crate) peer: Option<PeerId>,
    /// The same, once its last ATTACH has arrived.
    pub(crate) attached: Option<PeerId>,
    /// It is broken, or one side of it has been closed.
    pub(crate) broken: bool,
}

impl Conn {
    pub(crate) fn new(wire: usize, plan: &WirePlan) -> Self {
        let pipe = || Pipe::new(plan.buffer_bytes, plan.latency);
        Self {
            wire,
            dialler: plan.dialler(),
            jitter: plan.jitter,
            ends: [None, None],
            pipes: [pipe(), pipe()],
            credit: CreditWatch::default(),
            requests: RequestsWatch::default(),
            flights: BTreeMap::new(),
            next_delivery: 0,
            copies: BTreeMap::new(),
            asked: Vec::new(),
            origin: None,
            peer: None,
            attached: None,
            broken: false,
        }
    }
}

/// A driver.
pub(crate) struct End {
    pub(crate) link: LinkId,
    pub(crate) reader: Reader,
    pub(crate) out: Transmit,
    /// Reads what this side says, for the checkers.
    pub(crate) tap: Reader,
    pub(crate) state: LinkState,
    pub(crate) timer_at: Option<Time>,
    pub(crate) arrive_at: Option<Time>,
    pub(crate) is_woken: bool,
    pub(crate) lingers: bool,
}

impl End {
    pub(crate) fn new(link: LinkId, message_bytes_max: usize) -> Self {
        Self {
            link,
            reader: Reader::new(message_bytes_max),
            out: Transmit::new(),
            tap: Reader::new(message_bytes_max),
            state: LinkState::Handshake,
            timer_at: None,
            arrive_at: None,
            is_woken: false,
            lingers: false,
        }
    }

    /// What was added to `out` after its first `before` bytes.
    pub(crate) fn said(&mut self, mut before: usize) -> Result<Vec<Frame>, WireError> {
        for piece in self.out.pieces() {
            let skipped = before.min(piece.len());
            before -= skipped;
            self.tap.input.extend_from_slice(&piece[skipped..]);
        }
        self.tap.frames()
    }

    /// Takes up to `room` bytes to write.
    pub(crate) fn take(&mut self, room: usize) -> Bytes {
        let count = room.min(self.out.len());
        let mut bytes = BytesMut::with_capacity(count);
        for piece in self.out.pieces() {
            let part = piece.len().min(count - bytes.len());
            bytes.extend_from_slice(&piece[..part]);
        }
        self.out.advance(count);
        bytes.freeze()
    }
}

/// A decoder and the bytes that it has not used.
pub(crate) struct Reader {
    decoder: Decoder,
    input: BytesMut,
}

impl Reader {
    fn new(message_bytes_max: usize) -> Self {
        Self { decoder: Decoder::new(message_bytes_max), input: BytesMut::new() }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// The frames that are whole.
    pub(crate) fn frames(&mut self) -> Result<Vec<Frame>, WireError> {
        let mut frames = Vec::new();
        while let Some(frame) = self.decoder.decode(&mut self.input)? {
            frames.push(frame);
        }
        Ok(frames)
    }
}
