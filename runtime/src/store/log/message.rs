//! The bytes of sled's log: segments, and the messages in them.

use std::ops::Range;

/// The header of a segment.
pub(super) const SEGMENT_HEADER_BYTES: usize = 20;
/// The longest header of a message. No message begins where there is less left of its segment.
pub(super) const HEADER_BYTES_MAX: usize = 32;

/// What the header of a segment says.
pub(super) struct SegmentHeader {
    /// Where the segment stands in the whole of all that was ever written, in bytes.
    pub(super) lsn: u64,
    /// Up to where all of that was stable when the segment was begun.
    pub(super) stable: u64,
}

impl SegmentHeader {
    /// None if its checksum is wrong: the segment is free, or what it says is lost.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (crc, rest) = bytes.get(..SEGMENT_HEADER_BYTES)?.split_first_chunk::<4>()?;
        if crc32fast::hash(rest) != !u32::from_le_bytes(*crc) {
            return None;
        }
        let (lsn, stable) = rest.split_first_chunk::<8>()?;
        let number = |bytes: [u8; 8]| i64::from_le_bytes(bytes) ^ i64::MAX;
        let lsn = u64::try_from(number(*lsn)).ok()?;
        // Nothing is stable at first, for which it says -1.
        let stable = u64::try_from(number(*stable.first_chunk()?)).unwrap_or(0);
        Some(Self { lsn, stable })
    }
}

/// What a message does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Its page has this in it from now on, and nothing of before.
    Page,
    /// The same, but what the page has is in a file beside the log.
    PageOutside,
    /// One entry of its page changes.
    Link,
    /// The same, but what changes is in a file beside the log.
    LinkOutside,
    /// There is no such page any more.
    Free,
    /// What sled notes of its trees and numbers, as a page of its own.
    Note,
    /// Nothing.
    Nothing,
    /// No more messages follow in its segment.
    Cap,
}

impl Kind {
    /// Whether it says something of its page.
    pub(super) fn is_of_a_page(self) -> bool {
        !matches!(self, Kind::Nothing | Kind::Cap)
    }
}

/// What the header of a message says, right or wrong.
pub(super) struct Header {
    crc: u32,
    pub(super) kind: Kind,
    /// The page that the message is about.
    pub(super) page: u64,
    /// The number of its segment.
    pub(super) segment: u64,
    /// Where its body stands behind the beginning of the message.
    body: Range<usize>,
}

impl Header {
    /// Of the message that `bytes` may begin with; none if they do not.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let crc = u32::from_le_bytes(*bytes.first_chunk()?);
        let kind = match *bytes.get(4)? {
            1 | 3 => Kind::Nothing,
            2 => Kind::Cap,
            4 => Kind::Free,
            5..=7 => Kind::Note,
            8 => Kind::Page,
            9 => Kind::PageOutside,
            10 => Kind::Link,
            11 => Kind::LinkOutside,
            _ => return None,
        };
        let mut rest = Cursor { bytes, at: 5 };
        let length = usize::try_from(rest.number()?).ok()?;
        let (segment, page) = (rest.number()?, rest.number()?);
        let body = rest.at..rest.at.checked_add(length)?;
        Some(Self { crc, kind, page, segment, body })
    }

    /// How long the message is, with this header.
    pub(super) const fn message_bytes(&self) -> usize {
        self.body.end
    }
}

/// A message whose checksum is right.
#[derive(Clone, Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: Kind,
    /// The page that it is about.
    pub(super) page: u64,
    /// The number of its segment.
    pub(super) segment: u64,
    pub(super) body: &'a [u8],
    /// With its header.
    pub(super) length: usize,
}

impl<'a> Message<'a> {
    /// The message that `bytes`, the rest of a segment, begin with; if that is known, of a segment of this number.
    pub(super) fn read(bytes: &'a [u8], segment: Option<u64>) -> Option<Self> {
        let header = Header::read(bytes)?;
        if segment.is_some_and(|segment| segment != header.segment) {
            return None;
        }
        let body = bytes.get(header.body.clone())?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(body);
        hasher.update(bytes.get(4..header.body.start)?);
        let length = header.message_bytes();
        let Header { crc, kind, page, segment, .. } = header;
        (hasher.finalize() == !crc).then_some(Self { kind, page, segment, body, length })
    }
}

/// Reads what sled has put one behind the other.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl Cursor<'_> {
    pub(super) fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number of variable length: small ones are one byte, others say in their first how they go on.
    pub(super) fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        match first {
            0..=240 => Some(u64::from(first)),
            241..=248 => Some(240 + 256 * u64::from(first - 241) + u64::from(self.byte()?)),
            249 => Some(2_288 + 256 * u64::from(self.byte()?) + u64::from(self.byte()?)),
            250.. => {
                let mut number = [0; 8];
                for byte in &mut number[..usize::from(first) - 247] {
                    *byte = self.byte()?;
                }
                Some(u64::from_le_bytes(number))
            }
        }
    }

    /// Bytes behind their length: where they stand.
    pub(super) fn bytes(&mut self) -> Option<Range<usize>> {
        let length = usize::try_from(self.number()?).ok()?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        Some(std::mem::replace(&mut self.at, end)..end)
    }
}
