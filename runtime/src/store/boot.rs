//! `BOOT`: under which boot of the system a publisher's store was used last that is only buffered.
//!
//! What such a store has answered the system may still have to write, and subscribers may have seen it. Only a system that
//! goes down loses that: so a store that was not closed, and is opened under another boot, may lack what it answered last.
//! The file is there while such a store is used; and after a loss until numbers behind it are reserved.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use drawdown_protocol::SocketType;

use super::error::{StoreError, StoreErrorKind};
use super::small_file::SmallFile;
use super::{Durability, OpenOptions, StoreOwner, folder};

pub(super) const FILE: SmallFile =
    SmallFile { name: "BOOT", new_name: "BOOT.new", magic: b"drawboot", version: 1 };

/// The file of an open store.
#[derive(Debug)]
pub(super) struct Boot {
    /// Whether there is to be one while the store is used.
    is_noted: bool,
    /// Whether what was answered last may be missing.
    cut_off: bool,
}

impl Boot {
    /// Looks at the file in `folder`, and makes it tell of this life, unless what it tells of a former one is still needed.
    pub(super) fn begin(folder: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        if options.wanted_owner() != Some(StoreOwner::Socket(SocketType::Pub)) {
            return Ok(Self { is_noted: false, cut_off: false });
        }
        let noted: Option<String> = match FILE.read(folder) {
            // Whatever it said, numbers that are left out cost nothing.
            Err(error) if error.kind() == StoreErrorKind::Damaged => Some(String::new()),
            read => read?,
        };
        let cut_off = noted.as_ref().is_some_and(|noted| *noted != this_boot());
        let is_noted = options.wanted_durability() == Durability::Buffered;
        let mut boot = Self { is_noted, cut_off };
        if !cut_off && noted.is_some() != is_noted {
            boot.renew(folder)?;
        }
        Ok(boot)
    }

    /// Whether what was answered last may be missing, and numbers be used again.
    pub(super) const fn is_cut_off(&self) -> bool {
        self.cut_off
    }

    /// Numbers behind all that may be missing are reserved, and the disk has that.
    pub(super) fn reserved(&mut self, folder: &Path) -> Result<(), StoreError> {
        if self.cut_off { self.renew(folder) } else { Ok(()) }
    }

    /// The disk has everything, and nothing follows.
    pub(super) fn end(self, folder: &Path) -> Result<(), StoreError> {
        if self.is_noted && !self.cut_off { remove(folder) } else { Ok(()) }
    }

    /// Whether the disk must have everything before the store is closed.
    pub(super) const fn wants_real_end(&self) -> bool {
        self.is_noted
    }

    fn renew(&mut self, folder: &Path) -> Result<(), StoreError> {
        if self.is_noted {
            FILE.write(folder, &this_boot())?;
        } else {
            remove(folder)?;
        }
        self.cut_off = false;
        Ok(())
    }
}

fn remove(folder: &Path) -> Result<(), StoreError> {
    let removed = match fs::remove_file(folder.join(FILE.name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    let synced = removed.and_then(|()| folder::sync_folder(folder));
    synced.map_err(|error: io::Error| StoreError::io(folder, "remove its file BOOT", &error))
}

/// What tells this boot of the system from all others; nothing where the system does not say.
fn this_boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.map(|id| id.trim().to_owned()).unwrap_or_default()
}
