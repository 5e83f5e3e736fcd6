//! The one source of chance in a simulation.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// Throws that depend on the seed alone.
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        percent > 0 && self.0.random_range(0..100) < percent
    }

    pub(crate) fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        self.0.random_range(range)
    }

    /// Like `between`, but every order of magnitude is as likely as another.
    pub(crate) fn spread(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (start, end) = (*range.start(), *range.end());
        let width = u64::BITS - (end - start).leading_zeros();
        let bits = self.between(0..=u64::from(width));
        let most = if bits == 0 { 0 } else { u64::MAX >> (64 - bits) };
        start + self.between(0..=most.min(end - start))
    }

    /// A time of so many microseconds.
    pub(crate) fn micros(&mut self, range: RangeInclusive<u64>) -> Duration {
        Duration::from_micros(self.between(range))
    }

    /// A time of up to `most`.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        self.micros(0..=most.as_micros() as u64)
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.between(0..=from.len() as u64 - 1) as usize]
    }

    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.between(0..=u64::MAX), self.between(0..=u64::MAX))
    }
}
