//! A store that sled does not open, or must not: what can be read of it without.

use std::path::{Path, PathBuf};

use drawdown_protocol::Seq;

use super::assemble::FoundBlock;
use super::entries::{Kind, Shelves};
use super::error::StoreError;
use super::folder::{self, FolderLock};
use super::log::{Log, Rescue};
use super::marker::Marker;
use super::recover::lost_commits;
use super::scan::{self, Contents, Damage, Keep};
use super::witness::Witness;

/// A store that is only read, and not by sled.
pub(super) struct Wreck {
    pub(super) path: PathBuf,
    pub(super) marker: Marker,
    rescue: Rescue,
    shelves: Shelves,
    _lock: FolderLock,
}

impl Wreck {
    /// Opens the store at `path`, which was refused for this reason.
    pub(super) fn open(path: &Path, why: StoreError) -> Result<(Self, Contents), StoreError> {
        let path = folder::prepare(path, false)?;
        let lock = FolderLock::take(&path)?;
        let failed = |error| StoreError::io(&path, "read its data", &error);
        let Some(log) = Log::open_wreck(&path).map_err(failed)? else {
            return Err(why.for_inspection());
        };
        let rescue = Rescue::of(log).map_err(failed)?;
        let mut contents = Contents::read(&rescue, Keep::Sizes);
        if contents.blocks.is_empty() && contents.dead.is_empty() {
            return Err(why.for_inspection());
        }
        let mut marker = Marker::read(&path).ok().flatten().unwrap_or_else(Marker::unreadable);
        contents.anchor.iter().for_each(|anchor| marker.make_up_for(anchor));
        let synced = Witness::open(&path).map_or(0, |witness| witness.number());
        let loss = lost_commits(synced.saturating_sub(rescue.syncs()));
        let what = format!(
            "{}; the rest was read piece by piece, and may have messages in it that were done of late",
            why.what()
        );
        contents.damages.insert(0, Damage::new(None, what));
        contents.damages.extend(loss);
        let shelves = std::mem::take(&mut contents.shelves);
        Ok((Self { path, marker, rescue, shelves, _lock: lock }, contents))
    }

    pub(super) fn read_block(&self, kind: Kind, first: Seq) -> Result<FoundBlock, Damage> {
        scan::read_block(&self.rescue, kind, first, self.shelves.slots(kind, first))
    }
}
