//! The parts as processes: both ends of the pipes between the stage and a part.
//!
//! A part says [`News`] on its standard output, one line each. Its standard input is its lifeline: nothing is written
//! there, but when it ends, the part is to finish, and it ends too when the stage dies. So no part outlives its stage.

use std::ffi::OsString;
use std::io::Write;
use std::process::{ExitStatus, Stdio};

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::Outcome;
use crate::sink::Totals;

/// What parts tell the stage.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum News {
    /// The ventilator has opened its store, which holds so many jobs, and goes on at this place of the list.
    Opened { jobs_pending: u64, next: usize },
    /// Jobs went back to the ventilator's queue because their worker is gone.
    Redelivered { jobs: u64 },
    /// The sink has the results of so many jobs.
    Progress { jobs: usize },
    /// The sink's last word.
    Totals(Totals),
}

/// A part that runs.
pub(crate) struct Child {
    process: tokio::process::Child,
    lifeline: Option<ChildStdin>,
    reader: JoinHandle<()>,
}

impl Child {
    /// Starts this program again with other arguments. What it says goes to `lines`.
    pub(crate) fn start(
        arguments: Vec<OsString>,
        lines: mpsc::UnboundedSender<String>,
    ) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the stage, which then ends its parts.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let lifeline = process.stdin.take();
        let reader = tokio::spawn(forward(process.stdout.take(), lines));
        Ok(Self { process, lifeline, reader })
    }

    /// The process id, while there is a process.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Ends it with SIGKILL, without a word; false if it had ended already.
    pub(crate) async fn kill(&mut self) -> Outcome<bool> {
        let alive = self.ended()?.is_none();
        if alive {
            self.process.kill().await?;
        }
        Ok(alive)
    }

    /// Lets it finish.
    pub(crate) fn dismiss(&mut self) {
        self.lifeline = None;
    }

    /// Waits until it has ended and all that it said was passed on.
    pub(crate) async fn wait(&mut self) -> Outcome<()> {
        let status = self.process.wait().await?;
        (&mut self.reader).await?;
        if status.success() { Ok(()) } else { Err(status.to_string().into()) }
    }
}

async fn forward(stdout: Option<ChildStdout>, to: mpsc::UnboundedSender<String>) {
    let Some(stdout) = stdout else { return };
    let mut lines = BufReader::new(stdout).lines();
    // A pipe that breaks, and a stage that listens no more, end this like the end of the part.
    while let Ok(Some(line)) = lines.next_line().await {
        if to.send(line).is_err() {
            return;
        }
    }
}

/// In a part: tells the stage.
pub(crate) fn say(news: &News) -> Outcome<()> {
    let mut line = serde_json::to_vec(news)?;
    line.push(b'\n');
    Ok(std::io::stdout().write_all(&line)?)
}

/// In a part: waits until it is to finish, or the stage is gone.
pub(crate) async fn told_to_finish() {
    let (ended, lifeline) = oneshot::channel::<()>();
    // A thread of our own: the runtime would wait for its threads when the part ends, and this one may never return.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(ended);
    });
    // It is never sent anything; what it waits for is that the other end is dropped.
    let _ = lifeline.await;
}
