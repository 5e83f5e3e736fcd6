//! Processes with a time limit: none outlives its owner, and each tells what it cost.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drawdown_tests::measure::is_interrupted;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::Value;

/// How often is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(5);

/// `/proc/PID/stat` counts in these: Linux tells programs 100 a second, whatever its own clock does.
const TICK: Duration = Duration::from_millis(10);

/// What is repeated of the last words of a process.
const SAID_CHARS_MAX: usize = 400;

/// Where one run keeps its files, and how long it may take.
pub(crate) struct Run<'a> {
    folder: &'a Path,
    start: Instant,
    limit: Duration,
}

/// A process that ends with its owner.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

#[derive(PartialEq, Eq)]
enum State {
    Running,
    EndedWell,
    EndedBadly,
}

/// What a process that ended well leaves.
pub(crate) struct Ended {
    /// The line of JSON that it printed.
    pub(crate) result: Value,
    /// User and system time of its life, where the system tells it; to 10 ms.
    pub(crate) cpu: Option<Duration>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(folder: &'a Path, limit: Duration) -> Self {
        Self { folder, start: Instant::now(), limit }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder
    }

    /// Starts a process; its name must be its own in this run.
    pub(crate) fn start(
        &self,
        name: &'static str,
        mut command: Command,
    ) -> Result<Process, String> {
        let stdout = self.folder.join(format!("{name}.stdout"));
        let stderr = self.folder.join(format!("{name}.stderr"));
        // Files: a pipe that nobody reads could fill and stop the process.
        let create = |path: &Path| {
            File::create(path).map_err(|error| format!("cannot create {}: {error}", path.display()))
        };
        command.stdin(Stdio::null()).stdout(create(&stdout)?).stderr(create(&stderr)?);
        let child =
            command.spawn().map_err(|error| format!("{name}: cannot be started: {error}"))?;
        Ok(Process { name, child, stdout, stderr })
    }

    /// Waits for the line `bound ENDPOINT`, and gives the endpoint.
    pub(crate) fn bound(&self, process: &mut Process) -> Result<String, String> {
        loop {
            let stderr = process.stderr();
            let complete = stderr.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
            if let Some(endpoint) = complete.filter_map(|line| line.strip_prefix("bound ")).next() {
                return Ok(endpoint.to_owned());
            }
            process.check_running()?;
            self.pause(process.name)?;
        }
    }

    /// Starts a receiver, and once it is bound a sender to its endpoint; gives what both leave.
    pub(crate) fn pair(
        &self,
        receiver: Command,
        sender: impl FnOnce(&str) -> Command,
    ) -> Result<(Ended, Ended), String> {
        let mut receiver = self.start("receiver", receiver)?;
        let endpoint = self.bound(&mut receiver)?;
        let mut sender = self.start("sender", sender(&endpoint))?;
        self.wait(&mut [&mut receiver, &mut sender])?;
        Ok((receiver.end()?, sender.end()?))
    }

    /// Runs one process to its end.
    pub(crate) fn alone(&self, command: Command) -> Result<Ended, String> {
        let mut process = self.start("sender", command)?;
        self.wait(&mut [&mut process])?;
        process.end()
    }

    /// Waits until all have ended well, or one has not.
    pub(crate) fn wait(&self, processes: &mut [&mut Process]) -> Result<(), String> {
        loop {
            let mut running = None;
            for process in processes.iter_mut() {
                match process.state()? {
                    State::Running => running = Some(process.name),
                    State::EndedWell => {}
                    State::EndedBadly => drop(process.end()?),
                }
            }
            match running {
                Some(name) => self.pause(name)?,
                None => return Ok(()),
            }
        }
    }

    /// A moment of waiting for `what`, while there is time.
    pub(crate) fn pause(&self, what: &str) -> Result<(), String> {
        if is_interrupted() {
            return Err("interrupted".to_owned());
        }
        if self.start.elapsed() > self.limit {
            return Err(format!("{what}: killed after {} s", self.limit.as_secs()));
        }
        std::thread::sleep(LOOK);
        Ok(())
    }
}

impl Process {
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

    /// For who waits for something else than its end.
    pub(crate) fn check_running(&mut self) -> Result<(), String> {
        if self.state()? == State::Running {
            return Ok(());
        }
        self.end()?;
        Err(format!("{} ended too early", self.name))
    }

    /// User and system time until now.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The name of the program, in brackets, may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_ascii_whitespace().skip(11);
        let user: u32 = times.next()?.parse().ok()?;
        let system: u32 = times.next()?.parse().ok()?;
        Some(TICK * user.checked_add(system)?)
    }

    /// Reaps it, which waits until it has ended.
    pub(crate) fn end(&mut self) -> Result<Ended, String> {
        let cpu = self.cpu();
        let status = self.child.wait().map_err(|error| format!("{}: {error}", self.name))?;
        if !status.success() {
            let said = self.stderr().split_whitespace().collect::<Vec<_>>().join(" ");
            let said: String = said.chars().take(SAID_CHARS_MAX).collect();
            return Err(format!("{} ended with {status}, and said: {said}", self.name));
        }
        let stdout = std::fs::read_to_string(&self.stdout).unwrap_or_default();
        let result = serde_json::from_str(stdout.trim()).map_err(|error| {
            format!("{}: what it printed is no line of JSON: {error}", self.name)
        })?;
        Ok(Ended { result, cpu })
    }

    fn stderr(&self) -> String {
        std::fs::read(&self.stderr)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
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
    pub(crate) fn number(&self, pointer: &str) -> Result<f64, String> {
        self.result
            .pointer(pointer)
            .and_then(Value::as_f64)
            .ok_or_else(|| format!("the result {} lacks {pointer}", self.result))
    }
}
