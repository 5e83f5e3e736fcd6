//! Redis Streams, on a server of our own for each run, driven by parts of this program.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::children::{Process, Run};
use crate::outcome::Turn;
use crate::parts::resp::Connection;
use crate::rows::{Measure, Row, Unit};

use super::{Missing, Peer, part, sample_of_pair, sample_of_sender};

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
        let mut server = run.start("redis-server", command)?;
        let address = format!("127.0.0.1:{port}");
        while !answers(&address) {
            server.check_running()?;
            run.pause("redis-server")?;
        }
        Ok((server, address))
    }

    fn consume(&self, row: &Row, count: u64, address: &str) -> Command {
        let mut command = part(&self.me, "redis-consume", row, count);
        command.args(["--connect", address]);
        command
    }

    fn produce(&self, row: &Row, count: u64, address: &str) -> Command {
        let mut command = part(&self.me, "redis-produce", row, count);
        command.args(["--connect", address]);
        if row.unit() == Unit::Microseconds {
            command.arg("--single");
        }
        command
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
        !matches!(row.measure, Measure::Memory { .. } | Measure::RoundTrip)
    }

    fn count(&self, row: &Row) -> u64 {
        match row.measure {
            Measure::Send { .. } => row.count,
            _ => row.count / SHARE,
        }
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let (server, address) = self.serve(run)?;
        let cost_before = server.cpu();
        let produce = || self.produce(row, count, &address);
        let mut sample = match row.measure {
            Measure::Backlog | Measure::Send { receiver: false } => {
                sample_of_sender(row, count, &run.alone(produce())?)?
            }
            _ => {
                let consume = self.consume(row, count, &address);
                let (receiver, sender) = run.pair(consume, |_| produce())?;
                sample_of_pair(row, count, &receiver, &sender)?
            }
        };
        let of_server = server.cpu().zip(cost_before).map(|(now, before)| now - before);
        let of_server_us = of_server.map(|cpu| cpu.as_secs_f64() * 1e6 / count as f64);
        sample.cpu_us = sample.cpu_us.zip(of_server_us).map(|(clients, server)| clients + server);
        Ok(sample)
    }
}

/// Somebody else may take it until the server does; it fails then and says so.
fn free_port() -> Result<u16, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no port is free: {error}"))
}

fn answers(address: &str) -> bool {
    Connection::open(address).is_ok_and(|mut connection| connection.ask(&[b"PING"]).is_ok())
}
