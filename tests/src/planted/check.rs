//! A command of cargo's that is green on a whole tree, and must not be on one with a fault in it.

use std::fmt;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::measure::is_interrupted;

/// How often a command that runs is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// `cargo test …` or `cargo run …`, without its first two words.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Check {
    verb: Verb,
    /// What is built.
    target: Vec<String>,
    /// What it is told.
    rest: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Verb {
    Test,
    Run,
}

/// What came of a check.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It found nothing.
    Green,
    /// It failed, and said this.
    Failed(String),
    /// It did not end in time, which proves nothing.
    TimedOut,
    /// It could not be built, which proves nothing either.
    NotBuilt(String),
}

impl Check {
    /// Reads a command as it is typed; its words have no blanks in them.
    ///
    /// # Errors
    /// When it is none of cargo's that this knows of.
    pub fn parse(command: &str) -> Result<Self, String> {
        let mut words = command.split_whitespace().map(str::to_owned);
        let verb = match (words.next().as_deref(), words.next().as_deref()) {
            (Some("cargo"), Some("test")) => Verb::Test,
            (Some("cargo"), Some("run")) => Verb::Run,
            _ => return Err(format!("`{command}` is neither `cargo test` nor `cargo run`")),
        };
        let words: Vec<String> = words.collect();
        let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
        let (target, rest) = words.split_at(end);
        Ok(Self { verb, target: target.to_vec(), rest: rest.to_vec() })
    }

    /// Builds and runs it in a tree; what it says goes to the file `said`.
    ///
    /// # Errors
    /// When cargo cannot be started.
    pub fn run(
        &self,
        tree: &Path,
        target: &Path,
        said: &Path,
        time_max: Duration,
    ) -> Result<Outcome, String> {
        let build: &[&str] = match self.verb {
            Verb::Test => &["test", "--no-run"],
            Verb::Run => &["build"],
        };
        let built = self.cargo(build, &self.target, tree, target, said)?;
        if !matches!(ended(built, time_max)?, Some(status) if status.success()) {
            return Ok(Outcome::NotBuilt(last_words(said, "error")));
        }
        let verb = if self.verb == Verb::Test { "test" } else { "run" };
        let words: Vec<String> = self.target.iter().chain(&self.rest).cloned().collect();
        let running = self.cargo(&[verb], &words, tree, target, said)?;
        Ok(match ended(running, time_max)? {
            None => Outcome::TimedOut,
            Some(status) if status.success() => Outcome::Green,
            Some(_) => Outcome::Failed(last_words(said, "panicked at")),
        })
    }

    fn cargo(
        &self,
        first: &[&str],
        words: &[String],
        tree: &Path,
        target: &Path,
        said: &Path,
    ) -> Result<Child, String> {
        let failed = |error: std::io::Error| format!("cargo cannot be started: {error}");
        let output = File::create(said).map_err(failed)?;
        let errors = output.try_clone().map_err(failed)?;
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(first)
            .args(words)
            .current_dir(tree)
            .env("CARGO_TARGET_DIR", target)
            // Each bug costs a build, and most checks are over in seconds.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(failed)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.verb == Verb::Test { "test" } else { "run" };
        write!(f, "cargo {verb}")?;
        self.target.iter().chain(&self.rest).try_for_each(|word| write!(f, " {word}"))
    }
}

/// Waits for a process; ends it, and all that it started, if that takes too long or nobody waits any more.
fn ended(mut child: Child, time_max: Duration) -> Result<Option<ExitStatus>, String> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Ok(Some(status));
        }
        if started.elapsed() > time_max || is_interrupted() {
            // It leads the group that it was started in.
            if let Some(group) = Pid::from_raw(child.id() as i32) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = child.wait();
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// The first line that has `word` in it, and the one behind it; or else the last line.
fn last_words(said: &Path, word: &str) -> String {
    let text = std::fs::read(said).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().skip_while(|line| !line.contains(word));
    match (lines.next(), lines.next()) {
        (Some(line), Some(next)) => format!("{line} {next}"),
        _ => text.lines().rev().find(|line| !line.is_empty()).unwrap_or_default().to_owned(),
    }
}
