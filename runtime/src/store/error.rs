//! Why a store could not do what it was asked.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::scan::Damage;

/// A store, or a subscriber's cursor, could not be opened, or could not do what it was asked.
///
/// Its sentence says what happened, whether anything was kept, and what to do.
#[derive(Clone)]
pub struct StoreError {
    of: Of,
    kind: StoreErrorKind,
    path: PathBuf,
    what: String,
}

/// What has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    Store,
    /// Which does not even open to be looked into.
    Wreck,
    Cursor,
}

/// The ways in which a store fails.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Somebody else has the store open.
    Locked,
    /// The disk is full.
    Full,
    /// The store may not be written to.
    ReadOnly,
    /// What is on the disk is not what was written, or something is missing.
    Damaged,
    /// A later version of Drawdown wrote it.
    NewerFormat,
    /// It belongs to a socket of another type.
    WrongSocketType,
    /// There is no store at the path.
    NotAStore,
    /// The system refused to read or write.
    Io,
    /// An earlier commit failed; the store does nothing more.
    Poisoned,
    /// The sync that `Synced` promises would not happen.
    NoRealSync,
    /// A block or a note is larger than the store's format can hold.
    TooLarge,
    /// The store holds no dead letter of that number.
    NoSuchDeadLetter,
}

impl StoreError {
    pub(super) fn new(kind: StoreErrorKind, path: &Path, what: impl Into<String>) -> Self {
        Self { of: Of::Store, kind, path: path.to_owned(), what: what.into() }
    }

    /// The same, of a subscriber's cursor.
    pub(super) fn of_cursor(self) -> Self {
        Self { of: Of::Cursor, ..self }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::new(StoreErrorKind::Damaged, path, what)
    }

    /// `doing` completes "could not ...".
    pub(super) fn io(path: &Path, doing: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                StoreErrorKind::ReadOnly
            }
            _ => StoreErrorKind::Io,
        };
        Self::new(kind, path, format!("could not {doing}: {error}"))
    }

    /// There was no folder, and none could be made: nothing of it is or was on the disk.
    pub(super) fn unmade(path: &Path, error: &io::Error) -> Self {
        Self::new(StoreErrorKind::NotAStore, path, format!("could not make its folder: {error}"))
    }

    /// sled panicked when it was done with the store, and `said` this.
    pub(super) fn unclosed(path: &Path, said: &str) -> Self {
        let named = named_in(said).map(|error| error.to_string());
        let why = named.as_deref().unwrap_or(said);
        Self::new(StoreErrorKind::Io, path, format!("could not close its data: {why}"))
    }

    /// A subscriber's last position could not be saved.
    pub(crate) fn unsaved(path: &Path, why: &str) -> Self {
        let what = format!("the last position could not be saved: {why}");
        Self::new(StoreErrorKind::Io, path, what).of_cursor()
    }

    pub(super) fn sled(path: &Path, doing: &str, error: &sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => match named_in(&error.to_string()) {
                Some(named) => Self::io(path, doing, &named),
                None => Self::io(path, doing, error),
            },
            sled::Error::Corruption { .. } => Self::damaged(
                path,
                format!("could not {doing}: a page of its data has a wrong checksum"),
            ),
            other => Self::damaged(path, format!("could not {doing}: {other}")),
        }
    }

    /// sled panicked, and `said` this.
    pub(super) fn gave_up(path: &Path, said: &str) -> Self {
        // What follows is for those who debug sled.
        let said = said.split('\n').next().unwrap_or(said);
        let said = said.split(" at file offset").next().unwrap_or(said);
        Self::damaged(path, format!("sled gave up on its data: {said}"))
    }

    pub(super) fn poisoned_by(&self) -> Self {
        let what = match self.kind {
            StoreErrorKind::Poisoned => self.what.clone(),
            _ => format!("an earlier commit failed ({})", self.what),
        };
        Self { of: self.of, kind: StoreErrorKind::Poisoned, path: self.path.clone(), what }
    }

    /// Damage as one of those that a store is said to have; anything else is still the error.
    pub(super) fn into_damage(self) -> Result<Damage, Self> {
        match self.kind {
            StoreErrorKind::Damaged => Ok(Damage::new(None, self.what)),
            _ => Err(self),
        }
    }

    /// What has happened.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// The same, told to who has come to get out what is left.
    pub(super) fn for_inspection(self) -> Self {
        match self.kind {
            StoreErrorKind::Damaged => Self { of: Of::Wreck, ..self },
            _ => self,
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// The folder of the store or the cursor.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn advice(&self) -> &'static str {
        match (self.of, self.kind) {
            (Of::Cursor, StoreErrorKind::Damaged) => {
                "nothing was moved or deleted; keep a copy of the folder, and start with another one from the number \
                 that follows the last one that was processed"
            }
            (Of::Cursor, kind) if kind.is_of_the_disk() => {
                "the position that was saved before is kept, and what follows it is received again after a restart; \
                 see to the disk"
            }
            (Of::Wreck, StoreErrorKind::Damaged) => {
                "none of it can be read, and nothing was changed; keep a copy of the folder, and start with another one: \
                 what was accepted in this one is lost, unless its receivers have it"
            }
            (_, kind) => kind.advice_on_store(),
        }
    }
}

