//! Where the parts of one run find each other: all in one folder, which goes when the run is over.

use std::path::{Path, PathBuf};

/// The numbers of the servers, and of the one that steps in for them.
pub(crate) const SERVERS: [u32; 3] = [1, 2, 3];
pub(crate) const STANDBY: u32 = 4;

/// How many clients there are.
pub(crate) const CLIENTS: u32 = 20;

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

    /// Where a server is. The same in each of its lives, so that clients find it again.
    pub(crate) fn server(&self, number: u32) -> String {
        format!("ipc://{}", self.folder.join(format!("server-{number}")).display())
    }

    /// Where clients connect: the standby is asked only while no server is there.
    pub(crate) fn to_servers(&self) -> Vec<String> {
        let servers = SERVERS.into_iter().map(|number| self.server(number));
        servers.chain([format!("{}?priority=2", self.server(STANDBY))]).collect()
    }
}
