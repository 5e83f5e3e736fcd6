//! Chunks that stand side by side, on their way into one block of a store.

use std::ops::Range;

use bytes::Bytes;

use crate::ids::Seq;
use crate::limits::CHUNK_BYTES;

use super::Chunk;

/// What has been gathered so far.
#[derive(Default)]
pub(crate) struct Gathering {
    seqs: Range<Seq>,
    parts: Vec<Bytes>,
    bytes: usize,
}

/// A block: its numbers, and its records in pieces.
pub(crate) type Gathered = (Range<Seq>, Vec<Bytes>);

impl Gathering {
    /// Takes a chunk in; gives the block before it, if the chunk begins another one.
    pub(crate) fn add(&mut self, chunk: &Chunk) -> Option<Gathered> {
        let bytes = chunk.record_bytes();
        let fits = self.seqs.end == chunk.seqs.start && self.bytes + bytes <= CHUNK_BYTES;
        let before = if self.seqs.is_empty() || fits { None } else { self.finish() };
        if self.seqs.is_empty() {
            self.seqs.start = chunk.seqs.start;
        }
        self.seqs.end = chunk.seqs.end;
        self.bytes += bytes;
        self.parts.extend(chunk.parts());
        before
    }

    /// Gives the block, if there is anything in it.
    pub(crate) fn finish(&mut self) -> Option<Gathered> {
        let Gathering { seqs, parts, .. } = std::mem::take(self);
        (!seqs.is_empty()).then_some((seqs, parts))
    }
}
