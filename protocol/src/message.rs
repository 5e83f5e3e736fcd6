//! What travels: a message as it is sent, and the record that it becomes.
//!
//! A record is the one encoding of a message on the wire, in memory and on disk:
//!
//! ```text
//! u32 LE   bits 0..30 the payload's length in bytes; bit 30 is 0; bit 31 set: attributes follow
//! [u16 LE  the attributes' length in bytes, then the attributes: tag u8, length u8, value]
//! payload
//! ```
//!
//! Records stand one after the other without padding. The known attributes, moments as u64 LE milliseconds since
//! 1970-01-01 UTC by the sender's clock: tag 1, when the message expires; tag 2, the topic; tag 3, when it was published,
//! which stands in some records only; tag 4, the call that a request or its reply belongs to; tag 5, that a reply is a
//! rejection; tag 6, that a request must run at most once; tag 7, the routers that it has passed. Unknown tags are passed
//! over.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::ids::{CallId, PeerId};
use crate::limits::{
    ATTRIBUTES_BYTES_MAX, BY_REFERENCE_BYTES, HOPS_MAX, MESSAGE_BYTES_MAX, MESSAGE_OVERHEAD_BYTES,
    TOPIC_BYTES_MAX,
};
use crate::time::WallTime;

const LENGTH_MASK: u32 = (1 << 30) - 1;
const RESERVED: u32 = 1 << 30;
const HAS_ATTRIBUTES: u32 = 1 << 31;
const TAG_EXPIRES: u8 = 1;
const TAG_TOPIC: u8 = 2;
const TAG_PUBLISHED: u8 = 3;
const TAG_CALL: u8 = 4;
const TAG_REJECTED: u8 = 5;
const TAG_AT_MOST_ONCE: u8 = 6;
const TAG_ROUTERS: u8 = 7;

/// What a router's name takes.
const ROUTER_BYTES: usize = 16;

/// A message on its way into a socket.
///
/// Made from anything that holds bytes; small payloads are copied once, payloads of
/// [`crate::limits::BY_REFERENCE_BYTES`] or more that come as [`Bytes`], `Vec<u8>` or `String` are never copied.
#[derive(Clone, PartialEq, Eq)]
pub struct Message<'a> {
    payload: Payload<'a>,
    ttl: Option<Duration>,
}

#[derive(Clone, PartialEq, Eq)]
enum Payload<'a> {
    Borrowed(&'a [u8]),
    Owned(Bytes),
}

impl<'a> Message<'a> {
    /// A message with this payload and no shelf life.
    pub fn new(payload: impl Into<Message<'a>>) -> Self {
        payload.into()
    }

    /// Gives the message a shelf life: if nobody has taken it by then, it expires, frees its room and is reported.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The shelf life, if one was given.
    #[must_use]
    pub const fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::Borrowed(bytes) => bytes,
            Payload::Owned(bytes) => bytes,
        }
    }

    /// The payload as shared bytes; copies it if it was borrowed.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.payload {
            Payload::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
            Payload::Owned(bytes) => bytes,
        }
    }

    /// The same message, independent of what it borrowed.
    #[must_use]
    pub fn into_owned(self) -> Message<'static> {
        let ttl = self.ttl;
        Message { payload: Payload::Owned(self.into_bytes()), ttl }
    }

    /// The same, for many small messages: a payload that was borrowed is copied into `piece`, which many share. All of it
    /// stays in memory as long as any of them does.
    #[must_use]
    pub fn into_owned_in(self, piece: &mut BytesMut) -> Message<'static> {
        match self.payload {
            Payload::Borrowed(bytes) if bytes.len() < BY_REFERENCE_BYTES => {
                piece.extend_from_slice(bytes);
                Message { payload: Payload::Owned(piece.split().freeze()), ttl: self.ttl }
            }
            _ => self.into_owned(),
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("bytes", &self.payload().len())
            .field("ttl", &self.ttl)
            .finish()
    }
}

macro_rules! from_payload {
    ($lifetime:lifetime, $source:ty, $value:ident => $payload:expr) => {
        impl<$lifetime> From<$source> for Message<$lifetime> {
            fn from($value: $source) -> Self {
                Message { payload: $payload, ttl: None }
            }
        }
    };
}

