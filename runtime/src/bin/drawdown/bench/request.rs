//! The asking side of a measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use drawdown::{ReqSocket, RequestError};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::console::Console;
use crate::endpoints::{Endpoints, LinkArgs};
use crate::exit::{self, Exit, Failure};
use crate::units;
use crate::watch::Watch;

use super::payload;

/// How often is looked whether a server is there.
const LOOK: Duration = Duration::from_millis(1);

/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Ask, check each reply, and say how long they took.
///
/// It begins when a server has room. `--parallel` tasks ask, each one request after the other; the time of a request is from
/// there to its reply. What gets no reply is an error; the first is told on stderr, and the command ends with exit code 4.
#[derive(Args)]
#[command(after_help = "\
Examples:
  # How long one takes.
  drawdown bench req --connect tcp://127.0.0.1:7000 --size 64 --count 100000

  # How many there can be in ten seconds.
  drawdown bench req --connect tcp://127.0.0.1:7000 --size 64 --for 10s --parallel 1000")]
pub(super) struct RequestArgs {
    #[command(flatten)]
    endpoints: Endpoints,

    #[command(flatten)]
    until: Until,

    /// The size of each, in bytes or as 64KiB; at least 8.
    #[arg(long, value_name = "SIZE", value_parser = payload::size)]
    size: usize,

    /// Requests under way at a time.
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    parallel: u32,

    /// How long a request may take in all [default: 30s].
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    timeout: Option<Duration>,

    #[command(flatten)]
    links: LinkArgs,
}

/// When it ends.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Until {
    /// Requests.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Ask for so long.
    #[arg(long = "for", value_name = "DURATION", value_parser = units::duration)]
    time: Option<Duration>,
}

pub(super) async fn run(args: &RequestArgs, console: &Console) -> Result<(), Failure> {
    args.endpoints.check()?;
    let mut builder = args.links.apply_to_req(ReqSocket::builder());
    if let Some(timeout) = args.timeout {
        builder = builder.timeout(timeout);
    }
    let req = Arc::new(builder.pending(u64::from(args.parallel)).build().await?);
    drop(Watch::start(req.events(), args.endpoints.peers(), String::new(), console));
    args.endpoints.attach(&*req, console).await?;
    while !req.stats().links.iter().any(|link| link.room.messages > 0) {
        tokio::time::sleep(LOOK).await;
    }
    let start = Instant::now();
    let asked = ask_all(args, &req, start).await?;
    let result = asked.report(args, &req, start.elapsed());
    if let Some(req) = Arc::into_inner(req) {
        // Every request has ended.
        let _ = req.close(GOODBYE).await;
    }
    exit::print(&format!("{result}\n"))?;
    match &asked.error {
        None => Ok(()),
        Some(error) => Err(Failure::new(
            Exit::Undelivered,
            format!("{} requests got no reply; the first: {error}", asked.errors),
        )),
    }
}

/// Which request is next, if there is one.
struct Agenda {
    next: AtomicU64,
    count: u64,
    end: Option<Instant>,
}

impl Agenda {
    fn next(&self) -> Option<u64> {
        let is_over = self.end.is_some_and(|end| Instant::now() >= end);
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        (!is_over && index < self.count).then_some(index)
    }
}

async fn ask_all(
    args: &RequestArgs,
    req: &Arc<ReqSocket>,
    start: Instant,
) -> Result<Asked, Failure> {
    let end = args.until.time.map(|time| start + time);
    let count = args.until.count.unwrap_or(u64::MAX);
    let agenda = Arc::new(Agenda { next: AtomicU64::new(0), count, end });
    let mut tasks = JoinSet::new();
    for _ in 0..args.parallel {
        let (req, agenda, size) = (Arc::clone(req), Arc::clone(&agenda), args.size);
        tasks.spawn(async move { ask(&req, &agenda, size).await });
    }
    let mut all = Asked::default();
    while let Some(ended) = tasks.join_next().await {
        all.add(ended.map_err(|error| {
            Failure::new(Exit::Error, format!("the measurement broke off: {error}"))
        })??);
    }
    all.times.sort_unstable();
    Ok(all)
}

/// One request after the other.
async fn ask(req: &ReqSocket, agenda: &Agenda, size: usize) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    let mut buffer = vec![0; size];
    while let Some(index) = agenda.next() {
        payload::fill(index, &mut buffer);
        let start = Instant::now();
        let reply = req.request(&buffer).await;
        let time = start.elapsed();
        match reply {
            Ok(reply) if payload::checked(reply.payload(), size)? == index => asked.note(time),
            Ok(_) => {
                let sentence = format!("request {index} got the reply of another one");
                return Err(Failure::new(Exit::Error, sentence));
            }
            Err(error) => asked.fail(error),
        }
    }
    Ok(asked)
}

/// What became of requests.
#[derive(Default)]
struct Asked {
    /// How long those took that got replies, in units of 100 ns: seven minutes at most, and 4 bytes each.
    times: Vec<u32>,
    errors: u64,
    error: Option<RequestError>,
}

impl Asked {
    fn note(&mut self, time: Duration) {
        self.times.push(u32::try_from(time.as_nanos() / 100).unwrap_or(u32::MAX));
    }

    fn fail(&mut self, error: RequestError) {
        self.errors += 1;
        self.error.get_or_insert(error);
    }

    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
    }

    fn report(&self, args: &RequestArgs, req: &ReqSocket, time: Duration) -> Value {
        let seconds = time.as_secs_f64();
        let calls = self.times.len();
        let stats = req.stats();
        json!({
            "size": args.size,
            "parallel": args.parallel,
            "calls": calls,
            "errors": self.errors,
            "seconds": seconds,
            "calls_per_second": calls as f64 / seconds,
            "latency": {
                "p50_us": self.micros(500),
                "p99_us": self.micros(990),
                "p999_us": self.micros(999),
                "max_us": self.micros(1_000),
            },
            "retried": stats.retried,
            "late": stats.late,
        })
    }

    /// What so many of 1,000 did not exceed. The times are sorted.
    fn micros(&self, per_mille: usize) -> Option<f64> {
        let rank = (self.times.len() * per_mille).div_ceil(1_000);
        self.times.get(rank.saturating_sub(1)).map(|time| f64::from(*time) / 10.0)
    }
}
