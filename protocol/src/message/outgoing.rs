//! What an application hands to a socket.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::limits::BY_REFERENCE_BYTES;

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
from_payload!('a, Box<[u8]>, value => Payload::Owned(Bytes::from(value)));
from_payload!('a, String, value => Payload::Owned(Bytes::from(value)));

impl<'a, const N: usize> From<&'a [u8; N]> for Message<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Message { payload: Payload::Borrowed(value), ttl: None }
    }
}
