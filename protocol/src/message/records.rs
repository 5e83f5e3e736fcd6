//! Records one after the other.

use std::ops::Range;

use crate::limits::MESSAGE_BYTES_MAX;

use super::head::{HEAD_BYTES_MIN, RecordHead, bare_payload_bytes};

/// Splits a run of whole records: yields each record's head and its place.
///
/// Stops at the first thing that is not a whole record; readers of trusted bytes (their own chunks) need no more.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    /// Over these records.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the payload of the next record is, if that has no attributes; otherwise it is still the next.
    #[inline(always)]
    pub(crate) fn next_bare(&mut self) -> Option<Range<usize>> {
        let rest = self.bytes.get(self.at..)?;
        let payload_bytes = bare_payload_bytes(rest)?;
        let start = self.at + HEAD_BYTES_MIN;
        self.at = start + payload_bytes;
        Some(start..self.at)
    }
}

impl Iterator for Records<'_> {
    /// Where the record begins, and its head.
    type Item = (usize, RecordHead);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..)?;
        let head = RecordHead::read(rest, MESSAGE_BYTES_MAX).ok().flatten()?;
        if head.record_bytes() > rest.len() {
            return None;
        }
        let at = self.at;
        self.at += head.record_bytes();
        Some((at, head))
    }
}

/// Where the record begins that comes `count` records after the one at `at`; `at` itself if there are not so many.
#[inline]
pub(crate) fn skip(records: &[u8], at: usize, count: u64) -> usize {
    let rest = records.get(at..).unwrap_or_default();
    // It begins where the last of those before it ends.
    let last = count.checked_sub(1).and_then(|last| Records::new(rest).nth(last as usize));
    last.map_or(at, |(start, head)| at + start + head.record_bytes())
}
