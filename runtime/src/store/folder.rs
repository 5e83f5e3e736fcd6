//! The care that a folder needs around its files: who may use it, what a crash left, and what sled does not sync.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::error::{StoreError, StoreErrorKind};
use super::{log, marker, witness};

const LOCK_NAME: &str = "LOCK";
const SNAPSHOT_PREFIX: &str = "snap.";
const UNFINISHED_SUFFIX: &str = ".generating";
/// A snapshot ends with its length (8 bytes) and its CRC-32 (4 bytes).
const SNAPSHOT_TRAILER_BYTES: usize = 12;

/// How long a lock is waited for. A socket that was dropped ends in the background; and a child process holds what its
/// parent had open, locks included, until its program has started.
const LOCK_PATIENCE: Duration = Duration::from_millis(250);
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// Holds a store's folder for one user. sled's own lock comes too late: the clean-up before it opens its files would
/// disturb another process that is just doing the same.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        let file = File::create(folder.join(LOCK_NAME))
            .map_err(|error| StoreError::io(folder, "open its file LOCK", &error))?;
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(LOCK_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    let what = "somebody else has it open";
                    return Err(StoreError::new(StoreErrorKind::Locked, folder, what));
                }
                Err(TryLockError::Error(error)) => {
                    return Err(StoreError::io(folder, "lock it", &error));
                }
            }
        }
    }
}

/// Makes the folder if there is none and `create` says so, and refuses one that is not a store's: what stands in it is
/// somebody else's. Gives its absolute path.
pub(super) fn prepare(folder: &Path, create: bool) -> Result<PathBuf, StoreError> {
    let not_a_store = |what: &str| StoreError::new(StoreErrorKind::NotAStore, folder, what);
    let failed = |error: &io::Error| StoreError::io(folder, "look into its folder", error);
    match fs::metadata(folder) {
        Ok(metadata) if !metadata.is_dir() => return Err(not_a_store("it is not a folder")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound && create => {
            make(folder).map_err(|error| StoreError::unmade(folder, &error))?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(not_a_store("there is no such folder"));
        }
        Err(error) => return Err(failed(&error)),
    }
    let mut has_marker = false;
    let mut has_others = false;
    for entry in fs::read_dir(folder).map_err(|error| failed(&error))? {
        let name = entry.map_err(|error| failed(&error))?.file_name();
        has_marker |= name == marker::FILE.name;
        let ours = [marker::FILE.name, marker::FILE.new_name, witness::NAME, LOCK_NAME];
        has_others |= !ours.iter().any(|ours| name == *ours);
    }
    // Without its marker a store is there to be looked at, and for nobody else.
    let is_ours = !create && has_data(folder) && folder.join(witness::NAME).exists();
    if !has_marker && has_others && !is_ours {
        return Err(not_a_store("its folder has files in it, but no file STATE"));
    }
    if !has_marker && !has_others && !create {
        return Err(not_a_store("its folder is empty"));
    }
    folder.canonicalize().map_err(|error| failed(&error))
}

/// Whether sled has a log there.
pub(super) fn has_data(folder: &Path) -> bool {
    folder.join(log::NAME).exists()
}

/// Makes a folder, and those above it that are missing. Nothing is made in a folder whose own name is not durable: else a
/// store could be gone with all that was promised.
fn make(folder: &Path) -> io::Result<()> {
    let folder = std::path::absolute(folder)?;
    let is_missing = |folder: &&Path| !fs::exists(folder).is_ok_and(|exists| exists);
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    for folder in missing.into_iter().rev() {
        folder.parent().map_or(Ok(()), sync_name)?;
        match fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    Ok(())
}

/// Removes what a crash may have left of sled's opening, on which every later one would fail. `ready` says whether the
/// store was ever completely made; until then there is nothing in it to keep.
pub(super) fn clean_up(folder: &Path, ready: bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let of_a_cut_off_creation = !ready && (name == "conf" || name == log::NAME);
        let useless_snapshot = name.starts_with(SNAPSHOT_PREFIX)
            && (!ready || name.ends_with(UNFINISHED_SUFFIX) || !snapshot_is_whole(&entry.path())?);
        if of_a_cut_off_creation || useless_snapshot {
            tracing::info!(file = %entry.path().display(), "removing what a crash left");
            fs::remove_file(entry.path())?;
        }
    }
    sync_folder(folder)
}

fn snapshot_is_whole(path: &Path) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    let Some((rest, crc)) = bytes.split_last_chunk::<4>() else {
        return Ok(false);
    };
    let Some(body) =
        rest.len().checked_sub(SNAPSHOT_TRAILER_BYTES - 4).and_then(|end| rest.get(..end))
    else {
        return Ok(false);
    };
    Ok(!body.is_empty() && crc32fast::hash(body) == u32::from_le_bytes(*crc))
}

/// Files that sled keeps beside its log, and never syncs; values here are small enough that there are none.
pub(super) fn stray_files(folder: &Path) -> io::Result<u64> {
    match fs::read_dir(folder.join("blobs")) {
        Ok(entries) => Ok(entries.count() as u64),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Up to where sled's snapshot knows what its log has; 0 without one.
pub(super) fn snapshot_end(folder: &Path) -> io::Result<u64> {
    let mut end = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(SNAPSHOT_PREFIX));
        let lsn = number.and_then(|number| u64::from_str_radix(number, 16).ok());
        end = end.max(lsn.unwrap_or(0));
    }
    Ok(end)
}

/// Syncs what sled makes when it opens, but does not sync.
pub(super) fn sync_all(folder: &Path) -> io::Result<()> {
    File::open(folder.join("conf"))?.sync_all()?;
    sync_folder(&folder.join("blobs"))?;
    sync_names(folder)
}

/// Makes durable the names in a folder, and its own.
pub(super) fn sync_names(folder: &Path) -> io::Result<()> {
    sync_folder(folder)?;
    folder.parent().map_or(Ok(()), sync_folder)
}

/// Makes durable a folder's own name, unless it stands where this user may not look, and so has made nothing.
fn sync_name(folder: &Path) -> io::Result<()> {
    match folder.parent().map_or(Ok(()), sync_folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// What the store takes on disk, in bytes.
pub(super) fn disk_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let metadata = entry?.metadata()?;
        if metadata.is_file() {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}
