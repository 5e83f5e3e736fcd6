//! Time as an argument: engines never ask a clock, they are told.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Monotonic time in microseconds since a moment that the caller chose (the start of the process, or of a
/// simulation). It never goes back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Time(u64);

impl Time {
    /// The moment that the caller counts from.
    pub const ZERO: Time = Time(0);

    /// Microseconds since that moment.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Time(micros)
    }

    /// Microseconds since that moment.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The first of these moments, as far as they are any.
    #[inline]
    #[must_use]
    pub fn first_of<const N: usize>(times: [Option<Time>; N]) -> Option<Time> {
        // An iterator that takes the array apart would have it in memory, where it is asked for after each change.
        let sooner = |first: Option<Time>, time: &Option<Time>| match (first, *time) {
            (Some(first), Some(time)) => Some(first.min(time)),
            (first, time) => first.or(time),
        };
        times.iter().fold(None, sooner)
    }

    /// As long after this as one moment is after another one; this itself if it is not. The same as with a [`Duration`]
    /// in between, without the divisions that make one.
    #[inline]
    pub(crate) const fn after(self, earlier: WallTime, later: WallTime) -> Time {
        let millis = later.0.saturating_sub(earlier.0);
        Time(self.0.saturating_add(millis.saturating_mul(1_000)))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, rhs: Duration) -> Time {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(micros))
    }
}

impl Sub<Duration> for Time {
    type Output = Time;

    fn sub(self, rhs: Duration) -> Time {
        let micros = u64::try_from(rhs.as_micros()).unwrap_or(u64::MAX);
        Time(self.0.saturating_sub(micros))
    }
}

/// Wall-clock time in milliseconds since 1970-01-01 UTC: only for what must outlive a process, such as the
/// moment when a stored message expires.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct WallTime(u64);

impl WallTime {
    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        WallTime(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// How long until `later`; zero if it has passed.
    #[must_use]
    pub const fn until(self, later: WallTime) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }

    /// By how many milliseconds it is ahead of another clock that was read at the same moment.
    pub(crate) const fn ahead_of(self, other: WallTime) -> i64 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// The moment so many milliseconds later.
    pub(crate) const fn moved(self, millis: i64) -> WallTime {
        WallTime(self.0.saturating_add_signed(millis))
    }
}

impl Add<Duration> for WallTime {
    type Output = WallTime;

    fn add(self, rhs: Duration) -> WallTime {
        let millis = u64::try_from(rhs.as_millis()).unwrap_or(u64::MAX);
        WallTime(self.0.saturating_add(millis))
    }
}

/// Both clocks, read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// For everything that is measured or waited for.
    pub time: Time,
    /// For what must mean something to another process, or after a restart.
    pub wall: WallTime,
}

impl Now {
    /// What the wall clock says at a moment to come; now if that has passed.
    #[inline]
    pub(crate) const fn wall_at(self, time: Time) -> WallTime {
        let millis = time.0.saturating_sub(self.time.0) / 1_000;
        WallTime(self.wall.0.saturating_add(millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_some_moments_is_any_that_is_one() {
        let [one, other] = [Time::from_micros(7), Time::from_micros(9)].map(Some);
        assert_eq!(Time::first_of([None, other, one]), one);
        assert_eq!(Time::first_of([other, None]), other);
        assert_eq!(Time::first_of([None, None]), None);
        assert_eq!(Time::first_of([]), None);
    }
}
