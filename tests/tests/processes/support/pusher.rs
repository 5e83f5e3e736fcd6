//! `drawdown push`, bound to a free port.

use std::fmt::Write as _;
use std::ops::Range;
use std::process::Command;

use drawdown_tests::command::binary;
use drawdown_tests::processes::{Child, bound, text};

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
