//! The beginnings of topics by which a subscriber says what it wants.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::TOPIC_BYTES_MAX;

use super::bounded::Bounded;

/// Prefixes of topics, by which a subscriber says what it wants.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Filter {
    /// Wanted from now on.
    pub add: Bounded<Prefix>,
    /// Not wanted any more.
    pub remove: Bounded<Prefix>,
}

/// The beginning of topics: at most [`TOPIC_BYTES_MAX`] bytes. The empty one is the beginning of all.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Bounded<u8>", into = "Bounded<u8>")]
pub struct Prefix(Box<[u8]>);

/// A prefix, or a topic, has too many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PrefixTooLong {
    /// How many it has.
    pub bytes: usize,
}

impl Prefix {
    /// This prefix.
    ///
    /// # Errors
    /// If it is longer than a topic can be.
    pub fn new(bytes: &[u8]) -> Result<Self, PrefixTooLong> {
        if bytes.len() > TOPIC_BYTES_MAX {
            return Err(PrefixTooLong { bytes: bytes.len() });
        }
        Ok(Self(bytes.into()))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Bounded<u8>> for Prefix {
    type Error = PrefixTooLong;

    fn try_from(bytes: Bounded<u8>) -> Result<Self, PrefixTooLong> {
        Self::new(&bytes.0)
    }
}

impl From<Prefix> for Bounded<u8> {
    fn from(prefix: Prefix) -> Self {
        Bounded(prefix.0.into())
    }
}

impl fmt::Display for PrefixTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a filter of {} bytes is longer than a topic can be, which is {TOPIC_BYTES_MAX}",
            self.bytes
        )
    }
}

impl std::error::Error for PrefixTooLong {}
