//! libzmq, by a small program in C that is compiled here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::children::Run;
use crate::outcome::Turn;
use crate::rows::{Measure, Row};

use super::{Missing, Peer, sample_of_pair};

const SOURCE: &str = include_str!("../../../../peers/zmq_push_pull.c");

pub(super) struct Libzmq {
    program: PathBuf,
    name: String,
}

impl Libzmq {
    pub(super) fn find(folder: &Path) -> Result<Self, Missing> {
        let missing = |sentence: String| Missing { name: "libzmq", sentence };
        let source = folder.join("zmq_push_pull.c");
        let program = folder.join("zmq_push_pull");
        std::fs::write(&source, SOURCE)
            .map_err(|error| missing(format!("its program cannot be written: {error}")))?;
        let compiled = Command::new("cc")
            .args(["-O3", "-o"])
            .args([&program, &source])
            .arg("-lzmq")
            .output()
            .map_err(|_| {
                missing("`cc` is not there: install a C compiler and libzmq".to_owned())
            })?;
        if !compiled.status.success() {
            let errors = String::from_utf8_lossy(&compiled.stderr);
            let first = errors.lines().find(|line| line.contains("error")).unwrap_or_default();
            return Err(missing(format!(
                "`cc -lzmq` failed: install libzmq with its headers (Debian: libzmq3-dev, Fedora: zeromq-devel, \
                 Homebrew: zeromq). {first}"
            )));
        }
        let version = Command::new(&program)
            .arg("version")
            .output()
            .map_err(|error| missing(format!("its program cannot be started: {error}")))?;
        let name = format!("libzmq {}", String::from_utf8_lossy(&version.stdout).trim());
        Ok(Self { program, name })
    }

    fn side(&self, side: &str, endpoint: &str, row: &Row, count: u64) -> Command {
        let mut command = Command::new(&self.program);
        command.args([side, endpoint, &count.to_string(), &row.size.to_string()]);
        command
    }
}

impl Peer for Libzmq {
    fn name(&self) -> &str {
        &self.name
    }

    fn settings(&self) -> String {
        "PUSH/PULL, high-water marks of 1000 on both sides, or of 4 MiB if those are fewer messages, one I/O thread a \
         side, messages made in place; its API knows single messages only, so that both kinds of row run the same"
            .to_owned()
    }

    fn safety(&self) -> &'static str {
        "Acknowledges nothing and stores nothing"
    }

    fn takes_part(&self, row: &Row) -> bool {
        matches!(row.measure, Measure::Memory { .. })
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let receiver = self.side("pull", "tcp://127.0.0.1:*", row, count);
        let sender = |endpoint: &str| self.side("push", endpoint, row, count);
        let (receiver, sender) = run.pair(receiver, sender)?;
        sample_of_pair(row, count, &receiver, &sender)
    }
}
