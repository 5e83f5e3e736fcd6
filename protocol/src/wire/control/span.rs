//! Runs of numbers.

use std::ops::Range;

use serde::{Deserialize, Deserializer, Serialize};

use super::bounded::Bounded;

/// A run of numbers: `first`, and `count` in all. One that a peer says is never empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Span {
    /// The first number.
    pub first: u64,
    /// How many; at least one.
    pub count: u64,
}

impl Span {
    /// As a half-open range; `None` if it is empty or runs over the end of the numbers.
    #[must_use]
    pub fn range(self) -> Option<Range<u64>> {
        let end = self.first.checked_add(self.count)?;
        (self.count > 0).then_some(self.first..end)
    }
}

impl From<Range<u64>> for Span {
    fn from(range: Range<u64>) -> Self {
        Span { first: range.start, count: range.end.saturating_sub(range.start) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (first, count) = Deserialize::deserialize(deserializer)?;
        let span = Span { first, count };
        match span.range() {
            Some(_) => Ok(span),
            None => Err(serde::de::Error::custom("a span of no numbers, or of too many")),
        }
    }
}

/// Up to [`crate::limits::RANGES_MAX`] spans.
pub type Spans = Bounded<Span>;
