//! The asking side of a measurement.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use drawdown::protocol::Counted;
use drawdown::{Reply, ReqSocket, RequestError};
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

/// Of so many requests of one of many tasks one is timed: to note the time of each would cost a quarter of what it takes.
const TIMED_OF: u64 = 16;

/// How long the last words may take.
const GOODBYE: Duration = Duration::from_secs(5);

/// Ask, check each reply, and say how long they took.
///
/// It begins when a server has room. `--parallel` tasks ask, each one request after the other; the time of a request is from
/// there to its reply, and of many tasks each takes that of one request in 16. With `--batch` there are as many times fewer
/// tasks, and each asks so many at once: the time of each is that of all. What gets no reply is an error; the first is told on stderr, and the command ends with exit code 4.
#[derive(Args)]
#[command(after_help = "\
Examples:
  # How long one takes.
  drawdown bench req --connect tcp://127.0.0.1:7000 --size 64 --count 100000

  # How many there can be in ten seconds.
  drawdown bench req --connect tcp://127.0.0.1:7000 --size 64 --for 10s \\
    --parallel 1000 --batch 100")]
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
    #[arg(value_parser = units::one_or_more::<u32>)]
    parallel: u32,

    /// Requests in one call; 0 and 1 use the calls for single requests.
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = units::number::<u32>)]
    batch: u32,

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
    #[arg(long, value_parser = units::one_or_more::<u64>)]
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
    let (asked, time) = ask_all(args, &req, start).await?;
    let result = asked.report(args, &req, time);
    if let Some(req) = Arc::into_inner(req) {
        // Every request has ended.
        let _ = req.close(GOODBYE).await;
    }
    exit::print(&format!("{result}\n"))?;
    match &asked.error {
        None => Ok(()),
        Some(error) => Err(Failure::new(
            Exit::Undelivered,
            format!("no reply to {}; the first: {error}", Counted(asked.errors, "request")),
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
        self.next_some(1).next()
    }

    /// The next requests, up to so many.
    fn next_some(&self, count: u64) -> Range<u64> {
        let is_over = self.end.is_some_and(|end| Instant::now() >= end);
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        let end = if is_over { first } else { self.count.min(first.saturating_add(count)) };
        first..end
    }
}

async fn ask_all(
    args: &RequestArgs,
    req: &Arc<ReqSocket>,
    start: Instant,
) -> Result<(Asked, Duration), Failure> {
    let end = args.until.time.map(|time| start + time);
    let count = args.until.count.unwrap_or(u64::MAX);
    let agenda = Arc::new(Agenda { next: AtomicU64::new(0), count, end });
    let mut tasks = JoinSet::new();
    let batch = args.batch.clamp(1, args.parallel);
    let timed_of = if args.parallel == 1 { 1 } else { TIMED_OF };
    for first in (0..args.parallel).step_by(batch as usize) {
        let (req, agenda, size) = (Arc::clone(req), Arc::clone(&agenda), args.size);
        let batch = batch.min(args.parallel - first);
        tasks.spawn(async move {
            match batch {
                1 => ask(&req, &agenda, size, timed_of).await,
                batch => ask_in_batches(&req, &agenda, size, u64::from(batch)).await,
            }
        });
    }
    let mut each = Vec::with_capacity(tasks.len());
    while let Some(ended) = tasks.join_next().await {
        each.push(ended.map_err(|error| {
            Failure::new(Exit::Error, format!("the measurement broke off: {error}"))
        })??);
    }
    let time = start.elapsed();
    let mut all = Asked::default();
    each.into_iter().for_each(|asked| all.add(asked));
    all.times.sort_unstable();
    Ok((all, time))
}

/// One request after the other, of which the first of so many is timed, and so on.
async fn ask(
    req: &ReqSocket,
    agenda: &Agenda,
    size: usize,
    timed_of: u64,
) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    let mut buffer = vec![0; size];
    for turn in 0u64.. {
        let Some(index) = agenda.next() else {
            break;
        };
        payload::fill(index, &mut buffer);
        let start = turn.is_multiple_of(timed_of).then(Instant::now);
        let reply = req.request(&buffer).await;
        let time = start.map(|start| start.elapsed());
        if asked.check(index, size, reply)? {
            time.into_iter().for_each(|time| asked.note(time, 1));
        }
    }
    Ok(asked)
}

/// So many at once.
async fn ask_in_batches(
    req: &ReqSocket,
    agenda: &Agenda,
    size: usize,
    batch: u64,
) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    let mut buffer = vec![0; size * usize::try_from(batch).unwrap_or_default()];
    loop {
        let indices = agenda.next_some(batch);
        if indices.is_empty() {
            return Ok(asked);
        }
        let payloads = buffer.chunks_exact_mut(size);
        indices.clone().zip(payloads).for_each(|(index, payload)| payload::fill(index, payload));
        let start = Instant::now();
        let payloads = indices.clone().zip(buffer.chunks_exact(size)).map(|(_, payload)| payload);
        let replies = req.request_batch(payloads).await;
        let time = start.elapsed();
        let mut answered = 0;
        for (index, reply) in indices.zip(replies) {
            answered += u32::from(asked.check(index, size, reply)?);
        }
        asked.note(time, answered);
    }
}

/// What became of requests.
#[derive(Default)]
struct Asked {
    /// How long those took that got replies and were timed, in units of 100 ns, seven minutes at most; and how many in a row took so long.
    times: Vec<(u32, u32)>,
    /// Those that got replies.
    calls: u64,
    errors: u64,
    error: Option<RequestError>,
}

impl Asked {
    /// Takes in what became of one; says whether it was answered.
    #[inline]
    fn check(
        &mut self,
        index: u64,
        size: usize,
        reply: Result<Reply, RequestError>,
    ) -> Result<bool, Failure> {
        let is_answered = match reply {
            Ok(reply) if payload::checked(reply.payload(), size)? == index => true,
            Ok(_) => {
                let sentence = format!("request {index} got the reply of another one");
                return Err(Failure::new(Exit::Error, sentence));
            }
            Err(error) => {
                self.fail(error);
                false
            }
        };
        self.calls += u64::from(is_answered);
        Ok(is_answered)
    }

    /// So many took so long.
    fn note(&mut self, time: Duration, calls: u32) {
        let time = u32::try_from(time.as_nanos() / 100).unwrap_or(u32::MAX);
        if calls > 0 {
            self.times.push((time, calls));
        }
    }

    fn fail(&mut self, error: RequestError) {
        self.errors += 1;
        self.error.get_or_insert(error);
    }

    fn add(&mut self, other: Self) {
        self.times.extend(other.times);
        self.calls += other.calls;
        self.errors += other.errors;
        self.error = self.error.take().or(other.error);
    }

    fn report(&self, args: &RequestArgs, req: &ReqSocket, time: Duration) -> Value {
        let seconds = time.as_secs_f64();
        let stats = req.stats();
        json!({
            "size": args.size,
            "parallel": args.parallel,
            "batch": args.batch,
            "calls": self.calls,
            "errors": self.errors,
            "seconds": seconds,
            "calls_per_second": self.calls as f64 / seconds,
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
    fn micros(&self, per_mille: u64) -> Option<f64> {
        let timed: u64 = self.times.iter().map(|(_, count)| u64::from(*count)).sum();
        let mut rank = (timed * per_mille).div_ceil(1_000).max(1);
        let time = self.times.iter().find(|(_, count)| {
            let found = rank <= u64::from(*count);
            rank = rank.saturating_sub(u64::from(*count));
            found
        });
        time.map(|(time, _)| f64::from(*time) / 10.0)
    }
}
