//! What stands before a payload in its record: how long it is, and what else is said of the message.

use std::fmt;
use std::ops::Range;

use bytes::{BufMut, BytesMut};

use crate::ids::CallId;
use crate::limits::{ATTRIBUTES_BYTES_MAX, MESSAGE_BYTES_MAX};
use crate::time::WallTime;

use super::attributes::{Attributes, OF_CALL_BYTES};

const LENGTH_MASK: u32 = (1 << 30) - 1;
const RESERVED: u32 = 1 << 30;
const HAS_ATTRIBUTES: u32 = 1 << 31;

/// The head of a record without attributes.
pub(crate) const HEAD_BYTES_MIN: usize = 4;

/// What stands before the attributes, if there are any.
const ATTRIBUTES_AT: usize = 6;

/// The longest head of a record.
pub(crate) const HEAD_BYTES_MAX: usize = ATTRIBUTES_AT + ATTRIBUTES_BYTES_MAX;

/// Why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// A bit that must be 0 is set.
    ReservedBit,
    /// The payload is longer than the reader allows.
    TooLong {
        /// What the record says.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// The attributes are too long, or end inside one of them.
    Attributes,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::ReservedBit => f.write_str("a record's reserved bit is set"),
            RecordError::TooLong { bytes, bytes_max } => {
                write!(f, "a message of {bytes} bytes is over the limit of {bytes_max}")
            }
            RecordError::Attributes => f.write_str("a record's attributes are malformed"),
        }
    }
}

impl std::error::Error for RecordError {}

/// The head of a record, read and checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHead {
    /// Where the payload begins, counted from the record's first byte.
    pub head_bytes: usize,
    /// How long the payload is.
    pub payload_bytes: usize,
    /// When the message expires, by the clock of its sender.
    pub expires: Option<WallTime>,
    pub(super) topic: Place,
    /// When the message was published, if the record says so.
    pub published: Option<WallTime>,
    /// The call that it belongs to.
    pub call: Option<CallId>,
    /// It is a reply, and says why the call was rejected.
    pub rejected: bool,
    /// It is a request that must run at most once.
    pub at_most_once: bool,
    pub(super) routers: Place,
}

/// Where an attribute's value is, counted from the record's first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    at: u16,
    bytes: u8,
}

impl Place {
    const NONE: Self = Self { at: 0, bytes: 0 };

    /// So many bytes from this one of the attributes on.
    pub(super) const fn among_attributes(at: usize, bytes: u8) -> Self {
        // There are at most ATTRIBUTES_BYTES_MAX of them.
        Self { at: (ATTRIBUTES_AT + at) as u16, bytes }
    }

    pub(super) const fn range(self) -> Range<usize> {
        self.at as usize..self.at as usize + self.bytes as usize
    }
}

impl RecordHead {
    const fn plain(payload_bytes: usize) -> Self {
        Self {
            head_bytes: HEAD_BYTES_MIN,
            payload_bytes,
            expires: None,
            topic: Place::NONE,
            published: None,
            call: None,
            rejected: false,
            at_most_once: false,
            routers: Place::NONE,
        }
    }

    /// Where the topic is, counted from the record's first byte; empty if the message has none.
    #[inline]
    #[must_use]
    pub const fn topic(&self) -> Range<usize> {
        self.topic.range()
    }

    /// Where the payload is, counted from the record's first byte.
    #[inline]
    #[must_use]
    pub const fn payload(&self) -> Range<usize> {
        self.head_bytes..self.head_bytes + self.payload_bytes
    }

    /// The length of the whole record.
    #[must_use]
    pub const fn record_bytes(&self) -> usize {
        self.head_bytes + self.payload_bytes
    }

    /// Whether it says nothing but how long the payload is.
    #[inline]
    #[must_use]
    pub const fn is_bare(&self) -> bool {
        self.head_bytes == HEAD_BYTES_MIN
    }

