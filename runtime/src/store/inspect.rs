//! Looks into a store that no socket has open: what `drawdown store` and `drawdown dead` show.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;
use drawdown_protocol::store::{Attempts, DeadLetter, RecoveredBlock};
use drawdown_protocol::{Lineage, Seq, Session};

use super::engine::Engine;
use super::entries::{Entries, Kind};
use super::error::StoreError;
use super::marker::Marker;
use super::recover::check_for_loss;
use super::scan::{self, Contents, Damage, Keep};
use super::wreck::Wreck;
use super::{OpenOptions, folder};

/// A store, opened to be looked into while no socket uses it.
///
/// It is not made if it is not there, and no message in it changes by looking; but sled writes to its own files when
/// it opens them, so the folder must be writable. What is damaged does not keep it from opening; it is reported.
pub struct Inspector {
    source: Source,
    pub(super) contents: Contents,
}

/// Where the messages are read.
enum Source {
    Store(Entries),
    Wreck(Wreck),
}

/// What a store holds, in sizes.
#[derive(Clone, Debug)]
pub struct StoreReport {
    /// The type of the socket that it belongs to, in small letters; `unknown` if its file STATE is damaged.
    pub socket_type: String,
    /// The session that was reserved last, if any was.
    pub session: Option<Session>,
    /// The first number that may be handed out next.
    pub next_seq: Seq,
    /// The last incarnation of the publisher whose store it is; `None` for other sockets.
    pub lineage: Option<Lineage>,
    /// The blocks that are whole, by rising number.
    pub blocks: Vec<BlockReport>,
    /// Pending messages that failed, by rising number.
    pub attempts: Vec<(Seq, Attempts)>,
    /// The dead letters, by rising number.
    pub dead: Vec<DeadReport>,
    /// What its files take, in bytes.
    pub disk_bytes: u64,
    /// All that is not as it was written, or missing.
    pub damages: Vec<Damage>,
}

/// One block of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BlockReport {
    /// The numbers of its messages.
    pub seqs: Range<Seq>,
    /// Which of them are done.
    pub done: Vec<Range<Seq>>,
    /// The size of its records, in bytes.
    pub bytes: u64,
}

impl BlockReport {
    /// How many of its messages are not done.
    #[must_use]
    pub fn pending(&self) -> u64 {
        let done: u64 = self.done.iter().map(|range| range.end.saturating_sub(range.start)).sum();
        self.seqs.end.saturating_sub(self.seqs.start).saturating_sub(done)
    }
}

/// One dead letter of a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeadReport {
    /// Its number.
    pub seq: Seq,
    /// How often it failed, and why the last time.
    pub attempts: Attempts,
    /// The size of its record, in bytes.
    pub bytes: u64,
}

