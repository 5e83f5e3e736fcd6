//! Who gets how much: nobody waits beside a full queue.

use std::time::Duration;

use crate::support::pusher::Pusher;
use crate::support::worker::{Habits, Job, Worker, deliveries};

/// The part of the jobs that each worker should get, by the time that its own jobs took.
fn due_shares(jobs: &[Vec<Job>]) -> Vec<f64> {
    let speed = |jobs: &Vec<Job>| {
        let busy_us: u64 = jobs.iter().map(|job| job.done_us - job.begun_us).sum();
        jobs.len() as f64 / busy_us as f64
    };
    let speeds: Vec<f64> = jobs.iter().map(speed).collect();
    let all: f64 = speeds.iter().sum();
    speeds.into_iter().map(|speed| speed / all).collect()
}

fn share(jobs: &[Vec<Job>], worker: usize) -> f64 {
    jobs[worker].len() as f64 / jobs.iter().map(Vec::len).sum::<usize>() as f64
}

fn time(jobs: &[Vec<Job>]) -> Duration {
    let begun = jobs.iter().flatten().map(|job| job.begun_us).min().unwrap_or_default();
    let done = jobs.iter().flatten().map(|job| job.done_us).max().unwrap_or_default();
    Duration::from_micros(done - begun)
}

fn assert_near(found: f64, due: f64, tolerance: f64) {
    assert!((found / due - 1.0).abs() <= tolerance, "a share of {found:.4} where {due:.4} is due");
}

#[test]
fn a_worker_that_joins_late_gets_its_share_of_what_is_left() {
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
    let mut jobs: Vec<Vec<Job>> = workers.iter().map(Worker::done).collect();
    println!("{JOBS} jobs of 1 ms took {:?}", time(&jobs));
    let joined_us = jobs[2].first().expect("the late worker got something").begun_us;
    jobs.iter_mut().for_each(|jobs| jobs.retain(|job| job.begun_us >= joined_us));
    println!("from then on: {:?} jobs in {:?}", [0, 1, 2].map(|at| jobs[at].len()), time(&jobs));
    assert_near(share(&jobs, 2), due_shares(&jobs)[2], 0.1);
    assert_near(share(&jobs, 2), 1.0 / 3.0, 0.1);
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
    let due = due_shares(&jobs);
    println!(
        "{:?} jobs in {:?}; the slow one got {:.4}, due {:.4}, 1/21 = {:.4}",
        [0, 1, 2].map(|at| jobs[at].len()),
        time(&jobs),
        share(&jobs, 2),
        due[2],
        1.0 / 21.0,
    );
    // Going from one job to the next takes its time, too, and the fast ones do so more often.
    assert_near(share(&jobs, 2), due[2], 0.2);
    assert_near(share(&jobs, 0), share(&jobs, 1), 0.1);
}
