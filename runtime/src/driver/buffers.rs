//! What a link reads into: buffers that are used again once no message in them is.

use bytes::BytesMut;

/// An idle link's buffer; it grows while reads fill it.
const READ_BYTES_MIN: usize = 4 << 10;
const READ_BYTES_MAX: usize = 256 << 10;
/// Full buffers that are kept in sight at the most: more than an application keeps messages in.
const FULL_MAX: usize = 32;

/// The buffer of one link, and those before it. Fresh memory costs more than what is read into it.
pub(super) struct ReadBuffers {
    /// What was read and not yet cut into frames.
    pub(super) input: BytesMut,
    /// How much the next read should have room for.
    read_bytes: usize,
    /// Empty handles to full buffers, oldest first, while messages in them are in use.
    full: Vec<BytesMut>,
}

impl ReadBuffers {
    pub(super) fn new() -> Self {
        Self { input: BytesMut::new(), read_bytes: READ_BYTES_MIN, full: Vec::new() }
    }

    /// Sees to it that the next read has room; `wanted` bytes in all are needed before anything can be cut. Gives the room.
    pub(super) fn make_room(&mut self, wanted: usize) -> usize {
        if self.read_bytes == READ_BYTES_MIN && self.input.is_empty() {
            self.shrink();
        }
        let wanted = wanted.saturating_sub(self.input.len());
        if self.spare() < wanted.max(self.read_bytes / 4) {
            self.replace(wanted);
        }
        self.spare()
    }

    /// Learns from a read of `count` bytes where there was room for `room`.
    pub(super) fn note_read(&mut self, count: usize, room: usize) {
        if count == room {
            self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 8 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES_MIN);
        }
    }

    fn spare(&self) -> usize {
        self.input.capacity() - self.input.len()
    }

    /// The link is no longer busy: large buffers are of no more use.
    fn shrink(&mut self) {
        if self.input.capacity() > READ_BYTES_MAX / 2 {
            self.input = BytesMut::new();
        }
        self.full = Vec::new();
    }

    fn replace(&mut self, wanted: usize) {
        if wanted > READ_BYTES_MAX || self.read_bytes < READ_BYTES_MAX {
            return self.input.reserve(wanted.max(self.read_bytes));
        }
        // Not all of a buffer, so that the rest of a cut message leaves enough of it.
        let bytes = wanted.max(READ_BYTES_MAX / 2);
        if self.input.try_reclaim(bytes) {
            // One buffer is enough for now.
            return self.full.retain_mut(|buffer| !buffer.try_reclaim(1));
        }
        let mut next = self.take_free(self.input.len() + bytes);
        // The rest of a cut message goes along.
        next.extend_from_slice(&self.input);
        let mut full = std::mem::replace(&mut self.input, next);
        full.clear();
        if self.full.len() < FULL_MAX {
            self.full.push(full);
        }
    }

    /// A buffer that nobody reads any more, the last one that became full if it can be, because a processor still has it
    /// in its cache; else a fresh one. A second that is free is one too many.
    fn take_free(&mut self, bytes: usize) -> BytesMut {
        let mut free = (0..self.full.len()).rev();
        let mut next_free = || free.find(|at| self.full[*at].try_reclaim(bytes));
        let (first, second) = (next_free(), next_free());
        // The higher place first, so that the other stays what it is.
        let buffer = first.map(|at| self.full.remove(at));
        if let Some(at) = second {
            self.full.remove(at);
        }
        buffer.unwrap_or_else(|| BytesMut::with_capacity(bytes.max(READ_BYTES_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads until the buffer is full, as a busy link does; gives all that was read.
    fn read_all(buffers: &mut ReadBuffers) -> bytes::Bytes {
        let room = buffers.make_room(4);
        buffers.input.resize(buffers.input.len() + room, 7);
        buffers.note_read(room, room);
        buffers.input.split().freeze()
    }

    #[test]
    fn a_buffer_is_used_again_once_its_messages_are_gone() {
        let mut buffers = ReadBuffers::new();
        (0..20).for_each(|_| drop(read_all(&mut buffers)));
        let kept: Vec<_> = (0..4).map(|_| read_all(&mut buffers)).collect();
        let places: Vec<_> = kept.iter().map(|bytes| bytes.as_ptr()).collect();
        let places: std::collections::BTreeSet<_> = places.into_iter().collect();
        assert_eq!(places.len(), 4, "nothing is read over what is still there");
        drop(kept);
        let again = (0..4).map(|_| read_all(&mut buffers)).filter(|b| places.contains(&b.as_ptr()));
        assert!(again.count() > 0);
    }

    #[test]
    fn buffers_that_are_free_do_not_pile_up() {
        let mut buffers = ReadBuffers::new();
        let kept: Vec<_> = (0..30).map(|_| read_all(&mut buffers)).collect();
        assert!(buffers.full.len() > 10);
        drop(kept);
        (0..30).for_each(|_| drop(read_all(&mut buffers)));
        assert!(buffers.full.len() <= 1, "{} are kept", buffers.full.len());
    }

    #[test]
    fn the_rest_of_a_cut_message_goes_along_to_the_next_buffer() {
        let mut buffers = ReadBuffers::new();
        (0..20).for_each(|_| drop(read_all(&mut buffers)));
        let room = buffers.make_room(4);
        buffers.input.resize(room, 1);
        let head = buffers.input.split_to(room - 3).freeze();
        buffers.make_room(100_000);
        assert_eq!(buffers.input[..], [1; 3]);
        assert!(buffers.spare() >= 100_000 - 3);
        assert_eq!(head.len(), room - 3);
    }

    #[test]
    fn a_link_that_reads_little_keeps_little() {
        let mut buffers = ReadBuffers::new();
        let kept: Vec<_> = (0..20).map(|_| read_all(&mut buffers)).collect();
        assert!(!buffers.full.is_empty());
        for _ in 0..20 {
            let room = buffers.make_room(4);
            buffers.input.resize(1, 7);
            buffers.note_read(1, room);
            buffers.input.clear();
        }
        buffers.make_room(4);
        assert!(buffers.full.is_empty() && buffers.input.capacity() <= READ_BYTES_MAX / 2);
        drop(kept);
    }
}
