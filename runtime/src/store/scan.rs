//! Reads every entry of a store and checks it: what recovery starts from, and what `verify` tells.

use std::fmt;

use drawdown_protocol::store::Attempts;
use drawdown_protocol::{Lineage, Seq};
use serde::de::DeserializeOwned;
use sled::IVec;

use super::assemble::{Assembler, FoundBlock};
use super::entries::{Kind, Shelves};
use super::format::{self, ANCHOR_KEY, Anchor, CLOCK_KEY, DoneNote, Fault, LINEAGE_KEY, Prefix};
use super::shelf::Shelf;

/// Something in a store that is not what was written, or is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    seq: Option<Seq>,
    what: String,
}

impl Damage {
    pub(super) fn new(seq: Option<Seq>, what: impl Into<String>) -> Self {
        Self { seq, what: what.into() }
    }

    pub(super) fn in_slot(kind: Kind, slot: u64, fault: Fault) -> Self {
        let what = match kind {
            Kind::Block => "block",
            Kind::Dead => "dead letter",
        };
        Self::new(None, format!("the {what} in slot {slot} {}", describe(fault)))
    }

    fn in_note(of: &str, seq: Option<Seq>, fault: Fault) -> Self {
        Self::new(seq, format!("the note of {of} {}", describe(fault)))
    }

    /// The first number that it concerns, as far as that can be told.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        self.seq
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seq {
            Some(seq) => write!(f, "at number {seq}, {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

fn describe(fault: Fault) -> String {
    match fault {
        Fault::Checksum => "has a wrong checksum".to_owned(),
        Fault::NewerVersion(version) => {
            format!("has format {version}, which this version does not read")
        }
        Fault::Malformed => "is malformed".to_owned(),
    }
}

/// Where entries are read from: sled, or what could be rescued of its log. Errors are said as they come.
pub(super) trait Values {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, String>;

    /// The keys and values of one kind, by rising number, from one number on.
    fn entries(
        &self,
        prefix: Prefix,
        from: u64,
    ) -> impl Iterator<Item = Result<(IVec, IVec), String>>;
}

impl Values for sled::Tree {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, String> {
        sled::Tree::get(self, key).map_err(|error| error.to_string())
    }

    fn entries(
        &self,
        prefix: Prefix,
        from: u64,
    ) -> impl Iterator<Item = Result<(IVec, IVec), String>> {
        let entries = self.range(&format::key(prefix, from)[..]..&prefix.end()[..]);
        entries.map(|entry| entry.map_err(|error| error.to_string()))
    }
}

/// Whether a scan keeps what it reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Keep {
    Records,
    Sizes,
}

/// All that a store holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) anchor: Option<Anchor>,
    pub(super) lineage: Option<Lineage>,
    pub(super) clock_ahead: Option<i64>,
    /// By rising number.
    pub(super) blocks: Vec<FoundBlock>,
    /// Of pending messages, by rising number.
    pub(super) attempts: Vec<(Seq, Attempts)>,
    /// By rising number; each is a block of one message.
    pub(super) dead: Vec<(FoundBlock, Attempts)>,
    pub(super) shelves: Shelves,
    /// Keys of what a crash cut off, to be removed in this order.
    pub(super) leftovers: Vec<IVec>,
    pub(super) damages: Vec<Damage>,
}

impl Contents {
    /// Reads all of `db`.
    pub(super) fn read(db: &impl Values, keep: Keep) -> Self {
        let mut contents = Self::default();
        contents.anchor = contents.read_single(db, &ANCHOR_KEY, "what was reserved");
        contents.lineage = contents.read_single(db, &LINEAGE_KEY, "whose messages these are");
        contents.clock_ahead = contents.read_single(db, &CLOCK_KEY, "its publisher's clock");
        (contents.blocks, contents.shelves.blocks) = contents.read_blocks(db, Kind::Block, keep);
        contents.refuse_overlaps();
        contents.read_done(db);
        contents.read_attempts(db);
        contents.read_dead(db, keep);
        contents
    }

