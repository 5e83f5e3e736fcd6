//! One sender and its workers, each a thread with a socket of its own, and what they did beside the ideal.

use std::sync::Arc;
use std::time::Duration;

use drawdown::{Endpoint, PullSocket, PushSocket};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::worker::{Job, Record, now_us, work_off};

/// After so long something hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// One worker to be.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) job_time: Duration,
    /// When it comes, after the others have begun.
    pub(crate) joins_after: Duration,
}

impl Plan {
    pub(crate) const fn millis(millis: u64) -> Self {
        Self { job_time: Duration::from_millis(millis), joins_after: Duration::ZERO }
    }

    pub(crate) const fn joins_after(self, joins_after: Duration) -> Self {
        Self { joins_after, ..self }
    }
}

/// What one worker did.
struct Worked {
    joined_us: u64,
    jobs: Vec<Job>,
}

impl Record for Vec<Job> {
    fn begun(&mut self, _: u64) {}

    fn done(&mut self, job: Job) {
        self.push(job);
    }
}

/// One run beside its ideal.
pub(crate) struct Outcome {
    /// From the first job handed in to the last one confirmed.
    pub(crate) measured: Duration,
    /// The same, if every worker worked without a pause from when it joined.
    pub(crate) ideal: Duration,
    /// For each worker, the jobs that it got over those that it got ideally.
    pub(crate) shares: Vec<f64>,
}

/// Lets the workers do so many jobs, all of which wait from the start.
pub(crate) fn run(job_count: u64, plans: &[Plan]) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Sockets spawn tasks when they are made and connected.
    let _context = runtime.enter();
    let push = runtime.block_on(PushSocket::builder().queue(job_count).build())?;
    let endpoint = runtime.block_on(push.bind("tcp://127.0.0.1:0"))?;
    let pulls = plans
        .iter()
        .map(|_| Ok(Arc::new(PullSocket::builder().window(1).build()?)))
        .collect::<Result<Vec<_>, drawdown::Error>>()?;
    for (pull, plan) in pulls.iter().zip(plans) {
        if plan.joins_after.is_zero() {
            pull.connect(&endpoint)?;
        }
    }
    let there = plans.iter().filter(|plan| plan.joins_after.is_zero()).count();
    runtime.block_on(connected(&push, there))?;

    let start_us = now_us();
    let worked = std::thread::scope(|scope| {
        let (runtime, endpoint) = (&runtime, &endpoint);
        let threads: Vec<_> = pulls
            .iter()
            .zip(plans)
            .map(|(pull, plan)| scope.spawn(move || work(runtime, pull, endpoint, plan)))
            .collect();
        let sent = runtime.block_on(send_all(&push, job_count));
        pulls.iter().for_each(|pull| pull.stop());
        let worked: Result<Vec<_>, Failure> = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a worker panicked")?)
            .collect();
        sent.and(worked)
    })?;
    Ok(compare(start_us, &worked))
}

async fn connected(push: &PushSocket, count: usize) -> Result<(), Failure> {
    let all = async {
        while push.stats().links.len() < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, all).await.map_err(|_| "the workers do not connect")?)
}

async fn send_all(push: &PushSocket, job_count: u64) -> Result<(), Failure> {
    let jobs: Vec<String> = (0..job_count).map(|job| job.to_string()).collect();
    push.enqueue_batch(&jobs).await?;
    Ok(push.drain(PATIENCE).await?)
}

fn work(
    runtime: &Runtime,
    pull: &PullSocket,
    endpoint: &Endpoint,
    plan: &Plan,
) -> Result<Worked, Failure> {
    if !plan.joins_after.is_zero() {
        std::thread::sleep(plan.joins_after);
        let _context = runtime.enter();
        pull.connect(endpoint)?;
    }
    let (joined_us, mut jobs) = (now_us(), Vec::new());
    work_off(runtime.handle(), pull, plan.job_time, &mut jobs)?;
    Ok(Worked { joined_us, jobs })
}

/// Each worker does a job in the time that its jobs took on average; the end is when together they have done all.
fn compare(start_us: u64, worked: &[Worked]) -> Outcome {
    let since_start = |us: u64| us.saturating_sub(start_us) as f64;
    // Jobs in a microsecond.
    let speed = |worked: &Worked| {
        let busy: u64 = worked.jobs.iter().map(|job| job.done_us - job.begun_us).sum();
        worked.jobs.len() as f64 / busy.max(1) as f64
    };
    let speeds: Vec<f64> = worked.iter().map(speed).collect();
    let job_count: usize = worked.iter().map(|worked| worked.jobs.len()).sum();
    let head_start: f64 = worked
        .iter()
        .zip(&speeds)
        .map(|(worked, speed)| since_start(worked.joined_us) * speed)
        .sum();
    let end = (job_count as f64 + head_start) / speeds.iter().sum::<f64>();
    let share = |(worked, speed): (&Worked, &f64)| {
        worked.jobs.len() as f64 / ((end - since_start(worked.joined_us)) * speed)
    };
    let done_us = worked.iter().flat_map(|worked| &worked.jobs).map(|job| job.done_us).max();
    Outcome {
        measured: Duration::from_micros(done_us.unwrap_or(start_us).saturating_sub(start_us)),
        ideal: Duration::from_secs_f64(end / 1e6),
        shares: worked.iter().zip(&speeds).map(share).collect(),
    }
}
