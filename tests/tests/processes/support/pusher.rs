//! `drawdown push`, bound to a free port.

use std::fmt::Write as _;
use std::ops::Range;
use std::process::Command;

use super::child::{Child, text};
use drawdown_tests::command::binary;

pub(crate) struct Pusher {
    pub(crate) process: Child<String>,
    pub(crate) endpoint: String,
}

impl Pusher {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(["push", "--bind", "tcp://127.0.0.1:0"]).args(args);
        Self::of(Child::start(command, text))
    }

    /// One that was started in another way.
    pub(crate) fn of(process: Child<String>) -> Self {
        let endpoint = bound(&process);
        Self { process, endpoint }
    }

    /// Hands in jobs, a number each.
    pub(crate) fn push(&mut self, jobs: Range<u64>) {
        let mut lines = String::new();
        for job in jobs {
            writeln!(lines, "{job}").expect("a string takes all");
        }
        self.process.write(lines.as_bytes());
    }
}

/// The endpoint that a command with port 0 tells.
pub(crate) fn bound<T: Send + 'static>(process: &Child<T>) -> String {
    process.stderr.wait_for("the bound endpoint", |lines| {
        lines.iter().find_map(|line| line.strip_prefix("bound ")).map(str::to_owned)
    })
}
