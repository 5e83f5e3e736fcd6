//! What a record says of a message beside its payload.

use bytes::{BufMut, BytesMut};
use uuid::Uuid;

use crate::ids::{CallId, PeerId};
use crate::limits::{HOPS_MAX, TOPIC_BYTES_MAX};
use crate::time::WallTime;

use super::head::{Place, RecordError, RecordHead};

const TAG_EXPIRES: u8 = 1;
const TAG_TOPIC: u8 = 2;
const TAG_PUBLISHED: u8 = 3;
const TAG_CALL: u8 = 4;
const TAG_REJECTED: u8 = 5;
const TAG_AT_MOST_ONCE: u8 = 6;
const TAG_ROUTERS: u8 = 7;

/// What the attributes of a record take that says nothing but its call.
pub(super) const OF_CALL_BYTES: usize = TAG_BYTES + CALL_BYTES;

/// What stands before a value: its tag, and its length.
const TAG_BYTES: usize = 2;
const MOMENT_BYTES: usize = 8;
const CALL_BYTES: usize = 16;
/// What a router's name takes.
const ROUTER_BYTES: usize = 16;

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
    /// As many as [`HOPS_MAX`].
    pub(crate) routers: &'a [PeerId],
}

impl Attributes<'_> {
    /// Those of a record that says nothing but its call, as they are written.
    #[inline]
    pub(super) fn of_call(call: CallId) -> [u8; OF_CALL_BYTES] {
        let mut bytes = [0; OF_CALL_BYTES];
        let (tag, value) = bytes.split_at_mut(TAG_BYTES);
        tag.copy_from_slice(&[TAG_CALL, CALL_BYTES as u8]);
        value.copy_from_slice(&call.to_bytes());
        bytes
    }

    /// How many bytes they take.
    #[inline]
    pub(super) const fn bytes(&self) -> usize {
        let moments = self.expires.is_some() as usize + self.published.is_some() as usize;
        let calls = self.call.is_some() as usize;
        let flags = self.rejected as usize + self.at_most_once as usize;
        let lists = !self.topic.is_empty() as usize + !self.routers.is_empty() as usize;
        (moments + calls + flags + lists) * TAG_BYTES
            + moments * MOMENT_BYTES
            + calls * CALL_BYTES
            + self.topic.len()
            + self.routers.len() * ROUTER_BYTES
    }

    #[inline]
    pub(super) fn write(&self, out: &mut BytesMut) {
        let moments = [(TAG_EXPIRES, self.expires), (TAG_PUBLISHED, self.published)];
        for (tag, moment) in moments {
            if let Some(moment) = moment {
                out.put_slice(&[tag, MOMENT_BYTES as u8]);
                out.put_u64_le(moment.as_millis());
            }
        }
        if let Some(call) = self.call {
            out.put_slice(&Self::of_call(call));
        }
        if self.rejected {
            out.put_slice(&[TAG_REJECTED, 0]);
        }
        if self.at_most_once {
            out.put_slice(&[TAG_AT_MOST_ONCE, 0]);
        }
        if !self.routers.is_empty() {
            debug_assert!(self.routers.len() <= HOPS_MAX);
            out.put_slice(&[TAG_ROUTERS, (self.routers.len() * ROUTER_BYTES) as u8]);
            self.routers.iter().for_each(|name| out.put_slice(name.as_uuid().as_bytes()));
        }
        if !self.topic.is_empty() {
            debug_assert!(self.topic.len() <= TOPIC_BYTES_MAX);
            out.put_slice(&[TAG_TOPIC, self.topic.len() as u8]);
            out.put_slice(self.topic);
        }
    }
}

impl RecordHead {
    /// The routers that a request has passed, of the record that this is the head of.
    pub fn routers<'a>(&self, record: &'a [u8]) -> impl Iterator<Item = PeerId> + use<'a> {
        let names = record.get(self.routers.range()).unwrap_or_default();
        let (names, _) = names.as_chunks::<ROUTER_BYTES>();
        names.iter().map(|name| PeerId::from_uuid(Uuid::from_bytes(*name)))
    }

    /// Takes note of what these say.
    #[inline(always)]
    pub(super) fn read_attributes(&mut self, attributes: &[u8]) -> Result<(), RecordError> {
        let mut at = 0;
        while let Some(&[tag, length]) = attributes.get(at..).and_then(|rest| rest.first_chunk()) {
            let value = at + TAG_BYTES..at + TAG_BYTES + usize::from(length);
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
                TAG_ROUTERS => self.routers = Place::among_attributes(value.start, length),
                TAG_TOPIC => self.topic = Place::among_attributes(value.start, length),
                _ => {}
            }
            at = value.end;
        }
        if at == attributes.len() { Ok(()) } else { Err(RecordError::Attributes) }
    }
}

fn read_moment(bytes: &[u8]) -> Result<WallTime, RecordError> {
    let millis = bytes.try_into().map_err(|_| RecordError::Attributes)?;
    Ok(WallTime::from_millis(u64::from_le_bytes(millis)))
}