from_payload!('a, &'a [u8], value => Payload::Borrowed(value));
from_payload!('a, &'a str, value => Payload::Borrowed(value.as_bytes()));
from_payload!('a, &'a String, value => Payload::Borrowed(value.as_bytes()));
from_payload!('a, &'a Vec<u8>, value => Payload::Borrowed(value));
from_payload!('a, &Bytes, value => Payload::Owned(value.clone()));
from_payload!('a, Bytes, value => Payload::Owned(value));
from_payload!('a, Vec<u8>, value => Payload::Owned(Bytes::from(value)));
from_payload!('a, String, value => Payload::Owned(Bytes::from(value)));

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Message { payload: Payload::Borrowed(value), ttl: None }
    }
}

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
    /// Where the topic begins, counted from the record's first byte.
    topic_at: u16,
    /// How long the topic is.
    topic_bytes: u8,
    /// When the message was published, if the record says so.
    pub published: Option<WallTime>,
    /// The call that it belongs to.
    pub call: Option<CallId>,
    /// It is a reply, and says why the call was rejected.
    pub rejected: bool,
    /// It is a request that must run at most once.
    pub at_most_once: bool,
    /// Where the names of the routers begin that a request has passed, counted from the record's first byte.
    routers_at: u16,
    /// How long they are.
    routers_bytes: u8,
}

/// What a record says of a message beside its payload.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Attributes<'a> {
    pub(crate) expires: Option<WallTime>,
    /// At most [`TOPIC_BYTES_MAX`] bytes.
    pub(crate) topic: &'a [u8],
    pub(crate) published: Option<WallTime>,
    pub(crate) call: Option<CallId>,
    pub(crate) rejected: bool,
    pub(crate) at_most_once: bool,
    /// As many as [`crate::limits::HOPS_MAX`].
    pub(crate) routers: &'a [PeerId],
}

impl Attributes<'_> {
    const fn bytes(&self) -> usize {
        let moments = self.expires.is_some() as usize + self.published.is_some() as usize;
        let topic = if self.topic.is_empty() { 0 } else { 2 + self.topic.len() };
        let call = if self.call.is_some() { 18 } else { 0 };
        let flags = self.rejected as usize + self.at_most_once as usize;
        moments * 10 + topic + call + 2 * flags + routers_bytes(self.routers.len())
    }

    /// How long the head of a record with these is.
    #[inline]
    pub(crate) const fn head_bytes(&self) -> usize {
        match self.bytes() {
            0 => 4,
            bytes => 6 + bytes,
        }
    }
}

impl RecordHead {
    const fn plain(payload_bytes: usize) -> Self {
        Self {
            head_bytes: 4,
            payload_bytes,
            expires: None,
            topic_at: 0,
            topic_bytes: 0,
            published: None,
            call: None,
            rejected: false,
            at_most_once: false,
            routers_at: 0,
            routers_bytes: 0,
        }
    }

    /// Where the topic is, counted from the record's first byte; empty if the message has none.
    #[inline]
    #[must_use]
    pub const fn topic(&self) -> Range<usize> {
        let at = self.topic_at as usize;
        at..at + self.topic_bytes as usize
    }

    /// The routers that a request has passed, of the record that this is the head of.
    pub fn routers<'a>(&self, record: &'a [u8]) -> impl Iterator<Item = PeerId> + use<'a> {
        let at = usize::from(self.routers_at);
        let names = record.get(at..at + usize::from(self.routers_bytes)).unwrap_or_default();
        let (names, _) = names.as_chunks::<ROUTER_BYTES>();
        names.iter().map(|name| PeerId::from_uuid(Uuid::from_bytes(*name)))
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

    /// Reads the head of the record at the start of `bytes`; `None` if there is too little to tell. The payload
    /// itself need not be there.
    ///
    /// # Errors
    /// If these bytes cannot begin a record, or its payload is over `payload_bytes_max`.
    #[inline]
    pub fn read(bytes: &[u8], payload_bytes_max: usize) -> Result<Option<Self>, RecordError> {
        let Some((word, rest)) = bytes.split_first_chunk::<4>() else {
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
        let Some((length, rest)) = rest.split_first_chunk::<2>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_le_bytes(*length));
        if length > ATTRIBUTES_BYTES_MAX {
            return Err(RecordError::Attributes);
        }
        let Some(attributes) = rest.get(..length) else {
            return Ok(None);
        };
        let mut head = Self { head_bytes: 6 + length, ..Self::plain(payload_bytes) };
        head.read_attributes(attributes)?;
        Ok(Some(head))
    }

    fn read_attributes(&mut self, attributes: &[u8]) -> Result<(), RecordError> {
        let mut at = 0;
        while let Some(&[tag, length]) = attributes.get(at..).and_then(|rest| rest.first_chunk()) {
            let value = at + 2..at + 2 + usize::from(length);
            let bytes = attributes.get(value.clone()).ok_or(RecordError::Attributes)?;
            match tag {
                TAG_EXPIRES => self.expires = Some(read_moment(bytes)?),
                TAG_PUBLISHED => self.published = Some(read_moment(bytes)?),
                TAG_CALL => {
                    let call = bytes.try_into().map_err(|_| RecordError::Attributes)?;
                    self.call = Some(CallId::from_bytes(call));
                }
                TAG_REJECTED => self.rejected = true,
                TAG_AT_MOST_ONCE => self.at_most_once = true,
                TAG_ROUTERS if !bytes.len().is_multiple_of(ROUTER_BYTES) => {
                    return Err(RecordError::Attributes);
                }
                TAG_ROUTERS => {
                    // As for the topic.
                    self.routers_at = (6 + value.start) as u16;
                    self.routers_bytes = length;
                }
                TAG_TOPIC => {
                    // Attributes are no longer than a u16 can count, and stand behind six bytes.
                    self.topic_at = (6 + value.start) as u16;
                    self.topic_bytes = length;
                }
                _ => {}
            }
            at = value.end;
        }
        if at == attributes.len() { Ok(()) } else { Err(RecordError::Attributes) }
    }
}

