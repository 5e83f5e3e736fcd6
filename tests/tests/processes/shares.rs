//! Who gets how much: nobody waits beside a full queue.

use crate::support::pusher::Pusher;
use crate::support::worker::{Habits, Job, Worker, deliveries};

/// The part of all jobs that others may begin once a worker has nothing more to do.
///
/// In theory each begins one more and one is on its way; but where the machine has others to serve, a worker's request
/// for the next job may leave late, and the others go on by one job in each millisecond. Where jobs are handed out in
/// turn, hundreds wait.
const BEGUN_LATE_MAX: f64 = 0.01;

/// How many jobs were begun after the first worker had done its last one: those had waited beside an idle worker.
fn begun_late(jobs: &[Vec<Job>]) -> usize {
    let last = |jobs: &Vec<Job>| jobs.iter().map(|job| job.done_us).max().unwrap_or_default();
    let idle_us = jobs.iter().map(last).min().unwrap_or_default();
    jobs.iter().flatten().filter(|job| job.begun_us > idle_us).count()
}

fn assert_few(late: usize, jobs: u64) {
    let part = late as f64 / jobs as f64;
    assert!(part <= BEGUN_LATE_MAX, "{late} jobs waited beside a worker that had nothing to do");
}

#[test]
fn a_worker_that_joins_late_works_for_as_long_as_there_is_work() {
    const JOBS: u64 = 7_000;
    // The two have worked for about a second.
    const BEFORE: usize = 1_000;

    let mut pusher = Pusher::start(&[]);
    pusher.push(0..JOBS);
    let mut workers = vec![
        Worker::start(&pusher.endpoint, Habits::millis(1)),
        Worker::start(&pusher.endpoint, Habits::millis(1)),
    ];
    workers[0].wait_begun(BEFORE);
    workers.push(Worker::start(&pusher.endpoint, Habits::millis(1)));
    pusher.process.finish();
    workers.iter_mut().for_each(|worker| worker.process.finish());

    assert!(deliveries(&workers).into_iter().eq((0..JOBS).map(|job| (job, 1))), "each job once");
    let jobs: Vec<Vec<Job>> = workers.iter().map(Worker::done).collect();
    assert!(!jobs[2].is_empty(), "the late worker got none");
    let late = begun_late(&jobs);
    println!("{:?} jobs, {late} begun late", [0, 1, 2].map(|at| jobs[at].len()));
    assert_few(late, JOBS);
}

#[test]
fn a_slow_worker_gets_no_more_than_it_can_do_and_the_fast_ones_never_wait_for_it() {
    const JOBS: u64 = 3_000;

    let mut pusher = Pusher::start(&[]);
    let mut workers =
        [1, 1, 10].map(|millis| Worker::start(&pusher.endpoint, Habits::millis(millis)));
    pusher.push(0..JOBS);
    pusher.process.finish();
    workers.iter_mut().for_each(|worker| worker.process.finish());

    assert!(deliveries(&workers).into_iter().eq((0..JOBS).map(|job| (job, 1))), "each job once");
    let jobs = [0, 1, 2].map(|at| workers[at].done());
    let late = begun_late(&jobs);
    println!("{:?} jobs, {late} begun late", [0, 1, 2].map(|at| jobs[at].len()));
    assert_few(late, JOBS);
}
