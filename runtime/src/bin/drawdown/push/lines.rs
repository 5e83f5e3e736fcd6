//! Cuts input into lines, a block of them at a time.

use std::io::BufRead;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use drawdown::Message;
use drawdown::protocol::limits::BY_REFERENCE_BYTES;

/// Lines that came together.
#[derive(Debug, Default)]
pub(super) struct Block {
    text: Bytes,
    lines: Vec<Range<usize>>,
    /// Lines that are over the limit; they are not among the others.
    pub(super) too_long: Vec<TooLong>,
}

/// A line that is over the limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TooLong {
    /// Its number in the input; the first is 1.
    pub(super) line: u64,
    /// Its length without the newline.
    pub(super) bytes: u64,
}

impl Block {
    /// How many lines can be sent.
    pub(super) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// Its lines as messages. Large ones share the block's memory.
    pub(super) fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.lines.iter().map(|line| {
            // The ranges were cut from this text.
            let payload = self.text.get(line.clone()).unwrap_or_default();
            if payload.len() < BY_REFERENCE_BYTES {
                Message::from(payload)
            } else {
                Message::from(self.text.slice_ref(payload))
            }
        })
    }
}

/// Finds the lines in input that comes in pieces. Of a line over the limit only its length is kept.
#[derive(Debug)]
pub(super) struct Lines {
    bytes_max: usize,
    /// The beginning of a line without end, already searched.
    text: BytesMut,
    /// Bytes of that line that were thrown away.
    dropped: u64,
    /// Lines so far.
    count: u64,
}

impl Lines {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, text: BytesMut::new(), dropped: 0, count: 0 }
    }

    /// Takes more input; gives the lines that end in it.
    pub(super) fn feed(&mut self, input: &[u8]) -> Block {
        let mut block = Block::default();
        let mut searched = self.text.len();
        let mut start = 0;
        self.text.extend_from_slice(input);
        let mut rest = input;
        // Reading from a slice cannot fail.
        while let Ok(count @ 1..) = rest.skip_until(b'\n') {
            searched += count;
            let end = searched - 1;
            if self.text.get(end) != Some(&b'\n') {
                break;
            }
            self.end_line(start..end, &mut block);
            start = searched;
        }
        block.text = self.text.split_to(start).freeze();
        if self.dropped + self.text.len() as u64 > self.bytes_max as u64 {
            self.dropped += self.text.len() as u64;
            self.text.clear();
        }
        block
    }

    /// At the end of the input: a last line without a newline.
    pub(super) fn finish(&mut self) -> Block {
        let mut block = Block::default();
        if self.dropped > 0 || !self.text.is_empty() {
            self.end_line(0..self.text.len(), &mut block);
            block.text = self.text.split().freeze();
        }
        block
    }

    fn end_line(&mut self, line: Range<usize>, block: &mut Block) {
        self.count += 1;
        let bytes = std::mem::take(&mut self.dropped) + line.len() as u64;
        if bytes > self.bytes_max as u64 {
            block.too_long.push(TooLong { line: self.count, bytes });
        } else {
            block.lines.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payloads(block: &Block) -> Vec<Vec<u8>> {
        block.messages().map(|message| message.payload().to_vec()).collect()
    }

    #[test]
    fn any_way_to_cut_the_input_gives_the_same_lines() {
        let input = b"one\n\ntwo\xff\0\r\nthree";
        for piece in 1..=input.len() {
            let mut lines = Lines::new(100);
            let mut found = Vec::new();
            for input in input.chunks(piece) {
                found.extend(payloads(&lines.feed(input)));
            }
            found.extend(payloads(&lines.finish()));
            let wanted: [&[u8]; 4] = [b"one", b"", b"two\xff\0\r", b"three"];
            assert_eq!(found, wanted, "pieces of {piece}");
        }
    }

    #[test]
    fn input_that_ends_with_a_newline_has_no_line_after_it() {
        let mut lines = Lines::new(100);
        assert_eq!(payloads(&lines.feed(b"a\n")), [b"a"]);
        assert_eq!(lines.finish().len(), 0);
    }

    #[test]
    fn a_line_over_the_limit_is_named_and_the_others_stay() {
        for piece in [1, 2, 7, 100] {
            let mut lines = Lines::new(3);
            let (mut found, mut too_long) = (Vec::new(), Vec::new());
            for input in b"abc\nabcd\nab\nabcdefgh".chunks(piece) {
                let block = lines.feed(input);
                found.extend(payloads(&block));
                too_long.extend(block.too_long);
                assert!(lines.text.len() <= 3, "no more than the limit is kept");
            }
            let last = lines.finish();
            found.extend(payloads(&last));
            too_long.extend(last.too_long);
            assert_eq!(found, [&b"abc"[..], b"ab"]);
            let wanted = [TooLong { line: 2, bytes: 4 }, TooLong { line: 4, bytes: 8 }];
            assert_eq!(too_long, wanted, "pieces of {piece}");
        }
    }
}
