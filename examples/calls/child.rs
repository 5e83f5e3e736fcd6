//! The servers as processes: both ends of the pipes between the stage and a server.
//!
//! A server says a line on its standard output when it is bound. Its standard input is its lifeline: when that ends, it is
//! to finish. It ends too when the stage dies, so that no server outlives it.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;

use crate::Outcome;

/// What a server says once it is bound.
const READY: &str = "ready";

/// A server that runs.
pub(crate) struct Child {
    process: tokio::process::Child,
    lifeline: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
}

impl Child {
    /// Starts this program again with other arguments.
    pub(crate) fn start(arguments: Vec<OsString>) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C is for the stage, which then ends its servers.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (lifeline, stdout) = (process.stdin.take(), process.stdout.take());
        Ok(Self { process, lifeline, stdout })
    }

    /// Waits until it is bound.
    pub(crate) async fn ready(&mut self) -> Outcome<()> {
        let Some(stdout) = &mut self.stdout else { return Ok(()) };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        if line.trim_end() == READY { Ok(()) } else { Err("it could not be started".into()) }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        Ok(self.process.try_wait()?)
    }

    /// Ends it with SIGKILL, without a word.
    pub(crate) async fn kill(&mut self) -> Outcome<()> {
        Ok(self.process.kill().await?)
    }

    /// Lets it finish, and waits until it has ended.
    pub(crate) async fn finish(&mut self) -> Outcome<()> {
        self.lifeline = None;
        let status = self.process.wait().await?;
        if status.success() { Ok(()) } else { Err(status.to_string().into()) }
    }
}

/// In a server: tells the stage.
pub(crate) fn say_ready() -> Outcome<()> {
    Ok(writeln!(std::io::stdout(), "{READY}")?)
}

/// In a server: hears what the stage wants.
pub(crate) struct Lifeline(oneshot::Receiver<()>);

impl Lifeline {
    pub(crate) fn hold() -> Self {
        let (finish, told) = oneshot::channel();
        // A thread of our own: the runtime would wait for its threads when the server ends, and this one may never return.
        std::thread::spawn(move || {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            let _ = finish.send(());
        });
        Self(told)
    }

    /// Waits until it is to finish, or the stage is gone.
    pub(crate) async fn told_to_finish(&mut self) {
        let _ = (&mut self.0).await;
    }
}
