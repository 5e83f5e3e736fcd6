//! The files to count: found once, listed, and only read while they are as they were listed.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use indicatif::{BinaryBytes, DecimalBytes, HumanCount};
use serde::{Deserialize, Serialize};
use walkdir::{DirEntry, WalkDir};

use drawdown_examples::Outcome;

/// A file travels as one message. The default limit of 1 MiB is raised to this; larger files are left out.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 20;

/// Enough to see something, and over in well under a minute.
const TOTAL_BYTES_MAX: u64 = 300_000_000;

/// A file as it was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

impl Listed {
    fn new(entry: DirEntry) -> Option<Self> {
        let metadata = entry.metadata().ok()?;
        // Paths travel as text.
        entry.path().to_str()?;
        let modified = metadata.modified().ok()?;
        Some(Self { path: entry.into_path(), bytes: metadata.len(), modified })
    }

    /// The contents; `None` if the file has vanished, cannot be read, or has changed since it was listed. All who count
    /// it count the same bytes, or leave it out.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        let mut file = File::open(&self.path).ok()?;
        let metadata = file.metadata().ok()?;
        if metadata.len() != self.bytes || metadata.modified().ok()? != self.modified {
            return None;
        }
        let mut contents = Vec::with_capacity(usize::try_from(self.bytes).ok()?);
        file.read_to_end(&mut contents).ok()?;
        (contents.len() as u64 == self.bytes).then_some(contents)
    }
}

/// What was found, and what was not taken.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) files: Vec<Listed>,
    bytes: u64,
    too_large: u64,
    /// There are more files than are wanted.
    cut_off: bool,
}

/// Lists all files in `folder`, or Rust sources if there is none: in a fixed order, and within the limits.
pub(crate) fn find(folder: Option<&Path>, files_max: usize) -> Outcome<Found> {
    let mut found = Found::default();
    match folder {
        Some(folder) if !folder.is_dir() => {
            return Err(format!("{} is not a folder that can be read", folder.display()).into());
        }
        Some(folder) => found.add(walk(folder), files_max),
        None => {
            for folder in source_folders() {
                let walk = WalkDir::new(folder).sort_by_file_name();
                let sources = walk.into_iter().filter_entry(is_source).filter_map(Result::ok);
                found.add(sources, files_max);
            }
        }
    }
    if found.files.is_empty() {
        return Err("there is no file to count; name a folder that has some".into());
    }
    Ok(found)
}

fn walk(folder: &Path) -> impl Iterator<Item = DirEntry> {
    WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok)
}

/// This workspace, and what cargo has unpacked of other people's.
fn source_folders() -> Vec<PathBuf> {
    // Cargo says where the package of this example is; its parent is the workspace.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let workspace = package.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let registry = cargo_home.map(|home| home.join("registry").join("src"));
    [Some(workspace.to_owned()), registry].into_iter().flatten().filter(|it| it.is_dir()).collect()
}

fn is_source(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    if entry.file_type().is_dir() {
        return entry.depth() == 0 || !(name.starts_with('.') || name == "target");
    }
    name.ends_with(".rs")
}

impl Found {
    fn add(&mut self, entries: impl Iterator<Item = DirEntry>, files_max: usize) {
        let files = entries.filter(|entry| entry.file_type().is_file());
        for file in files.filter_map(Listed::new) {
            if file.bytes > FILE_BYTES_MAX {
                self.too_large += 1;
                continue;
            }
            if self.files.len() == files_max || self.bytes + file.bytes > TOTAL_BYTES_MAX {
                self.cut_off = true;
                return;
            }
            self.bytes += file.bytes;
            self.files.push(file);
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = HumanCount(self.files.len() as u64);
        write!(f, "found {files} files, {}", DecimalBytes(self.bytes))?;
        if self.cut_off {
            f.write_str("; there are more, but that will do")?;
        }
        if self.too_large > 0 {
            let (too_large, max) = (HumanCount(self.too_large), BinaryBytes(FILE_BYTES_MAX));
            write!(f, "; {too_large} over {max} left out")?;
        }
        Ok(())
    }
}

/// Writes the list for the ventilator.
pub(crate) fn save(files: &[Listed], list: &Path) -> Outcome<()> {
    Ok(std::fs::write(list, serde_json::to_vec(files)?)?)
}

/// Reads what [`save`] wrote.
pub(crate) fn load(list: &Path) -> Outcome<Vec<Listed>> {
    Ok(serde_json::from_slice(&std::fs::read(list)?)?)
}
