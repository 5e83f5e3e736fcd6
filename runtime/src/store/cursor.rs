//! Where a subscriber keeps how far it has come: a folder of its own, with the marker and the lock that a store has, and
//! the positions in the file `CURSOR`, which is replaced as a whole each time.
//!
//! ```text
//! version 1   one position
//! version 2   a list of them, one for each session; the one that moved last is the last
//! ```

use std::path::{Path, PathBuf};

use drawdown_protocol::{Position, SocketType};

use super::codec;
use super::error::StoreError;
use super::folder::{self, FolderLock};
use super::marker::Marker;
use super::small_file::SmallFile;

pub(super) const FILE: SmallFile =
    SmallFile { name: "CURSOR", new_name: "CURSOR.new", magic: b"ddcursor", version: 2 };

/// A subscriber's positions on disk, one for each session that it follows. One socket has them at a time.
///
/// [`CursorStore::save`] blocks until the disk has the new ones; a crash at any moment leaves the old ones or the new.
#[derive(Debug)]
pub struct CursorStore {
    folder: PathBuf,
    marker: Marker,
    _lock: FolderLock,
}

impl CursorStore {
    /// Opens the cursor in `folder`, or makes the folder; gives the positions that were saved last, none if none were. Those
    /// that former versions saved are read, too.
    ///
    /// # Errors
    /// When somebody else has it open, the folder is a message store's or somebody else's, the positions are damaged or
    /// missing, a newer version wrote it, or the disk refuses. Nothing is lost by that.
    pub fn open(folder: &Path) -> Result<(Self, Vec<Position>), StoreError> {
        Self::open_in(folder).map_err(StoreError::of_cursor)
    }

    fn open_in(folder: &Path) -> Result<(Self, Vec<Position>), StoreError> {
        let folder = folder::prepare(folder, true)?;
        let lock = FolderLock::take(&folder)?;
        let marker = Marker::find_or_make(&folder, SocketType::Sub)?;
        let positions = FILE.read_by(&folder, decode)?;
        if marker.ready && positions.is_none() {
            return Err(FILE.damaged(&folder, "is missing"));
        }
        folder::sync_names(&folder)
            .map_err(|error| StoreError::io(&folder, "sync its folder", &error))?;
        Ok((Self { folder, marker, _lock: lock }, positions.unwrap_or_default()))
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes these the positions; they are durable when this returns.
    ///
    /// # Errors
    /// When the disk refuses: the positions that are kept are these or those before. It may be tried again.
    pub fn save(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        self.save_in(positions).map_err(StoreError::of_cursor)
    }

    fn save_in(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        FILE.write(&self.folder, &positions)?;
        if !self.marker.ready {
            // From now on a file that is missing is one that was lost.
            self.marker.ready = true;
            self.marker.write(&self.folder).inspect_err(|_| self.marker.ready = false)?;
        }
        Ok(())
    }
}

fn decode(version: u16, body: &[u8]) -> Option<Vec<Position>> {
    match version {
        1 => codec::read(body).map(|position| vec![position]),
        _ => codec::read(body),
    }
}
