//! Runs the command under the shim, and what it promised while it ran.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::Duration;

use drawdown_tests::command::binary;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use crate::disk::{Disk, Image};
use crate::image;
use crate::journal::{self, Event, What};

/// Between two bursts of input, so that they are not one commit.
const BREATH: Duration = Duration::from_millis(3);

/// The store's folder, below the one that is watched, in folders that are made with it.
pub(crate) const STORE: &str = "data/outbox/store";

/// Names a line: the run that was given it, and its place there.
pub(crate) type Name = (usize, usize);

/// What was asked of the disk, and what was promised meanwhile.
pub(crate) struct Recording {
    pub(crate) what: &'static str,
    pub(crate) disk: Disk,
    pub(crate) events: usize,
    /// By rising moment.
    pub(crate) promises: Vec<Promise>,
    /// When a receiver had each line that it ever had.
    pub(crate) taken: HashMap<Name, usize>,
    /// The lines of each run.
    pub(crate) lines: Vec<Vec<Vec<u8>>>,
    /// The moments of which none is to be left out: those at which a run was opening the store.
    pub(crate) narrow: Vec<usize>,
}

/// What a machine knows that was cut off before.
#[derive(Default)]
struct Past {
    image: Image,
    /// What was promised and taken before the cut.
    promises: Vec<Promise>,
    taken: HashMap<Name, usize>,
    lines: Vec<Vec<Vec<u8>>>,
}

impl Past {
    /// What is known of this recording after a cut before `moment` that left `image`.
    fn of(recording: &Recording, moment: usize, image: Image) -> Self {
        let promises = recording.promises.iter().filter(|promise| promise.moment < moment);
        let taken = recording.taken.iter().filter(|(_, taken)| **taken < moment);
        Self {
            image,
            promises: promises.map(|promise| Promise { moment: 0, ..*promise }).collect(),
            taken: taken.map(|(name, _)| (*name, 0)).collect(),
            lines: recording.lines.clone(),
        }
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, events, disk, promises, taken, .. } = self;
        let unsure = disk.sync_ends.iter().map(|end| disk.unsure_bytes(*end)).max();
        let (promised, taken, syncs) = (promises.len(), taken.len(), disk.sync_ends.len());
        write!(f, "{what}: {events} events, {syncs} syncs, {promised} promises, {taken} taken, ")?;
        write!(f, "up to {} unsure bytes", unsure.unwrap_or(0))
    }
}

/// A receipt.
#[derive(Clone, Copy)]
pub(crate) struct Promise {
    pub(crate) moment: usize,
    pub(crate) seq: u64,
    pub(crate) name: Name,
}

/// What a machine runs, in a folder of its own.
pub(crate) struct Machine<'a> {
    shim: &'a Path,
    past: Past,
    folder: TempDir,
    root: PathBuf,
    pushes: Vec<u32>,
    pulls: Vec<u32>,
    lines: Vec<Vec<Vec<u8>>>,
}

impl<'a> Machine<'a> {
    pub(crate) fn new(shim: &'a Path) -> Self {
        Self::on(shim, Past::default())
    }

    /// One that starts again on what a cut before `moment` has left.
    pub(crate) fn again(shim: &'a Path, before: &Recording, moment: usize, image: Image) -> Self {
        Self::on(shim, Past::of(before, moment, image))
    }

    fn on(shim: &'a Path, past: Past) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("it is there").join("disk");
        fs::create_dir(&root).expect("it is new");
        image::write(&past.image, &root);
        let (pushes, pulls, lines) = Default::default();
        Self { shim, past, folder, root, pushes, pulls, lines }
    }

    /// The number of the next run: that of its lines.
    pub(crate) fn next_run(&self) -> usize {
        self.past.lines.len() + self.lines.len()
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn start(&self, args: &[&str], stdout: Stdio, kill_at: Option<usize>) -> Child {
        let mut command = Command::new(binary());
        if let Some(kill_at) = kill_at {
            command.env("POWER_KILL_AT", kill_at.to_string());
        }
        command
            .args(args)
            .env_remove("RUST_LOG")
            .env("LD_PRELOAD", self.shim)
            .env("POWER_FOLDER", &self.root)
            .env("POWER_JOURNAL", self.journal())
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped());
        command.spawn().expect("the command starts")
    }

    /// Starts a push that will be given these lines.
    fn push(&mut self, lines: Vec<Vec<u8>>, kill_at: Option<usize>) -> Running {
        let store = self.root.join(STORE);
        let store = store.to_str().expect("a temporary folder has a plain name");
        let bind = ["push", "--bind", "tcp://127.0.0.1:0", "--receipts", "--drain-timeout", "0s"];
        let more = ["--max-message", "32MiB", "--store", store];
        let child = self.start(&[&bind[..], &more].concat(), Stdio::null(), kill_at);
        self.pushes.push(child.id());
        self.lines.push(lines);
        Running::of(child)
    }

    /// Pushes these lines, in bursts of so many, and ends.
    pub(crate) fn push_all(&mut self, lines: Vec<Vec<u8>>, burst: usize) {
        let mut push = self.push(lines, None);
        push.endpoint();
        push.feed(self.lines.last().expect("just put there"), burst).expect("it reads");
        push.stdin = None;
        push.child.wait().expect("it is our child");
    }

    /// The same, until it is killed after so many changes.
    pub(crate) fn push_and_kill(&mut self, lines: Vec<Vec<u8>>, burst: usize, kill_at: usize) {
        let mut push = self.push(lines, Some(kill_at));
        // Killed, it reads no more.
        let _ = push.feed(self.lines.last().expect("just put there"), burst);
        push.stdin = None;
        push.child.wait().expect("it is our child");
    }

