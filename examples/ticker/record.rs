//! What a subscriber has had, in a file of lines: `had FIRST LAST` and `gap FIRST LAST`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use drawdown::Seq;

use drawdown_examples::Outcome;

/// Consecutive numbers, from the first to the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Entry {
    Had(Seq, Seq),
    Gap(Seq, Seq),
}

impl Entry {
    pub(crate) fn had(seq: Seq) -> Self {
        Self::Had(seq, seq)
    }

    /// Takes another entry in, if it follows without a hole.
    fn extend(&mut self, next: Self) -> bool {
        match (self, next) {
            (Self::Had(_, last), Self::Had(first, end)) if *last + 1 == first => *last = end,
            _ => return false,
        }
        true
    }

    fn next_seq(self) -> Seq {
        let (Self::Had(_, last) | Self::Gap(_, last)) = self;
        last + 1
    }

    fn line(self) -> String {
        match self {
            Self::Had(first, last) => format!("had {first} {last}\n"),
            Self::Gap(first, last) => format!("gap {first} {last}\n"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let kind = words.next()?;
        let (first, last) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        match kind {
            "had" => Some(Self::Had(first, last)),
            "gap" => Some(Self::Gap(first, last)),
            _ => None,
        }
    }
}

/// The file, open for more.
pub(crate) struct Record {
    file: File,
    unsaved: Vec<Entry>,
    next_seq: Seq,
}

impl Record {
    /// Goes on where an earlier life ended. It may have been killed within a line, which does not count then.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let whole = std::fs::read(path)?.iter().rposition(|&byte| byte == b'\n');
        file.set_len(whole.map_or(0, |end| end as u64 + 1))?;
        let next_seq = read(path)?.last().map_or(0, |entry| entry.next_seq());
        Ok(Self { file, unsaved: Vec::new(), next_seq })
    }

    pub(crate) fn add(&mut self, entry: Entry) {
        self.next_seq = entry.next_seq();
        let extended = self.unsaved.last_mut().is_some_and(|last| last.extend(entry));
        if !extended {
            self.unsaved.push(entry);
        }
    }

    /// Returns once the file survives this process.
    pub(crate) fn save(&mut self) -> Outcome<()> {
        let lines: String = self.unsaved.drain(..).map(Entry::line).collect();
        Ok(self.file.write_all(lines.as_bytes())?)
    }

    /// The number after the last.
    pub(crate) const fn next_seq(&self) -> Seq {
        self.next_seq
    }
}

/// All that a subscriber has written down.
pub(crate) fn read(path: &Path) -> Outcome<Vec<Entry>> {
    let text = std::fs::read_to_string(path)?;
    let entry = |line: &str| {
        Entry::parse(line).ok_or_else(|| format!("{}: {line:?} is no entry", path.display()).into())
    };
    text.lines().map(entry).collect()
}
