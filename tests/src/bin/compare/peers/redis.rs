//! Redis Streams, on a server of our own for each run, driven by parts of this program.

use std::path::{Path, PathBuf};
use std::process::Command;

use drawdown_tests::measure::Process;

use crate::outcome::Turn;
use crate::parts::resp::Connection;
use crate::rows::{Measure, Row, Unit};
use crate::run::Run;

use super::{Missing, Peer, free_port, part, run_with_server};

/// It is slower than the others by about so much, and a run should not take a minute.
const SHARE: u64 = 20;

pub(super) struct Redis {
    me: PathBuf,
    name: String,
}

impl Redis {
    pub(super) fn find(me: &Path) -> Result<Self, Missing> {
        let version = Command::new("redis-server").arg("--version").output().map_err(|_| Missing {
            name: "Redis",
            sentence: "`redis-server` is not there: install it (Debian: redis-server, Fedora: redis, Homebrew: redis)"
                .to_owned(),
        })?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let number = version.split_whitespace().find_map(|word| word.strip_prefix("v="));
        Ok(Self { me: me.to_owned(), name: format!("Redis {}", number.unwrap_or_default()) })
    }

    /// A server that answers, and its address.
    fn serve(&self, run: &Run<'_>) -> Result<(Process, String), String> {
        let port = free_port()?;
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        command.args(["--appendonly", "yes", "--appendfsync", "always"]);
        command.args(["--auto-aof-rewrite-percentage", "0", "--dir"]).arg(run.folder());
        let address = format!("127.0.0.1:{port}");
        let server = run.serve("redis-server", command, || answers(&address))?;
        Ok((server, address))
    }
}

impl Peer for Redis {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> String {
        "Streams, appendonly yes, appendfsync always, no rewrites; XADD in transactions of 512, 4 of them under way; \
         XREADGROUP COUNT 512, then XACK and XDEL in one pipeline with the next; single sends: one XADD at a time; CPU \
         with the server's"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "fsync before the reply to XADD"
    }

    fn takes_part(&self, row: &Row) -> bool {
        row.measure.is_durable()
    }

    fn count(&self, row: &Row) -> u64 {
        match row.measure {
            Measure::Send { .. } => row.count,
            _ => row.count / SHARE,
        }
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let (server, address) = self.serve(run)?;
        let mut consume = part(&self.me, "redis-consume", row, count);
        consume.args(["--connect", &address]);
        let mut produce = part(&self.me, "redis-produce", row, count);
        produce.args(["--connect", &address]);
        if row.unit() == Unit::Microseconds {
            produce.arg("--single");
        }
        run_with_server(row, count, run, &server, consume, produce)
    }
}

fn answers(address: &str) -> bool {
    Connection::open(address).is_ok_and(|mut connection| connection.ask(&[b"PING"]).is_ok())
}
