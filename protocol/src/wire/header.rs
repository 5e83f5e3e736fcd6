//! The fixed parts: preface, frame header, and what stands before the records of a data frame.

use bytes::{Buf, BufMut, BytesMut};

use crate::ids::{Delivery, RequestId, Seq};
use crate::time::WallTime;

use super::control::ControlKind;
use super::error::WireError;

/// The oldest version of the wire that this crate speaks.
pub const VERSION_MIN: u8 = 1;
/// The newest version of the wire that this crate speaks.
pub const VERSION_MAX: u8 = 1;

pub(super) const MAGIC: &[u8; 8] = b"DRAWDOWN";
pub(super) const PREFACE_BYTES: usize = 12;
pub(super) const HEADER_BYTES: usize = 8;
pub(super) const DATA_HEADER_BYTES: usize = 32;

/// The first bytes of each direction: who speaks, and in which versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Preface {
    /// The oldest version that the peer speaks.
    pub version_min: u8,
    /// The newest version that the peer speaks.
    pub version_max: u8,
}

impl Preface {
    /// What this crate says.
    pub const OURS: Preface = Preface { version_min: VERSION_MIN, version_max: VERSION_MAX };

    /// The newest version that both speak.
    #[must_use]
    pub fn agree(self, peer: Preface) -> Option<u8> {
        let version = self.version_max.min(peer.version_max);
        (version >= self.version_min.max(peer.version_min)).then_some(version)
    }

    pub(super) fn write(self, out: &mut BytesMut) {
        out.put_slice(MAGIC);
        out.put_u8(self.version_min);
        out.put_u8(self.version_max);
        out.put_u16_le(0);
    }

    pub(super) fn read(bytes: &[u8; PREFACE_BYTES]) -> Result<Self, WireError> {
        match bytes.split_at(MAGIC.len()) {
            (magic, &[version_min, version_max, _, _]) if magic == MAGIC => {
                Ok(Self { version_min, version_max })
            }
            _ => Err(WireError::NotDrawdown),
        }
    }
}

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Control(ControlKind),
    Run(RunKind),
}

/// A run of messages, and where in their lives they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RunKind {
    Data = 6,
    Publish = 17,
    Copies = 25,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Kind::Control(kind) => kind as u8,
            Kind::Run(kind) => kind as u8,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(Kind::Run(RunKind::Data)),
            17 => Some(Kind::Run(RunKind::Publish)),
            25 => Some(Kind::Run(RunKind::Copies)),
            _ => ControlKind::from_number(number).map(Kind::Control),
        }
    }
}

/// What stands before every body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FrameHeader {
    pub(super) kind: Kind,
    pub(super) body_bytes: usize,
}

impl FrameHeader {
    pub(super) fn write(self, out: &mut BytesMut) {
        out.put_u8(self.kind.number());
        out.put_u8(0);
        out.put_u16_le(0);
        out.put_u32_le(self.body_bytes as u32);
    }

    pub(super) fn read(bytes: [u8; HEADER_BYTES]) -> Result<Self, WireError> {
        let [kind, flags, r0, r1, l0, l1, l2, l3] = bytes;
        if flags != 0 || r0 != 0 || r1 != 0 {
            return Err(WireError::ReservedBits);
        }
        let kind = Kind::from_number(kind).ok_or(WireError::UnknownKind(kind))?;
        Ok(Self { kind, body_bytes: u32::from_le_bytes([l0, l1, l2, l3]) as usize })
    }
}

/// What stands before the records of a data frame: a run of messages with consecutive numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataHeader {
    /// The position of the first message on this link; each next one has the next position.
    pub first_delivery: Delivery,
    /// The first message's number in the session; each next one has the next number.
    pub first_seq: Seq,
    /// The sender's wall clock when it sent the frame: tells how much is left of a shelf life although clocks differ.
    pub sent_at: WallTime,
    /// How many messages; at least one.
    pub count: u32,
    /// How often each of them has been tried before without success.
    pub attempt: u32,
}

impl DataHeader {
    pub(super) fn write(self, out: &mut BytesMut) {
        out.put_u64_le(self.first_delivery);
        out.put_u64_le(self.first_seq);
        out.put_u64_le(self.sent_at.as_millis());
        out.put_u32_le(self.count);
        out.put_u32_le(self.attempt);
    }

    pub(super) fn read(bytes: [u8; DATA_HEADER_BYTES]) -> Result<Self, WireError> {
        let mut bytes = &bytes[..];
        let header = Self {
            first_delivery: bytes.get_u64_le(),
            first_seq: bytes.get_u64_le(),
            sent_at: WallTime::from_millis(bytes.get_u64_le()),
            count: bytes.get_u32_le(),
            attempt: bytes.get_u32_le(),
        };
        let last = u64::from(header.count);
        if header.count == 0
            || header.first_seq.checked_add(last).is_none()
            || header.first_delivery.checked_add(last).is_none()
        {
            return Err(WireError::Malformed("a run of messages"));
        }
        Ok(header)
    }
}

/// What stands before the records of a run of published messages. It has the length of a [`DataHeader`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PublishHeader {
    /// Of the numbers from here to `first_seq`, the subscriber wants none: nothing there matches its filters.
    pub from: Seq,
    /// The first message's number; each next one has the next number.
    pub first_seq: Seq,
    /// The sender's wall clock when it sent the frame.
    pub sent_at: WallTime,
    /// How many messages; at least one.
    pub count: u32,
    /// The request that this answers.
    pub request: RequestId,
}

impl PublishHeader {
    pub(super) fn write(self, out: &mut BytesMut) {
        out.put_u64_le(self.from);
        out.put_u64_le(self.first_seq);
        out.put_u64_le(self.sent_at.as_millis());
        out.put_u32_le(self.count);
        out.put_u32_le(self.request);
    }

    pub(super) fn read(bytes: [u8; DATA_HEADER_BYTES]) -> Result<Self, WireError> {
        let mut bytes = &bytes[..];
        let header = Self {
            from: bytes.get_u64_le(),
            first_seq: bytes.get_u64_le(),
            sent_at: WallTime::from_millis(bytes.get_u64_le()),
            count: bytes.get_u32_le(),
            request: bytes.get_u32_le(),
        };
        let runs_over = header.first_seq.checked_add(u64::from(header.count)).is_none();
        if header.count == 0 || header.from > header.first_seq || runs_over {
            return Err(WireError::Malformed("a run of published messages"));
        }
        Ok(header)
    }
}
