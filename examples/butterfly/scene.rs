//! Where the parts of one run find each other: all in one folder, which goes when the run is over.

use std::path::{Path, PathBuf};

/// What both ends of the jobs' links take as one message: a file of the largest size, and its head.
pub(crate) const JOB_BYTES_MAX: usize = crate::files::FILE_BYTES_MAX as usize + (64 << 10);

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Scene {
    #[arg(long = "scene")]
    folder: PathBuf,
}

impl Scene {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the ventilator gives out jobs. The same after a restart, so that workers find it again.
    pub(crate) fn jobs(&self) -> String {
        format!("ipc://{}", self.folder.join("jobs").display())
    }

    /// Where the sink takes results.
    pub(crate) fn results(&self) -> String {
        format!("ipc://{}", self.folder.join("results").display())
    }

    /// The ventilator's store.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    /// The files to count, in the order of their jobs.
    pub(crate) fn list(&self) -> PathBuf {
        self.folder.join("list.json")
    }

    /// How far the ventilator has come in the list.
    pub(crate) fn progress(&self) -> PathBuf {
        self.folder.join("progress")
    }
}
