//! Counting, and the plain pass that the pipeline is measured by.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanCount};
use serde::{Deserialize, Serialize};

use crate::files::Listed;
use drawdown_examples::Outcome;

/// What is counted. Sums do not depend on the order.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) lines: u64,
    pub(crate) words: u64,
    pub(crate) bytes: u64,
    /// The CRC-32 of each file, added up.
    pub(crate) checksum: u64,
}

impl Tally {
    /// Counts one file.
    pub(crate) fn of(contents: &[u8]) -> Self {
        let lines = contents.iter().filter(|&&byte| byte == b'\n').count();
        let words = contents.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
        Self {
            files: 1,
            lines: lines as u64,
            words: words as u64,
            bytes: contents.len() as u64,
            checksum: u64::from(crc32fast::hash(contents)),
        }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            lines: self.lines + other.lines,
            words: self.words + other.words,
            bytes: self.bytes + other.bytes,
            checksum: self.checksum + other.checksum,
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), Self::add)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, lines, words, bytes, checksum } = *self;
        let [files, lines, words, bytes] = [files, lines, words, bytes].map(HumanCount);
        write!(
            f,
            "{files} files, {lines} lines, {words} words, {bytes} bytes, checksum {checksum:x}"
        )
    }
}

/// One process, one file after the other.
pub(crate) struct PlainPass {
    /// The files that could be read: what the pipeline is given.
    pub(crate) files: Vec<Listed>,
    tallies: Vec<Tally>,
    pub(crate) took: Duration,
}

/// Counts the files, and drops from the list those that cannot be read.
pub(crate) fn plain_pass(listed: Vec<Listed>) -> Outcome<PlainPass> {
    let start = Instant::now();
    let (files, tallies): (Vec<_>, Vec<_>) = listed
        .into_iter()
        .filter_map(|file| {
            let tally = Tally::of(&file.read()?);
            Some((file, tally))
        })
        .unzip();
    if files.is_empty() {
        return Err("none of the files could be read".into());
    }
    Ok(PlainPass { files, tallies, took: start.elapsed() })
}

impl PlainPass {
    /// The sum, without the files that the pipeline found changed or gone; `left_out` is sorted.
    pub(crate) fn sum_without(&self, left_out: &[usize]) -> Tally {
        let jobs = self.tallies.iter().enumerate();
        let kept = jobs.filter(|(job, _)| left_out.binary_search(job).is_err());
        kept.map(|(_, tally)| *tally).sum()
    }
}

impl fmt::Display for PlainPass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = self.sum_without(&[]);
        let (files, bytes) = (HumanCount(sum.files), DecimalBytes(sum.bytes));
        write!(f, "a plain pass over {files} files, {bytes}, took {:.1?}", self.took)
    }
}
