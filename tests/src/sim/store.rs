//! A store that remembers what a disk may forget.

use std::collections::BTreeMap;

use bytes::Bytes;
use drawdown_protocol::store::{Attempts, Commit, DeadLetter, Recovered, RecoveredBlock, StoreOp};
use drawdown_protocol::{Lineage, Seq, Session};

use super::dice::Dice;

/// A PUSH node's disk.
#[derive(Default)]
pub(crate) struct ModelStore {
    /// What survives for certain.
    durable: Disk,
    /// Answered without a sync: a crash keeps some of it, from the first on.
    behind: Vec<StoreOp>,
    /// The commit that is under way.
    writing: Option<Commit>,
}

/// What is on a disk.
#[derive(Clone, Default)]
struct Disk {
    reserved: Option<(Session, Seq)>,
    blocks: BTreeMap<Seq, RecoveredBlock>,
    attempts: BTreeMap<Seq, Attempts>,
    dead: BTreeMap<Seq, DeadLetter>,
    lineage: Option<Lineage>,
    clock_ahead: Option<i64>,
}

impl ModelStore {
    pub(crate) const fn is_busy(&self) -> bool {
        self.writing.is_some()
    }

    /// Numbers below this may be dispatched.
    pub(crate) fn reserved_end(&self) -> Seq {
        self.durable.reserved.map_or(0, |(_, end)| end)
    }

    pub(crate) fn begin(&mut self, commit: Commit) {
        self.writing = Some(commit);
    }

    /// The commit is done.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        let commit = self.writing.take().unwrap_or_default();
        self.behind.extend(commit.ops);
        if commit.sync {
            for op in std::mem::take(&mut self.behind) {
                self.durable.apply(op)?;
            }
        }
        Ok(())
    }

    /// The machine stops: of what was not synced some is there, from the first on.
    pub(crate) fn crash(&mut self, dice: &mut Dice) -> Result<(), String> {
        let mut unsure = std::mem::take(&mut self.behind);
        unsure.extend(self.writing.take().unwrap_or_default().ops);
        let kept = match dice.between(0..=2) {
            0 => 0,
            1 => unsure.len(),
            _ => dice.between(0..=unsure.len() as u64) as usize,
        };
        unsure.truncate(kept);
        unsure.into_iter().try_for_each(|op| self.durable.apply(op))
    }

    /// What is found when it is opened again; `None` if it never held anything.
    pub(crate) fn recover(&self) -> Option<Recovered> {
        let (session, next_seq) = self.durable.reserved?;
        Some(Recovered {
            session,
            next_seq,
            blocks: self.durable.blocks.values().cloned().collect(),
            attempts: self.durable.attempts.iter().map(|(s, a)| (*s, a.clone())).collect(),
            dead: self.durable.dead.values().cloned().collect(),
            lineage: self.durable.lineage,
            clock_ahead: self.durable.clock_ahead,
            cut_off: false,
        })
    }
}

impl Disk {
    fn apply(&mut self, op: StoreOp) -> Result<(), String> {
        match op {
            StoreOp::Reserve { session, end } => {
                let before = self.reserved.replace((session, end));
                // A proxy's store goes on with the next session.
                if before.is_some_and(|before| before.0 == session && before.1 > end) {
                    return Err(format!("{:?} was reserved after {before:?}", (session, end)));
                }
            }
            StoreOp::PutBlock { seqs, parts } => self.put_block(seqs, &parts)?,
            StoreOp::PutDone { block, done } => {
                let kept = self.blocks.get_mut(&block);
                kept.ok_or_else(|| format!("block {block} is not there to be marked"))?.done = done;
            }
            StoreOp::RemoveBlock { block } => {
                let kept = self.blocks.remove(&block);
                kept.ok_or_else(|| format!("block {block} is not there to be removed"))?;
            }
            StoreOp::PutAttempts { seq, attempts } => {
                self.attempts.insert(seq, attempts);
            }
            StoreOp::RemoveAttempts { seq } => {
                self.attempts.remove(&seq);
            }
            StoreOp::PutDead { seq, attempts, record } => {
                self.dead.insert(seq, DeadLetter { seq, attempts, record });
            }
            StoreOp::RemoveDead { seq } => {
                self.dead.remove(&seq);
            }
            StoreOp::PutLineage { lineage } => self.lineage = Some(lineage),
            StoreOp::PutClock { ahead } => self.clock_ahead = Some(ahead),
        }
        Ok(())
    }

    fn put_block(&mut self, seqs: std::ops::Range<Seq>, parts: &[Bytes]) -> Result<(), String> {
        let before = self.blocks.range(..seqs.end).next_back();
        if before.is_some_and(|(_, block)| block.seqs.end > seqs.start) {
            return Err(format!("block {seqs:?} lies over another"));
        }
        if self.reserved_end() < seqs.end {
            return Err(format!("block {seqs:?} is beyond what is reserved"));
        }
        let records = parts.concat().into();
        self.blocks.insert(seqs.start, RecoveredBlock { seqs, done: Vec::new(), records });
        Ok(())
    }

    fn reserved_end(&self) -> Seq {
        self.reserved.map_or(0, |(_, end)| end)
    }
}
