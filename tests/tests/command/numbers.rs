//! Lines that are numbers, there and back.

use std::ops::Range;

use crate::process::Running;

/// Input that is written at once, and its stdin stays open after it.
const WRITTEN_BYTES: usize = 4_096;

/// `TOPIC<TAB>NUMBER` for each; just the number without a topic.
pub(crate) fn lines(topic: &str, numbers: Range<u64>) -> String {
    let tab = if topic.is_empty() { "" } else { "\t" };
    numbers.map(|number| format!("{topic}{tab}{number}\n")).collect()
}

/// What a subscriber writes of such lines, if each is its own number.
pub(crate) fn received(topic: &str, numbers: Range<u64>) -> String {
    numbers.map(|number| format!("{number}\t{topic}\t{number}\n")).collect()
}

/// Gives these lines to a publisher, whose input goes on after them.
pub(crate) fn feed(publisher: &mut Running, lines: &str) {
    for piece in lines.as_bytes().chunks(WRITTEN_BYTES) {
        publisher.send(piece);
    }
}

/// The number of a message, from its line.
#[track_caller]
pub(crate) fn number(line: &str) -> u64 {
    line.split('\t').next().unwrap().parse().unwrap()
}

#[track_caller]
pub(crate) fn numbers(output: &str) -> Vec<u64> {
    output.lines().map(number).collect()
}
