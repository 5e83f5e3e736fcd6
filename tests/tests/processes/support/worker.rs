//! Worker processes and their records.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use drawdown_tests::processes::Child;

/// What a worker wrote down.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Begun(u64),
    Done(Job),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) number: u64,
    /// When it was begun and when it was confirmed, in microseconds of one clock for all workers.
    pub(crate) begun_us: u64,
    pub(crate) done_us: u64,
}

pub(crate) struct Worker {
    pub(crate) process: Child<Entry>,
}

/// How a worker works.
#[derive(Clone, Copy)]
pub(crate) struct Habits {
    pub(crate) job: Duration,
    pub(crate) window: u64,
    pub(crate) heartbeat: Duration,
}

impl Habits {
    /// One job of so many milliseconds at a time, and one that waits.
    pub(crate) const fn millis(millis: u64) -> Self {
        Self { job: Duration::from_millis(millis), window: 1, heartbeat: Duration::from_secs(1) }
    }
}

impl Worker {
    pub(crate) fn start(endpoint: &str, habits: Habits) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fairness"));
        command.args(["worker", "--connect", endpoint]);
        command.arg("--job-us").arg(habits.job.as_micros().to_string());
        command.arg("--window").arg(habits.window.to_string());
        command.arg("--heartbeat-ms").arg(habits.heartbeat.as_millis().to_string());
        Self { process: Child::start(command, Entry::read) }
    }

    /// The jobs that it began, in order.
    pub(crate) fn begun(&self) -> Vec<u64> {
        let entries = self.process.stdout.items();
        entries.iter().filter_map(Entry::begun).collect()
    }

    /// The jobs that it confirmed, in order.
    pub(crate) fn done(&self) -> Vec<Job> {
        let entries = self.process.stdout.items();
        entries.iter().filter_map(Entry::done).collect()
    }

    /// Waits until it has begun so many jobs.
    pub(crate) fn wait_begun(&self, count: usize) {
        self.process.stdout.wait_for("jobs of a worker", |entries| {
            let begun = entries.iter().filter_map(Entry::begun).count();
            (begun >= count).then_some(())
        });
    }
}

impl Entry {
    fn read(line: &[u8]) -> Self {
        let text = std::str::from_utf8(line).expect("a worker writes text");
        let mut words = text.split(' ');
        let kind = words.next();
        let numbers: Vec<u64> =
            words.map(|word| word.parse().expect("a worker writes numbers")).collect();
        match (kind, numbers[..].as_ref()) {
            (Some("begun"), [number]) => Entry::Begun(*number),
            (Some("done"), [number, begun_us, done_us]) => {
                Entry::Done(Job { number: *number, begun_us: *begun_us, done_us: *done_us })
            }
            _ => panic!("no worker writes {text:?}"),
        }
    }

    pub(crate) fn begun(&self) -> Option<u64> {
        if let Entry::Begun(number) = self { Some(*number) } else { None }
    }

    pub(crate) fn done(&self) -> Option<Job> {
        if let Entry::Done(job) = self { Some(*job) } else { None }
    }
}

/// How often each job was begun, by all workers together.
pub(crate) fn deliveries<'a>(
    workers: impl IntoIterator<Item = &'a Worker>,
) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for job in workers.into_iter().flat_map(Worker::begun) {
        *counts.entry(job).or_default() += 1;
    }
    counts
}

/// The jobs that anybody confirmed.
pub(crate) fn confirmed<'a>(workers: impl IntoIterator<Item = &'a Worker>) -> BTreeSet<u64> {
    workers.into_iter().flat_map(Worker::done).map(|job| job.number).collect()
}