/// What the names of so many routers take among the attributes.
const fn routers_bytes(routers: usize) -> usize {
    if routers == 0 { 0 } else { 2 + routers * ROUTER_BYTES }
}

fn read_moment(bytes: &[u8]) -> Result<WallTime, RecordError> {
    let millis = bytes.try_into().map_err(|_| RecordError::Attributes)?;
    Ok(WallTime::from_millis(u64::from_le_bytes(millis)))
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
            // Two moments and a topic are far less than a u16 can count.
            out.put_u16_le(bytes as u16);
            write_attributes(out, attributes);
        }
    }
}

fn write_attributes(out: &mut BytesMut, attributes: &Attributes<'_>) {
    let moments = [(TAG_EXPIRES, attributes.expires), (TAG_PUBLISHED, attributes.published)];
    for (tag, moment) in moments {
        if let Some(moment) = moment {
            out.put_slice(&[tag, 8]);
            out.put_u64_le(moment.as_millis());
        }
    }
    if let Some(call) = attributes.call {
        out.put_slice(&[TAG_CALL, 16]);
        out.put_slice(call.as_bytes());
    }
    if attributes.rejected {
        out.put_slice(&[TAG_REJECTED, 0]);
    }
    if attributes.at_most_once {
        out.put_slice(&[TAG_AT_MOST_ONCE, 0]);
    }
    if !attributes.routers.is_empty() {
        debug_assert!(attributes.routers.len() <= HOPS_MAX);
        out.put_slice(&[TAG_ROUTERS, (attributes.routers.len() * ROUTER_BYTES) as u8]);
        attributes.routers.iter().for_each(|name| out.put_slice(name.as_uuid().as_bytes()));
    }
    if !attributes.topic.is_empty() {
        debug_assert!(attributes.topic.len() <= TOPIC_BYTES_MAX);
        out.put_slice(&[TAG_TOPIC, attributes.topic.len() as u8]);
        out.put_slice(attributes.topic);
    }
}

/// CRC-32 (IEEE) of a message's topic and payload, one after the other.
#[must_use]
pub fn crc(topic: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(topic);
    hasher.update(payload);
    hasher.finalize()
}

/// What messages cost in byte credit: their records, and a fixed overhead each.
#[must_use]
pub const fn cost_bytes(messages: u64, record_bytes: u64) -> u64 {
    record_bytes.saturating_add(messages.saturating_mul(MESSAGE_OVERHEAD_BYTES))
}

/// The most that one message with a payload of up to `payload_bytes` can cost.
#[must_use]
pub const fn cost_bytes_max(payload_bytes: usize) -> u64 {
    cost_bytes(1, (payload_bytes + ATTRIBUTES_BYTES_MAX + 6) as u64)
}

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
}

impl Iterator for Records<'_> {
    /// Where the record begins, and its head.
    type Item = (usize, RecordHead);

    #[inline]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn expiring(millis: u64) -> Attributes<'static> {
        Attributes { expires: Some(WallTime::from_millis(millis)), ..Attributes::default() }
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
