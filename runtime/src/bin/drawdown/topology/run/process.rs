//! One process of a topology: its input, its signals and its end.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{Child, Command};
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use crate::console::Console;
use crate::shell::{Group, shell_at_once};

use super::pipes::{Output, follow};

/// For so long the pipes of a process that has ended are waited for: a child of it may hold them open, or nobody may take
/// what comes of them. Its input may take as long to exit.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// What is started, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Spec {
    /// No two processes have the same.
    pub(super) name: String,
    pub(super) node: String,
    pub(super) copy: u32,
    pub(super) arguments: Vec<String>,
    pub(super) input: Option<String>,
    pub(super) output: Option<PathBuf>,
    pub(super) folder: PathBuf,
}

pub(super) struct Process {
    child: Child,
    group: Group,
    input: Option<Input>,
    pipes: TaskTracker,
    /// Dropped, it cuts the pipes off behind what is in them.
    _cut: DropGuard,
}

/// The command that a process takes its lines from.
struct Input {
    child: Child,
    group: Group,
    /// How it had ended, if it had, when its process was told to end: from then on it may be cut off.
    noted: Option<Option<ExitStatus>>,
}

impl Input {
    /// Starts the command; gives what it writes as the stdin of another.
    fn start(command: &str, spec: &Spec) -> io::Result<(Stdio, Self)> {
        let mut command = shell_at_once(command);
        prepare(&mut command, spec);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().map(TryInto::try_into).transpose()?;
        let group = Group::of(&child, Signal::KILL);
        Ok((stdout.unwrap_or_else(Stdio::null), Self { child, group, noted: None }))
    }

    fn note_end(&mut self) {
        self.noted = Some(self.child.try_wait().ok().flatten());
    }

    /// Ends it; gives how it had ended if it failed.
    async fn finish(mut self) -> Option<ExitStatus> {
        let ended = match self.noted {
            Some(ended) => ended,
            // Its process has seen the end of its output, which comes just before its own.
            None => {
                let ended = tokio::time::timeout(LAST_OUTPUT, self.child.wait()).await;
                ended.ok().and_then(Result::ok)
            }
        };
        self.kill().await;
        ended.filter(|status| !status.success())
    }

    async fn kill(&mut self) {
        self.group.signal(Signal::KILL);
        // So that nothing of it is left in the table of processes.
        let _ = self.child.wait().await;
    }
}

impl Process {
    /// What it writes is passed on in tasks of `pipes`, which outlast it if stdout is slow. Dropping the future while it waits
    /// starts nothing.
    pub(super) async fn start(
        program: &Path,
        spec: &Spec,
        console: &Console,
        output: &Output,
        pipes: &TaskTracker,
    ) -> io::Result<Self> {
        // First of all: input whose output cannot be opened does not begin.
        let stdout = match &spec.output {
            None => Stdio::piped(),
            Some(path) => open(path.clone()).await.map_err(|error| about(path, &error))?.into(),
        };
        let (stdin, input) = match &spec.input {
            None => (Stdio::null(), None),
            Some(command) => {
                let (stdin, input) = Input::start(command, spec)?;
                (stdin, Some(input))
            }
        };
        let mut command = Command::new(program);
        prepare(&mut command, spec);
        command.args(&spec.arguments).stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                if let Some(mut input) = input {
                    input.kill().await;
                }
                return Err(about(program, &error));
            }
        };
        let group = Group::of(&child, Signal::TERM);
        let cut = follow(&mut child, &spec.name, console, output, pipes);
        Ok(Self { child, group, input, pipes: pipes.clone(), _cut: cut })
    }

    /// Waits for its end. Cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks it to end in good order.
    pub(super) fn terminate(&mut self) {
        if let Some(input) = &mut self.input {
            input.note_end();
        }
        self.group.signal(Signal::TERM);
    }

    pub(super) async fn kill(mut self) {
        self.group.signal(Signal::KILL);
        // So that nothing of it is left in the table of processes.
        let _ = self.child.wait().await;
        self.finish().await;
    }

    /// Ends its input, and waits a little for what it has written before its end. Gives how the input ended if it failed.
    pub(super) async fn finish(mut self) -> Option<ExitStatus> {
        let input_failed = match self.input.take() {
            Some(input) => input.finish().await,
            None => None,
        };
        // What is in the pipes then is passed on all the same.
        let _ = tokio::time::timeout(LAST_OUTPUT, self.pipes.wait()).await;
        input_failed
    }
}

/// On a thread of its own: a pipe that nobody reads yet is waited for, and nobody else waits with it.
async fn open(path: PathBuf) -> io::Result<File> {
    let open = move || File::options().create(true).append(true).open(path);
    tokio::task::spawn_blocking(open).await?
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn prepare(command: &mut Command, spec: &Spec) {
    command
        .current_dir(&spec.folder)
        .env("DRAWDOWN_NODE", &spec.node)
        .env("DRAWDOWN_COPY", spec.copy.to_string())
        // A group of its own: Ctrl-C is for the one that keeps them, which ends them in their order.
        .process_group(0);
}
