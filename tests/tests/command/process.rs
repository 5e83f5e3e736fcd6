//! Runs the command, and talks to it through its pipes.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use drawdown_tests::command::binary;
use drawdown_tests::patience::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};

/// A run that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    /// Asserts the exit code; gives stdout.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Asserts that stderr says this.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "{words:?} is not in {self:?}");
        self
    }
}

/// Ends a run by SIGTERM, after which it has nothing left to do.
#[track_caller]
pub(crate) fn dismiss(process: Running) {
    process.signal(Signal::TERM);
    process.end().with_code(0);
}

/// A run that goes on. Dropped, it is killed.
pub(crate) struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Pipe,
    stderr: Pipe,
}

/// What a pipe gave so far, and lines of it as they come.
struct Pipe {
    lines: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    reader: Option<JoinHandle<()>>,
}

impl Pipe {
    fn follow(source: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        let mut source = BufReader::new(source);
        let reader = std::thread::spawn(move || {
            let mut line = Vec::new();
            while source.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Self { lines, seen: Vec::new(), reader: Some(reader) }
    }

    #[track_caller]
    fn next(&mut self, what: &str) -> String {
        let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("no {what}; before that came {}", String::from_utf8_lossy(&self.seen))
        });
        self.seen.extend_from_slice(&line);
        String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned()
    }

    fn rest(mut self) -> Vec<u8> {
        self.reader.take().unwrap().join().unwrap();
        self.seen.extend(self.lines.try_iter().flatten());
        self.seen
    }
}

/// Starts the command with an open stdin.
#[track_caller]
pub(crate) fn start<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> Running {
    let mut command = Command::new(binary());
    command.args(args);
    start_as(command)
}

/// Starts the command with a stdout that nobody reads any more.
#[track_caller]
pub(crate) fn start_unread<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> Running {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(binary());
    command.args(args);
    launch(command, writer.into(), Stdio::piped())
}

/// Starts the command with a stderr that is read by nobody but whoever calls this.
#[track_caller]
pub(crate) fn start_unheard<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> (Running, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(binary());
    command.args(args);
    (launch(command, Stdio::piped(), writer.into()), reader)
}

/// Starts the command with a stdout that is read by nobody but whoever calls this.
#[track_caller]
pub(crate) fn start_read_late<I: IntoIterator<Item: AsRef<OsStr>>>(
    args: I,
) -> (Running, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(binary());
    command.args(args);
    (launch(command, writer.into(), Stdio::piped()), reader)
}

/// Starts a command that ends up as ours.
#[track_caller]
pub(crate) fn start_as(command: Command) -> Running {
    launch(command, Stdio::piped(), Stdio::piped())
}

#[track_caller]
fn launch(mut command: Command, stdout: Stdio, stderr: Stdio) -> Running {
    let mut child = command
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap();
    let stdin = child.stdin.take();
    let stdout = match child.stdout.take() {
        Some(stdout) => Pipe::follow(stdout),
        None => Pipe::follow(std::io::empty()),
    };
    let stderr = match child.stderr.take() {
        Some(stderr) => Pipe::follow(stderr),
        None => Pipe::follow(std::io::empty()),
    };
    Running { child, stdin, stdout, stderr }
}

/// Runs the command with this input to its end.
#[track_caller]
pub(crate) fn run<I: IntoIterator<Item: AsRef<OsStr>>>(args: I, input: impl AsRef<[u8]>) -> Ended {
    let mut running = start(args);
    running.send(input);
    running.end()
}

impl Running {
    /// Writes to its stdin, from a thread: it need not be read now. Stdin stays open until [`Running::end`].
    pub(crate) fn send(&mut self, input: impl AsRef<[u8]>) {
        let mut stdin = self.stdin.take().unwrap();
        let input = input.as_ref().to_vec();
        if input.len() <= 4096 {
            // A command that ended early is for the test to notice.
            let _ = stdin.write_all(&input);
            self.stdin = Some(stdin);
        } else {
            std::thread::spawn(move || stdin.write_all(&input));
        }
    }

    /// Closes its stdin.
    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The next line of its stdout.
    pub(crate) fn line(&mut self) -> String {
        self.stdout.next("line on stdout")
    }

    /// The next line of stderr that contains `words`.
    #[track_caller]
    pub(crate) fn hears(&mut self, words: &str) -> String {
        loop {
            let line = self.stderr.next(&format!("{words:?} on stderr"));
            if line.contains(words) {
                return line;
            }
        }
    }

    /// The endpoint that was bound with port 0.
    #[track_caller]
    pub(crate) fn bound(&mut self) -> String {
        self.hears("bound ").split_once("bound ").unwrap().1.to_owned()
    }

    /// Whether it has not ended. Looks every few milliseconds at most.
    pub(crate) fn is_running(&mut self) -> bool {
        std::thread::sleep(Duration::from_millis(5));
        self.child.try_wait().unwrap().is_none()
    }

    /// The names of its threads.
    pub(crate) fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
        names.map(|name| name.unwrap().trim_end().to_owned()).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Closes stdin and waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        self.end_input();
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end; stderr: {:?}", self.stderr.seen);
            std::thread::sleep(Duration::from_millis(5));
        };
        let stdout = std::mem::replace(&mut self.stdout, Pipe::follow(std::io::empty())).rest();
        let stderr = std::mem::replace(&mut self.stderr, Pipe::follow(std::io::empty())).rest();
        Ended { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended, and then nothing is to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