    /// Reads the head of the record at the start of `bytes`; `None` if there is too little to tell. The payload
    /// itself need not be there.
    ///
    /// # Errors
    /// If these bytes cannot begin a record, or its payload is over `payload_bytes_max`.
    // Inlined for what its caller does not want: a head is more than is moved in registers.
    #[inline(always)]
    pub fn read(bytes: &[u8], payload_bytes_max: usize) -> Result<Option<Self>, RecordError> {
        let Some(word) = bytes.first_chunk::<HEAD_BYTES_MIN>() else {
            return Ok(None);
        };
        let word = u32::from_le_bytes(*word);
        if word & RESERVED != 0 {
            return Err(RecordError::ReservedBit);
        }
        let payload_bytes = (word & LENGTH_MASK) as usize;
        if payload_bytes > payload_bytes_max {
            return Err(RecordError::TooLong {
                bytes: payload_bytes,
                bytes_max: payload_bytes_max,
            });
        }
        if word & HAS_ATTRIBUTES == 0 {
            return Ok(Some(Self::plain(payload_bytes)));
        }
        let Some(length) = attributes_bytes(bytes) else {
            return Ok(None);
        };
        if length > ATTRIBUTES_BYTES_MAX {
            return Err(RecordError::Attributes);
        }
        let Some(attributes) = bytes.get(ATTRIBUTES_AT..ATTRIBUTES_AT + length) else {
            return Ok(None);
        };
        let mut head = Self { head_bytes: ATTRIBUTES_AT + length, ..Self::plain(payload_bytes) };
        head.read_attributes(attributes)?;
        Ok(Some(head))
    }
}

/// How long the payload of the record is that begins these, if that has no attributes and is all there.
#[inline]
pub(super) fn bare_payload_bytes(bytes: &[u8]) -> Option<usize> {
    let (word, rest) = bytes.split_first_chunk()?;
    let word = u32::from_le_bytes(*word);
    (word & !LENGTH_MASK == 0 && word as usize <= rest.len()).then_some(word as usize)
}

/// How long the attributes of a record are that has any; `None` if there is too little to tell.
#[inline]
fn attributes_bytes(record: &[u8]) -> Option<usize> {
    let bytes = record.get(HEAD_BYTES_MIN..)?.first_chunk()?;
    Some(usize::from(u16::from_le_bytes(*bytes)))
}

/// Where the payload of a record is that begins at `at`, among these, and was read and checked before.
#[inline]
pub(crate) fn payload_at(records: &[u8], at: u32) -> Range<usize> {
    let at = at as usize;
    let record = records.get(at..).unwrap_or_default();
    let word = record.first_chunk().map_or(0, |word| u32::from_le_bytes(*word));
    let head_bytes = match word & HAS_ATTRIBUTES {
        0 => HEAD_BYTES_MIN,
        _ => ATTRIBUTES_AT + attributes_bytes(record).unwrap_or(0),
    };
    let payload = at + head_bytes;
    payload..payload + (word & LENGTH_MASK) as usize
}

impl Attributes<'_> {
    /// How long the head of a record with these is.
    #[inline]
    pub(crate) const fn head_bytes(&self) -> usize {
        match self.bytes() {
            0 => HEAD_BYTES_MIN,
            bytes => ATTRIBUTES_AT + bytes,
        }
    }
}

/// Writes the head of a record: everything but the payload.
///
/// The payload's length must be at most [`MESSAGE_BYTES_MAX`]; sockets refuse longer ones before they come here.
#[inline]
pub(crate) fn write_head(out: &mut BytesMut, payload_bytes: usize, attributes: &Attributes<'_>) {
    debug_assert!(payload_bytes <= MESSAGE_BYTES_MAX);
    let length = payload_bytes as u32 & LENGTH_MASK;
    match attributes.bytes() {
        0 => out.put_u32_le(length),
        bytes => {
            out.put_u32_le(length | HAS_ATTRIBUTES);
            debug_assert!(bytes <= ATTRIBUTES_BYTES_MAX);
            out.put_u16_le(bytes as u16);
            attributes.write(out);
        }
    }
}

/// The same, where the message only says which call it belongs to: an answer.
#[inline]
pub(crate) fn write_call_head(out: &mut BytesMut, payload_bytes: usize, call: CallId) {
    debug_assert!(payload_bytes <= MESSAGE_BYTES_MAX);
    let attributes = Attributes::of_call(call);
    let mut head = [0; ATTRIBUTES_AT + OF_CALL_BYTES];
    let (length, rest) = head.split_at_mut(HEAD_BYTES_MIN);
    let (count, rest) = rest.split_at_mut(ATTRIBUTES_AT - HEAD_BYTES_MIN);
    length.copy_from_slice(&(payload_bytes as u32 & LENGTH_MASK | HAS_ATTRIBUTES).to_le_bytes());
    count.copy_from_slice(&(OF_CALL_BYTES as u16).to_le_bytes());
    rest.copy_from_slice(&attributes);
    out.put_slice(&head);
}

