//! Medians, how far the rounds were apart, and the slow end of many times.

/// The middle and the ends of some values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spread {
    /// The middle one, or between the two.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The most.
    pub max: f64,
}

/// The spread of some values; none without values.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let middle = |at: usize| values.get(at).copied();
    let median = (middle((values.len() - 1) / 2)? + middle(values.len() / 2)?) / 2.0;
    Some(Spread { median, min, max })
}

/// The median of measured times in microseconds; 0 without any.
#[must_use]
pub fn median_micros(times: &[std::time::Duration]) -> f64 {
    spread(times.iter().map(|time| time.as_secs_f64() * 1e6)).map_or(0.0, |spread| spread.median)
}

/// The smallest value that so many of 1,000 do not exceed. None without values, which must be sorted.
#[must_use]
pub fn per_mille(sorted: &[u32], share: usize) -> Option<u32> {
    let rank = (sorted.len() * share).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(spread([]), None);
        assert_eq!(spread([5.0, 1.0, 9.0]), Some(Spread { median: 5.0, min: 1.0, max: 9.0 }));
        assert_eq!(spread([4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn a_share_of_the_values_is_not_above_its_limit() {
        let sorted: Vec<u32> = (1..=1000).collect();
        assert_eq!(per_mille(&sorted, 500), Some(500));
        assert_eq!(per_mille(&sorted, 990), Some(990));
        assert_eq!(per_mille(&sorted, 1000), Some(1000));
        // Of so few the slowest is all that is known of the slow end.
        assert_eq!(per_mille(&[3, 8], 999), Some(8));
        assert_eq!(per_mille(&[3, 8], 500), Some(3));
        assert_eq!(per_mille(&[], 500), None);
    }
}
