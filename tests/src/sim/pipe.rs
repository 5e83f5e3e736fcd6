//! One direction of a connection: a stream of bytes with latency, a bounded buffer, and many ways to fail.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use drawdown_protocol::Time;

/// Bytes on their way.
pub(crate) struct Pipe {
    capacity: usize,
    pub(crate) latency: Duration,
    chunks: VecDeque<(Time, Bytes)>,
    bytes: usize,
    /// Nothing arrives any more, and nobody is told.
    swallows: bool,
    /// The writer has closed; when the reader may know.
    closed: Option<Time>,
    /// The reader is gone: what is written is lost.
    unread: bool,
}

impl Pipe {
    pub(crate) const fn new(capacity: usize, latency: Duration) -> Self {
        Self {
            capacity,
            latency,
            chunks: VecDeque::new(),
            bytes: 0,
            swallows: false,
            closed: None,
            unread: false,
        }
    }

    /// How many bytes the writer can write now.
    pub(crate) const fn room(&self) -> usize {
        if self.unread { usize::MAX } else { self.capacity.saturating_sub(self.bytes) }
    }

    /// Takes bytes that fit the room; says when they arrive, if they do.
    pub(crate) fn write(&mut self, bytes: Bytes, arrival: Time) -> Option<Time> {
        if self.unread {
            return None;
        }
        self.bytes += bytes.len();
        if self.swallows {
            return None;
        }
        let arrival = self.chunks.back().map_or(arrival, |(last, _)| arrival.max(*last));
        self.chunks.push_back((arrival, bytes));
        Some(arrival)
    }

    /// Up to `most` of the bytes that have arrived by now.
    pub(crate) fn read(&mut self, now: Time, most: usize) -> Option<Bytes> {
        let (arrival, chunk) = self.chunks.front_mut()?;
        if *arrival > now {
            return None;
        }
        let piece = chunk.split_to(most.min(chunk.len()));
        if chunk.is_empty() {
            self.chunks.pop_front();
        }
        self.bytes -= piece.len();
        Some(piece)
    }

    /// When there is something to read next, the end included.
    pub(crate) fn next_arrival(&self) -> Option<Time> {
        if self.swallows {
            return None;
        }
        self.chunks.front().map(|(arrival, _)| *arrival).or(self.closed)
    }

    /// Whether the reader has read everything and the writer has closed.
    pub(crate) fn is_at_end(&self, now: Time) -> bool {
        !self.swallows && self.chunks.is_empty() && self.closed.is_some_and(|at| at <= now)
    }

    /// The writer closes in good order: what was written still arrives.
    pub(crate) fn close(&mut self, arrival: Time) {
        let last = self.chunks.back().map_or(arrival, |(last, _)| arrival.max(*last));
        self.closed = Some(last);
    }

    /// The reader is gone.
    pub(crate) fn abandon(&mut self) {
        self.unread = true;
        self.chunks.clear();
    }

    /// The connection breaks: of what is on its way only the first `keep` chunks arrive, and nothing that is written later.
    pub(crate) fn cut(&mut self, keep: usize) {
        self.chunks.truncate(keep);
        self.unread = true;
    }

    /// From now on everything is lost in silence.
    pub(crate) fn swallow(&mut self) {
        self.swallows = true;
        self.chunks.clear();
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.chunks.len()
    }
}