#[cfg(test)]
mod tests {
    use super::super::Records;
    use super::*;

    fn expiring(millis: u64) -> Attributes<'static> {
        Attributes { expires: Some(WallTime::from_millis(millis)), ..Attributes::default() }
    }

    #[test]
    fn the_head_of_an_answer_is_that_of_any_record_with_a_name() {
        let call = CallId::from_bytes(std::array::from_fn(|at| at as u8));
        let (mut one, mut other) = (BytesMut::new(), BytesMut::new());
        write_call_head(&mut one, 77, call);
        write_head(&mut other, 77, &Attributes { call: Some(call), ..Attributes::default() });
        assert_eq!(one, other);
    }

    #[test]
    fn a_topic_stands_among_the_attributes() {
        let mut out = BytesMut::new();
        let published = Some(WallTime::from_millis(1));
        let attributes = Attributes { topic: b"a.b", published, ..Attributes::default() };
        write_head(&mut out, 2, &attributes);
        assert_eq!(out.len(), attributes.head_bytes());
        out.put_slice(b"hi");
        let golden: &[u8] = b"\x02\0\0\x80\x0f\0\x03\x08\x01\0\0\0\0\0\0\0\x02\x03a.bhi";
        assert_eq!(&out[..], golden);
        let head = RecordHead::read(golden, 10).unwrap().unwrap();
        assert_eq!((&golden[head.topic()], &golden[head.payload()]), (&b"a.b"[..], &b"hi"[..]));
        assert_eq!((head.published, head.expires), (published, None));
    }

    #[test]
    fn a_record_has_these_bytes() {
        let mut out = BytesMut::new();
        write_head(&mut out, 5, &Attributes::default());
        out.put_slice(b"hello");
        write_head(&mut out, 2, &expiring(0x0102_0304));
        out.put_slice(b"hi");
        let golden: &[u8] = b"\x05\0\0\0hello\x02\0\0\x80\x0a\0\x01\x08\x04\x03\x02\x01\0\0\0\0hi";
        assert_eq!(&out[..], golden);

        let heads: Vec<_> = Records::new(golden).collect();
        assert_eq!(heads.len(), 2);
        for (at, head) in &heads {
            let payload = head.payload();
            assert_eq!(payload_at(golden, *at as u32), at + payload.start..at + payload.end);
        }
        assert_eq!(heads[0], (0, RecordHead::plain(5)));
        assert_eq!(heads[1].1.expires, Some(WallTime::from_millis(0x0102_0304)));
        assert_eq!(&golden[heads[1].0 + heads[1].1.head_bytes..], b"hi");
    }

    #[test]
    fn unknown_attributes_are_passed_over_and_broken_ones_refused() {
        let unknown = b"\x01\0\0\x80\x04\0\x7f\x02ab!";
        let head = RecordHead::read(unknown, 10).unwrap().unwrap();
        assert_eq!((head.head_bytes, head.payload_bytes, head.expires), (10, 1, None));

        let cut = b"\x01\0\0\x80\x03\0\x01\x08a!";
        assert_eq!(RecordHead::read(cut, 10), Err(RecordError::Attributes));
        let short_expiry = b"\x01\0\0\x80\x03\0\x01\x01a!";
        assert_eq!(RecordHead::read(short_expiry, 10), Err(RecordError::Attributes));
        let long = b"\x01\0\0\x80\xff\xff";
        assert_eq!(RecordHead::read(long, 10), Err(RecordError::Attributes));
        assert_eq!(RecordHead::read(b"\0\0\0\x40", 10), Err(RecordError::ReservedBit));
        assert_eq!(
            RecordHead::read(b"\x0b\0\0\0", 10),
            Err(RecordError::TooLong { bytes: 11, bytes_max: 10 })
        );
    }

    #[test]
    fn every_cut_of_a_head_is_incomplete_not_wrong() {
        let mut out = BytesMut::new();
        let published = Some(WallTime::from_millis(9));
        write_head(&mut out, 3, &Attributes { topic: b"topic", published, ..expiring(7) });
        for cut in 0..out.len() {
            assert_eq!(RecordHead::read(&out[..cut], 10), Ok(None), "cut at {cut}");
        }
        assert!(RecordHead::read(&out, 10).unwrap().is_some());
    }
}
