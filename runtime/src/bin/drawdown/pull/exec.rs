//! A shell command for each message.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drawdown::{Delivery, PullSocket};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure};
use crate::interrupts::Interrupts;

use super::{PullArgs, idle};

/// How long the pipes of a command that has ended are followed: a child of it may hold them open.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// What is kept of the last line of stderr.
const REASON_BYTES_MAX: usize = 400;

/// The process groups of commands that run.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Ends all commands at once.
pub(super) fn kill_all() {
    for group in running().iter().copied().filter_map(Pid::from_raw) {
        // One that is gone already is what is wanted.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs commands until enough messages are confirmed, none come, or somebody wants to end.
pub(super) async fn run_all(
    args: &PullArgs,
    command: &str,
    pull: &PullSocket,
    mut interrupts: Interrupts,
) -> Result<(), Failure> {
    let parallel = usize::from(args.parallel);
    let hurry = CancellationToken::new();
    let mut jobs = JoinSet::new();
    let mut confirmed = 0;
    let result = loop {
        if args.left(confirmed) == 0 {
            break Ok(());
        }
        let wanted = jobs.len() < parallel && args.left(confirmed + jobs.len() as u64) > 0;
        tokio::select! {
            biased;
            _ = interrupts.first() => break Ok(()),
            Some(job) = jobs.join_next() => match finished(job) {
                Ok(done) => confirmed += u64::from(done),
                Err(failure) => break Err(failure),
            },
            delivery = pull.recv(), if wanted => match delivery {
                Ok(Some(delivery)) => {
                    jobs.spawn(run_one(command.to_owned(), delivery, hurry.clone()));
                }
                _ => break Ok(()),
            },
            () = idle(args.idle_exit), if jobs.is_empty() => break Ok(()),
        }
    };
    // What runs may finish; meanwhile others may have what waits here.
    pull.stop();
    let ends = async { while jobs.join_next().await.is_some() {} };
    if tokio::time::timeout(args.drain_timeout, ends).await.is_err() {
        hurry.cancel();
        while jobs.join_next().await.is_some() {}
        return result.and(Err(Failure::new(
            Exit::Left,
            format!(
                "commands still ran after {} and were killed; their messages go back to their senders",
                humantime::format_duration(args.drain_timeout)
            ),
        )));
    }
    result
}

/// Whether a job ended with a confirmation.
fn finished(job: Result<Result<bool, Failure>, JoinError>) -> Result<bool, Failure> {
    job.unwrap_or_else(|error| {
        Err(Failure::new(Exit::Error, format!("a command could not be followed: {error}")))
    })
}

/// Gives the message to a command and settles it; says whether it is confirmed.
async fn run_one(
    command: String,
    delivery: Delivery,
    hurry: CancellationToken,
) -> Result<bool, Failure> {
    let mut child = match spawn(&command, &delivery) {
        Ok(child) => child,
        Err(error) => {
            delivery.release().await?;
            let sentence = format!("cannot run sh: {error}; the message goes back to its sender");
            return Err(Failure::new(Exit::Error, sentence));
        }
    };
    let group = Group::of(&child);
    let outcome = tokio::select! {
        biased;
        outcome = follow(&mut child, &delivery) => outcome,
        () = hurry.cancelled() => {
            group.kill();
            delivery.release().await?;
            return Ok(false);
        }
    };
    match outcome {
        Ok(()) => delivery.ack().await?,
        Err(reason) => {
            delivery.nack(reason).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

fn spawn(command: &str, delivery: &Delivery) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", command])
        .env("DRAWDOWN_SEQ", delivery.seq().to_string())
        .env("DRAWDOWN_SESSION", delivery.session().to_string())
        .env("DRAWDOWN_FAILED_ATTEMPTS", delivery.failed_attempts().to_string())
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: Ctrl-C is for drawdown, which lets commands finish.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// Feeds the command and waits for its end; an error is the reason to reject the message.
async fn follow(child: &mut Child, delivery: &Delivery) -> Result<(), String> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let mut last_line = Vec::new();
    let status = {
        let mut pipes = std::pin::pin!(async {
            tokio::join!(feed(stdin, delivery.payload()), pass_on(stderr, &mut last_line));
        });
        tokio::select! {
            biased;
            () = &mut pipes => child.wait().await,
            status = child.wait() => {
                // What it wrote before it ended is in the pipe.
                let _ = tokio::time::timeout(LAST_OUTPUT, pipes).await;
                status
            }
        }
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(reason(status, &last_line)),
        Err(error) => Err(format!("the command could not be waited for: {error}")),
    }
}

async fn feed(stdin: Option<ChildStdin>, payload: &[u8]) {
    if let Some(mut stdin) = stdin {
        // A command need not read its input.
        let _ = stdin.write_all(payload).await;
    }
}

/// Copies stderr to ours, and keeps its last line that is not empty.
async fn pass_on(stderr: Option<ChildStderr>, last_line: &mut Vec<u8>) {
    let Some(stderr) = stderr else { return };
    let mut stderr = BufReader::new(stderr);
    let mut at_start = true;
    loop {
        let piece = match stderr.fill_buf().await {
            Ok(piece) if !piece.is_empty() => piece,
            _ => return,
        };
        let _ = io::stderr().write_all(piece);
        for byte in piece {
            match byte {
                b'\n' => at_start = true,
                byte => {
                    if std::mem::take(&mut at_start) {
                        last_line.clear();
                    }
                    if last_line.len() < REASON_BYTES_MAX {
                        last_line.push(*byte);
                    }
                }
            }
        }
        let count = piece.len();
        stderr.consume(count);
    }
}

/// As in `exit status: 3: no such file`.
fn reason(status: ExitStatus, last_line: &[u8]) -> String {
    match String::from_utf8_lossy(last_line).trim() {
        "" => status.to_string(),
        line => format!("{status}: {line}"),
    }
}

/// The processes of one command.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            running().insert(group.as_raw_nonzero().get());
        }
        Self(group)
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // One that is gone already is what is wanted.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            running().remove(&group.as_raw_nonzero().get());
        }
    }
}
