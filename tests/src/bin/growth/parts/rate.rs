//! A sender that keeps to a rate, and a receiver that takes the times.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use drawdown::{Closed, PullSocket, PushSocket};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use drawdown_tests::measure::per_mille;

use super::{ANY_PORT, Failure, PATIENCE, linked, tell};

const MESSAGE_BYTES: usize = 256;

/// How long the sender sleeps when nothing is due.
const TICK: Duration = Duration::from_micros(100);

/// The greatest rate is that of the second run: the first one warms up.
const GREATEST_RUNS: usize = 2;

/// Of a load, the first part is not measured.
const WARM_UP_PART: u32 = 10;

/// Instead of the time of sending: no more messages come.
const LAST: u64 = u64::MAX;

#[derive(Args)]
pub(crate) struct RateArgs {
    /// Loads, in percent of the greatest rate.
    #[arg(long, value_delimiter = ',')]
    percents: Vec<u32>,
    #[arg(long)]
    load_ms: u64,
}

/// Both ends, and the clock that they share: times are nanoseconds since `epoch`.
struct Pair {
    push: PushSocket,
    pull: Arc<PullSocket>,
    epoch: Instant,
}

/// What the receiver took.
struct Taken {
    messages: u64,
    ended_ns: u64,
    /// In nanoseconds.
    latencies: Vec<u32>,
}

pub(super) fn run(args: &RateArgs, runtime: &Runtime) -> Result<(), Failure> {
    let pair = runtime.block_on(Pair::new())?;
    let time = Duration::from_millis(args.load_ms);
    let mut greatest = 0.0;
    for _ in 0..GREATEST_RUNS {
        greatest = pair.load(runtime, f64::INFINITY, time / 2)?.0;
    }
    let load = |percent: &u32| -> Result<Value, Failure> {
        let rate = greatest * f64::from(*percent) / 100.0;
        let (reached, latencies) = pair.load(runtime, rate, time)?;
        let at = |share| per_mille(&latencies, share);
        Ok(json!({
            "messages_per_second": reached, "p50_ns": at(500), "p99_ns": at(990), "p999_ns": at(999),
        }))
    };
    let loads = args.percents.iter().map(load).collect::<Result<Vec<_>, _>>()?;
    tell(json!({ "greatest_messages_per_second": greatest, "loads": loads }))
}

impl Pair {
    async fn new() -> Result<Self, Failure> {
        let push = PushSocket::builder().build().await?;
        let endpoint = push.bind(ANY_PORT).await?;
        let pull = Arc::new(PullSocket::builder().connect(endpoint).await?);
        linked(&push, 1).await?;
        Ok(Self { push, pull, epoch: Instant::now() })
    }

    /// Messages a second that were received, and how long they took, sorted.
    fn load(
        &self,
        runtime: &Runtime,
        rate: f64,
        time: Duration,
    ) -> Result<(f64, Vec<u32>), Failure> {
        let start_ns = ns_since(self.epoch);
        let measured_from_ns = start_ns + (time / WARM_UP_PART).as_nanos() as u64;
        let receiver = take(Arc::clone(&self.pull), self.epoch, measured_from_ns);
        let receiver = runtime.spawn(receiver);
        // On this thread, which may sleep for less than a tick of the runtime.
        let taken = runtime.block_on(async {
            self.send(rate, time).await?;
            self.push.drain(PATIENCE).await?;
            Ok::<_, Failure>(receiver.await??)
        })?;
        let seconds = (taken.ended_ns - start_ns) as f64 / 1e9;
        let mut latencies = taken.latencies;
        latencies.sort_unstable();
        Ok((taken.messages as f64 / seconds, latencies))
    }

    async fn send(&self, rate: f64, time: Duration) -> Result<(), Failure> {
        let mut payload = [0; MESSAGE_BYTES];
        let start = Instant::now();
        let mut sent = 0u64;
        loop {
            let elapsed = start.elapsed();
            if elapsed >= time {
                break;
            }
            // What is due now; without a rate, as much as there is time for.
            let due = elapsed.as_secs_f64() * rate;
            while (sent as f64) < due && start.elapsed() < time {
                stamp(&mut payload, ns_since(self.epoch));
                self.push.send(&payload).await?;
                sent += 1;
            }
            std::thread::sleep(TICK);
        }
        stamp(&mut payload, LAST);
        self.push.send(&payload).await?;
        Ok(())
    }
}

async fn take(
    pull: Arc<PullSocket>,
    epoch: Instant,
    measured_from_ns: u64,
) -> Result<Taken, Closed> {
    let mut taken = Taken { messages: 0, ended_ns: 0, latencies: Vec::new() };
    while let Some(delivery) = pull.recv().await? {
        let now_ns = ns_since(epoch);
        let sent_ns = stamped(delivery.payload());
        delivery.ack().await?;
        if sent_ns == LAST {
            taken.ended_ns = now_ns;
            break;
        }
        taken.messages += 1;
        if sent_ns >= measured_from_ns {
            let latency = now_ns.saturating_sub(sent_ns);
            taken.latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
        }
    }
    Ok(taken)
}

fn ns_since(epoch: Instant) -> u64 {
    u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn stamp(payload: &mut [u8; MESSAGE_BYTES], ns: u64) {
    if let Some(stamp) = payload.first_chunk_mut() {
        *stamp = ns.to_le_bytes();
    }
}

fn stamped(payload: &[u8]) -> u64 {
    payload.first_chunk().copied().map_or(0, u64::from_le_bytes)
}
