//! NATS JetStream, on a server of our own for each run, driven by parts of this program.

use std::path::{Path, PathBuf};
use std::process::Command;

use drawdown_tests::measure::Process;

use crate::outcome::Turn;
use crate::parts::nats::Connection;
use crate::rows::{Measure, Row, Unit};
use crate::run::Run;

use super::{Missing, Peer, free_port, part, run_with_server};

const PROGRAM: &str = "nats-server";

/// It is slower than the others by about so much, and a run should not take a minute.
const SHARE: u64 = 20;
const SHARE_SYNCED: u64 = 2_000;

/// When the server syncs what it stores.
#[derive(Clone, Copy)]
pub(super) enum Syncs {
    /// Every two minutes.
    Default,
    /// Before it acknowledges.
    Always,
}

pub(super) struct JetStream {
    me: PathBuf,
    name: String,
    sync: Syncs,
}

impl JetStream {
    /// What it needs to tell goes to `folder`.
    pub(super) fn find(me: &Path, folder: &Path, sync: Syncs) -> Result<Self, Missing> {
        let name = match sync {
            Syncs::Default => "JetStream, unsynced",
            Syncs::Always => "JetStream, synced",
        };
        let missing = |sentence| Missing { name, sentence };
        let version = Command::new(PROGRAM).arg("--version").output().map_err(|_| {
            missing(
                "`nats-server` is not there: install it (Debian: nats-server, Homebrew: nats-server)"
                    .to_owned(),
            )
        })?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let number = version.split_whitespace().find_map(|word| word.strip_prefix('v'));
        let number = number.unwrap_or_default();
        if !sync.is_understood(folder).map_err(missing)? {
            return Err(missing(format!(
                "`nats-server` {number} does not know `sync_interval: always`: install 2.10 or newer"
            )));
        }
        Ok(Self { me: me.to_owned(), name: format!("JetStream {number}, {}", sync.word()), sync })
    }

    /// A server that answers, and its address.
    fn serve(&self, run: &Run<'_>) -> Result<(Process, String), String> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.sync.configure(run.folder(), &address)?);
        let server = run.serve(PROGRAM, command, || Connection::open(&address).is_ok())?;
        Ok((server, address))
    }
}

impl Syncs {
    fn word(self) -> &'static str {
        match self {
            Self::Default => "unsynced",
            Self::Always => "synced",
        }
    }

    /// The file to start a server with that stores in `folder`.
    fn configure(self, folder: &Path, address: &str) -> Result<PathBuf, String> {
        let file = folder.join("nats-server.conf");
        let store = folder.join("jetstream");
        let sync = match self {
            Self::Default => "",
            Self::Always => "sync_interval: always",
        };
        let text = format!("listen: {address:?}\njetstream {{\nstore_dir: {store:?}\n{sync}\n}}\n");
        std::fs::write(&file, text)
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        Ok(file)
    }

    /// Has the server look at its configuration without serving.
    fn is_understood(self, folder: &Path) -> Result<bool, String> {
        let file = self.configure(folder, "127.0.0.1:4222")?;
        let checked = Command::new(PROGRAM)
            .arg("-t")
            .arg("--config")
            .arg(file)
            .output()
            .map_err(|error| format!("`nats-server` cannot be started: {error}"))?;
        Ok(checked.status.success())
    }
}

impl Peer for JetStream {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> String {
        let sync = match self.sync {
            Syncs::Default => "sync_interval of 2 minutes, the default",
            Syncs::Always => "sync_interval always",
        };
        format!(
            "work-queue stream in a file, {sync}; 512 messages are published together, with up to 4,096 acks \
             outstanding; pull consumer, 8 requests of 512 open, each message acknowledged by itself; single sends: \
             one publish at a time; CPU with the server's"
        )
    }

    fn safety(&self) -> &'static str {
        match self.sync {
            Syncs::Default => {
                "Acknowledges before the disk has it: a loss of power takes up to 2 minutes of accepted messages, so that \
                 its durable rows promise less than the others'"
            }
            Syncs::Always => "fsync before the ack",
        }
    }

    fn takes_part(&self, row: &Row) -> bool {
        row.measure.is_durable()
    }

    fn count(&self, row: &Row) -> u64 {
        match (row.measure, self.sync) {
            (Measure::Send { .. }, _) => row.count,
            (_, Syncs::Default) => row.count / SHARE,
            (_, Syncs::Always) => row.count / SHARE_SYNCED,
        }
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let (server, address) = self.serve(run)?;
        let mut consume = part(&self.me, "jetstream-consume", row, count);
        consume.args(["--connect", &address]);
        let mut produce = part(&self.me, "jetstream-produce", row, count);
        produce.args(["--connect", &address]);
        if row.unit() == Unit::Microseconds {
            produce.arg("--single");
        }
        run_with_server(row, count, run, &server, consume, produce)
    }
}
