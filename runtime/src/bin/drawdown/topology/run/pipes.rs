//! What processes write: the lines of their pipes, each with the name of its process, on our stdout and stderr.

use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Take};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::console::Console;

/// Lines that wait to be written.
const LINES_MAX: usize = 256;

/// Who reads stdout so late is waited for, and that is said.
const LATE: Duration = Duration::from_secs(1);

/// Takes lines for stdout.
#[derive(Clone)]
pub(super) struct Output(mpsc::Sender<Vec<u8>>);

/// Writes the lines of all outputs to stdout, one after another, until no output is left.
pub(super) struct Writer {
    closed: CancellationToken,
    end: JoinHandle<()>,
}

impl Writer {
    pub(super) fn start() -> (Output, Self) {
        let (sender, mut lines) = mpsc::channel::<Vec<u8>>(LINES_MAX);
        let closed = CancellationToken::new();
        let token = closed.clone();
        // A thread, because whoever reads stdout may be slow.
        let end = tokio::task::spawn_blocking(move || {
            while let Some(line) = lines.blocking_recv() {
                let mut stdout = io::stdout().lock();
                if stdout.write_all(&line).and_then(|()| stdout.flush()).is_err() {
                    token.cancel();
                }
            }
        });
        (Output(sender), Self { closed, end })
    }

    /// Is cancelled once nobody reads stdout any more.
    pub(super) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// Waits until no output is left and all is written, however long whoever reads it takes. Gives whether nobody reads
    /// it.
    pub(super) async fn finish(mut self, console: &Console) -> bool {
        if tokio::time::timeout(LATE, &mut self.end).await.is_err() {
            console.say(
                "all have ended; what they wrote waits for whoever reads stdout, unless a second signal ends this at once",
            );
            // A thread that is gone writes no more.
            let _ = self.end.await;
        }
        self.closed.is_cancelled()
    }
}

/// Follows the pipes of a child in tasks of `pipes`. Once what is given here is dropped, they take what is in the pipes
/// already and no more: a child of it may hold them open.
pub(super) fn follow(
    child: &mut Child,
    name: &str,
    console: &Console,
    output: &Output,
    pipes: &TaskTracker,
) -> DropGuard {
    let cut = CancellationToken::new();
    if let Some(stderr) = child.stderr.take() {
        let (name, console) = (name.to_owned(), console.clone());
        let lines = Lines::new(stderr, cut.clone());
        pipes.spawn(lines.pass_on(output.clone(), async move |_, line: Vec<u8>| {
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            console
                .say(format_args!("{name}: {}", line.strip_prefix("drawdown: ").unwrap_or(line)));
        }));
    }
    if let Some(stdout) = child.stdout.take() {
        let name = name.to_owned();
        let lines = Lines::new(stdout, cut.clone());
        pipes.spawn(lines.pass_on(output.clone(), async move |output, mut line: Vec<u8>| {
            let mut text = format!("{name}\t").into_bytes();
            text.append(&mut line);
            // The writer lives as long as there is an output.
            let _ = output.0.send(text).await;
        }));
    }
    cut.drop_guard()
}

/// Cuts what a pipe gives into lines.
struct Lines<P> {
    pipe: Take<BufReader<P>>,
    cut: CancellationToken,
    is_cut: bool,
    /// The beginning of one that has not ended.
    line: Vec<u8>,
}

impl<P: AsyncRead + AsFd + Unpin> Lines<P> {
    fn new(pipe: P, cut: CancellationToken) -> Self {
        let pipe = BufReader::new(pipe).take(u64::MAX);
        Self { pipe, cut, is_cut: false, line: Vec::new() }
    }

    /// Holds the output until the last line, also if it is not for stdout: the run lasts until all is told.
    async fn pass_on(mut self, output: Output, mut tell: impl AsyncFnMut(&Output, Vec<u8>)) {
        while let Some(line) = self.next().await {
            tell(&output, line).await;
        }
    }

    /// A line with its newline; the last one may have none.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut read = tokio::select! {
                // A pipe that breaks has ended.
                read = self.pipe.fill_buf() => read.unwrap_or_default(),
                () = self.cut.cancelled(), if !self.is_cut => {
                    self.take_only_the_rest();
                    continue;
                }
            };
            // Reading from a slice cannot fail.
            let count = BufRead::read_until(&mut read, b'\n', &mut self.line).unwrap_or_default();
            self.pipe.consume(count);
            if count == 0 || self.line.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                return (!line.is_empty()).then_some(line);
            }
        }
    }

    /// What is in the pipe at this moment.
    fn take_only_the_rest(&mut self) {
        self.is_cut = true;
        let pipe = self.pipe.get_ref();
        let rest = ioctl_fionread(pipe.get_ref()).unwrap_or_default();
        self.pipe.set_limit(pipe.buffer().len() as u64 + rest);
    }
}
