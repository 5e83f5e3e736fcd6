//! Cuts input into lines, a block of them at a time.

use std::io::BufRead;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use drawdown::Message;
use drawdown::protocol::limits::BY_REFERENCE_BYTES;

/// Lines that came together.
#[derive(Debug, Default)]
pub(crate) struct Block {
    text: Bytes,
    lines: Vec<Range<usize>>,
    /// Lines that are over the limit, in their order; they are not among the others.
    pub(crate) too_long: Vec<TooLong>,
    /// The number of the first line in the input, be it too long or not.
    first: u64,
}

/// A line that is over the limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TooLong {
    /// Its number in the input; the first is 1.
    pub(crate) line: u64,
    /// Its length without the newline.
    pub(crate) bytes: u64,
}

impl Block {
    /// How many lines there are.
    pub(crate) fn len(&self) -> u64 {
        self.lines.len() as u64
    }

    /// The lines without their newlines.
    pub(crate) fn lines(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        // The ranges were cut from this text.
        self.lines.iter().map(|line| self.text.get(line.clone()).unwrap_or_default())
    }

    /// A message from a line or a part of one. A large one shares the block's memory.
    pub(crate) fn message<'a>(&'a self, payload: &'a [u8]) -> Message<'a> {
        if payload.len() < BY_REFERENCE_BYTES {
            Message::from(payload)
        } else {
            Message::from(self.text.slice_ref(payload))
        }
    }

    /// The number in the input of the line at this place.
    pub(crate) fn number(&self, place: usize) -> u64 {
        let at_least = self.first + place as u64;
        self.too_long.iter().fold(at_least, |number, long| number + u64::from(long.line <= number))
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
        let mut block = self.block();
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
        let mut block = self.block();
        if self.dropped > 0 || !self.text.is_empty() {
            self.end_line(0..self.text.len(), &mut block);
            block.text = self.text.split().freeze();
        }
        block
    }

    fn block(&self) -> Block {
        Block { first: self.count + 1, ..Block::default() }
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

    fn texts(block: &Block) -> Vec<Vec<u8>> {
        block.lines().map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn any_way_to_cut_the_input_gives_the_same_lines() {
        let input = b"one\n\ntwo\xff\0\r\nthree";
        for piece in 1..=input.len() {
            let mut lines = Lines::new(100);
            let mut found = Vec::new();
            for input in input.chunks(piece) {
                found.extend(texts(&lines.feed(input)));
            }
            found.extend(texts(&lines.finish()));
            let wanted: [&[u8]; 4] = [b"one", b"", b"two\xff\0\r", b"three"];
            assert_eq!(found, wanted, "pieces of {piece}");
        }
    }

    #[test]
    fn a_large_message_is_not_copied() {
        let text = vec![b'x'; BY_REFERENCE_BYTES];
        let block = Lines::new(usize::MAX).feed(&[&text[..], b"\n"].concat());
        let line = block.lines().next().unwrap();
        assert_eq!(block.message(line).payload().as_ptr(), line.as_ptr());
        assert_eq!(block.message(&line[..9]).payload(), &text[..9]);
    }

    #[test]
    fn input_that_ends_with_a_newline_has_no_line_after_it() {
        let mut lines = Lines::new(100);
        assert_eq!(texts(&lines.feed(b"a\n")), [b"a"]);
        assert_eq!(lines.finish().len(), 0);
    }

    #[test]
    fn a_line_over_the_limit_is_named_and_the_others_stay() {
        for piece in [1, 2, 7, 100] {
            let mut lines = Lines::new(3);
            let (mut found, mut numbers, mut too_long) = (Vec::new(), Vec::new(), Vec::new());
            for input in b"abc\nabcd\nab\nabcdefgh".chunks(piece) {
                let block = lines.feed(input);
                numbers.extend((0..block.lines().len()).map(|place| block.number(place)));
                found.extend(texts(&block));
                too_long.extend(block.too_long);
                assert!(lines.text.len() <= 3, "no more than the limit is kept");
            }
            let last = lines.finish();
            found.extend(texts(&last));
            too_long.extend(last.too_long);
            assert_eq!(found, [&b"abc"[..], b"ab"]);
            assert_eq!(numbers, [1, 3], "pieces of {piece}");
            let wanted = [TooLong { line: 2, bytes: 4 }, TooLong { line: 4, bytes: 8 }];
            assert_eq!(too_long, wanted, "pieces of {piece}");
        }
    }
}
