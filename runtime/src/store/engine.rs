//! Opens sled so that neither its panics nor its habits reach anybody else.

use std::any::Any;
use std::io;
use std::ops::{Deref, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use drawdown_protocol::{Counted, SocketType};

use super::error::{StoreError, StoreErrorKind};
use super::format::{PROBE_KEY, SYNCS_KEY, read_note, write_note};
use super::log::{self, Log, Survey, Verdict};
use super::marker::{self, Marker};
use super::scan::Damage;
use super::sync::{self, OwnFile, RealSync};
use super::witness::Witness;
use super::{Durability, OpenOptions, SEGMENT_BYTES, StoreOwner, folder};

/// sled's default is 1 GiB; a store is written far more than it is read.
const CACHE_BYTES: u64 = 16 << 20;

const SYNCS_TREE: &[u8] = b"syncs";

/// sled's last threads may hold its file for a moment after a store was closed in this process.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// sled, opened, with all that must live as long as it.
///
/// The fields are dropped in this order: the folder is free for others only after sled has let go of its files.
pub(super) struct Engine {
    pub(super) db: Sled,
    real_sync: Option<RealSync>,
    _own_file: OwnFile,
    _lock: folder::FolderLock,
    pub(super) marker: Marker,
    /// None if it is damaged.
    witness: Option<Witness>,
    /// The number of the last sync, as sled knows it.
    syncs: u64,
    /// What is wrong beside sled's data. Who only looks has the store opened all the same, and it is never written to.
    pub(super) damages: Vec<Damage>,
    pub(super) path: PathBuf,
    value: Vec<u8>,
}

impl Engine {
    /// Opens the store at `path`, or makes it; then lets `read` look at all of it, on the thread where sled may panic.
    pub(super) fn open<T: Send + 'static>(
        path: &Path,
        options: &OpenOptions,
        read: impl FnOnce(&sled::Db) -> T + Send + 'static,
    ) -> Result<(Self, T), StoreError> {
        let real_sync = match options.wanted_durability() {
            Durability::Synced => Some(RealSync::begin()),
            Durability::Buffered => None,
            Durability::Memory => {
                let what = "`Durability::Memory` keeps no files";
                return Err(StoreError::new(StoreErrorKind::NotAStore, path, what));
            }
        };
        let path = folder::prepare(path, options.creates())?;
        let lock = folder::FolderLock::take(&path)?;
        let mut look = Look::into(&path, options);
        let marker = look.at(find_marker(&path, options))?.unwrap_or_else(Marker::unreadable);
        look.at(refuse_stray_files(&path))?;
        let witness = if marker.ready {
            look.at(Witness::open(&path))?
        } else {
            Some(Witness::create(&path)?)
        };
        folder::clean_up(&path, marker.ready)
            .map_err(|error| StoreError::io(&path, "clean up after a crash", &error))?;
        let synced = witness.as_ref().map(Witness::number);
        check_log(&path, synced, options.wanted_durability())?;

        let (db, contents) = open_on_own_thread(&path, read)?;
        let own_file = OwnFile::open(&path.join(log::NAME))
            .map_err(|error| StoreError::io(&path, "open its data", &error))?;
        let mut engine = Self {
            db,
            real_sync,
            _own_file: own_file,
            _lock: lock,
            marker,
            witness,
            syncs: 0,
            damages: look.damages,
            path,
            value: Vec::new(),
        };
        engine.syncs = engine.read_syncs()?;
        if engine.damages.is_empty() {
            engine.settle()?;
        }
        Ok((engine, contents))
    }

    /// How many syncs were answered of which sled knows nothing any more: all that they held may be lost.
    pub(super) fn lost_syncs(&self) -> u64 {
        self.witness.as_ref().map_or(0, Witness::number).saturating_sub(self.syncs)
    }

    fn read_syncs(&self) -> Result<u64, StoreError> {
        let value = self.db.syncs().get(SYNCS_KEY);
        let value = value.map_err(|error| StoreError::sled(&self.path, "read its data", &error))?;
        // One that is damaged is none, and so less than the witness says.
        Ok(value.and_then(|value| read_note(&SYNCS_KEY, &value).ok()).unwrap_or(0))
    }

    /// Makes durable what sled does not sync by itself when it opens, and notes that the store is complete.
    fn settle(&mut self) -> Result<(), StoreError> {
        if self.real_sync.is_some() {
            self.prove_sync()?;
        }
        self.flush()?;
        folder::sync_all(&self.path)
            .map_err(|error| StoreError::io(&self.path, "sync its folder", &error))?;
        if !self.marker.ready {
            self.marker.ready = true;
            self.marker.write(&self.path)?;
        }
        Ok(())
    }

    /// Writes something and sees whether the sync of it came by our own function.
    fn prove_sync(&mut self) -> Result<(), StoreError> {
        let Some(before) = sync::calls() else {
            return Ok(());
        };
        let opened = self.db.get(PROBE_KEY).map_err(|error| self.write_failed(&error))?;
        let opened: u64 = opened.and_then(|value| read_note(&PROBE_KEY, &value).ok()).unwrap_or(0);
        let mut value = Vec::new();
        // A number is never too large.
        let _ = write_note(&PROBE_KEY, &opened.wrapping_add(1), &mut value);
        self.insert(&PROBE_KEY, &value)?;
        self.flush()?;
        if sync::calls() != Some(before) {
            return Ok(());
        }
        let what =
            "sled does not call this program's `sync_file_range`, so it would not sync for real";
        Err(StoreError::new(StoreErrorKind::NoRealSync, &self.path, what))
    }

    pub(super) fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.db.insert(key, value).map(drop).map_err(|error| self.write_failed(&error))
    }

    pub(super) fn remove(&self, key: &[u8]) -> Result<(), StoreError> {
        self.db.remove(key).map(drop).map_err(|error| self.write_failed(&error))
    }

    /// Looks at a page, and does nothing with it.
    pub(super) fn touch(&self, key: &[u8]) -> Result<(), StoreError> {
        let found = self.db.contains_key(key).map(drop);
        found.map_err(|error| StoreError::sled(&self.path, "read its data", &error))
    }

    fn write_failed(&self, error: &sled::Error) -> StoreError {
        StoreError::sled(&self.path, "write to its data", error)
    }

    /// Makes everything written so far as durable as the store promises.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        if !self.damages.is_empty() {
            return Ok(());
        }
        // Where syncs were lost, counting on would hide it.
        let counts = self.lost_syncs() == 0;
        if counts {
            self.syncs += 1;
            // A number is never too large.
            let _ = write_note(&SYNCS_KEY, &self.syncs, &mut self.value);
            let counted = self.db.syncs().insert(SYNCS_KEY, &self.value[..]);
            counted.map(drop).map_err(|error| self.write_failed(&error))?;
        }
        let flushed = self.db.flush().map(drop);
        flushed.map_err(|error| StoreError::sled(&self.path, "sync its data", &error))?;
        if counts
            && self.real_sync.is_some()
            && let Some(witness) = &mut self.witness
        {
            let noted = witness.note(self.syncs);
            noted.map_err(|error| StoreError::io(&self.path, "write its file SYNCED", &error))?;
        }
        Ok(())
    }
}

