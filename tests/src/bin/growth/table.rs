//! The tables for people.

use std::fmt::Write;

use drawdown_tests::measure::Spread;

use crate::outcome::{Outcome, Step};
use crate::unit::Unit;

/// One growth, a line for each step.
pub(crate) fn of(outcome: &Outcome) -> String {
    let growth = outcome.growth;
    let mut text = format!("\n{} ({})\n{}\n\n", growth.title, growth.name, growth.settings);
    let lines: Vec<_> = growth.lines().collect();
    let titles = lines.iter().map(|(_, line)| line.title.to_owned());
    let mut rows = vec![[growth.axis.title.to_owned()].into_iter().chain(titles).collect()];
    rows.extend(outcome.steps.iter().map(|step| {
        let values = lines.iter().enumerate().map(|(at, (unit, _))| cell(*unit, step, at));
        [growth.axis.unit.show(step.at as f64)].into_iter().chain(values).collect()
    }));
    text.push_str(&aligned(&rows));
    for step in &outcome.steps {
        if let Some(failure) = step.failures().next() {
            let (failed, all) = (step.failures().count(), step.turns.len());
            let at = growth.axis.unit.show(step.at as f64);
            // Writing to a string does not fail; so below.
            let _ = writeln!(text, "{at}: {failed} of {all} runs failed: {failure}");
        }
    }
    text
}

fn cell(unit: Unit, step: &Step, line: usize) -> String {
    let Some(Spread { median, min, max }) = step.spread(line) else { return "-".to_owned() };
    if min == max {
        return unit.show(median);
    }
    format!("{} ({} - {})", unit.show(median), unit.show(min), unit.show(max))
}

/// Columns as wide as what is in them; the first row is the heading.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for (place, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if place == 0 {
            for width in &widths {
                let _ = write!(text, "| {} ", "-".repeat(*width));
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let text = aligned(&[row(["size", "time"]), row(["1 KiB", "3 µs"])]);
        assert_eq!(text, "| size  | time |\n| ----- | ---- |\n| 1 KiB | 3 µs |\n");
    }
}
