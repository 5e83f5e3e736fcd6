//! Where a subscriber keeps how far it has come: a folder of its own, with the marker and the lock that a store has, and
//! the position in the file `CURSOR`, which is replaced as a whole each time.

use std::path::{Path, PathBuf};

use drawdown_protocol::{Position, SocketType};

use super::error::StoreError;
use super::folder::{self, FolderLock};
use super::marker::Marker;
use super::small_file::SmallFile;

pub(super) const FILE: SmallFile =
    SmallFile { name: "CURSOR", new_name: "CURSOR.new", magic: b"ddcursor", version: 1 };

/// A subscriber's position on disk. One socket has it at a time.
///
/// [`CursorStore::save`] blocks until the disk has the new position; a crash at any moment leaves the old one or the new.
#[derive(Debug)]
pub struct CursorStore {
    folder: PathBuf,
    marker: Marker,
    _lock: FolderLock,
}

impl CursorStore {
    /// Opens the cursor in `folder`, or makes the folder; gives the position that was saved last, if any was.
    ///
    /// # Errors
    /// When somebody else has it open, the folder is a message store's or somebody else's, the position is damaged or
    /// missing, a newer version wrote it, or the disk refuses. Nothing is lost by that.
    pub fn open(folder: &Path) -> Result<(Self, Option<Position>), StoreError> {
        Self::open_in(folder).map_err(StoreError::of_cursor)
    }

    fn open_in(folder: &Path) -> Result<(Self, Option<Position>), StoreError> {
        let folder = folder::prepare(folder, true)?;
        let lock = FolderLock::take(&folder)?;
        let marker = Marker::find_or_make(&folder, SocketType::Sub)?;
        let position = FILE.read(&folder)?;
        if marker.ready && position.is_none() {
            return Err(FILE.damaged(&folder, "is missing"));
        }
        folder::sync_names(&folder)
            .map_err(|error| StoreError::io(&folder, "sync its folder", &error))?;
        Ok((Self { folder, marker, _lock: lock }, position))
    }

    /// The folder, as an absolute path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes this the position; it is durable when this returns.
    ///
    /// # Errors
    /// When the disk refuses: the position that is kept is this one or the one before. It may be tried again.
    pub fn save(&mut self, position: &Position) -> Result<(), StoreError> {
        self.save_in(position).map_err(StoreError::of_cursor)
    }

    fn save_in(&mut self, position: &Position) -> Result<(), StoreError> {
        FILE.write(&self.folder, position)?;
        if !self.marker.ready {
            // From now on a file that is missing is one that was lost.
            self.marker.ready = true;
            self.marker.write(&self.folder).inspect_err(|_| self.marker.ready = false)?;
        }
        Ok(())
    }
}