/// A database of sled's that closes without panicking, and its tree for the number of the last sync. That has a tree to
/// itself because sled writes a page anew after some changes, with all that is in it.
pub(super) struct Sled {
    both: Option<(sled::Db, sled::Tree)>,
    path: PathBuf,
}

impl Sled {
    fn syncs(&self) -> &sled::Tree {
        &self.both().1
    }

    fn both(&self) -> &(sled::Db, sled::Tree) {
        match &self.both {
            Some(both) => both,
            None => unreachable!("it is taken out when it is dropped, and not before"),
        }
    }
}

impl Deref for Sled {
    type Target = sled::Db;

    fn deref(&self) -> &sled::Db {
        &self.both().0
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        let both = self.both.take();
        if let Err(said) = guarded(move || drop(both)) {
            let error = StoreError::unclosed(&self.path, &said);
            tracing::error!("{error}");
        }
    }
}

/// Runs what sled might panic in, and gives what it said. What that leaves behind is never used again.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| said_by(&*panic))
}

fn said_by(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    said.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("it did not say why")
        .to_owned()
}

fn find_marker(path: &Path, options: &OpenOptions) -> Result<Marker, StoreError> {
    let wanted = options.wanted_owner();
    if wanted == Some(StoreOwner::Socket(SocketType::Sub)) {
        let what = "a SUB socket keeps no messages, only a cursor";
        return Err(StoreError::new(StoreErrorKind::WrongSocketType, path, what));
    }
    if let (Some(owner), true) = (wanted, options.creates()) {
        return Marker::find_or_make(path, owner);
    }
    if let Some(marker) = Marker::read(path)? {
        match wanted {
            Some(owner) => marker.check_owner(path, owner)?,
            None => marker.check_holds_messages(path)?,
        }
        if marker.ready {
            return Ok(marker);
        }
    } else if folder::has_data(path) {
        return Err(marker::FILE.damaged(path, "is missing"));
    }
    let what = "it was never completely made, and holds nothing";
    Err(StoreError::new(StoreErrorKind::NotAStore, path, what))
}

