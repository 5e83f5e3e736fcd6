//! A child process that does not outlive its test, and the lines that it writes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::patience::PATIENCE;

/// How often is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(2);

/// What was read so far from one pipe, each line as a `T`.
pub struct Log<T> {
    items: Mutex<Vec<T>>,
    /// Whether there will be no more of them; changes while the items are locked.
    ended: AtomicBool,
    grown: Condvar,
}

impl<T: Send + 'static> Log<T> {
    /// Reads to the end of the pipe, in a thread.
    fn follow(
        pipe: impl Read + Send + 'static,
        read_line: impl Fn(&[u8]) -> T + Send + 'static,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let log = Arc::new(Self {
            items: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
            grown: Condvar::new(),
        });
        let writer = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            let (mut pipe, mut line) = (BufReader::new(pipe), Vec::new());
            while pipe.read_until(b'\n', &mut line).expect("a pipe can be read") > 0 {
                // A killed process may leave half a line: it has not said that.
                if line.pop() == Some(b'\n') {
                    let item = read_line(&line);
                    writer.items().push(item);
                    writer.grown.notify_all();
                }
                line.clear();
            }
            let items = writer.items();
            writer.ended.store(true, Ordering::Relaxed);
            drop(items);
            writer.grown.notify_all();
        });
        (log, reader)
    }

    /// All of it so far.
    ///
    /// # Panics
    /// When what reads the pipe has.
    pub fn items(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().expect("no reader panics while it holds the lock")
    }

    /// Waits until `found` finds what it looks for.
    ///
    /// # Panics
    /// When that takes too long, or cannot come any more.
    pub fn wait_for<F>(&self, what: &str, found: impl FnMut(&[T]) -> Option<F>) -> F {
        self.wait_for_or_end(what, found)
            .unwrap_or_else(|| panic!("it ended, and there was no {what}"))
    }

    /// Waits until `found` finds what it looks for; `None` if the pipe ends without it.
    ///
    /// # Panics
    /// When that takes too long.
    pub fn wait_for_or_end<F>(
        &self,
        what: &str,
        mut found: impl FnMut(&[T]) -> Option<F>,
    ) -> Option<F> {
        let end = Instant::now() + PATIENCE;
        let mut items = self.items();
        loop {
            if let Some(found) = found(&items) {
                return Some(found);
            }
            if self.ended.load(Ordering::Relaxed) {
                return None;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited too long for {what}");
            items = self.grown.wait_timeout(items, left).expect("as above").0;
        }
    }
}

/// A process in a group of its own, which is killed when this is dropped.
pub struct Child<T> {
    process: std::process::Child,
    name: String,
    stdin: Option<ChildStdin>,
    /// What it wrote to its stdout.
    pub stdout: Arc<Log<T>>,
    /// What it wrote to its stderr.
    pub stderr: Arc<Log<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl<T: Send + 'static> Child<T> {
    /// Starts it; `read_line` makes something of each line of its stdout.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(
        mut command: Command,
        read_line: impl Fn(&[u8]) -> T + Send + 'static,
    ) -> Child<T> {
        let name = format!("{command:?}");
        let mut process = command
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let stdout = process.stdout.take().expect("it is piped");
        let stderr = process.stderr.take().expect("it is piped");
        let (stdout, stdout_reader) = Log::follow(stdout, read_line);
        let (stderr, stderr_reader) = Log::follow(stderr, text);
        Child {
            stdin: process.stdin.take(),
            readers: vec![stdout_reader, stderr_reader],
            process,
            name,
            stdout,
            stderr,
        }
    }

    /// Writes to its stdin and leaves it open.
    ///
    /// # Panics
    /// When it does not read that.
    pub fn write(&mut self, text: &[u8]) {
        let stdin = self.stdin.as_mut().expect("its stdin is not closed yet");
        stdin.write_all(text).expect("it reads its stdin");
    }

    /// Its stdin, for somebody else to write to.
    ///
    /// # Panics
    /// When that is gone already.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("its stdin is not closed yet")
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it has ended and was waited for.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it still runs");
    }

    /// Kills it as `kill -9` does; what it wrote before is in the logs when this returns.
    ///
    /// # Panics
    /// When it does not end, or what it wrote was not understood.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }

    /// Waits for its end and for all that it wrote.
    ///
    /// # Panics
    /// When it does not end, or what it wrote was not understood.
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.process.try_wait().expect("it is our child") {
                Some(status) => break status,
                None if Instant::now() < end => std::thread::sleep(LOOK),
                None => panic!("{} does not end; it said {:?}", self.name, self.stderr.items()),
            }
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("its output was understood");
        }
        status
    }

    /// Closes its stdin and waits for it to end well.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub fn finish(&mut self) {
        self.stdin = None;
        let status = self.wait();
        let said = self.stderr.items();
        assert!(status.success(), "{} ended with {status} and said {said:?}", self.name);
    }

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        // The number is its own until it was waited for.
        if let Ok(None) = self.process.try_wait() {
            let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
            let _ = self.process.wait();
        }
    }
}

/// A line as text.
#[must_use]
pub fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// The endpoint that a command with port 0 tells.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn bound<T: Send + 'static>(process: &Child<T>) -> String {
    process.stderr.wait_for("the bound endpoint", |lines| {
        let told = lines.iter().find_map(|line| line.strip_prefix("bound "));
        // A device says before, which side it is.
        told.and_then(|told| told.split(' ').next_back()).map(str::to_owned)
    })
}