    /// The block that this number belongs to.
    pub(super) fn block_of(&self, seq: Seq) -> Option<&FoundBlock> {
        let after = self.blocks.partition_point(|block| block.seqs.start <= seq);
        self.blocks.get(after.checked_sub(1)?).filter(|block| block.seqs.contains(&seq))
    }

    fn is_pending(&self, seq: Seq) -> bool {
        self.block_of(seq).is_some_and(|block| block.holds_pending(seq))
    }

    /// Reads a note of which there is one at most.
    fn read_single<T: DeserializeOwned>(
        &mut self,
        db: &impl Values,
        key: &[u8],
        of: &str,
    ) -> Option<T> {
        let damage = match db.get(key) {
            Ok(None) => return None,
            Ok(Some(value)) => match format::read_note(key, &value) {
                Ok(note) => return Some(note),
                Err(fault) => Damage::in_note(of, None, fault),
            },
            Err(error) => Damage::new(None, format!("the note of {of} cannot be read: {error}")),
        };
        self.damages.push(damage);
        None
    }

    fn read_blocks(
        &mut self,
        db: &impl Values,
        kind: Kind,
        keep: Keep,
    ) -> (Vec<FoundBlock>, Shelf) {
        let mut assembler = Assembler::new(kind, keep);
        let mut empty = Vec::new();
        walk(db, kind.prefix(), &mut self.damages, |slot, value| {
            if value.is_empty() {
                empty.push(slot);
            } else {
                assembler.add(slot, value);
            }
        });
        assembler.finish();
        self.damages.append(&mut assembler.damages);
        self.leave(kind, assembler.leftovers.into_iter().rev());

        let mut blocks = assembler.whole;
        blocks.sort_by_key(|block| block.seqs.start);
        // The same block twice: it was written anew, and a crash kept the old one from being removed.
        blocks.dedup_by(|later, kept| {
            let again = later.seqs == kept.seqs;
            if again {
                std::mem::swap(later, kept);
                self.leave(kind, later.slots.iter().rev().copied());
            }
            again
        });
        let places =
            blocks.iter_mut().map(|block| (block.seqs.start, std::mem::take(&mut block.slots)));
        let shelf = Shelf::found(places, &empty);
        (blocks, shelf)
    }

    fn leave(&mut self, kind: Kind, slots: impl Iterator<Item = u64>) {
        self.leftovers.extend(slots.map(|slot| IVec::from(&kind.key(slot)[..])));
    }

    fn refuse_overlaps(&mut self) {
        for pair in self.blocks.windows(2) {
            if let [first, second] = pair
                && second.seqs.start < first.seqs.end
            {
                let what = "a block begins inside the one before it";
                self.damages.push(Damage::new(Some(second.seqs.start), what));
            }
        }
    }

    fn read_done(&mut self, db: &impl Values) {
        for (seq, note) in self.read_notes::<DoneNote>(db, Prefix::Done, "what is done in a block")
        {
            let Ok(at) = self.blocks.binary_search_by_key(&seq, |block| block.seqs.start) else {
                self.leave_note(Prefix::Done, seq);
                continue;
            };
            // Just found there.
            let block = &mut self.blocks[at];
            block.done = note.ranges(seq);
            if block.done.last().is_some_and(|done| done.end > block.seqs.end) {
                let what = "the note of what is done in a block names more messages than it has";
                self.damages.push(Damage::new(Some(seq), what));
            }
        }
    }

    fn read_attempts(&mut self, db: &impl Values) {
        for (seq, attempts) in self.read_notes(db, Prefix::Attempts, "failed attempts") {
            if self.is_pending(seq) {
                self.attempts.push((seq, attempts));
            } else {
                self.leave_note(Prefix::Attempts, seq);
            }
        }
    }

