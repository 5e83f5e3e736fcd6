//! Keeps one process running until it is told to stop, or has done what it was for.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use drawdown::protocol::Backoff;
use rustix::process::Signal;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::console::Console;
use crate::exit::Exit;

use super::pipes::Output;
use super::process::{Process, Spec};

/// How soon what failed is started again, at first and at last.
const AGAIN_MIN: Duration = Duration::from_millis(200);
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// How a process is told to end.
#[derive(Clone, Default, Debug)]
pub(super) struct Reins {
    /// In good order.
    pub(super) stop: CancellationToken,
    /// At once.
    pub(super) kill: CancellationToken,
}

/// How it ended for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Well,
    /// It had messages left.
    Left,
    Killed,
    Failed(ExitStatus),
    /// It sent all that its input gave, which was not all that there is.
    InputFailed(ExitStatus),
    NotStarted,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Well => f.write_str("well"),
            End::Left => f.write_str("messages were left"),
            End::Killed => f.write_str("killed"),
            End::Failed(status) => status.fmt(f),
            End::InputFailed(status) => write!(f, "its input ended with {status}"),
            End::NotStarted => f.write_str("could not be started"),
        }
    }
}

pub(super) struct Keeper {
    /// The command itself.
    program: PathBuf,
    spec: Spec,
    reins: Reins,
    console: Console,
    output: Output,
    /// The tasks that pass on what its process writes.
    pipes: TaskTracker,
}

impl Keeper {
    pub(super) fn new(
        program: PathBuf,
        spec: Spec,
        reins: Reins,
        console: Console,
        output: Output,
    ) -> Self {
        let pipes = TaskTracker::new();
        // It is to be waited for whenever no process runs.
        pipes.close();
        Self { program, spec, reins, console, output, pipes }
    }

    pub(super) async fn keep(self) -> End {
        let mut backoff = Backoff::new(AGAIN_MIN, AGAIN_MAX);
        loop {
            let begun = Instant::now();
            let end = self.run_once().await;
            if end == End::Well || self.reins.stop.is_cancelled() || !self.is_tried_again(end) {
                return end;
            }
            backoff.note_worked(begun.elapsed());
            let wait = backoff.next(uuid::Uuid::new_v4().as_u64_pair().0);
            self.say(format_args!("{end}; it is started again"));
            let may_start = async {
                tokio::time::sleep(wait).await;
                // Where stdout is slow, no more than what one process wrote waits for it.
                self.pipes.wait().await;
            };
            tokio::select! {
                () = may_start => {}
                () = self.reins.stop.cancelled() => return End::Well,
            }
        }
    }

    async fn run_once(&self) -> End {
        let Self { program, spec, console, output, pipes, .. } = self;
        let process = tokio::select! {
            process = Process::start(program, spec, console, output, pipes) => process,
            () = self.reins.stop.cancelled() => return End::Well,
        };
        let mut process = match process {
            Ok(process) => process,
            Err(error) => {
                self.say(format_args!("cannot be started: {error}"));
                return End::NotStarted;
            }
        };
        let mut was_told = false;
        let status = tokio::select! {
            status = process.wait() => status,
            () = self.reins.stop.cancelled() => {
                was_told = true;
                process.terminate();
                tokio::select! {
                    status = process.wait() => status,
                    () = self.reins.kill.cancelled() => {
                        process.kill().await;
                        return End::Killed;
                    }
                }
            }
        };
        let input_failed = process.finish().await;
        match status {
            Ok(status) if status.success() => input_failed.map_or(End::Well, End::InputFailed),
            // It had not got as far as to listen for signals, and so had nothing yet.
            Ok(status) if was_told && status.signal() == Some(Signal::TERM.as_raw()) => End::Well,
            Ok(status) if status.code() == Some(Exit::Left as i32) => End::Left,
            Ok(status) => End::Failed(status),
            Err(_) => End::NotStarted,
        }
    }

    /// Whether another try may go better, and does no harm.
    fn is_tried_again(&self, end: End) -> bool {
        if self.spec.input.is_some() {
            self.say(format_args!(
                "{end}; it is not started again, since its input would begin anew"
            ));
            return false;
        }
        let is_wrong =
            matches!(end, End::Failed(status) if status.code() == Some(Exit::Usage as i32));
        !is_wrong
    }

    fn say(&self, sentence: fmt::Arguments<'_>) {
        self.console.say(format_args!("{}: {sentence}", self.spec.name));
    }
}
