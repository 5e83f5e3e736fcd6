//! Where the parts of one run find each other: all in one folder, which goes when the run is over.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How long the ocean takes, each way.
pub(crate) const OCEAN: Duration = Duration::from_millis(40);

/// Those who are near come back soon: how long to wait before the next try, from and to.
pub(crate) const RECONNECT: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_millis(100));

/// How often each side says that it is alive.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(200);

/// The largest message of either kind.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 10;

/// How long the last words of a part may take.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Site {
    East,
    West,
}

impl Site {
    pub(crate) const BOTH: [Self; 2] = [Self::East, Self::West];

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::East => Self::West,
            Self::West => Self::East,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::East => "east",
            Self::West => "west",
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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

    /// The Unix socket at which a site's router takes calls.
    pub(crate) fn router_path(&self, site: Site) -> PathBuf {
        self.folder.join(format!("router-{site}"))
    }

    /// The same router, from across the ocean.
    pub(crate) fn far_router_path(&self, site: Site) -> PathBuf {
        self.folder.join(format!("ocean-to-{site}"))
    }

    pub(crate) fn router(&self, site: Site) -> String {
        format!("ipc://{}", self.router_path(site).display())
    }

    /// As a server of a worse priority.
    pub(crate) fn far_router(&self, site: Site) -> String {
        format!("ipc://{}?priority=2", self.far_router_path(site).display())
    }

    /// Where the workers of a site find its router.
    pub(crate) fn workers(&self, site: Site) -> String {
        format!("ipc://{}", self.folder.join(format!("workers-{site}")).display())
    }
}
