//! Processes with a time limit: none outlives its owner.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use drawdown_tests::measure::is_interrupted;
use serde_json::Value;

/// How often a wait looks whether it should go on.
const LOOK: Duration = Duration::from_millis(50);

/// What is repeated of the last words of a process.
const SAID_CHARS_MAX: usize = 400;

enum Line {
    Stdout(String),
    Stderr(String),
}

/// A process that ends with its owner.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    /// Parts of this program end when it does, however the owner ends.
    _stdin: Option<ChildStdin>,
    lines: Receiver<Line>,
    said: String,
    limit: Duration,
    end: Instant,
}

impl Process {
    pub(crate) fn start(
        name: &'static str,
        mut command: Command,
        limit: Duration,
    ) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| format!("{name}: cannot be started: {error}"))?;
        let (sender, lines) = channel();
        // Threads: a pipe that nobody reads could fill and stop the process.
        forward(child.stdout.take(), sender.clone(), Line::Stdout);
        forward(child.stderr.take(), sender, Line::Stderr);
        let stdin = child.stdin.take();
        let end = Instant::now() + limit;
        Ok(Self { name, child, _stdin: stdin, lines, said: String::new(), limit, end })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line `WORD ...`, and gives the rest of it.
    pub(crate) fn told(&mut self, word: &str) -> Result<String, String> {
        loop {
            let (Line::Stdout(line) | Line::Stderr(line)) =
                self.next_line()?.ok_or_else(|| self.bad_end())?;
            let rest = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
            if let Some(rest) = rest {
                return Ok(rest.to_owned());
            }
        }
    }

    /// Waits until it has ended well, and gives the JSON that it printed last.
    pub(crate) fn result(mut self) -> Result<Value, String> {
        let mut result = None;
        while let Some(line) = self.next_line()? {
            if let Line::Stdout(line) = line {
                result = serde_json::from_str(&line).ok();
            }
        }
        while self.state()?.is_none() {
            self.check_time()?;
            std::thread::sleep(LOOK);
        }
        match self.state()? {
            Some(status) if status.success() => {
                result.ok_or_else(|| format!("{}: it printed no result", self.name))
            }
            _ => Err(self.bad_end()),
        }
    }

    /// None once all is said.
    fn next_line(&mut self) -> Result<Option<Line>, String> {
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(line) => {
                    if let Line::Stderr(said) = &line {
                        self.said.push_str(said);
                        self.said.push(' ');
                    }
                    return Ok(Some(line));
                }
                Err(RecvTimeoutError::Timeout) => self.check_time()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    fn check_time(&self) -> Result<(), String> {
        if is_interrupted() {
            return Err("interrupted".to_owned());
        }
        if Instant::now() > self.end {
            return Err(format!("{}: ended after {} s", self.name, self.limit.as_secs()));
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Option<std::process::ExitStatus>, String> {
        self.child.try_wait().map_err(|error| format!("{}: {error}", self.name))
    }

    fn bad_end(&mut self) -> String {
        let status = self.child.try_wait().ok().flatten();
        let status = status.map_or("ended too early".to_owned(), |status| format!("{status}"));
        let said: String = self.said.trim().chars().take(SAID_CHARS_MAX).collect();
        format!("{}: {status}; it said: {said}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends the lines on until the stream ends or nobody listens.
fn forward(stream: Option<impl Read + Send + 'static>, to: Sender<Line>, kind: fn(String) -> Line) {
    let Some(stream) = stream else { return };
    std::thread::spawn(move || {
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        lines.map(kind).try_for_each(|line| to.send(line))
    });
}

/// A number of a result.
pub(crate) fn number(result: &Value, pointer: &str) -> Result<f64, String> {
    result
        .pointer(pointer)
        .and_then(Value::as_f64)
        .ok_or_else(|| format!("the result {result} lacks {pointer}"))
}
