//! libzmq, by small programs in C that are compiled here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::outcome::Turn;
use crate::rows::{Measure, Row};
use crate::run::Run;

use super::{Missing, Peer, sample_of_fan_out, sample_of_pair, sample_of_three};

const ANY_PORT: &str = "tcp://127.0.0.1:*";

/// A high-water mark.
const NO_LIMIT: &str = "0";

/// What the programs have in common, beside them.
const SHARED: (&str, &str) = ("measure.h", include_str!("../../../../peers/measure.h"));

/// What a peer needs of libzmq.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) source: &'static str,
}

const PUSH_PULL: Program =
    Program { name: "zmq_push_pull", source: include_str!("../../../../peers/zmq_push_pull.c") };
const PUB_SUB: Program =
    Program { name: "zmq_pub_sub", source: include_str!("../../../../peers/zmq_pub_sub.c") };

pub(super) struct Libzmq {
    push_pull: PathBuf,
    pub_sub: PathBuf,
    name: String,
}

impl Libzmq {
    pub(super) fn find(folder: &Path) -> Result<Self, Missing> {
        let missing = |sentence: String| Missing { name: "libzmq", sentence };
        let push_pull = PUSH_PULL.compile(folder).map_err(missing)?;
        let pub_sub = PUB_SUB.compile(folder).map_err(missing)?;
        let version = Command::new(&push_pull)
            .arg("version")
            .output()
            .map_err(|error| missing(format!("its program cannot be started: {error}")))?;
        let name = format!("libzmq {}", String::from_utf8_lossy(&version.stdout).trim());
        Ok(Self { push_pull, pub_sub, name })
    }

    fn push_pull(&self, side: &str, endpoint: &str, row: &Row, count: u64) -> Command {
        let mut command = Command::new(&self.push_pull);
        command.args([side, endpoint, &count.to_string(), &row.size.to_string()]);
        command
    }

    fn pub_sub(&self, side: &str, endpoint: &str, row: &Row, count: u64) -> Command {
        let mut command = Command::new(&self.pub_sub);
        if let Measure::FanOut { subscribers, unlimited } = row.measure {
            let load = [count, row.size as u64, subscribers].map(|number| number.to_string());
            command.args([side, endpoint]).args(load);
            command.args(unlimited.then_some(NO_LIMIT));
        }
        command
    }
}

impl Program {
    /// Gives where it is.
    pub(super) fn compile(&self, folder: &Path) -> Result<PathBuf, String> {
        let source = folder.join(self.name).with_extension("c");
        let program = folder.join(self.name);
        let (shared_name, shared) = SHARED;
        std::fs::write(&source, self.source)
            .and_then(|()| std::fs::write(folder.join(shared_name), shared))
            .map_err(|error| format!("its program cannot be written: {error}"))?;
        let compiled = Command::new("cc")
            .args(["-O3", "-o"])
            .args([&program, &source])
            .arg("-lzmq")
            .output()
            .map_err(|_| "`cc` is not there: install a C compiler and libzmq".to_owned())?;
        if !compiled.status.success() {
            let errors = String::from_utf8_lossy(&compiled.stderr);
            let first = errors.lines().find(|line| line.contains("error")).unwrap_or_default();
            return Err(format!(
                "`cc -lzmq` failed: install libzmq with its headers (Debian: libzmq3-dev, Fedora: zeromq-devel, \
                 Homebrew: zeromq). {first}"
            ));
        }
        Ok(program)
    }
}

impl Peer for Libzmq {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> String {
        "PUSH/PULL, high-water marks of 1000 on both sides, or of 4 MiB if those are fewer messages, one I/O thread a \
         side, messages made in place; its API knows single messages only, so that both kinds of row run the same; \
         as a device `zmq_proxy`; PUB/SUB, high-water marks of 1000 on both sides, or none, all subscribers polled by one thread"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "Acknowledges nothing and stores nothing"
    }

    fn takes_part(&self, row: &Row) -> bool {
        matches!(
            row.measure,
            Measure::Memory { .. }
                | Measure::FanOut { .. }
                | Measure::Through { round_trip: false }
        )
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        if let Measure::FanOut { subscribers, .. } = row.measure {
            let publisher = self.pub_sub("pub", ANY_PORT, row, count);
            let all = |endpoint: &str| self.pub_sub("sub", endpoint, row, count);
            let (publisher, all) = run.fan_out(publisher, all)?;
            return sample_of_fan_out(count, subscribers, &publisher, &all);
        }
        let receiver = self.push_pull("pull", ANY_PORT, row, count);
        let sender = |endpoint: &str| self.push_pull("push", endpoint, row, count);
        if matches!(row.measure, Measure::Through { .. }) {
            let device = |receiver: &str| {
                let mut command = Command::new(&self.push_pull);
                command.args(["proxy", ANY_PORT, receiver]);
                command
            };
            return sample_of_three(row, count, run.through(receiver, device, "bound", sender)?);
        }
        let (receiver, sender) = run.pair(receiver, sender)?;
        sample_of_pair(row, count, &receiver, &sender)
    }
}
