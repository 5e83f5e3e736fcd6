//! What people see of an example: sentences, and below them a bar while it runs.

use std::io::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Where there is no terminal, a line is written so often.
const PLAIN_STEP: Duration = Duration::from_secs(1);

/// Writes a line. If nobody reads any more, the work goes on all the same.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// What is going on.
#[derive(Debug)]
pub struct Screen {
    bar: ProgressBar,
    /// When it began, and when a line was last written where there is no terminal.
    begun: Instant,
    told: Instant,
}

impl Screen {
    /// With a bar of this length.
    #[must_use]
    pub fn new(length: u64) -> Self {
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {msg}") {
            bar.set_style(style);
        }
        let begun = Instant::now();
        Self { bar, begun, told: begun }
    }

    /// Says a sentence above the bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| say(line));
    }

    /// How far it has come, in the unit of the length and in words.
    pub fn progress(&mut self, position: u64, line: &str) {
        self.bar.set_position(position);
        self.bar.set_message(line.to_owned());
        // Hidden is what the bar is where there is no terminal.
        if self.bar.is_hidden() && self.told.elapsed() >= PLAIN_STEP {
            self.told = Instant::now();
            say(&format!("{:.0} s: {line}", self.begun.elapsed().as_secs_f64()));
        }
    }

    /// The bar goes.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