/// How a store is opened whose files may be damaged.
struct Look {
    /// Whether somebody only looks, at a folder that has data.
    goes_on: bool,
    damages: Vec<Damage>,
}

impl Look {
    fn into(path: &Path, options: &OpenOptions) -> Self {
        let goes_on = options.only_looks() && folder::has_data(path);
        Self { goes_on, damages: Vec::new() }
    }

    /// What was found; `None` if it is damaged, which is told to who only looks, and keeps everybody else out.
    fn at<T>(&mut self, found: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
        match found {
            Err(error) if self.goes_on => {
                self.damages.push(error.into_damage()?);
                Ok(None)
            }
            found => found.map(Some),
        }
    }
}

/// Refuses a log that sled would write over, because it is damaged.
fn check_log(path: &Path, synced: Option<u64>, durability: Durability) -> Result<(), StoreError> {
    let failed = |error: &io::Error| StoreError::io(path, "read its data", error);
    let Some(mut log) = Log::open(path).map_err(|error| failed(&error))? else {
        return Ok(());
    };
    let replay_from = folder::snapshot_end(path).map_err(|error| failed(&error))?;
    let survey = Survey::of(&mut log, replay_from).map_err(|error| failed(&error))?;
    let what = match survey.verdict(synced) {
        Verdict::Sound => return Ok(()),
        // What was only buffered has holes anywhere once the system goes down under it, and it was not promised to survive that.
        Verdict::Damaged(_) if durability == Durability::Buffered => return Ok(()),
        Verdict::Damaged(Range { start, end }) => {
            format!("bytes {start} to {end} of its file {} cannot be read", log::NAME)
        }
        Verdict::CutOff { syncs, at } => {
            let commits = Counted(syncs, "commit");
            match at.filter(|at| *at < log.bytes()) {
                Some(at) => format!(
                    "its file {} cannot be read at byte {at}, which hides its last {commits}",
                    log::NAME
                ),
                None => {
                    format!("its file {} ends too soon, and lacks its last {commits}", log::NAME)
                }
            }
        }
    };
    Err(StoreError::damaged(path, what))
}

fn refuse_stray_files(path: &Path) -> Result<(), StoreError> {
    let stray = folder::stray_files(path)
        .map_err(|error| StoreError::io(path, "look into its folder blobs", &error))?;
    if stray == 0 {
        return Ok(());
    }
    let what = format!(
        "its folder blobs has {} in it: sled keeps there, without a sync, what is too large for its log, and a loss of \
         power may take that",
        Counted(stray, "file")
    );
    Err(StoreError::damaged(path, what))
}

/// Opening a damaged store can panic anywhere inside sled; on its own thread that is an answer like any other.
fn open_on_own_thread<T: Send + 'static>(
    path: &Path,
    read: impl FnOnce(&sled::Db) -> T + Send + 'static,
) -> Result<(Sled, T), StoreError> {
    let folder = path.to_owned();
    let opening = thread::Builder::new().name("drawdown-open".into()).spawn(move || {
        let db = open_sled(&folder)?;
        let syncs = db.open_tree(SYNCS_TREE);
        let syncs = syncs.map_err(|error| StoreError::sled(&folder, "open its data", &error))?;
        let db = Sled { both: Some((db, syncs)), path: folder };
        let contents = read(&db);
        Ok((db, contents))
    });
    opening
        .map_err(|error| StoreError::io(path, "start a thread to open it", &error))?
        .join()
        .unwrap_or_else(|panic| Err(StoreError::gave_up(path, &said_by(&*panic))))
}

fn open_sled(path: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new()
        .path(path)
        .segment_size(SEGMENT_BYTES)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    for _ in 0..LOCK_TRIES {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(error) if is_lock(&error) => thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(StoreError::sled(path, "open its data", &error)),
        }
    }
    let what = "another program has sled's files open";
    Err(StoreError::new(StoreErrorKind::Locked, path, what))
}

/// sled has no kind of its own for this.
fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}
