//! Workers that go away and come back.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::pusher::Pusher;
use crate::support::worker::{Entry, Habits, Worker, confirmed, deliveries};
use drawdown_tests::processes::Proxy;

#[test]
fn a_stopped_worker_loses_its_jobs_to_another_and_goes_on_when_it_is_continued() {
    const FIRST: u64 = 2_000;
    const ALL: u64 = 4_000;

    let mut pusher = Pusher::start(&["--heartbeat", "100ms", "--grace", "100ms"]);
    let habits = Habits { heartbeat: Duration::from_millis(100), ..Habits::millis(1) };
    let mut stopped = Worker::start(&pusher.endpoint, habits);
    let mut other = Worker::start(&pusher.endpoint, habits);
    pusher.push(0..FIRST);
    stopped.wait_begun(200);
    stopped.process.signal(Signal::STOP);
    other.process.stdout.wait_for("all jobs done while one worker stands still", |entries| {
        let mut done: BTreeSet<u64> = stopped.done().iter().map(|job| job.number).collect();
        done.extend(entries.iter().filter_map(Entry::done).map(|job| job.number));
        (done.len() as u64 == FIRST).then_some(())
    });
    let unfinished: BTreeSet<u64> = {
        let done: BTreeSet<u64> = stopped.done().iter().map(|job| job.number).collect();
        stopped.begun().into_iter().filter(|job| !done.contains(job)).collect()
    };
    let by_other: BTreeSet<u64> = other.begun().into_iter().collect();
    assert!(unfinished.is_subset(&by_other), "the other worker has what the stopped one held");

    stopped.process.signal(Signal::CONT);
    pusher.push(FIRST..ALL);
    stopped.process.stdout.wait_for("new jobs of the continued worker", |entries| {
        let new = |entry: &Entry| entry.begun().is_some_and(|job| job >= FIRST);
        entries.iter().any(new).then_some(())
    });
    pusher.process.finish();
    stopped.process.finish();
    other.process.finish();
    let workers = [stopped, other];
    assert!(confirmed(&workers).into_iter().eq(0..ALL), "every job is confirmed");
    let twice = deliveries(&workers).into_values().filter(|times| *times > 1).count();
    println!("{ALL} jobs, {twice} delivered twice, {unfinished:?} in work when it was stopped");
}

#[test]
fn a_worker_whose_connection_is_reset_keeps_what_it_holds() {
    const JOBS: u64 = 3_000;
    const RESETS: usize = 5;

    let mut pusher = Pusher::start(&["--grace", "10m"]);
    let proxy = Proxy::before(&pusher.endpoint);
    let habits = Habits { window: 100, ..Habits::millis(1) };
    let mut cut_off = Worker::start(&proxy.endpoint, habits);
    let mut witness = Worker::start(&pusher.endpoint, Habits::millis(1));
    pusher.push(0..JOBS);
    for reset in 1..=RESETS {
        cut_off.wait_begun(200 * reset);
        proxy.reset();
    }
    pusher.process.finish();
    cut_off.process.finish();
    witness.process.finish();

    let workers = [cut_off, witness];
    assert!(proxy.connections() > RESETS, "it came back each time");
    assert!(deliveries(&workers).into_iter().eq((0..JOBS).map(|job| (job, 1))), "each job once");
    assert!(confirmed(&workers).into_iter().eq(0..JOBS), "every job is confirmed");
}
