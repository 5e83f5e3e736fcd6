//! The store that people get: sled, with all the care that it needs.

use std::fmt;
use std::path::Path;

use drawdown_protocol::store::{Commit, Recovered, StoreOp};
use drawdown_protocol::{Seq, Session};

use super::boot::Boot;
use super::engine::{self, Engine};
use super::entries::{Entries, Kind};
use super::error::StoreError;
use super::format::{self, ANCHOR_KEY, Anchor, CLOCK_KEY, LINEAGE_KEY, Prefix};
use super::marker::Reserved;
use super::recover::recover;
use super::scan::{Contents, Keep};
use super::sync::RealSync;
use super::{OpenOptions, Store};

/// A store in a folder of its own, kept by sled.
///
/// One thread uses it. Commits of 256 KiB to 512 KiB make the best of a disk; the blocks in them should be of about
/// [`drawdown_protocol::limits::CHUNK_BYTES`]. sled maps and faults a fresh buffer of 2 MiB every so often: a program
/// that writes much gains from an allocator that keeps such buffers.
pub struct SledStore {
    entries: Entries,
    boot: Boot,
    poison: Option<StoreError>,
}

impl SledStore {
    /// Opens the store at `path`, or makes it, and reads all that it holds; `None` if no number was ever reserved.
    ///
    /// Blocks for as long as that takes: seconds for gigabytes.
    ///
    /// # Errors
    /// When somebody else has it open, it is no store or one of another socket type or of a newer version, it is
    /// damaged or emptier than it must be, or the disk refuses. Nothing that it holds is lost by that.
    pub fn open(
        path: &Path,
        options: &OpenOptions,
    ) -> Result<(Self, Option<Recovered>), StoreError> {
        let (engine, mut contents) =
            Engine::open(path, options, |db| Contents::read(&**db, Keep::Records))?;
        let entries = Entries::new(engine, std::mem::take(&mut contents.shelves));
        let mut leftovers = std::mem::take(&mut contents.leftovers);
        let recovered = recover(contents, &entries.engine)?;
        entries.clear(&mut leftovers)?;
        let boot = Boot::begin(&entries.engine.path, options)?;
        let cut_off = boot.is_cut_off();
        let recovered = recovered.map(|recovered| Recovered { cut_off, ..recovered });
        Ok((Self { entries, boot, poison: None }, recovered))
    }

    fn apply(&mut self, commit: &Commit) -> Result<(), StoreError> {
        commit.ops.iter().try_for_each(|op| self.apply_op(op))?;
        if commit.sync { self.entries.engine.flush() } else { Ok(()) }
    }

    fn apply_op(&mut self, op: &StoreOp) -> Result<(), StoreError> {
        let entries = &mut self.entries;
        match op {
            StoreOp::Reserve { session, end } => self.reserve(*session, *end),
            StoreOp::PutBlock { seqs, parts } => entries.put_block(Kind::Block, seqs, parts),
            StoreOp::PutDone { block, done } => entries.put_done(*block, done),
            StoreOp::RemoveBlock { block } => {
                entries.remove_block(Kind::Block, *block)?;
                entries.remove(&format::key(Prefix::Done, *block))
            }
            StoreOp::PutAttempts { seq, attempts } => {
                entries.put_note(&format::key(Prefix::Attempts, *seq), attempts)
            }
            StoreOp::RemoveAttempts { seq } => entries.remove(&format::key(Prefix::Attempts, *seq)),
            StoreOp::PutDead { seq, attempts, record } => entries.put_dead(*seq, attempts, record),
            StoreOp::RemoveDead { seq } => entries.remove_dead(*seq),
            StoreOp::PutLineage { lineage } => entries.put_note(&LINEAGE_KEY, lineage),
            StoreOp::PutClock { ahead } => entries.put_note(&CLOCK_KEY, ahead),
        }
    }

    /// See [`super::recover::check_for_loss`] for what this order proves.
    fn reserve(&mut self, session: Session, end: Seq) -> Result<(), StoreError> {
        // The marker is synced whatever messages are worth: what it says of sled must be on the disk too.
        let _real_sync = RealSync::begin();
        let reserved = self.entries.engine.marker.reserved;
        let before = reserved.filter(|reserved| reserved.session == session);
        if before.is_none() {
            // The marker is written past sled: it must not know of a session sooner than sled of what stands before.
            self.entries.engine.flush()?;
        }
        let Engine { marker, path, .. } = &mut self.entries.engine;
        let end = before.map_or(end, |reserved| reserved.end.max(end));
        marker.generation += 1;
        marker.reserved = Some(Reserved { session, end });
        marker.write(path)?;
        let generation = marker.generation;
        self.entries.put_note(&ANCHOR_KEY, &Anchor { generation, session, end })?;
        self.entries.engine.flush()?;
        let Engine { marker, path, .. } = &mut self.entries.engine;
        marker.proven = generation;
        marker.write(path)?;
        self.boot.reserved(path)
    }
}

impl Store for SledStore {
    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        if let Some(poison) = &self.poison {
            return Err(poison.clone());
        }
        let applied = engine::guarded(|| self.apply(commit));
        let result = applied
            .unwrap_or_else(|said| Err(StoreError::gave_up(&self.entries.engine.path, &said)));
        self.poison = result.as_ref().err().map(StoreError::poisoned_by);
        result
    }

    fn close(mut self: Box<Self>) -> Result<(), StoreError> {
        if let Some(poison) = self.poison {
            return Err(poison);
        }
        let _real_sync = self.boot.wants_real_end().then(RealSync::begin);
        self.entries.engine.flush()?;
        self.boot.end(&self.entries.engine.path)
    }
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore")
            .field("path", &self.entries.engine.path)
            .field("poison", &self.poison)
            .finish_non_exhaustive()
    }
}
