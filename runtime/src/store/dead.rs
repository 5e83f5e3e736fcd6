//! Replays and purges dead letters while no socket has their store open.

use std::ops::Range;

use drawdown_protocol::Seq;

use super::entries::Kind;
use super::error::{StoreError, StoreErrorKind};
use super::inspect::Inspector;

impl Inspector {
    /// Makes the dead letter of this number a pending message again, under its own number, its attempts forgotten. It
    /// is durable when this returns. A crash before leaves it dead or pending, never neither.
    ///
    /// # Errors
    /// When there is no such dead letter, the store is damaged, or the disk refuses.
    pub fn replay(&mut self, seq: Seq) -> Result<(), StoreError> {
        self.make_ready()?;
        let letter = self.dead_letter(seq)?;
        match self.contents.blocks.iter_mut().find(|block| block.seqs.contains(&seq)) {
            // Its first record is still there, counted as done: a second one would be a second owner of the number.
            Some(block) => {
                let done: Vec<_> =
                    block.done.iter().cloned().flat_map(|done| without(done, seq)).collect();
                let first = block.seqs.start;
                self.entries.put_done(first, &done)?;
                block.done = done;
            }
            None => {
                let seqs = seq..seq.saturating_add(1);
                self.entries.put_block(Kind::Block, &seqs, &[letter.record])?;
                let (mut block, _) = self.contents.dead[self.find_dead(seq)?].clone();
                block.done.clear();
                let at = self.contents.blocks.partition_point(|other| other.seqs.start < seq);
                self.contents.blocks.insert(at, block);
            }
        }
        self.entries.engine.flush()?;
        self.forget(seq)
    }

    /// Removes the dead letter of this number for good.
    ///
    /// # Errors
    /// When there is no such dead letter, the store is damaged, or the disk refuses.
    pub fn purge(&mut self, seq: Seq) -> Result<(), StoreError> {
        self.make_ready()?;
        self.forget(seq)
    }

    /// Where in the list of dead letters this one is.
    pub(super) fn find_dead(&self, seq: Seq) -> Result<usize, StoreError> {
        self.contents.dead.binary_search_by_key(&seq, |(block, _)| block.seqs.start).map_err(|_| {
            let what = format!("it holds no dead letter of number {seq}");
            StoreError::new(StoreErrorKind::NoSuchDeadLetter, &self.entries.engine.path, what)
        })
    }

    fn forget(&mut self, seq: Seq) -> Result<(), StoreError> {
        let at = self.find_dead(seq)?;
        self.entries.remove_dead(seq)?;
        self.contents.dead.remove(at);
        self.entries.engine.flush()
    }

    /// Comes before the first write. Nothing is written over what is damaged: it may be all that a rescue has. What a
    /// crash cut off goes, as it does when a socket opens the store.
    fn make_ready(&mut self) -> Result<(), StoreError> {
        match self.damages().first() {
            Some(damage) => Err(StoreError::damaged(&self.entries.engine.path, damage.to_string())),
            None => self.entries.clear(&mut self.contents.leftovers),
        }
    }
}

fn without(range: Range<Seq>, seq: Seq) -> impl Iterator<Item = Range<Seq>> {
    let (before, after) =
        if range.contains(&seq) { (range.start..seq, seq + 1..range.end) } else { (range, 0..0) };
    [before, after].into_iter().filter(|part| !part.is_empty())
}
