//! `SYNCED`: how many syncs sled has answered, told apart from sled.
//!
//! sled takes a wrong byte near the end of its log for a write that a crash cut off, and drops all that follows without
//! a word. So every sync of ours takes a rising number along as the last that it writes, and once it is answered, the
//! same number comes here. A sled that knows a lower one has lost what it had synced.
//!
//! ```text
//! two slots, at 0 and 512, written in turn: number u64 LE, CRC-32 u32 LE over it
//! ```
//!
//! This file is not synced, which costs nothing: what a power cut leaves of it is an older number, which claims less
//! but nothing that is false. A slot lies within one sector of a disk, so that a power cut does not tear it.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::error::StoreError;

pub(super) const NAME: &str = "SYNCED";

const SLOTS_AT: [usize; 2] = [0, 512];
const SLOT_BYTES: usize = 12;
const FILE_BYTES: usize = SLOTS_AT[1] + SLOT_BYTES;

/// The file, open.
#[derive(Debug)]
pub(super) struct Witness {
    file: File,
    number: u64,
}

impl Witness {
    /// Makes the file, durably, with the number 0; one that is there begins anew.
    pub(super) fn create(folder: &Path) -> Result<Self, StoreError> {
        let create = || {
            let mut file = File::create(folder.join(NAME))?;
            let mut bytes = [0; FILE_BYTES];
            for at in SLOTS_AT {
                bytes[at..at + SLOT_BYTES].copy_from_slice(&slot(0));
            }
            file.write_all(&bytes)?;
            file.sync_all()?;
            Ok(Self { file, number: 0 })
        };
        create().map_err(|error| StoreError::io(folder, "make its file SYNCED", &error))
    }

    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let read = || -> io::Result<(File, Vec<u8>)> {
            let mut file = OpenOptions::new().read(true).write(true).open(folder.join(NAME))?;
            let mut bytes = Vec::with_capacity(FILE_BYTES);
            (&mut file).take(FILE_BYTES as u64).read_to_end(&mut bytes)?;
            Ok((file, bytes))
        };
        let (file, bytes) = match read() {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::damaged(folder, "its file SYNCED is missing"));
            }
            Err(error) => return Err(StoreError::io(folder, "open its file SYNCED", &error)),
        };
        let slots = SLOTS_AT.iter().filter_map(|&at| read_slot(bytes.get(at..)?));
        let number = slots.max().ok_or_else(|| {
            StoreError::damaged(folder, "its file SYNCED has a wrong checksum in both places")
        })?;
        Ok(Self { file, number })
    }

    /// The number of the last sync that was answered, as far as this file knows.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Notes that the sync of this number was answered.
    pub(super) fn note(&mut self, number: u64) -> io::Result<()> {
        // The slot that does not hold the last number.
        let at = SLOTS_AT[usize::from(number % 2 == 1)];
        self.file.seek(SeekFrom::Start(at as u64))?;
        self.file.write_all(&slot(number))?;
        self.number = number;
        Ok(())
    }
}

fn slot(number: u64) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&number.to_le_bytes());
    slot[8..].copy_from_slice(&crc32fast::hash(&number.to_le_bytes()).to_le_bytes());
    slot
}

fn read_slot(bytes: &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    let crc = rest.first_chunk::<4>()?;
    (u32::from_le_bytes(*crc) == crc32fast::hash(number)).then(|| u64::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_last_number_survives_the_loss_of_either_slot_but_not_of_both() {
        let folder = tempfile::tempdir().unwrap();
        let mut witness = Witness::create(folder.path()).unwrap();
        (1..=7).for_each(|number| witness.note(number).unwrap());
        assert_eq!(Witness::open(folder.path()).unwrap().number(), 7);

        let whole = fs::read(folder.path().join(NAME)).unwrap();
        let broken_at = |places: &[usize]| {
            let mut bytes = whole.clone();
            places.iter().for_each(|place| bytes[*place] ^= 1);
            fs::write(folder.path().join(NAME), bytes).unwrap();
            Witness::open(folder.path()).map(|witness| witness.number())
        };
        assert_eq!(broken_at(&[SLOTS_AT[1]]).unwrap(), 6, "the one before");
        assert_eq!(broken_at(&[SLOTS_AT[0] + 9]).unwrap(), 7);
        let error = broken_at(&[SLOTS_AT[0], SLOTS_AT[1]]).unwrap_err();
        assert!(error.to_string().contains("wrong checksum in both places"), "{error}");
    }
}
