//! What came of it, as lines and as a table.

use std::time::Duration;

use drawdown_tests::planted::{Fault, Outcome};

/// One bug, and whether it was noticed.
pub(crate) struct Row {
    pub(crate) fault: Fault,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

impl Row {
    pub(crate) const fn is_caught(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// What to say as soon as it is known.
    pub(crate) fn line(&self) -> String {
        let Self { fault, outcome, took } = self;
        let verdict = match outcome {
            Outcome::Failed(said) => format!("caught: {said}"),
            Outcome::Green => "NOT CAUGHT".to_owned(),
            Outcome::TimedOut => "NOT CAUGHT: the check did not end".to_owned(),
            Outcome::NotBuilt(why) => format!("NOT BUILT: {why}"),
        };
        format!("{} ({:.0} s) {verdict}", fault.name, took.as_secs_f64())
    }
}

/// Prints all of it as the table that stands in `design.md`.
pub(crate) fn print(rows: &[Row]) {
    println!("| fault | caught by | seconds |\n| --- | --- | --- |");
    for row in rows {
        let Row { fault, took, .. } = row;
        let by =
            if row.is_caught() { fault.caught_by.to_string() } else { "**nobody**".to_owned() };
        let by = by.replace("cargo test -p ", "").replace("cargo run -p drawdown-tests --bin ", "");
        println!("| {} | `{by}` | {:.0} |", fault.what, took.as_secs_f64());
    }
    let caught = rows.iter().filter(|row| row.is_caught()).count();
    println!("{caught} of {} were caught.", rows.len());
}
