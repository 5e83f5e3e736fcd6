//! `STATE`: the small file, apart from the data, that says whose a folder is and what it has held.
//!
//! Until it says `ready`, nothing was accepted. After that, `proven` says up to which reservation sled was seen to hold
//! the anchor: a sled that knows less has lost something.

use std::path::Path;

use drawdown_protocol::{Seq, Session, SocketType};
use serde::{Deserialize, Serialize};

use super::error::{StoreError, StoreErrorKind};
use super::format::Anchor;
use super::owner::{self, StoreOwner};
use super::small_file::SmallFile;

pub(super) const FILE: SmallFile =
    SmallFile { name: "STATE", new_name: "STATE.new", magic: b"drawdown", version: 1 };

/// Whose a store is if its file is damaged.
const UNKNOWN: &str = "unknown";

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The type of the socket whose store it is, in small letters, or another owner.
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

impl Marker {
    pub(super) fn new(owner: impl Into<StoreOwner>) -> Self {
        Self {
            socket_type: owner.into().tag(),
            ready: false,
            generation: 0,
            proven: 0,
            reserved: None,
        }
    }

    /// In place of one that is damaged, for who only looks.
    pub(super) fn unreadable() -> Self {
        Self {
            socket_type: UNKNOWN.to_owned(),
            ready: true,
            generation: 0,
            proven: 0,
            reserved: None,
        }
    }

    /// Takes from the data what it would say itself, if it is damaged.
    pub(super) fn make_up_for(&mut self, anchor: &Anchor) {
        if self.socket_type == UNKNOWN {
            self.generation = anchor.generation;
            self.reserved = Some(Reserved { session: anchor.session, end: anchor.end });
        }
    }

    /// The type of the socket whose store it is, in small letters.
    pub(super) fn socket_type(&self) -> &str {
        &self.socket_type
    }

    /// The marker in `folder`, made if there is none.
    pub(super) fn find_or_make(
        folder: &Path,
        wanted: impl Into<StoreOwner>,
    ) -> Result<Self, StoreError> {
        let wanted = wanted.into();
        if let Some(marker) = Self::read(folder)? {
            marker.check_owner(folder, wanted)?;
            return Ok(marker);
        }
        let marker = Self::new(wanted);
        marker.write(folder)?;
        Ok(marker)
    }

    /// Refuses a folder that never has messages in it.
    pub(super) fn check_holds_messages(&self, folder: &Path) -> Result<(), StoreError> {
        if self.socket_type != StoreOwner::from(SocketType::Sub).tag() {
            return Ok(());
        }
        let what = "it is the cursor of a SUB socket, and holds no messages";
        Err(StoreError::new(StoreErrorKind::NotAStore, folder, what))
    }

    /// Refuses a store of somebody else.
    pub(super) fn check_owner(&self, folder: &Path, wanted: StoreOwner) -> Result<(), StoreError> {
        if self.socket_type == wanted.tag() {
            return Ok(());
        }
        let what = format!("it belongs to {}, not to {wanted}", owner::named(&self.socket_type));
        Err(StoreError::new(StoreErrorKind::WrongSocketType, folder, what))
    }

    /// Reads the marker in `folder`; `None` if there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        FILE.read(folder)
    }

    /// Makes this the marker in `folder`; it is durable when this returns.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        FILE.write(folder, self)
    }
}
