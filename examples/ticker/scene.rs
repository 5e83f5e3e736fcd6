//! Where the parts of one run find each other: all in one folder, which goes when the run is over.

use std::path::{Path, PathBuf};

/// The numbers of the proxies and of the subscribers.
pub(crate) const PROXIES: [u32; 2] = [1, 2];
pub(crate) const SUBSCRIBERS: [u32; 3] = [1, 2, 3];

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

    /// Where the publisher is. The same after a restart, so that the proxies find it again.
    pub(crate) fn publisher(&self) -> String {
        format!("ipc://{}", self.folder.join("publisher").display())
    }

    /// Where subscribers find a proxy.
    pub(crate) fn proxy(&self, number: u32) -> String {
        format!("ipc://{}", self.folder.join(format!("proxy-{number}")).display())
    }

    /// The publisher's store.
    pub(crate) fn ring(&self) -> PathBuf {
        self.folder.join("ring")
    }

    /// Where a subscriber keeps what it has acknowledged.
    pub(crate) fn cursor(&self, subscriber: u32) -> PathBuf {
        self.folder.join(format!("cursor-{subscriber}"))
    }

    /// Where a subscriber keeps what it has had.
    pub(crate) fn record(&self, subscriber: u32) -> PathBuf {
        self.folder.join(format!("record-{subscriber}"))
    }
}
