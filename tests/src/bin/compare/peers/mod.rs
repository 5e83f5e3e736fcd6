//! Who is measured. A new peer is a file here, and a line in [`find`].

mod calls;
mod drawdown;
mod jetstream;
mod libzmq;
mod plain;
mod redis;
mod zmq_rs;

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drawdown_tests::measure::{Ended, Process, this_program};

use crate::Args;
use crate::outcome::{Sample, Turn};
use crate::rows::{Measure, Row, Unit};
use crate::run::Run;

pub(crate) trait Peer {
    /// With its version, if it has one.
    fn name(&self) -> &str;

    fn settings(&self) -> String;

    /// What it acknowledges, and whether it syncs before that.
    fn safety(&self) -> &'static str;

    fn takes_part(&self, row: &Row) -> bool;

    /// Messages of one run.
    fn count(&self, row: &Row) -> u64 {
        row.count
    }

    /// Runs once, until every process of it has ended.
    fn run(&self, row: &Row, count: u64, run: &Run<'_>) -> Turn;
}

/// A peer that is not on this machine.
pub(crate) struct Missing {
    pub(crate) name: &'static str,
    /// What is missing and what to install.
    pub(crate) sentence: String,
}

pub(crate) struct Found {
    /// Drawdown is the first.
    pub(crate) peers: Vec<Box<dyn Peer>>,
    pub(crate) missing: Vec<Missing>,
}

/// Looks who is there; what must be compiled goes to `folder`. Without Drawdown there is nothing to compare.
pub(crate) fn find(args: &Args, folder: &Path) -> Result<Found, String> {
    let me = this_program()?;
    let ours = drawdown::Drawdown::find(args)?;
    let pipeline = drawdown::Pipeline::new(&ours);
    let mut found = Found { peers: vec![Box::new(ours)], missing: Vec::new() };
    found.add(Ok(pipeline));
    found.add(libzmq::Libzmq::find(folder));
    found.add(calls::LibzmqCalls::find(folder));
    found.add(Ok(zmq_rs::ZmqRs::new(&me)));
    found.add(Ok(calls::ZmqRsCalls::new(&me)));
    found.add(redis::Redis::find(&me));
    found.add(jetstream::JetStream::find(&me, folder, jetstream::Syncs::Always));
    found.add(jetstream::JetStream::find(&me, folder, jetstream::Syncs::Default));
    found.add(Ok(plain::Tcp::new(&me)));
    found.add(Ok(plain::PingPong::new(&me)));
    found.add(Ok(plain::Relay::new(&me)));
    found.add(Ok(plain::File::new(&me)));
    Ok(found)
}

impl Found {
    fn add<P: Peer + 'static>(&mut self, peer: Result<P, Missing>) {
        match peer {
            Ok(peer) => self.peers.push(Box::new(peer)),
            Err(missing) => self.missing.push(missing),
        }
    }
}

/// The rate of a run that took `seconds`, and what its processes cost.
fn rate(count: u64, seconds: f64, ended: &[&Ended]) -> Sample {
    let cpu: Option<f64> = ended.iter().map(|ended| ended.cpu.map(|cpu| cpu.as_secs_f64())).sum();
    let cpu_us = cpu.map(|seconds| seconds * 1e6 / count as f64);
    Sample { value: count as f64 / seconds, cpu_us, device: None, dropped: None }
}

/// What subscribers got of `count` messages each, from the first to the last that arrived.
fn sample_of_fan_out(count: u64, subscribers: u64, publisher: &Ended, all: &Ended) -> Turn {
    let arrived = all.number("/messages")?;
    let sample = rate(arrived as u64, all.number("/seconds")?, &[publisher, all]);
    Ok(Sample { dropped: Some(1.0 - arrived / (count * subscribers) as f64), ..sample })
}

/// What a client that asked and its server gave in the unit of the row.
fn sample_of_calls(row: &Row, count: u64, server: &Ended, client: &Ended) -> Turn {
    match row.unit() {
        Unit::MessagesPerSecond => Ok(rate(count, client.number("/seconds")?, &[server, client])),
        Unit::Microseconds => sample_of_sender(row, count, client),
    }
}

/// What two processes gave in the unit of the row.
///
/// A rate counts until both were done: the receiver had received from first to last, and the sender, if it gets to know
/// that, had everything confirmed.
fn sample_of_pair(row: &Row, count: u64, receiver: &Ended, sender: &Ended) -> Turn {
    match row.unit() {
        Unit::MessagesPerSecond => {
            let received = receiver.number("/seconds")?;
            let confirmed = sender.number("/confirmed_seconds").unwrap_or(0.0);
            Ok(rate(count, received.max(confirmed), &[receiver, sender]))
        }
        Unit::Microseconds => sample_of_sender(row, count, sender),
    }
}

/// What two processes and the device between them gave in the unit of the row.
fn sample_of_three(
    row: &Row,
    count: u64,
    (receiver, sender, device): (Ended, Ended, Option<Duration>),
) -> Turn {
    let sample = sample_of_pair(row, count, &receiver, &sender)?;
    let ends = receiver.cpu.zip(sender.cpu).map(|(one, other)| one + other);
    let device = device.zip(ends).map(|(device, ends)| device.as_secs_f64() / ends.as_secs_f64());
    Ok(Sample { device, ..sample })
}

/// What a process without a receiver gave in the unit of the row.
fn sample_of_sender(row: &Row, count: u64, sender: &Ended) -> Turn {
    match row.unit() {
        Unit::MessagesPerSecond => Ok(rate(count, sender.number("/accepted_seconds")?, &[sender])),
        Unit::Microseconds => Ok(Sample {
            value: sender.number("/latency/p50_us")?,
            cpu_us: None,
            device: None,
            dropped: None,
        }),
    }
}

/// Runs both sides on a server, or the producer alone where the row has no receiver.
fn run_with_server(
    row: &Row,
    count: u64,
    run: &Run<'_>,
    server: &Process,
    consume: Command,
    produce: Command,
) -> Turn {
    let cost_before = server.cpu();
    let mut sample = match row.measure {
        Measure::Backlog | Measure::Send { receiver: false } => {
            sample_of_sender(row, count, &run.alone(produce)?)?
        }
        _ => {
            let (receiver, sender) = run.pair(consume, |_| produce)?;
            sample_of_pair(row, count, &receiver, &sender)?
        }
    };
    let of_server = server.cpu().zip(cost_before).map(|(now, before)| now - before);
    let of_server_us = of_server.map(|cpu| cpu.as_secs_f64() * 1e6 / count as f64);
    sample.cpu_us = sample.cpu_us.zip(of_server_us).map(|(clients, server)| clients + server);
    Ok(sample)
}

/// For a server. Somebody else may take it until the server does; it fails then and says so.
fn free_port() -> Result<u16, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|error| format!("no port is free: {error}"))
}

/// A part of this program, with its count and size.
fn part(me: &Path, name: &str, row: &Row, count: u64) -> Command {
    let mut command = Command::new(me);
    command.args([name, "--count", &count.to_string(), "--size", &row.size.to_string()]);
    command
}
