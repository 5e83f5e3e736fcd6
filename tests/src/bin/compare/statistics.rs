//! Medians, and how far the runs were apart.

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// None without values.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (min, max) = (*values.first()?, *values.last()?);
    let middle = |at: usize| values.get(at).copied();
    let median = (middle((values.len() - 1) / 2)? + middle(values.len() / 2)?) / 2.0;
    Some(Spread { median, min, max })
}

/// The median of measured times in microseconds.
pub(crate) fn median_micros(times: &[std::time::Duration]) -> f64 {
    spread(times.iter().map(|time| time.as_secs_f64() * 1e6)).map_or(0.0, |spread| spread.median)
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
}
