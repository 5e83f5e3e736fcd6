//! What processes write: the lines of their pipes, each with the name of its process, on our stdout and stderr.

use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::io::ioctl_fionread;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader, Take};
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::console::Console;

use super::passed;

/// Lines that wait to be written.
const LINES_MAX: usize = 256;

/// What has no newline for so many bytes, or for so long, is passed on as a line of its own: it is to be seen, and not to be
/// gathered without end.
const LINE_BYTES_MAX: usize = 64 << 10;
const LINE_TIME_MAX: Duration = Duration::from_secs(1);

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

    /// The next line, or what there is of it once it is long or old. It has a newline in any case.
    async fn next(&mut self) -> Option<Vec<u8>> {
        let mut due = None;
        while self.line.len() < LINE_BYTES_MAX && !self.line.ends_with(b"\n") {
            if !self.line.is_empty() {
                due.get_or_insert_with(|| Instant::now() + LINE_TIME_MAX);
            }
            let read = tokio::select! {
                biased;
                () = self.cut.cancelled(), if !self.is_cut => {
                    self.take_only_the_rest();
                    continue;
                }
                // A pipe that breaks has ended.
                read = self.pipe.fill_buf() => read.unwrap_or_default(),
                () = passed(due) => break,
            };
            let mut read = io::Read::take(read, (LINE_BYTES_MAX - self.line.len()) as u64);
            // Reading from a slice cannot fail.
            let count = BufRead::read_until(&mut read, b'\n', &mut self.line).unwrap_or_default();
            self.pipe.consume(count);
            if count == 0 {
                break;
            }
        }
        self.take_line()
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let mut line = std::mem::take(&mut self.line);
        if line.len() >= LINE_BYTES_MAX && !line.ends_with(b"\n") {
            // The beginning of a character belongs to what follows.
            let begun = line.utf8_chunks().last().map_or(0, |chunk| chunk.invalid().len());
            self.line = line.split_off(line.len() - begun);
        }
        if line.is_empty() {
            return None;
        }
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        Some(line)
    }

    /// What is in the pipe at this moment.
    fn take_only_the_rest(&mut self) {
        self.is_cut = true;
        let pipe = self.pipe.get_ref();
        let rest = ioctl_fionread(pipe.get_ref()).unwrap_or_default();
        self.pipe.set_limit(pipe.buffer().len() as u64 + rest);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::unix::pipe::{Receiver, Sender, pipe};

    use super::*;

    fn lines() -> (Sender, Lines<Receiver>, CancellationToken) {
        let (sender, receiver) = pipe().unwrap();
        let cut = CancellationToken::new();
        (sender, Lines::new(receiver, cut.clone()), cut)
    }

    async fn all(mut lines: Lines<Receiver>) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(line) = lines.next().await {
            found.push(String::from_utf8(line).unwrap());
        }
        found
    }

    #[tokio::test]
    async fn lines_are_given_as_they_are_and_the_last_one_has_a_newline_too() {
        let (mut sender, lines, _cut) = lines();
        sender.write_all(b"one\n\ntwo\nthree").await.unwrap();
        drop(sender);
        assert_eq!(all(lines).await, ["one\n", "\n", "two\n", "three\n"]);
    }

    #[tokio::test]
    async fn what_has_no_newline_comes_in_pieces_and_no_character_is_cut_in_two() {
        let (mut sender, lines, _cut) = lines();
        let text = "x".to_owned() + &"é".repeat(LINE_BYTES_MAX);
        let written = async {
            sender.write_all(text.as_bytes()).await.unwrap();
            drop(sender);
        };
        let ((), found) = tokio::join!(written, all(lines));
        assert!(found.iter().all(|piece| piece.len() <= LINE_BYTES_MAX + 1));
        assert_eq!(found.concat().replace('\n', ""), text);
    }

    #[tokio::test]
    async fn what_has_no_newline_comes_while_the_pipe_is_open() {
        let (mut sender, mut lines, _cut) = lines();
        for text in ["one", "two"] {
            sender.write_all(text.as_bytes()).await.unwrap();
            assert_eq!(lines.next().await.unwrap(), format!("{text}\n").into_bytes());
        }
    }

    #[tokio::test]
    async fn a_pipe_that_is_cut_gives_what_is_in_it_and_ends_though_it_is_open() {
        let (mut sender, mut lines, cut) = lines();
        sender.write_all(b"one\ntwo\nth").await.unwrap();
        assert_eq!(lines.next().await.unwrap(), b"one\n");
        sender.write_all(b"ree").await.unwrap();
        cut.cancel();
        assert_eq!(all(lines).await, ["two\n", "three\n"]);
        drop(sender);
    }
}