    /// Pushes these lines to a receiver, which goes away after about `count`.
    pub(crate) fn push_to_receiver(&mut self, lines: Vec<Vec<u8>>, burst: usize, count: usize) {
        let mut push = self.push(lines, None);
        let endpoint = push.endpoint();
        // A file takes all of each write at once, as the journal supposes.
        let pulled = self.folder.path().join("pulled");
        let stdout = File::create(&pulled).expect("there is room");
        let pull = self.start(
            &["pull", "--max-message", "32MiB", "--connect", &endpoint],
            stdout.into(),
            None,
        );
        let mut pull = Running::of(pull);
        self.pulls.push(pull.child.id());
        push.feed(self.lines.last().expect("just put there"), burst).expect("it reads");
        while fs::read(&pulled).expect("it is ours").iter().filter(|b| **b == b'\n').count() < count
        {
            assert!(pull.child.try_wait().expect("it is our child").is_none(), "it ended early");
            std::thread::sleep(BREATH);
        }
        // It is not killed, or it might leave half an entry in the journal.
        push.stdin = None;
        push.child.wait().expect("it is our child");
    }

    /// What all this left in the journal.
    pub(crate) fn finish(self, what: &'static str) -> Recording {
        let events = journal::read(&self.journal());
        let Self { past, pushes, root, .. } = &self;
        let openings = openings(&events, pushes);
        let (promises, taken) = self.said(&events);
        let mut ever_taken = past.taken.clone();
        for (name, taken) in taken {
            ever_taken.entry(name).or_insert(taken);
        }
        let count = events.len();
        let disk = Disk::new(root, &past.image, events);
        assert!(
            image::read(root) == disk.whole(count),
            "the shim has missed something that changed {}",
            root.display()
        );
        Recording {
            what,
            events: count,
            disk,
            narrow: openings,
            promises: [past.promises.clone(), promises].concat(),
            taken: ever_taken,
            lines: [&past.lines[..], &self.lines[..]].concat(),
        }
    }

    /// What was promised and what was taken, with the moments.
    fn said(&self, events: &[Event]) -> (Vec<Promise>, Vec<(Name, usize)>) {
        let (mut promises, mut taken) = (Vec::new(), Vec::new());
        let mut said: HashMap<u32, Vec<u8>> = HashMap::new();
        let mut receipts = vec![0; self.pushes.len()];
        for (moment, Event { pid, what, .. }) in events.iter().enumerate() {
            let What::Said(bytes) = what else { continue };
            let text = said.entry(*pid).or_default();
            text.extend(bytes);
            // Half a line promises nothing yet.
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).take(end).collect();
                if let Some(push) = self.pushes.iter().position(|push| push == pid) {
                    let seq = String::from_utf8(line).expect("a number").parse().expect("a number");
                    let name = (self.past.lines.len() + push, receipts[push]);
                    promises.push(Promise { moment, seq, name });
                    receipts[push] += 1;
                } else {
                    assert!(self.pulls.contains(pid), "nobody else runs");
                    taken.push((name_of(&line).expect("a line of ours"), moment));
                }
            }
        }
        (promises, taken)
    }
}

/// The moments of each of these processes up to its first word, or to its end.
fn openings(events: &[Event], pushes: &[u32]) -> Vec<usize> {
    let of = |push: &u32| {
        let mine = events.iter().enumerate().filter(|(_, event)| event.pid == *push);
        let until = mine.take_while(|(_, event)| !matches!(event.what, What::Said(_)));
        until.map(|(moment, _)| moment).collect::<Vec<_>>()
    };
    pushes.iter().flat_map(of).collect()
}

/// A process that does not outlive its test.
struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stderr: BufReader<ChildStderr>,
}

impl Running {
    fn of(mut child: Child) -> Self {
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        Self { stdin: child.stdin.take(), stderr, child }
    }

    /// Where it is bound.
    fn endpoint(&mut self) -> String {
        let lines = self.stderr.by_ref().lines();
        let bound = lines.map(|line| line.expect("it speaks")).find_map(|line| {
            // Before that it may tell what an earlier run has left.
            line.strip_prefix("bound ").map(str::to_owned)
        });
        bound.expect("it says so")
    }

    fn feed(&mut self, lines: &[Vec<u8>], burst: usize) -> io::Result<()> {
        let stdin = self.stdin.as_mut().expect("it is open");
        for lines in lines.chunks(burst) {
            let mut text = lines.join(&b'\n');
            text.push(b'\n');
            stdin.write_all(&text)?;
            std::thread::sleep(BREATH);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of a run, most of them short, a few longer than a block.
pub(crate) fn lines(run: usize, count: usize, length: usize) -> Vec<Vec<u8>> {
    let mut dice = ChaCha8Rng::seed_from_u64(run as u64);
    let line = |index| {
        let most = match dice.random_range(0..200) {
            0 => length * 100,
            1..=9 => length * 10,
            _ => length,
        };
        let mut line = format!("{run} {index} ").into_bytes();
        let length = dice.random_range(0..most);
        line.extend((0..length).map(|_| dice.random_range(b'a'..=b'z')));
        line
    };
    (0..count).map(line).collect()
}

/// What a line says that it is.
pub(crate) fn name_of(line: &[u8]) -> Option<Name> {
    let head = String::from_utf8_lossy(&line[..line.len().min(40)]).into_owned();
    let mut words = head.split(' ').map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?))
}
