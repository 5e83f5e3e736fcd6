//! A shell command that processes a message: its pipes, its end, and its reason if it fails.

mod guard;
mod missing;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

pub(crate) use missing::{Failed, Finding, Search};

/// How long the pipes of a command that has ended are followed: a child of it may hold them open.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// What is kept of the last line of stderr.
const REASON_BYTES_MAX: usize = 400;

/// The process groups of commands that run.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Ends all commands at once.
pub(crate) fn kill_all() {
    for group in running().iter().copied().filter_map(Pid::from_raw) {
        // One that is gone already is what is wanted.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a first line, which comes once the guard knows of the command: one whose drawdown is killed before that
/// never begins.
const GATE: &str = r#"read -r go && exec sh -c "$1""#;

/// What opens the gate.
const GO: &[u8] = b"\n";

/// `sh -c` with this; its environment and its stdout can still be chosen.
pub(crate) fn shell(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", GATE, "sh", command]);
    shell
}

/// As [`shell`], for a command that need not wait, since nobody feeds it.
pub(crate) fn shell_at_once(command: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    shell
}

/// A command that runs.
pub(crate) struct Job {
    child: Child,
    group: Group,
}

impl Job {
    pub(crate) fn start(mut command: Command) -> io::Result<Self> {
        let child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C is for drawdown, which lets commands finish.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let group = Group::of(&child, Signal::KILL);
        Ok(Self { child, group })
    }

    /// Feeds the command and waits for its end. Gives what it wrote to stdout if that is piped; an error has the reason to
    /// reject the message.
    pub(crate) async fn finish(
        &mut self,
        input: &[u8],
        output_bytes_max: usize,
    ) -> Result<Vec<u8>, Failed> {
        let child = &mut self.child;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut output, mut last_line) = (Vec::new(), Vec::new());
        let status = {
            let mut pipes = std::pin::pin!(async {
                tokio::join!(
                    feed(stdin, input),
                    collect(stdout, &mut output, output_bytes_max),
                    pass_on(stderr, &mut last_line),
                );
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
            // It may have died of its closed stdout.
            _ if output.len() > output_bytes_max => Err(Failed::because(format!(
                "the command wrote more than the limit of {output_bytes_max} bytes; --max-message on both sides raises it"
            ))),
            Ok(status) if status.success() => Ok(output),
            Ok(status) => Err(Failed::with(status, &last_line)),
            Err(error) => {
                Err(Failed::because(format!("the command could not be waited for: {error}")))
            }
        }
    }

    /// Ends it, and whatever it has started.
    pub(crate) async fn kill(mut self) {
        self.group.signal(Signal::KILL);
        // So that nothing of it is left in the table of processes.
        let _ = self.child.wait().await;
    }
}

async fn feed(stdin: Option<ChildStdin>, input: &[u8]) {
    if let Some(mut stdin) = stdin {
        // A command need not read its input.
        let _ = stdin.write_all(GO).await;
        let _ = stdin.write_all(input).await;
    }
}

/// Takes what the command writes. One that writes too much finds its stdout closed.
async fn collect(stdout: Option<ChildStdout>, output: &mut Vec<u8>, bytes_max: usize) {
    if let Some(stdout) = stdout {
        // A pipe that breaks has ended.
        let _ = stdout.take(bytes_max as u64 + 1).read_to_end(output).await;
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
        // Nobody has to read it: the links of this thread must go on meanwhile.
        let _ = tokio::task::block_in_place(|| io::stderr().write_all(piece));
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

/// The processes of one command.
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// Those of this child, which is the first of them. If drawdown dies without a word, they get this signal.
    pub(crate) fn of(child: &Child, at_our_death: Signal) -> Self {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(group) = group {
            running().insert(group.as_raw_nonzero().get());
            guard::watch(group.as_raw_nonzero().get(), at_our_death);
        }
        Self(group)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // One that is gone already is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            running().remove(&group.as_raw_nonzero().get());
            guard::forget(group.as_raw_nonzero().get());
        }
    }
}
