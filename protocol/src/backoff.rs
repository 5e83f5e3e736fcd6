//! How long to wait before trying again.

use std::time::Duration;

/// What has worked for less than so many of the shortest waits has not worked.
const STEADY: u32 = 10;

/// Waits that double from one failure to the next, each shortened by chance so that many peers do not come back at
/// the same moment.
#[derive(Clone, Debug)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// From `min` to `max`.
    #[must_use]
    pub const fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, failures: 0 }
    }

    /// How long to wait after another failure: between half and all of the doubled time. `entropy` is any random
    /// number.
    pub fn next(&mut self, entropy: u64) -> Duration {
        let full = self.min.saturating_mul(1 << self.failures.min(20)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let half = full / 2;
        let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX);
        half + Duration::from_micros(entropy % micros.saturating_add(1))
    }

    /// It worked for so long, and does not any more. If that was long enough, ten times the shortest wait, this failure is a
    /// first one.
    pub fn note_worked(&mut self, time: Duration) {
        if time >= self.min.saturating_mul(STEADY) {
            self.reset();
        }
    }

    /// It worked: the next failure is a first one.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_over_after_success() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(70));
        let mut backoff = Backoff::new(min, max);
        let longest: Vec<_> =
            (0..4).map(|_| backoff.next(5_000 * 1_000_000 - 1).as_millis()).collect();
        assert!(
            longest
                .iter()
                .zip([10, 20, 40, 70])
                .all(|(got, full)| *got <= full && *got >= full / 2)
        );
        assert_eq!(backoff.next(0), max / 2);
        backoff.reset();
        assert_eq!(backoff.next(0), min / 2);
        backoff.note_worked(Duration::from_millis(99));
        assert_eq!(backoff.next(0), min, "it hardly worked");
        backoff.note_worked(Duration::from_millis(100));
        assert_eq!(backoff.next(0), min / 2);
    }
}
