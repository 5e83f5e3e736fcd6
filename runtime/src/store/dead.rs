//! Replays and purges dead letters while no socket has their store open.

use std::ops::Range;

use bytes::Bytes;
use drawdown_protocol::Seq;
use drawdown_protocol::message::Records;
use drawdown_protocol::store::DeadLetter;

use super::assemble::FoundBlock;
use super::entries::Kind;
use super::error::{StoreError, StoreErrorKind};
use super::inspect::Inspector;

impl Inspector {
    /// Makes the dead letter of this number a pending message again, under its own number, its attempts and its shelf life
    /// forgotten ([`DeadLetter::to_message`]). It is durable when this returns. A crash before leaves it dead or pending,
    /// never neither.
    ///
    /// # Errors
    /// When there is no such dead letter, the store is damaged, or the disk refuses.
    pub fn replay(&mut self, seq: Seq) -> Result<(), StoreError> {
        self.make_ready()?;
        let letter = self.dead_letter(seq)?;
        let record = letter.to_record().ok_or_else(|| self.malformed(seq))?;
        match self.contents.blocks.iter().position(|block| block.seqs.contains(&seq)) {
            // Its first record is still there, counted as done: a second one would be a second owner of the number.
            Some(at) => self.revive(at, &letter, record)?,
            None => self.put_alone(seq, record)?,
        }
        self.entries()?.engine.flush()?;
        self.forget(seq)
    }

    /// Makes a letter pending in its block.
    fn revive(&mut self, at: usize, letter: &DeadLetter, record: Bytes) -> Result<(), StoreError> {
        let FoundBlock { seqs, done, .. } = self.contents.blocks[at].clone();
        if record != letter.record {
            let records = self.read(Kind::Block, seqs.start)?;
            let (start, head) = Records::new(&records)
                .nth((letter.seq - seqs.start) as usize)
                .ok_or_else(|| self.malformed(letter.seq))?;
            let end = start + head.record_bytes();
            let pieces = [records.slice(..start), record, records.slice(end..)];
            self.entries()?.put_block(Kind::Block, &seqs, &pieces)?;
            self.contents.blocks[at].bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        }
        let done: Vec<_> = done.into_iter().flat_map(|done| without(done, letter.seq)).collect();
        self.entries()?.put_done(seqs.start, &done)?;
        self.contents.blocks[at].done = done;
        Ok(())
    }

    /// Makes a letter whose block is gone pending in one of its own.
    fn put_alone(&mut self, seq: Seq, record: Bytes) -> Result<(), StoreError> {
        let seqs = seq..seq.saturating_add(1);
        let bytes = record.len() as u64;
        self.entries()?.put_block(Kind::Block, &seqs, &[record])?;
        let at = self.contents.blocks.partition_point(|other| other.seqs.start < seq);
        let block = FoundBlock { seqs, bytes, ..FoundBlock::default() };
        self.contents.blocks.insert(at, block);
        Ok(())
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
            StoreError::new(StoreErrorKind::NoSuchDeadLetter, self.path(), what)
        })
    }

    fn forget(&mut self, seq: Seq) -> Result<(), StoreError> {
        let at = self.find_dead(seq)?;
        self.entries()?.remove_dead(seq)?;
        self.contents.dead.remove(at);
        self.entries()?.engine.flush()
    }

    fn malformed(&self, seq: Seq) -> StoreError {
        let what = format!("the record of dead letter {seq} is malformed");
        StoreError::damaged(self.path(), what)
    }

    /// Comes before the first write. What a crash cut off goes, as it does when a socket opens the store.
    fn make_ready(&mut self) -> Result<(), StoreError> {
        let mut leftovers = std::mem::take(&mut self.contents.leftovers);
        self.entries()?.clear(&mut leftovers)
    }
}

fn without(range: Range<Seq>, seq: Seq) -> impl Iterator<Item = Range<Seq>> {
    let (before, after) =
        if range.contains(&seq) { (range.start..seq, seq + 1..range.end) } else { (range, 0..0) };
    [before, after].into_iter().filter(|part| !part.is_empty())
}
