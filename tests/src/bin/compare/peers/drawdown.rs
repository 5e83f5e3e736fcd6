//! Drawdown itself, by its own command.

use std::path::PathBuf;
use std::process::Command;

use drawdown_tests::measure::drawdown_command;

use crate::Args;
use crate::outcome::Turn;
use crate::rows::{Measure, Row, Unit};
use crate::run::Run;

use super::{
    Peer, sample_of_calls, sample_of_fan_out, sample_of_pair, sample_of_sender, sample_of_three,
};

const ANY_PORT: &str = "tcp://127.0.0.1:0";

/// More than a ring that holds all messages of a row.
const RING_BYTES: &str = "1GiB";

/// Requests in one call, where they are many: ten such calls make a thousand.
const CALLS_BATCH: &str = "100";

#[derive(Clone)]
pub(super) struct Drawdown {
    program: PathBuf,
    window: Option<u64>,
    queue: Option<u64>,
    threads: Option<u8>,
}

/// PUSH and PULL where PUB and SUB are measured, and without a device where there is one.
pub(super) struct Pipeline(Drawdown);

impl Drawdown {
    pub(super) fn find(args: &Args) -> Result<Self, String> {
        let program = drawdown_command(args.drawdown.as_deref())?;
        let Args { window, queue, threads, .. } = *args;
        Ok(Self { program, window, queue, threads })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words);
        if let Some(threads) = self.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        command
    }

    fn bench(&self, side: &str, row: &Row, count: u64) -> Command {
        let mut command = self.command(&["bench", side, "--count", &count.to_string()]);
        command.args(["--size", &row.size.to_string()]);
        command
    }

    fn pull(&self, row: &Row, count: u64) -> Command {
        let mut command = self.bench("pull", row, count);
        command.args(["--bind", ANY_PORT]).args(batch(row));
        if let Some(window) = self.window {
            command.args(["--window", &window.to_string()]);
        }
        command
    }

    fn push(&self, row: &Row, count: u64, run: &Run<'_>) -> Command {
        let mut command = self.bench("push", row, count);
        command.args(batch(row));
        if row.measure.is_durable() {
            command.args(["--durability", "synced", "--store"]).arg(run.folder().join("outbox"));
        }
        if row.unit() == Unit::Microseconds {
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

    fn run_pair(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
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

    fn run_through(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let streamer = |receiver: &str| {
            let ends = ["--upstream-bind", ANY_PORT, "--downstream-connect", receiver];
            let mut command = self.command(&["streamer"]);
            command.args(ends);
            command
        };
        let sender = |endpoint: &str| {
            let mut push = self.push(row, count, run);
            push.args(["--connect", endpoint]);
            push
        };
        let three = run.through(self.pull(row, count), streamer, "bound upstream", sender)?;
        sample_of_three(row, count, three)
    }

    fn run_calls(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        let (outstanding, single) = (row.measure.outstanding(), row.measure.is_single());
        let mut server = self.command(&["bench", "rep", "--bind", ANY_PORT]);
        server.args(["--size", &row.size.to_string()]).args(batch(row));
        let (server, client) = run.pair(server, |endpoint| {
            let mut client = self.bench("req", row, count);
            client.args(["--parallel", &outstanding.to_string(), "--connect", endpoint]);
            client.args(["--batch", if single { "1" } else { CALLS_BATCH }]);
            client
        })?;
        sample_of_calls(row, count, &server, &client)
    }

    fn run_fan_out(&self, row: &Row, count: u64, subscribers: u64, run: &Run<'_>) -> Turn {
        let side = |side| {
            let mut command = self.bench(side, row, count);
            command.args(["--subscribers", &subscribers.to_string()]);
            command
        };
        let mut publisher = side("pub");
        publisher.args(["--bind", ANY_PORT]);
        if row.measure != (Measure::FanOut { subscribers, unlimited: false }) {
            publisher.args(["--ring", &count.to_string(), "--ring-bytes", RING_BYTES]);
        }
        if row.measure == Measure::Ring {
            publisher.arg("--fill-first");
        }
        let (publisher, all) = run.fan_out(publisher, |endpoint| {
            let mut all = side("sub");
            all.args(["--connect", endpoint]);
            all
        })?;
        sample_of_fan_out(count, subscribers, &publisher, &all)
    }
}

fn batch(row: &Row) -> &'static [&'static str] {
    match row.measure {
        Measure::Send { .. } | Measure::RoundTrip | Measure::Through { round_trip: true } => {
            &["--batch", "1"]
        }
        measure if measure.is_single() => &["--batch", "1"],
        _ => &[],
    }
}

impl Peer for Drawdown {
    fn name(&self) -> &str {
        "Drawdown"
    }

    fn settings(&self) -> String {
        let told = |value: Option<u64>, unset: &str| {
            value.map_or_else(|| unset.to_owned(), |value| value.to_string())
        };
        format!(
            "window {}, queue {}, threads a side {}; every message is confirmed after the receiver has checked it, in memory too; \
             PUB with a ring of 65,536 messages, or of all",
            told(self.window, "the default"),
            told(self.queue, "the default"),
            told(self.threads.map(u64::from), "1, the default")
        )
    }

    fn safety(&self) -> &'static str {
        "Durable rows: accepts a message when it is synced to disk or a receiver has confirmed it, whichever is first"
    }

    fn takes_part(&self, _row: &Row) -> bool {
        true
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        match row.measure {
            Measure::FanOut { subscribers, .. } => self.run_fan_out(row, count, subscribers, run),
            Measure::Ring => self.run_fan_out(row, count, 1, run),
            Measure::Calls { .. } => self.run_calls(row, count, run),
            Measure::Through { .. } => self.run_through(row, count, run),
            Measure::Backlog | Measure::Send { receiver: false } => {
                let sender = run.alone(self.push_alone(row, count, run))?;
                sample_of_sender(row, count, &sender)
            }
            _ => self.run_pair(row, count, run),
        }
    }
}

impl Pipeline {
    pub(super) fn new(drawdown: &Drawdown) -> Self {
        Self(drawdown.clone())
    }
}

impl Peer for Pipeline {
    fn name(&self) -> &str {
        "Drawdown PUSH/PULL"
    }

    fn settings(&self) -> String {
        "as in the rows in memory".to_owned()
    }

    fn safety(&self) -> &'static str {
        "Stores nothing"
    }

    fn takes_part(&self, row: &Row) -> bool {
        matches!(row.measure, Measure::Ring | Measure::Through { .. })
    }

    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn {
        self.0.run_pair(row, count, run)
    }
}