/// The system's error that this text tells of. sled passes such errors on as they look to a debugger.
fn named_in(text: &str) -> Option<io::Error> {
    let (_, number) = text.split_once("Os { code: ")?;
    let (number, _) = number.split_once(',')?;
    number.parse().ok().map(io::Error::from_raw_os_error)
}

impl StoreErrorKind {
    const fn is_of_the_disk(self) -> bool {
        matches!(self, StoreErrorKind::Full | StoreErrorKind::ReadOnly | StoreErrorKind::Io)
    }

    /// Whether some of a store may be read all the same, piece by piece.
    pub(super) const fn may_leave_some(self) -> bool {
        matches!(self, StoreErrorKind::Damaged | StoreErrorKind::Io)
    }

    const fn advice_on_store(self) -> &'static str {
        match self {
            StoreErrorKind::Locked => {
                "nothing was changed; close the other socket, and wait for that, or stop its command; or give this one a folder \
                 of its own"
            }
            StoreErrorKind::Full => {
                "what was accepted before is kept, nothing more; free some space and open the store again"
            }
            StoreErrorKind::ReadOnly => {
                "what was accepted before is kept, nothing more; let this user write to the folder, or mount it for writing"
            }
            StoreErrorKind::Damaged => {
                "what can still be read was left as it is; keep a copy of the folder, run `drawdown store verify` on it \
                 to see what that is and `drawdown store show --raw` to take it out, and start with another folder"
            }
            StoreErrorKind::NewerFormat => {
                "nothing was changed; open it with the version that wrote it, or a later one"
            }
            StoreErrorKind::WrongSocketType => {
                "nothing was changed; give this socket a folder of its own"
            }
            StoreErrorKind::NotAStore => {
                "nothing was changed; check the path: a socket makes a new store in an empty folder, and only there"
            }
            StoreErrorKind::Io => {
                "what was accepted before is kept, nothing more; look at the disk and open the store again; if that fails, \
                 `drawdown store show --raw` takes out what can still be read"
            }
            StoreErrorKind::Poisoned => {
                "what was accepted before that is kept, nothing more; see to the cause and open the store again"
            }
            StoreErrorKind::NoRealSync => {
                "nothing was accepted; link the program statically against drawdown, or choose `Durability::Buffered`"
            }
            StoreErrorKind::TooLarge => "it was not kept; send it in smaller pieces",
            StoreErrorKind::NoSuchDeadLetter => {
                "nothing was changed; `drawdown dead ls` lists those that there are"
            }
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.of {
            Of::Store | Of::Wreck => "store",
            Of::Cursor => "cursor",
        };
        write!(f, "the {of} at {}: {}; {}", self.path.display(), self.what, self.advice())
    }
}

/// The system's own error is part of the sentence already.
impl Error for StoreError {}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_sled_has_copied_reads_like_one_of_the_system() {
        let full = sled::Error::Io(io::Error::from_raw_os_error(28));
        let error = StoreError::sled(Path::new("/outbox"), "sync its data", &full.clone().clone());
        assert_eq!(error.kind(), StoreErrorKind::Full);
        let said = error.to_string();
        assert!(said.contains("could not sync its data: No space left on device ("), "{said}");
        let other = sled::Error::Io(io::Error::other("something else"));
        let said = StoreError::sled(Path::new("/outbox"), "read its data", &other).to_string();
        assert!(said.contains("could not read its data: something else; "), "{said}");
    }
}
