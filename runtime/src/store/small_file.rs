//! A small file beside a store's data that is replaced as a whole, never changed in place.
//!
//! ```text
//! magic (8 bytes), format version u16 LE, CRC-32 u32 LE over all that follows, body (bincode)
//! ```
//!
//! The new one is written and synced aside and then takes the name of the old: a crash leaves the one or the other.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{StoreError, StoreErrorKind};
use super::{codec, folder};

/// What tells one such file from others.
pub(super) struct SmallFile {
    pub(super) name: &'static str,
    /// What a crash may leave of a replacement.
    pub(super) new_name: &'static str,
    pub(super) magic: &'static [u8; 8],
    pub(super) version: u16,
}

impl SmallFile {
    /// What the file in `folder` says; `None` if there is none. Its body is the same in all versions.
    pub(super) fn read<T: DeserializeOwned>(&self, folder: &Path) -> Result<Option<T>, StoreError> {
        self.read_by(folder, |_, body| codec::read(body))
    }

    /// The same where the body depends on the version that wrote it; `decode` gives `None` for what is none.
    pub(super) fn read_by<T>(
        &self,
        folder: &Path,
        decode: impl FnOnce(u16, &[u8]) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let bytes = match fs::read(folder.join(self.name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(folder, &self.doing("read"), &error)),
        };
        let rest = bytes.strip_prefix(self.magic).and_then(|rest| rest.split_first_chunk::<2>());
        let (version, rest) = rest
            .map(|(version, rest)| (u16::from_le_bytes(*version), rest))
            .filter(|(version, _)| *version > 0)
            .ok_or_else(|| self.damaged(folder, "is not one of Drawdown's"))?;
        if version > self.version {
            let what = format!(
                "its file {} has format {version}, and this version of Drawdown reads up to {}",
                self.name, self.version
            );
            return Err(StoreError::new(StoreErrorKind::NewerFormat, folder, what));
        }
        rest.split_first_chunk::<4>()
            .filter(|(crc, body)| u32::from_le_bytes(**crc) == crc32fast::hash(body))
            .and_then(|(_, body)| decode(version, body))
            .map(Some)
            .ok_or_else(|| self.damaged(folder, "has a wrong checksum"))
    }

    /// Makes this what the file in `folder` says; it is durable when this returns.
    pub(super) fn write(&self, folder: &Path, body: &impl Serialize) -> Result<(), StoreError> {
        self.replace(folder, body)
            .map_err(|error| StoreError::io(folder, &self.doing("write"), &error))
    }

    fn replace(&self, folder: &Path, body: &impl Serialize) -> io::Result<()> {
        let mut encoded = Vec::new();
        codec::write(body, &mut encoded).ok_or(ErrorKind::InvalidData)?;
        let mut bytes = self.magic.to_vec();
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&encoded).to_le_bytes());
        bytes.extend_from_slice(&encoded);

        let new = folder.join(self.new_name);
        let mut file = fs::File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, folder.join(self.name))?;
        folder::sync_folder(folder)
    }

    fn doing(&self, verb: &str) -> String {
        format!("{verb} its file {}", self.name)
    }

    pub(super) fn damaged(&self, folder: &Path, what: &str) -> StoreError {
        StoreError::damaged(folder, format!("its file {} {what}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: SmallFile =
        SmallFile { name: "NOTE", new_name: "NOTE.new", magic: b"drawtest", version: 1 };

    fn read(folder: &Path) -> Result<Option<u64>, StoreError> {
        FILE.read(folder)
    }

    #[test]
    fn a_file_has_these_bytes() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        FILE.write(folder.path(), &7u64).unwrap();
        let bytes = fs::read(folder.path().join("NOTE")).unwrap();
        assert_eq!(bytes[..10], *b"drawtest\x01\0");
        assert_eq!(bytes[10..14], crc32fast::hash(&7u64.to_le_bytes()).to_le_bytes());
        assert_eq!(bytes[14..], 7u64.to_le_bytes());
        assert_eq!(read(folder.path()).unwrap(), Some(7));
    }

    #[test]
    fn no_changed_bit_and_no_missing_byte_goes_unseen() {
        let folder = tempfile::tempdir().unwrap();
        FILE.write(folder.path(), &7u64).unwrap();
        let path = folder.path().join("NOTE");
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, changed).unwrap();
            assert!(read(folder.path()).is_err(), "bit {bit}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(read(folder.path()).is_err(), "cut to {length}");
        }
    }

    #[test]
    fn a_later_format_is_told_from_damage() {
        let folder = tempfile::tempdir().unwrap();
        let later = SmallFile { version: 2, ..FILE };
        later.write(folder.path(), &"something new").unwrap();
        let error = read(folder.path()).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::NewerFormat);
        assert!(error.to_string().contains("its file NOTE has format 2"), "{error}");
    }

    #[test]
    fn what_a_crash_leaves_of_a_replacement_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        FILE.write(folder.path(), &7u64).unwrap();
        fs::write(folder.path().join("NOTE.new"), b"drawt").unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(7));
        FILE.write(folder.path(), &8u64).unwrap();
        assert_eq!(read(folder.path()).unwrap(), Some(8));
        assert!(!folder.path().join("NOTE.new").exists());
    }
}
