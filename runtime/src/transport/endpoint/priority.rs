//! How endpoints of one socket are ranked.

use std::fmt;

/// The level of an endpoint: 1 is the best and the default, 16 the last resort.
///
/// A level is used only while every better one is away or busy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Priority(u8);

impl Priority {
    /// The best level, and the default.
    pub const BEST: Self = Self(1);

    /// The level that is used last.
    pub const LAST: Self = Self(16);

    /// The priority of a level from 1 to 16; `None` for any other.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        if level >= Self::BEST.0 && level <= Self::LAST.0 { Some(Self(level)) } else { None }
    }

    /// The level, from 1 to 16.
    #[must_use]
    pub const fn level(self) -> u8 {
        self.0
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self::BEST
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
