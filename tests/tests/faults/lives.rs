//! What a sender does in one life on its store, with a disk that fails or without.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drawdown_tests::command::binary;
use drawdown_tests::processes::{Child, Random, text};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::fault::{Calls, Fault};

/// A folder with a store in it, and what was accepted into it.
pub(crate) struct Outbox {
    folder: TempDir,
    /// The lines that anybody ever tried to send.
    tried: usize,
    /// Those of which a receipt was printed.
    pub(crate) accepted: BTreeSet<usize>,
}

/// How a life ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
    pub(crate) calls: Calls,
}

/// Why not all was delivered.
#[derive(Debug)]
pub(crate) enum Harm {
    /// The store was not opened; what the command said.
    Refused(String),
    Lost(String),
}

/// The line of this number: most are short, some fill more than one of the store's entries.
fn line(number: usize) -> String {
    let mut random = Random::of(number as u64);
    let length = if number % 5 == 4 { 60_000 + random.below(60_000) } else { random.below(300) };
    let letters = (0..length).map(|_| char::from(b'a' + (random.number() % 26) as u8));
    format!("{number} ").chars().chain(letters).collect()
}

/// The number of a line that is as it was sent.
pub(crate) fn check(found: &[u8]) -> Result<usize, String> {
    let found = text(found);
    let head: String = found.chars().take(40).collect();
    let number = head.split(' ').next().and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| format!("no line begins like {head:?}"))?;
    if line(number) == found {
        Ok(number)
    } else {
        Err(format!("line {number} is damaged: {head}"))
    }
}

impl Outbox {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("disk")).expect("it is new");
        Self { folder, tried: 0, accepted: BTreeSet::new() }
    }

    /// Another one that holds the same.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::new();
        if self.store().exists() {
            copy_files(&self.store(), &copy.store());
        }
        Self { folder: copy.folder, tried: self.tried, accepted: self.accepted.clone() }
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("it is there").join("disk")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.disk().join("store")
    }

    fn push(&self) -> Command {
        let mut command = Command::new(binary());
        command.args(["push", "--bind", "tcp://127.0.0.1:0", "--store"]).arg(self.store());
        command
    }

    /// Hands in so many lines, each after the receipt of the one before, until the process gives up.
    pub(crate) fn live(&mut self, lines: usize, shim: &Path, fault: Fault) -> Ended {
        let log = self.folder.path().join("calls");
        let mut command = self.push();
        command.args(["--receipts", "--drain-timeout", "0s"]);
        fault.plant(&mut command, shim, &self.disk(), &log);
        let mut push = Child::start(command, text);
        let mut stdin = push.take_stdin();
        for sent in 0..lines {
            let mut line = line(self.tried);
            line.push('\n');
            // One that has ended says so on stdout.
            let _ = stdin.write_all(line.as_bytes());
            self.tried += 1;
            let receipt = |receipts: &[String]| receipts.get(sent).cloned();
            if push.stdout.wait_for_or_end("a receipt", receipt).is_none() {
                break;
            }
            self.accepted.insert(self.tried - 1);
        }
        drop(stdin);
        let code = push.wait().code();
        let said = push.stderr.items().join("\n");
        let calls = Calls::read(&log);
        fs::remove_file(log).expect("it was read");
        Ended { code, said, calls }
    }

    /// Starts a sender on the store; gives its endpoint too.
    pub(crate) fn start(&self) -> Result<(Child<String>, String), Harm> {
        let mut push = Child::start(self.push(), text);
        let bound = |lines: &[String]| lines.iter().find_map(|line| bound_in(line));
        match push.stderr.wait_for_or_end("an endpoint", bound) {
            Some(endpoint) => Ok((push, endpoint)),
            None => {
                push.wait();
                let said = push.stderr.items().join("\n");
                Err(Harm::Refused(said))
            }
        }
    }

    /// Sends all that is there and one line more to a receiver, on a disk that works.
    pub(crate) fn deliver(self) -> Result<(), Harm> {
        let (push, endpoint) = self.start()?;
        self.deliver_by(push, &endpoint).map_err(Harm::Lost)
    }

    /// The same, by a sender that was started.
    pub(crate) fn deliver_by(
        mut self,
        mut push: Child<String>,
        endpoint: &str,
    ) -> Result<(), String> {
        let mut pull = Command::new(binary());
        pull.args(["pull", "--connect", endpoint]);
        let mut pull = Child::start(pull, check);
        push.write(format!("{}\n", line(self.tried)).as_bytes());
        self.accepted.insert(self.tried);
        push.finish();
        pull.signal(Signal::TERM);
        pull.wait();
        let mut delivered = BTreeSet::new();
        for number in pull.stdout.items().iter() {
            delivered.insert(number.clone()?);
        }
        let lost: Vec<_> = self.accepted.difference(&delivered).collect();
        let unknown: Vec<_> = delivered.iter().filter(|number| **number > self.tried).collect();
        if !lost.is_empty() || !unknown.is_empty() {
            return Err(format!("lost: {lost:?}; never sent: {unknown:?}"));
        }
        self.verify()
    }

    /// Asks `drawdown store verify`.
    pub(crate) fn verify(&self) -> Result<(), String> {
        let mut command = Command::new(binary());
        command.args(["store", "verify"]).arg(self.store()).stdin(Stdio::null());
        let verified = command.output().expect("it starts");
        if verified.status.success() {
            return Ok(());
        }
        Err(format!("not whole: {}{}", text(&verified.stdout), text(&verified.stderr)))
    }
}

fn bound_in(line: &str) -> Option<String> {
    line.strip_prefix("bound ").map(str::to_owned)
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).expect("it is new");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it is there");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_files(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("there is room");
        }
    }
}
