//! Drawdown itself, by its own command.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Args;
use crate::children::Run;
use crate::outcome::Turn;
use crate::rows::{Measure, Row};

use super::{Peer, sample_of_pair, sample_of_sender};

const ANY_PORT: &str = "tcp://127.0.0.1:0";

pub(super) struct Drawdown {
    program: PathBuf,
    window: Option<u64>,
    queue: Option<u64>,
}

impl Drawdown {
    pub(super) fn find(args: &Args, me: &Path) -> Result<Self, String> {
        let beside = || me.with_file_name(format!("drawdown{}", std::env::consts::EXE_SUFFIX));
        let program = args.drawdown.clone().unwrap_or_else(beside);
        if !program.is_file() {
            return Err(format!(
                "the drawdown command is not at {}; build it with `cargo build --release -p drawdown`, or say where it \
                 is with --drawdown",
                program.display()
            ));
        }
        Ok(Self { program, window: args.window, queue: args.queue })
    }

    fn bench(&self, side: &str, row: &Row, count: u64) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["bench", side, "--count", &count.to_string()]);
        command.args(["--size", &row.size.to_string()]);
        let one_by_one = matches!(
            row.measure,
            Measure::Memory { single: true } | Measure::Send { .. } | Measure::RoundTrip
        );
        if one_by_one {
            command.args(["--batch", "1"]);
        }
        command
    }

    fn pull(&self, row: &Row, count: u64) -> Command {
        let mut command = self.bench("pull", row, count);
        command.args(["--bind", ANY_PORT]);
        if let Some(window) = self.window {
            command.args(["--window", &window.to_string()]);
        }
        command
    }

    fn push(&self, row: &Row, count: u64, run: &Run<'_>) -> Command {
        let mut command = self.bench("push", row, count);
        if !matches!(row.measure, Measure::Memory { .. } | Measure::RoundTrip) {
            command.args(["--durability", "synced", "--store"]).arg(run.folder().join("outbox"));
        }
        if matches!(row.measure, Measure::Send { .. } | Measure::RoundTrip) {
            command.arg("--latency");
        }
        command
    }

    /// Nobody connects, so that the queue must hold everything.
    fn push_alone(&self, row: &Row, count: u64, run: &Run<'_>) -> Command {
        let mut command = self.push(row, count, run);
        command.args(["--bind", ANY_PORT, "--accept-only", "--queue", &count.to_string()]);
        command
    }
}

impl Peer for Drawdown {
    fn name(&self) -> &str {
        "Drawdown"
    }

    fn settings(&self) -> String {
        let told = |value: Option<u64>| value.map_or("the default".to_owned(), |n| n.to_string());
        format!(
            "window {}, queue {}; every message is confirmed after the receiver has checked it, in memory too",
            told(self.window),
            told(self.queue)
        )
    }

    fn safety(&self) -> &'static str {
        "Durable rows: accepts a message when it is synced to disk or a receiver has confirmed it, whichever is first"
    }

    fn takes_part(&self, _row: &Row) -> bool {
        true
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        if matches!(row.measure, Measure::Backlog | Measure::Send { receiver: false }) {
            let sender = run.alone(self.push_alone(row, count, run))?;
            return sample_of_sender(row, count, &sender);
        }
        let (receiver, sender) = run.pair(self.pull(row, count), |endpoint| {
            let mut push = self.push(row, count, run);
            push.args(["--connect", endpoint]);
            if let Some(queue) = self.queue {
                push.args(["--queue", &queue.to_string()]);
            }
            push
        })?;
        sample_of_pair(row, count, &receiver, &sender)
    }
}
