//! `STATE`: the small file, apart from sled's, that says what a store has held.
//!
//! ```text
//! "drawdown", format version u16 LE, CRC-32 u32 LE over all that follows, body (bincode)
//! ```
//!
//! It is replaced as a whole, never changed in place. Until it says `ready`, nothing was accepted. After that, `proven`
//! says up to which reservation sled was seen to hold the anchor: a sled that knows less has lost something.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use drawdown_protocol::{Seq, Session, SocketType};
use serde::{Deserialize, Serialize};

use super::error::{StoreError, StoreErrorKind};
use super::{codec, folder};

pub(super) const NAME: &str = "STATE";
/// What a crash may leave of a replacement.
pub(super) const NEW_NAME: &str = "STATE.new";

const MAGIC: &[u8; 8] = b"drawdown";
const FORMAT_VERSION: u16 = 1;

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The type of the socket whose store it is, in small letters.
    socket_type: String,
    /// Whether the store was ever completely made.
    pub(super) ready: bool,
    /// How many reservations there were.
    pub(super) generation: u64,
    /// Up to which of them sled is known to hold the anchor.
    pub(super) proven: u64,
    /// What was reserved last, if anything.
    pub(super) reserved: Option<Reserved>,
}

/// A session, and the first of its numbers that may not have been used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Reserved {
    pub(super) session: Session,
    pub(super) end: Seq,
}

fn tag(socket_type: SocketType) -> String {
    socket_type.to_string().to_lowercase()
}

impl Marker {
    pub(super) fn new(socket_type: SocketType) -> Self {
        Self {
            socket_type: tag(socket_type),
            ready: false,
            generation: 0,
            proven: 0,
            reserved: None,
        }
    }

    /// The type of the socket whose store it is, in small letters.
    pub(super) fn socket_type(&self) -> &str {
        &self.socket_type
    }

    /// Refuses a store of a socket of another type.
    pub(super) fn check_socket_type(
        &self,
        folder: &Path,
        wanted: SocketType,
    ) -> Result<(), StoreError> {
        if self.socket_type == tag(wanted) {
            return Ok(());
        }
        let what = format!(
            "it belongs to a {} socket, not to a {wanted} socket",
            self.socket_type.to_uppercase()
        );
        Err(StoreError::new(StoreErrorKind::WrongSocketType, folder, what))
    }

    /// Reads the marker in `folder`; `None` if there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let bytes = match fs::read(folder.join(NAME)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(folder, "read its file STATE", &error)),
        };
        let rest = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<2>());
        let Some((version, rest)) = rest else {
            return Err(StoreError::damaged(folder, "its file STATE is not one of Drawdown's"));
        };
        let version = u16::from_le_bytes(*version);
        if version > FORMAT_VERSION {
            let what = format!(
                "it has format {version}, and this version of Drawdown reads up to {FORMAT_VERSION}"
            );
            return Err(StoreError::new(StoreErrorKind::NewerFormat, folder, what));
        }
        rest.split_first_chunk::<4>()
            .filter(|(crc, body)| u32::from_le_bytes(**crc) == crc32fast::hash(body))
            .and_then(|(_, body)| codec::read(body))
            .map(Some)
            .ok_or_else(|| StoreError::damaged(folder, "its file STATE has a wrong checksum"))
    }

    /// Makes this the marker in `folder`; it is durable when this returns.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        self.replace(folder).map_err(|error| StoreError::io(folder, "write its file STATE", &error))
    }

    fn replace(&self, folder: &Path) -> io::Result<()> {
        let mut body = Vec::new();
        codec::write(self, &mut body).ok_or(ErrorKind::InvalidData)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
        bytes.extend_from_slice(&body);

        let new = folder.join(NEW_NAME);
        let mut file = fs::File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, folder.join(NAME))?;
        folder::sync_folder(folder)
    }
}
