//! Where the parts of one run find each other: all in one folder, which goes when the run is over.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Streamers have these numbers.
pub(crate) const STREAMERS: std::ops::RangeInclusive<u32> = 1..=2;

/// Workers have these numbers.
pub(crate) const WORKERS: std::ops::RangeInclusive<u32> = 1..=4;

/// The others come back soon: how long to wait before the next try, from and to.
pub(crate) const RECONNECT: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(50));

/// How long a part may take to end in good order; it is much faster.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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

    /// Where the ventilator gives out jobs.
    pub(crate) fn jobs(&self) -> String {
        format!("ipc://{}", self.folder.join("jobs").display())
    }

    /// Where a streamer passes jobs on.
    pub(crate) fn streamer(&self, number: u32) -> String {
        format!("ipc://{}", self.folder.join(format!("streamer-{number}")).display())
    }

    /// Where the sink takes results.
    pub(crate) fn results(&self) -> String {
        format!("ipc://{}", self.folder.join("results").display())
    }

    /// The ventilator's store.
    pub(crate) fn outbox(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    /// How many jobs the ventilator has pushed.
    pub(crate) fn progress(&self) -> PathBuf {
        self.folder.join("progress")
    }

    /// The jobs whose results the sink has.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("ledger")
    }
}
