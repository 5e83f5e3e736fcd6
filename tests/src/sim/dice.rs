//! The one source of chance in a simulation.

use std::ops::RangeInclusive;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// Throws that depend on the seed alone, or first on bytes that somebody chose.
pub(crate) struct Dice {
    rng: ChaCha8Rng,
    /// The bytes that are left, last first.
    thrown: Vec<u8>,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), thrown: Vec::new() }
    }

    /// Throws that are those bytes as long as there are any.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self { thrown: bytes.iter().rev().copied().collect(), ..Self::new(bytes.len() as u64) }
    }

    /// As many bytes as it takes to tell `choices` apart.
    fn take(&mut self, choices: u64) -> Option<u64> {
        let mut number = self.thrown.pop().map(u64::from)?;
        let mut width: u64 = 256;
        while width < choices {
            let byte = self.thrown.pop()?;
            number = number << 8 | u64::from(byte);
            width = width.saturating_mul(256);
        }
        Some(number % choices.max(1))
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        if percent == 0 {
            return false;
        }
        match self.take(100) {
            Some(thrown) => thrown < u64::from(percent),
            None => self.rng.random_range(0..100) < percent,
        }
    }

    pub(crate) fn between(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (start, end) = (*range.start(), *range.end());
        match self.take((end - start).saturating_add(1)) {
            Some(thrown) => start + thrown,
            None => self.rng.random_range(range),
        }
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
        // Never of chosen bytes: no two may be the same.
        Uuid::from_u64_pair(
            self.rng.random_range(0..=u64::MAX),
            self.rng.random_range(0..=u64::MAX),
        )
    }
}
