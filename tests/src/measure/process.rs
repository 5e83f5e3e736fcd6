//! Processes with a time limit: none outlives its owner, and each tells what it did and what it cost.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

use super::is_interrupted;
use super::procfs::cpu_of_life;

/// How often a wait looks whether it should go on.
const LOOK: Duration = Duration::from_millis(5);

/// What is repeated of the last words of a process.
const SAID_CHARS_MAX: usize = 400;

/// How long a measurement may take.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Instant,
    limit: Duration,
}

/// A process that ends with its owner.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    /// Parts of the owner's program end when it does, however the owner ends.
    _stdin: Option<ChildStdin>,
    lines: Receiver<Line>,
    said: String,
    result: Option<Value>,
    deadline: Deadline,
}

/// What a process that ended well leaves.
#[derive(Debug)]
pub struct Ended {
    /// The line of JSON that it printed last.
    pub result: Value,
    /// User and system time of its life, where the system tells it; to 10 ms.
    pub cpu: Option<Duration>,
}

#[derive(Debug)]
enum Line {
    Stdout(String),
    Stderr(String),
}

#[derive(PartialEq, Eq)]
enum State {
    Running,
    EndedWell,
    EndedBadly,
}

impl Deadline {
    /// From now on.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        Self { end: Instant::now() + limit, limit }
    }

    /// A moment of waiting for `what`.
    ///
    /// # Errors
    /// When there is no time left, or somebody wants to end.
    pub fn pause(&self, what: &str) -> Result<(), String> {
        self.check(what)?;
        std::thread::sleep(LOOK);
        Ok(())
    }

    fn check(&self, what: &str) -> Result<(), String> {
        if is_interrupted() {
            return Err("interrupted".to_owned());
        }
        if Instant::now() > self.end {
            return Err(format!("{what}: ended after {} s", self.limit.as_secs()));
        }
        Ok(())
    }
}

impl Process {
    /// Starts a process, with a stdin that is open for as long as its owner lives.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        name: &'static str,
        mut command: Command,
        deadline: Deadline,
    ) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| format!("{name}: cannot be started: {error}"))?;
        let (sender, lines) = channel();
        // Threads: a pipe that nobody reads could fill and stop the process.
        forward(child.stdout.take(), sender.clone(), Line::Stdout);
        forward(child.stderr.take(), sender, Line::Stderr);
        let stdin = child.stdin.take();
        Ok(Self { name, child, _stdin: stdin, lines, said: String::new(), result: None, deadline })
    }

    /// Its number in the system.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is not there any more.
    pub fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|error| format!("{}: cannot be sent a signal: {error}", self.name))
    }

    /// Waits for the line `WORD ...`, and gives the rest of it.
    ///
    /// # Errors
    /// When it ends without that line, or takes too long.
    pub fn told(&mut self, word: &str) -> Result<String, String> {
        while let Some(line) = self.next_line()? {
            let rest = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
            if let Some(rest) = rest {
                return Ok(rest.to_owned());
            }
        }
        Err(self.bad_end())
    }

    /// For who waits for something else than its end.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check_running(&mut self) -> Result<(), String> {
        if self.state()? == State::Running { Ok(()) } else { Err(self.bad_end()) }
    }

    /// User and system time until now, where the system tells it; to 10 ms.
    #[must_use]
    pub fn cpu(&self) -> Option<Duration> {
        cpu_of_life(self.id())
    }

    /// Waits until it has ended well.
    ///
    /// # Errors
    /// When it fails, takes too long, or printed no JSON.
    pub fn result(mut self) -> Result<Ended, String> {
        wait_for(&mut [&mut self])?;
        let cpu = self.cpu();
        while self.next_line()?.is_some() {}
        let result = self.result.take();
        let result = result.ok_or_else(|| format!("{}: it printed no result", self.name))?;
        Ok(Ended { result, cpu })
    }

    /// None once all is said.
    fn next_line(&mut self) -> Result<Option<String>, String> {
        loop {
            match self.lines.recv_timeout(LOOK) {
                Ok(Line::Stdout(line)) => {
                    if let Ok(result) = serde_json::from_str(&line) {
                        self.result = Some(result);
                    }
                    return Ok(Some(line));
                }
                Ok(Line::Stderr(line)) => {
                    self.said.push_str(&line);
                    self.said.push(' ');
                    return Ok(Some(line));
                }
                Err(RecvTimeoutError::Timeout) => self.deadline.check(self.name)?,
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
        }
    }

    /// It is not reaped here, so that `/proc` tells of it still.
    fn state(&self) -> Result<State, String> {
        let flags = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.child)), flags)
            .map_err(|error| format!("{}: cannot be waited for: {error}", self.name))?;
        Ok(match status {
            None => State::Running,
            Some(status) if status.exit_status() == Some(0) => State::EndedWell,
            Some(_) => State::EndedBadly,
        })
    }

    fn bad_end(&mut self) -> String {
        // Its last words may be on their way.
        while matches!(self.next_line(), Ok(Some(_))) {}
        let status = self.child.try_wait().ok().flatten();
        let end = status.map_or("ended too early".to_owned(), |status| {
            format!("ended too early, with {status}")
        });
        let said: String = self.said.trim().chars().take(SAID_CHARS_MAX).collect();
        format!("{}: {end}, and said: {said}", self.name)
    }
}

/// Waits until all have ended well, or one has not.
///
/// # Errors
/// When one fails, or takes too long.
pub fn wait_for(processes: &mut [&mut Process]) -> Result<(), String> {
    loop {
        let mut running = None;
        for process in processes.iter_mut() {
            match process.state()? {
                State::Running => running = Some((process.name, process.deadline)),
                State::EndedWell => {}
                State::EndedBadly => return Err(process.bad_end()),
            }
        }
        match running {
            Some((name, deadline)) => deadline.pause(name)?,
            None => return Ok(()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing when it was reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// A number of the result.
    ///
    /// # Errors
    /// When there is none at this JSON pointer.
    pub fn number(&self, pointer: &str) -> Result<f64, String> {
        self.result
            .pointer(pointer)
            .and_then(Value::as_f64)
            .ok_or_else(|| format!("the result {} lacks {pointer}", self.result))
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
