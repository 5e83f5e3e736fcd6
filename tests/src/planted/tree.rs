//! A copy of the workspace into which faults are put.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Fault;

/// What belongs to the workspace, from its folder.
const PARTS: [&str; 6] = ["Cargo.toml", "Cargo.lock", "protocol", "runtime", "examples", "tests"];
/// Files that builds and checks look at besides.
const FILES: [&str; 3] = ["README.md", "design.md", "clippy.toml"];

/// The folder of the workspace that this program was built in.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// A copy of the workspace.
#[derive(Debug)]
pub struct Tree {
    folder: PathBuf,
}

impl Tree {
    /// Makes `folder` a copy of the workspace. Files that are the same already are not touched, so that cargo builds only
    /// what changed.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn sync(folder: &Path) -> Result<Self, String> {
        let whole = workspace();
        for part in PARTS.iter().chain(&FILES) {
            sync(&whole.join(part), &folder.join(part))
                .map_err(|error| format!("copying {part} to {}: {error}", folder.display()))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// A copy of nothing but the files that a fault changes.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn of_what_changes(fault: &Fault, folder: &Path) -> Result<Self, String> {
        let tree = Self { folder: folder.to_owned() };
        tree.restore(fault)?;
        Ok(tree)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Puts a fault in.
    ///
    /// # Errors
    /// When it does not fit, or leaves a file as it was.
    pub fn plant(&self, fault: &Fault) -> Result<(), String> {
        let before = self.contents(fault)?;
        let applied = Command::new("git")
            .args(["apply", "--whitespace=nowarn"])
            .arg(fault.patch())
            .current_dir(&self.folder)
            // A repository around this folder is none of its business: git would skip what lies outside of that.
            .env("GIT_CEILING_DIRECTORIES", self.folder.parent().unwrap_or(&self.folder))
            .output()
            .map_err(|error| format!("git cannot be started: {error}"))?;
        if !applied.status.success() {
            let said = String::from_utf8_lossy(&applied.stderr);
            return Err(format!("{} does not fit any more: {}", fault.name, said.trim()));
        }
        let after = self.contents(fault)?;
        if before.iter().zip(&after).any(|(before, after)| before == after) {
            return Err(format!("{} leaves a file as it was", fault.name));
        }
        Ok(())
    }

    /// Takes a fault out.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn restore(&self, fault: &Fault) -> Result<(), String> {
        let whole = workspace();
        fault.files.iter().try_for_each(|file| {
            sync(&whole.join(file), &self.folder.join(file))
                .map_err(|error| format!("{}: copying {}: {error}", fault.name, file.display()))
        })
    }

    fn contents(&self, fault: &Fault) -> Result<Vec<Vec<u8>>, String> {
        let files = fault.files.iter().map(|file| self.folder.join(file));
        files
            .map(|file| fs::read(&file).map_err(|error| format!("{}: {error}", file.display())))
            .collect()
    }
}

/// Makes `to` the same as `from`, be it a file or a folder.
fn sync(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        let bytes = fs::read(from)?;
        if fs::read(to).ok().as_deref() == Some(&bytes[..]) {
            return Ok(());
        }
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        return fs::write(to, bytes);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !from.join(entry.file_name()).exists() {
            match entry.file_type()?.is_dir() {
                true => fs::remove_dir_all(entry.path())?,
                false => match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                    _ => {}
                },
            }
        }
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        sync(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}
