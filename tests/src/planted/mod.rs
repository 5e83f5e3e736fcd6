//! Planted bugs: small faults, each with the check that notices it.
//!
//! `tests/planted/NN-name.patch` begins with what the fault is and the command that catches it, and goes on as a patch
//! that `git apply` takes. A check that notices none of them shows little when it is green.

mod check;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

pub use check::{Check, Outcome};
pub use tree::{Tree, workspace};

const CAUGHT_BY: &str = "Caught by: ";

/// A fault that is planted on purpose.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The name of its file, without the ending.
    pub name: String,
    /// What it does, in a sentence.
    pub what: String,
    /// What must fail with it.
    pub caught_by: Check,
    /// The files that it changes, from the workspace's folder.
    pub files: Vec<PathBuf>,
    patch: PathBuf,
}

impl Fault {
    /// Reads the fault in a file.
    ///
    /// # Errors
    /// When the file cannot be read, or says neither what it is nor what catches it.
    pub fn read(patch: &Path) -> Result<Self, String> {
        let failed = |what: &str| format!("{}: {what}", patch.display());
        let text = fs::read_to_string(patch).map_err(|error| failed(&error.to_string()))?;
        let name = patch.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let what = text.lines().next().unwrap_or_default().to_owned();
        let command = text.lines().find_map(|line| line.strip_prefix(CAUGHT_BY));
        let command = command.ok_or_else(|| failed("no line says what catches it"))?;
        let caught_by = Check::parse(command).map_err(|why| failed(&why))?;
        let files: Vec<PathBuf> =
            text.lines().filter_map(|line| line.strip_prefix("+++ b/")).map(Into::into).collect();
        if what.is_empty() || files.is_empty() {
            return Err(failed("it says nothing, or changes nothing"));
        }
        Ok(Self { name, what, caught_by, files, patch: patch.to_owned() })
    }

    /// All faults, by name.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn all() -> Result<Vec<Self>, String> {
        let folder = workspace().join("tests/planted");
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut patches = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            patches.push(entry.map_err(failed)?.path());
        }
        patches.retain(|path| path.extension().is_some_and(|ending| ending == "patch"));
        patches.sort();
        patches.iter().map(|patch| Self::read(patch)).collect()
    }

    /// The file that it stands in.
    #[must_use]
    pub fn patch(&self) -> &Path {
        &self.patch
    }
}
