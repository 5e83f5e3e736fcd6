//! What is wrong with a topology, line by line.

use std::fmt;

/// All that is wrong with one file.
#[derive(Debug)]
pub(super) struct Faults {
    /// Where each line begins.
    starts: Vec<usize>,
    found: Vec<(usize, String)>,
}

impl Faults {
    pub(super) fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { starts, found: Vec::new() }
    }

    /// The line in which this byte is; the first is 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    pub(super) fn add(&mut self, line: usize, sentence: impl fmt::Display) {
        self.found.push((line, sentence.to_string()));
    }

    pub(super) const fn count(&self) -> usize {
        self.found.len()
    }

    /// How many there are, and then a line for each, in the order of the file.
    pub(super) fn tell(mut self, path: &str) -> String {
        self.found.sort();
        self.found.dedup();
        let lines =
            self.found.iter().map(|(line, sentence)| format!("\n{path}:{line}: {sentence}"));
        let count = match self.found.len() {
            1 => "one thing is wrong".to_owned(),
            count => format!("{count} things are wrong"),
        };
        format!("{count} with this topology{}", lines.collect::<String>())
    }
}