    fn read_dead(&mut self, db: &impl Values, keep: Keep) {
        let (records, shelf) = self.read_blocks(db, Kind::Dead, keep);
        self.shelves.dead = shelf;
        let mut notes =
            self.read_notes(db, Prefix::DeadAttempts, "how a message died").into_iter().peekable();
        for record in records {
            let seq = record.seqs.start;
            while let Some((orphan, _)) = notes.next_if(|(of, _)| *of < seq) {
                self.leave_note(Prefix::DeadAttempts, orphan);
            }
            let note = notes.next_if(|(of, _)| *of == seq);
            // A crash fell between dying and being done, or between being replayed and being forgotten here. The
            // message is delivered again, and dies again if it must.
            if self.is_pending(seq) {
                let slots = self.shelves.dead.remove(seq);
                self.leave(Kind::Dead, slots.into_iter());
                self.leave_note(Prefix::DeadAttempts, seq);
                continue;
            }
            match note {
                Some((_, attempts)) => self.dead.push((record, attempts)),
                None => self
                    .damages
                    .push(Damage::new(Some(seq), "the note of how a message died is missing")),
            }
        }
        for (orphan, _) in notes {
            self.leave_note(Prefix::DeadAttempts, orphan);
        }
    }

    fn leave_note(&mut self, prefix: Prefix, seq: Seq) {
        self.leftovers.push(IVec::from(&format::key(prefix, seq)));
    }

    fn read_notes<T: DeserializeOwned>(
        &mut self,
        db: &impl Values,
        prefix: Prefix,
        of: &str,
    ) -> Vec<(Seq, T)> {
        let mut notes = Vec::new();
        let mut faults = Vec::new();
        walk(db, prefix, &mut self.damages, |seq, value| {
            match format::read_note(&format::key(prefix, seq), &value) {
                Ok(note) => notes.push((seq, note)),
                Err(fault) => faults.push(Damage::in_note(of, Some(seq), fault)),
            }
        });
        self.damages.append(&mut faults);
        notes
    }
}

/// Reads a block again, with its records, where its shelf says that it stands.
pub(super) fn read_block(
    db: &impl Values,
    kind: Kind,
    first: Seq,
    slots: &[u64],
) -> Result<FoundBlock, Damage> {
    let mut assembler = Assembler::new(kind, Keep::Records);
    for slot in slots {
        let value = db.get(&kind.key(*slot)).map_err(|error| {
            Damage::new(Some(first), format!("a block cannot be read: {error}"))
        })?;
        assembler.add(*slot, value.unwrap_or_default());
    }
    let missing = || Damage::new(Some(first), "a block is missing");
    assembler.whole.pop().ok_or_else(|| assembler.damages.pop().unwrap_or_else(missing))
}

/// Visits the entries of one kind in order, with the number in their keys. Where sled cannot read a page, it notes that
/// and goes on behind it.
fn walk(
    db: &impl Values,
    prefix: Prefix,
    damages: &mut Vec<Damage>,
    mut visit: impl FnMut(u64, IVec),
) {
    let from = |number: u64| db.entries(prefix, number);
    let mut entries = from(0);
    let mut next: u64 = 0;
    while let Some(entry) = entries.next() {
        match entry {
            Ok((key, value)) => {
                let Some(number) = format::read_key(&key) else {
                    let what = format!("an entry has the malformed key {key:?}");
                    damages.push(Damage::new(None, what));
                    continue;
                };
                next = number.saturating_add(1);
                visit(number, value);
            }
            Err(error) => {
                let readable = |number: u64| from(number).next().is_none_or(|entry| entry.is_ok());
                let resume = first_after(next, readable);
                let until = resume.map_or(String::new(), |resume| format!(" before key {resume}"));
                let what = format!(
                    "the {prefix:?} entries from key {next} on{until} cannot be read: {error}"
                );
                damages.push(Damage::new(None, what));
                let Some(resume) = resume else { return };
                entries = from(resume);
                next = resume;
            }
        }
    }
}

/// The end of the unreadable stretch that begins at `start`, if it has one: steps that double, then halves between.
fn first_after(start: u64, readable: impl Fn(u64) -> bool) -> Option<u64> {
    let mut step = 1;
    while !readable(start.checked_add(step)?) {
        step = step.checked_mul(2)?;
    }
    let (mut bad, mut good) = (start + step / 2, start + step);
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        if readable(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Some(good)
}
