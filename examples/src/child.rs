//! Parts of an example as processes: both ends of the pipes between the stage and a part.
//!
//! A part says its news on its standard output, one line each. Its standard input is its lifeline: the stage writes a byte
//! there when the part is to begin nothing new, and when it ends, the part is to finish. It ends too when the stage dies,
//! so that no part outlives it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::Outcome;

/// A part that runs.
#[derive(Debug)]
pub struct Child {
    process: tokio::process::Child,
    lifeline: Option<ChildStdin>,
    reader: JoinHandle<()>,
}

impl Child {
    /// Starts this program again with other arguments. What it says goes to `lines`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(arguments: Vec<OsString>, lines: mpsc::UnboundedSender<String>) -> Outcome<Self> {
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
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Ends it with SIGKILL, without a word; false if it had ended already.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn kill(&mut self) -> Outcome<bool> {
        let alive = self.ended()?.is_none();
        if alive {
            self.process.kill().await?;
        }
        Ok(alive)
    }

    /// Asks it with SIGTERM to end in good order.
    ///
    /// # Errors
    /// If there is no such process any more.
    pub fn terminate(&self) -> Outcome<()> {
        let pid = self.pid().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        Ok(kill_process(pid.ok_or("it has ended already")?, Signal::TERM)?)
    }

    /// Lets it begin nothing new.
    ///
    /// # Errors
    /// If it is gone.
    pub async fn quiet(&mut self) -> Outcome<()> {
        if let Some(lifeline) = &mut self.lifeline {
            lifeline.write_all(b".").await?;
        }
        Ok(())
    }

    /// Lets it finish.
    pub fn dismiss(&mut self) {
        self.lifeline = None;
    }

    /// Waits until it has ended and all that it said was passed on.
    ///
    /// # Errors
    /// If it did not end well.
    pub async fn wait(&mut self) -> Outcome<()> {
        let status = self.process.wait().await?;
        (&mut self.reader).await?;
        if status.success() { Ok(()) } else { Err(status.to_string().into()) }
    }

    /// Lets it finish, and waits until it has ended.
    ///
    /// # Errors
    /// If it did not end well.
    pub async fn finish(&mut self) -> Outcome<()> {
        self.dismiss();
        self.wait().await
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
///
/// # Errors
/// If the stage is gone.
pub fn say(news: &impl Serialize) -> Outcome<()> {
    let mut line = serde_json::to_vec(news)?;
    line.push(b'\n');
    Ok(std::io::stdout().write_all(&line)?)
}

/// What the stage wants of a part.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
enum Wish {
    GoOn,
    Quiet,
    Finish,
}

/// In a part: hears what the stage wants.
#[derive(Clone, Debug)]
pub struct Lifeline(watch::Receiver<Wish>);

impl Lifeline {
    /// Listens from now on. Only one at a time can.
    #[must_use]
    pub fn hold() -> Self {
        let (wish, wishes) = watch::channel(Wish::GoOn);
        // A thread of our own: the runtime would wait for its threads when the part ends, and this one may never return.
        std::thread::spawn(move || {
            if std::io::stdin().read_exact(&mut [0]).is_ok() {
                wish.send_replace(Wish::Quiet);
                let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            }
            wish.send_replace(Wish::Finish);
        });
        Self(wishes)
    }

    /// Waits until it is to begin nothing new. Cancel safe.
    pub async fn told_to_be_quiet(&mut self) {
        // The thread ends only with its last wish.
        let _ = self.0.wait_for(|wish| *wish >= Wish::Quiet).await;
    }

    /// Waits until it is to finish, or the stage is gone. Cancel safe.
    pub async fn told_to_finish(&mut self) {
        let _ = self.0.wait_for(|wish| *wish == Wish::Finish).await;
    }
}
