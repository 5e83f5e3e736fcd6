//! What is to be written on a link next.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::wire::{
    Control, DataHeader, PublishHeader, encode_control, encode_copies_header, encode_data_header,
    encode_preface, encode_publish_header,
};

/// Bytes for one link, as pieces that share memory with the queue: headers are written here, payloads are only
/// referred to.
#[derive(Debug, Default)]
pub struct Transmit {
    pieces: VecDeque<Bytes>,
    scratch: BytesMut,
    bytes: usize,
}

impl Transmit {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes + self.scratch.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order. Call [`Transmit::finish`] before.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// Ends a round of writing into it.
    pub fn finish(&mut self) {
        if !self.scratch.is_empty() {
            let piece = self.scratch.split().freeze();
            self.push(piece);
        }
    }

    /// Forgets the first `count` bytes: they are written.
    pub fn advance(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        while let Some(piece) = self.pieces.front_mut() {
            if piece.len() > count {
                let _ = piece.split_to(count);
                return;
            }
            count -= piece.len();
            self.pieces.pop_front();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.scratch.clear();
        self.bytes = 0;
    }

    pub(crate) fn preface(&mut self) {
        encode_preface(&mut self.scratch);
    }

    pub(crate) fn control(&mut self, control: &Control) {
        encode_control(control, &mut self.scratch);
    }

    /// A data frame: its records are `body`, then `tail`.
    pub(crate) fn data(&mut self, header: DataHeader, body: Bytes, tail: Option<Bytes>) {
        let record_bytes = body.len() + tail.as_ref().map_or(0, Bytes::len);
        encode_data_header(header, record_bytes, &mut self.scratch);
        self.records(body, tail);
    }

    /// Copies of messages: their records are `body`, then `tail`.
    pub(crate) fn copies(&mut self, header: DataHeader, body: Bytes, tail: Option<Bytes>) {
        let record_bytes = body.len() + tail.as_ref().map_or(0, Bytes::len);
        encode_copies_header(header, record_bytes, &mut self.scratch);
        self.records(body, tail);
    }

    /// A run of published messages: its records are `body`, then `tail`.
    pub(crate) fn publish(&mut self, header: PublishHeader, body: Bytes, tail: Option<Bytes>) {
        let record_bytes = body.len() + tail.as_ref().map_or(0, Bytes::len);
        encode_publish_header(header, record_bytes, &mut self.scratch);
        self.records(body, tail);
    }

    fn records(&mut self, body: Bytes, tail: Option<Bytes>) {
        self.finish();
        self.push(body);
        if let Some(tail) = tail {
            self.push(tail);
        }
    }

    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }
}
