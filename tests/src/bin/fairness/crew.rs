//! One sender and its workers, each a thread with a socket of its own, perhaps behind streamers, and what they did beside the
//! ideal.

use std::sync::Arc;
use std::time::Duration;

use drawdown::{Endpoint, PullSocket, PushSocket, StreamerSocket};
use tokio::runtime::Runtime;

use crate::Failure;
use crate::worker::{Job, Record, now_us, work_off};

const ANY_PORT: &str = "tcp://127.0.0.1:0";

/// After so long something hangs.
const PATIENCE: Duration = Duration::from_secs(300);

/// A sender, workers, and what is between them.
pub(crate) struct Crew {
    pub(crate) jobs: u64,
    pub(crate) workers: Vec<Plan>,
    /// In a row.
    pub(crate) streamers: usize,
    pub(crate) supply: Supply,
}

/// When there are jobs.
#[derive(Clone, Copy)]
pub(crate) enum Supply {
    /// All of them wait from the start.
    AtOnce,
    /// One in this time.
    Each(Duration),
}

/// One worker to be.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) job_time: Duration,
    /// When it comes, after the others have begun.
    pub(crate) joins_after: Duration,
    /// Whether it is behind the streamers, or beside them.
    pub(crate) is_behind: bool,
}

impl Plan {
    pub(crate) const fn millis(millis: u64) -> Self {
        let job_time = Duration::from_millis(millis);
        Self { job_time, joins_after: Duration::ZERO, is_behind: false }
    }

    pub(crate) const fn joins_after(self, joins_after: Duration) -> Self {
        Self { joins_after, ..self }
    }

    pub(crate) const fn behind(self) -> Self {
        Self { is_behind: true, ..self }
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
    /// The same, if every worker worked without a pause from when it joined, or if each job was done as soon as it came.
    pub(crate) ideal: Duration,
    /// For each worker, the jobs that it got over those that it got ideally; where jobs are scarce that is as many as any
    /// other.
    pub(crate) shares: Vec<f64>,
}

/// Lets the workers do the jobs.
pub(crate) fn run(crew: &Crew) -> Result<Outcome, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // Sockets spawn tasks when they are made and connected.
    let _context = runtime.enter();
    let push = runtime.block_on(PushSocket::builder().queue(crew.jobs).build())?;
    let beside = runtime.block_on(push.bind(ANY_PORT))?;
    let (_streamers, behind) = runtime.block_on(streamers(&beside, crew.streamers))?;
    let plans = &crew.workers;
    let pulls = plans
        .iter()
        .map(|_| Ok(Arc::new(PullSocket::builder().window(1).build()?)))
        .collect::<Result<Vec<_>, drawdown::Error>>()?;
    let endpoint = |plan: &Plan| if plan.is_behind { &behind } else { &beside };
    let there: Vec<_> =
        pulls.iter().zip(plans).filter(|(_, plan)| plan.joins_after.is_zero()).collect();
    for (pull, plan) in &there {
        pull.connect(endpoint(plan))?;
    }
    runtime.block_on(all_linked(&push, &there))?;

    let start_us = now_us();
    let worked = std::thread::scope(|scope| {
        let runtime = &runtime;
        let threads: Vec<_> = pulls
            .iter()
            .zip(plans)
            .map(|(pull, plan)| {
                let endpoint = endpoint(plan);
                scope.spawn(move || work(runtime, pull, endpoint, plan))
            })
            .collect();
        let sent = runtime.block_on(send_all(&push, crew));
        pulls.iter().for_each(|pull| pull.stop());
        let worked: Result<Vec<_>, Failure> = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a worker panicked")?)
            .collect();
        sent.and(worked)
    })?;
    Ok(compare(start_us, crew, &worked))
}

/// So many streamers in a row behind an endpoint, and where those behind the last of them find it.
async fn streamers(
    before: &Endpoint,
    count: usize,
) -> Result<(Vec<StreamerSocket>, Endpoint), drawdown::Error> {
    let (mut streamers, mut endpoint) = (Vec::new(), before.clone());
    for _ in 0..count {
        let streamer = StreamerSocket::builder().build()?;
        streamer.connect_upstream(&endpoint)?;
        endpoint = streamer.bind_downstream(ANY_PORT).await?;
        streamers.push(streamer);
    }
    Ok((streamers, endpoint))
}

/// Waits until each of the workers, and of the sender's links, has said that there is room.
async fn all_linked(
    push: &PushSocket,
    workers: &[(&Arc<PullSocket>, &Plan)],
) -> Result<(), Failure> {
    let beside = workers.iter().filter(|(_, plan)| !plan.is_behind).count();
    let links = beside + usize::from(beside < workers.len());
    let have_room = || {
        let granted = push.stats().links.iter().filter(|link| link.granted.messages > 0).count();
        granted == links && workers.iter().all(|(pull, _)| pull.stats().granted.messages > 0)
    };
    let all = async {
        while !have_room() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    Ok(tokio::time::timeout(PATIENCE, all).await.map_err(|_| "the workers do not connect")?)
}

async fn send_all(push: &PushSocket, crew: &Crew) -> Result<(), Failure> {
    match crew.supply {
        Supply::AtOnce => {
            let jobs: Vec<String> = (0..crew.jobs).map(|job| job.to_string()).collect();
            push.enqueue_batch(&jobs).await?;
        }
        Supply::Each(time) => {
            let mut ticks = tokio::time::interval(time);
            for job in 0..crew.jobs {
                // Ticks that were missed come at once.
                ticks.tick().await;
                push.enqueue(job.to_string()).await?;
            }
        }
    }
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

fn compare(start_us: u64, crew: &Crew, worked: &[Worked]) -> Outcome {
    let done_us = worked.iter().flat_map(|worked| &worked.jobs).map(|job| job.done_us).max();
    let (ideal, shares) = match crew.supply {
        Supply::AtOnce => busy_all_the_time(start_us, worked),
        Supply::Each(time) => evenly(time, crew, worked),
    };
    let measured = Duration::from_micros(done_us.unwrap_or(start_us).saturating_sub(start_us));
    Outcome { measured, ideal, shares }
}

/// Each worker does a job in the time that its jobs took on average; the end is when together they have done all.
fn busy_all_the_time(start_us: u64, worked: &[Worked]) -> (Duration, Vec<f64>) {
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
    (Duration::from_secs_f64(end / 1e6), worked.iter().zip(&speeds).map(share).collect())
}

/// The jobs come so slowly that workers wait for them, all for as many.
fn evenly(time: Duration, crew: &Crew, worked: &[Worked]) -> (Duration, Vec<f64>) {
    let last = crew.workers.iter().map(|plan| plan.job_time).max().unwrap_or_default();
    let even = crew.jobs as f64 / worked.len() as f64;
    let shares = worked.iter().map(|worked| worked.jobs.len() as f64 / even);
    (time.mul_f64(crew.jobs.saturating_sub(1) as f64) + last, shares.collect())
}
