//! The table.

use std::fmt::Write;
use std::time::Duration;

use drawdown_tests::measure::{Spread, spread};

use crate::scenarios::{ALL, Turn};

const HEADING: &str = "\
| the better server is | the other one answers after | the better one is back after | a call before takes | calls | failed |
| --- | ---: | ---: | ---: | ---: | ---: |
";

/// A line for each scenario.
pub(crate) fn of(outcomes: &[Vec<Turn>]) -> String {
    let mut text = HEADING.to_owned();
    for (scenario, turns) in ALL.iter().zip(outcomes) {
        let time = |of: fn(&Turn) -> Duration| shown(turns.iter().map(of));
        let calls: usize = turns.iter().map(|turn| turn.answered).sum();
        let failed: usize = turns.iter().map(|turn| turn.failures.len()).sum();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {calls} | {failed} |",
            scenario.name,
            time(|turn| turn.over),
            time(|turn| turn.back),
            time(|turn| turn.call),
        );
    }
    text
}

/// The median of times, and the least and the most of them.
fn shown(times: impl Iterator<Item = Duration>) -> String {
    let Some(Spread { median, min, max }) = spread(times.map(|time| time.as_secs_f64())) else {
        return "-".to_owned();
    };
    let millis = |seconds: f64| match seconds * 1e3 {
        millis if millis < 10.0 => format!("{millis:.2}"),
        millis => format!("{millis:.0}"),
    };
    format!("{} ms ({} - {})", millis(median), millis(min), millis(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_to_what_they_are_good_for() {
        let times = [250, 1_234_000, 9_000].map(Duration::from_micros);
        assert_eq!(shown(times.into_iter()), "9.00 ms (0.25 - 1234)");
        assert_eq!(shown(std::iter::empty()), "-");
    }
}