impl Inspector {
    /// Opens the store at `path` and checks every entry in it. Blocks for as long as that takes.
    ///
    /// # Errors
    /// When there is no store, somebody has it open, a newer version wrote it, the disk refuses, or it is damaged so
    /// badly that nothing in it can be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        match Self::open_store(path) {
            Err(error) if error.kind().may_leave_some() => Self::open_wreck(path, error),
            opened => opened,
        }
    }

    fn open_store(path: &Path) -> Result<Self, StoreError> {
        let options = OpenOptions::inspection();
        let (mut engine, mut contents) =
            Engine::open(path, &options, |db| Contents::read(&**db, Keep::Sizes))?;
        contents.anchor.iter().for_each(|anchor| engine.marker.make_up_for(anchor));
        contents.damages.splice(0..0, engine.damages.iter().cloned());
        let loss = check_for_loss(&contents, &engine.marker, engine.lost_syncs());
        contents.damages.extend(loss);
        let entries = Entries::new(engine, std::mem::take(&mut contents.shelves));
        Ok(Self { source: Source::Store(entries), contents })
    }

    /// The same for a store that sled does not open, or must not.
    fn open_wreck(path: &Path, why: StoreError) -> Result<Self, StoreError> {
        let (wreck, contents) = Wreck::open(path, why)?;
        Ok(Self { source: Source::Wreck(wreck), contents })
    }

    /// What the store holds.
    ///
    /// # Errors
    /// When the sizes of its files cannot be read.
    pub fn report(&self) -> Result<StoreReport, StoreError> {
        let (marker, path) = (self.marker(), self.path());
        let disk_bytes = folder::disk_bytes(path)
            .map_err(|error| StoreError::io(path, "read the sizes of its files", &error))?;
        let blocks = self.contents.blocks.iter().map(|block| BlockReport {
            seqs: block.seqs.clone(),
            done: block.done.clone(),
            bytes: block.bytes,
        });
        let dead = self.contents.dead.iter().map(|(block, attempts)| DeadReport {
            seq: block.seqs.start,
            attempts: attempts.clone(),
            bytes: block.bytes,
        });
        Ok(StoreReport {
            socket_type: marker.socket_type().to_owned(),
            session: marker.reserved.map(|reserved| reserved.session),
            next_seq: marker.reserved.map_or(0, |reserved| reserved.end),
            lineage: self.contents.lineage,
            blocks: blocks.collect(),
            attempts: self.contents.attempts.clone(),
            dead: dead.collect(),
            disk_bytes,
            damages: self.contents.damages.clone(),
        })
    }

    /// Everything that is not as it was written, or missing; all entries were read to find it.
    #[must_use]
    pub fn damages(&self) -> &[Damage] {
        &self.contents.damages
    }

    /// The block that holds this message, with its records; `None` if no whole block does.
    ///
    /// # Errors
    /// When the block cannot be read any more.
    pub fn block(&self, seq: Seq) -> Result<Option<RecoveredBlock>, StoreError> {
        let Some(block) = self.contents.block_of(seq) else {
            return Ok(None);
        };
        let records = self.read(Kind::Block, block.seqs.start)?;
        Ok(Some(RecoveredBlock { seqs: block.seqs.clone(), done: block.done.clone(), records }))
    }

    /// The dead letter of this number, with its record.
    ///
    /// # Errors
    /// When there is none, or it cannot be read any more.
    pub fn dead_letter(&self, seq: Seq) -> Result<DeadLetter, StoreError> {
        let (_, attempts) = &self.contents.dead[self.find_dead(seq)?];
        let record = self.read(Kind::Dead, seq)?;
        Ok(DeadLetter { seq, attempts: attempts.clone(), record })
    }

    /// Lets go of the store.
    ///
    /// # Errors
    /// When the last sync fails.
    pub fn close(self) -> Result<(), StoreError> {
        match self.source {
            Source::Store(mut entries) => entries.engine.flush(),
            Source::Wreck(_) => Ok(()),
        }
    }

    pub(super) fn read(&self, kind: Kind, first: Seq) -> Result<Bytes, StoreError> {
        let read = match &self.source {
            Source::Store(entries) => {
                scan::read_block(&**entries.engine.db, kind, first, entries.slots(kind, first))
            }
            Source::Wreck(wreck) => wreck.read_block(kind, first),
        };
        read.map(|block| block.records)
            .map_err(|damage| StoreError::damaged(self.path(), damage.to_string()))
    }

    /// For those who write. Nothing is written over what is damaged: it may be all that a rescue has.
    pub(super) fn entries(&mut self) -> Result<&mut Entries, StoreError> {
        if let Some(damage) = self.contents.damages.first() {
            return Err(StoreError::damaged(self.path(), damage.to_string()));
        }
        match &mut self.source {
            Source::Store(entries) => Ok(entries),
            Source::Wreck(_) => unreachable!("a wreck has a damage at the least"),
        }
    }

    fn marker(&self) -> &Marker {
        match &self.source {
            Source::Store(entries) => &entries.engine.marker,
            Source::Wreck(wreck) => &wreck.marker,
        }
    }

    pub(super) fn path(&self) -> &Path {
        match &self.source {
            Source::Store(entries) => &entries.engine.path,
            Source::Wreck(wreck) => &wreck.path,
        }
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector").field("path", &self.path()).finish_non_exhaustive()
    }
}
