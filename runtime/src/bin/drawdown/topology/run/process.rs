//! One process of a topology: its pipes and its signals.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::console::Console;
use crate::shell::{Group, shell_at_once};

/// How long the pipes of a process that has ended are followed: a child of it may hold them open. Its input may take as
/// long to exit.
const LAST_OUTPUT: Duration = Duration::from_millis(200);

/// Lines that wait to be written.
const LINES_MAX: usize = 256;

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

/// Writes lines to stdout, one after another.
#[derive(Clone)]
pub(super) struct Output(mpsc::Sender<Vec<u8>>);

impl Output {
    /// With it comes what is cancelled once nobody reads stdout any more.
    pub(super) fn start() -> (Self, CancellationToken) {
        let (sender, mut lines) = mpsc::channel::<Vec<u8>>(LINES_MAX);
        let closed = CancellationToken::new();
        let token = closed.clone();
        std::thread::spawn(move || {
            while let Some(line) = lines.blocking_recv() {
                let mut stdout = io::stdout().lock();
                if stdout.write_all(&line).and_then(|()| stdout.flush()).is_err() {
                    token.cancel();
                }
            }
        });
        (Self(sender), closed)
    }
}

pub(super) struct Process {
    child: Child,
    group: Group,
    input: Option<Input>,
    pipes: JoinSet<()>,
}

/// The command that a process takes its lines from.
struct Input {
    child: Child,
    group: Group,
    /// How it had ended, if it had, when its process was told to end: from then on it may be cut off.
    noted: Option<Option<ExitStatus>>,
}

impl Input {
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
        self.group.signal(Signal::KILL);
        // So that nothing of it is left in the table of processes.
        let _ = self.child.wait().await;
        ended.filter(|status| !status.success())
    }
}

impl Process {
    pub(super) fn start(spec: &Spec, console: &Console, output: &Output) -> io::Result<Self> {
        let mut input = None;
        let stdin = match &spec.input {
            None => Stdio::null(),
            Some(command) => {
                let mut command = shell_at_once(command);
                prepare(&mut command, spec);
                let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
                let stdout = child.stdout.take().map(TryInto::try_into).transpose()?;
                let group = Group::of(&child, Signal::KILL);
                input = Some(Input { child, group, noted: None });
                stdout.unwrap_or_else(Stdio::null)
            }
        };
        let stdout = match &spec.output {
            None => Stdio::piped(),
            Some(path) => std::fs::File::options().create(true).append(true).open(path)?.into(),
        };
        let mut command = Command::new(std::env::current_exe()?);
        prepare(&mut command, spec);
        command.args(&spec.arguments).stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let group = Group::of(&child, Signal::TERM);
        let mut pipes = JoinSet::new();
        if let Some(stderr) = child.stderr.take() {
            let (name, console) = (spec.name.clone(), console.clone());
            pipes.spawn(for_each_line(stderr, async move |line: &mut Vec<u8>| {
                let line = String::from_utf8_lossy(line);
                let line = line.trim_end();
                console.say(format_args!(
                    "{name}: {}",
                    line.strip_prefix("drawdown: ").unwrap_or(line)
                ));
            }));
        }
        if let Some(stdout) = child.stdout.take() {
            let (name, output) = (spec.name.clone(), output.clone());
            pipes.spawn(for_each_line(stdout, async move |line: &mut Vec<u8>| {
                let mut text = format!("{name}\t").into_bytes();
                text.append(line);
                // The writer lives as long as there is an output.
                let _ = output.0.send(text).await;
            }));
        }
        Ok(Self { child, group, input, pipes })
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

    /// Follows what it has written before its end, and ends its input. Gives how that ended if it failed.
    pub(super) async fn finish(mut self) -> Option<ExitStatus> {
        let input_failed = match self.input.take() {
            Some(input) => input.finish().await,
            None => None,
        };
        let all = async { while self.pipes.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_OUTPUT, all).await;
        input_failed
    }
}

fn prepare(command: &mut Command, spec: &Spec) {
    command
        .current_dir(&spec.folder)
        .env("DRAWDOWN_NODE", &spec.node)
        .env("DRAWDOWN_COPY", spec.copy.to_string())
        // A group of its own: Ctrl-C is for the one that keeps them, which ends them in their order.
        .process_group(0);
}

async fn for_each_line(pipe: impl AsyncRead + Unpin, mut take: impl AsyncFnMut(&mut Vec<u8>)) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    // A pipe that breaks has ended.
    while let Ok(1..) = pipe.read_until(b'\n', &mut line).await {
        take(&mut line).await;
        line.clear();
    }
}
