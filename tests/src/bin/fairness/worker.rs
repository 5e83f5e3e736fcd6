//! A worker whose jobs take a set time, and who writes down what it did.

use std::io::{Read, Write};
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use drawdown::{Closed, Endpoint, PullSocket};
use tokio::runtime::Handle;

use crate::Failure;

/// The last part of a job is not slept but spun: sleeping ends late by about as much.
const SPIN: Duration = Duration::from_micros(150);

/// How long the socket may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// A worker process: takes numbered jobs until its stdin ends.
///
/// For each job it writes the line `begun NUMBER` before the work, and `done NUMBER BEGUN DONE` once it is confirmed, with
/// both times in microseconds since 1970.
#[derive(Args)]
pub(crate) struct WorkerArgs {
    /// The sender of the jobs.
    #[arg(long)]
    connect: Endpoint,
    /// How long a job takes, in microseconds.
    #[arg(long)]
    job_us: u64,
    /// Jobs that may wait here.
    #[arg(long, default_value_t = 1)]
    window: u64,
    /// The heartbeat interval, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    heartbeat_ms: u64,
}

/// One job that was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub(crate) number: u64,
    /// When it was taken, in microseconds since 1970.
    pub(crate) begun_us: u64,
    /// When it was confirmed.
    pub(crate) done_us: u64,
}

/// Who is told what a worker does.
pub(crate) trait Record {
    fn begun(&mut self, number: u64);
    fn done(&mut self, job: Job);
}

/// Takes jobs until the socket is stopped. Each is a decimal number.
pub(crate) fn work_off(
    runtime: &Handle,
    pull: &PullSocket,
    job_time: Duration,
    record: &mut impl Record,
) -> Result<(), Closed> {
    while let Some(delivery) = runtime.block_on(pull.recv())? {
        let (begun, begun_us) = (Instant::now(), now_us());
        let number = std::str::from_utf8(delivery.payload()).ok().and_then(|job| job.parse().ok());
        let number = number.unwrap_or(u64::MAX);
        record.begun(number);
        work_until(begun + job_time);
        runtime.block_on(delivery.ack())?;
        record.done(Job { number, begun_us, done_us: now_us() });
    }
    Ok(())
}

fn work_until(end: Instant) {
    let left = || end.saturating_duration_since(Instant::now());
    if let Some(sleep) = left().checked_sub(SPIN) {
        std::thread::sleep(sleep);
    }
    while !left().is_zero() {
        std::hint::spin_loop();
    }
}

pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Writes each event at once: what a killed worker did is known.
struct Stdout;

impl Record for Stdout {
    fn begun(&mut self, number: u64) {
        tell(format_args!("begun {number}"));
    }

    fn done(&mut self, job: Job) {
        tell(format_args!("done {} {} {}", job.number, job.begun_us, job.done_us));
    }
}

fn tell(line: std::fmt::Arguments<'_>) {
    // Nobody reads it any more: then the end of stdin is near, too.
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// The worker process.
pub(crate) fn run(args: WorkerArgs) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let builder = PullSocket::builder()
        .window(args.window)
        .heartbeat(Duration::from_millis(args.heartbeat_ms));
    let pull = runtime.block_on(builder.connect(args.connect))?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            pull.stop();
        });
        let job_time = Duration::from_micros(args.job_us);
        work_off(runtime.handle(), &pull, job_time, &mut Stdout)
    })?;
    runtime.block_on(pull.close(GOODBYE))?;
    Ok(())
}
