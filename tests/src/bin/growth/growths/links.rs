//! Receivers that all work.

use serde_json::Value;

use crate::lab::{Lab, allow_links};
use crate::outcome::Turn;
use crate::process::number;
use crate::scale::Kind;
use crate::unit::Unit;

use super::{CPU_OF_SIDES, Growth, Line, MEMORY_OF_SIDES, Panel, StepAxis};

pub(super) const GROWTH: Growth = Growth {
    name: "links",
    title: "One sender, by how many receivers take from it",
    settings: "256 B over tcp, in memory, in batches; a process with the sender and one with all receivers, each with a \
               window of 1,000 messages. After a warm-up it counts for a second, and longer with many receivers. Shares \
               are relative to an even one.",
    axis: StepAxis { title: "receivers", unit: Unit::Count, scale: Kind::Log },
    steps: &[1, 10, 100, 1_000],
    quick_steps: &[1, 10, 100],
    panels: &[
        Panel {
            title: "messages a second, over all receivers",
            unit: Unit::PerSecond,
            scale: Kind::Log,
            lines: &[Line { name: "messages_per_second", title: "messages a second" }],
        },
        Panel {
            title: "the same, relative to one receiver",
            unit: Unit::Ratio,
            scale: Kind::Linear,
            lines: &[Line { name: "relative", title: "relative to one receiver" }],
        },
        Panel {
            title: "CPU time of a message",
            unit: Unit::Nanoseconds,
            scale: Kind::Log,
            lines: CPU_OF_SIDES,
        },
        Panel {
            title: "resident memory at the end",
            unit: Unit::Bytes,
            scale: Kind::Log,
            lines: MEMORY_OF_SIDES,
        },
        Panel {
            title: "share of a receiver, relative to an even one",
            unit: Unit::Ratio,
            scale: Kind::Linear,
            lines: &[
                Line { name: "share_smallest", title: "smallest share" },
                Line { name: "share_largest", title: "largest share" },
            ],
        },
    ],
    round,
};

const WINDOW: u64 = 1_000;

/// What a few receivers need to show their shares; many need longer.
const COUNT_MS: u64 = 1_000;
const COUNT_MS_PER_RECEIVER: u64 = 15;

/// Runs of `--quick` count so many times shorter.
const QUICK: u64 = 5;

fn round(lab: &Lab, steps: &[u64]) -> Vec<Turn> {
    let runs: Vec<_> = steps.iter().map(|&receivers| measure(lab, receivers)).collect();
    let one = runs.first().and_then(|run| run.as_ref().ok()).map(|run| run.rate);
    let turn = |run: Result<Run, String>| {
        let Run { rate, cpu_ns, memory, smallest, largest } = run?;
        let one = one.ok_or("there is no rate of one receiver to compare with")?;
        let [sender_cpu, receivers_cpu] = cpu_ns;
        let [sender_bytes, receivers_bytes] = memory;
        Ok(vec![
            rate,
            rate / one,
            sender_cpu,
            receivers_cpu,
            sender_bytes,
            receivers_bytes,
            smallest,
            largest,
        ])
    };
    runs.into_iter().map(turn).collect()
}

struct Run {
    rate: f64,
    /// Of a message, at the sender and at all receivers.
    cpu_ns: [f64; 2],
    /// Bytes of the sender's process and of the receivers'.
    memory: [f64; 2],
    smallest: f64,
    largest: f64,
}

fn measure(lab: &Lab, receivers: u64) -> Result<Run, String> {
    allow_links(receivers)?;
    let count_ms = COUNT_MS.max(receivers * COUNT_MS_PER_RECEIVER);
    let count_ms = (count_ms / if lab.quick { QUICK } else { 1 }).to_string();
    let (receivers, window) = (receivers.to_string(), WINDOW.to_string());
    let mut sender = lab.part("the sender", ["flood", "--links", &receivers])?;
    let endpoint = sender.told("bound")?;
    let process = sender.id().to_string();
    let args = ["share", "--connect", &endpoint, "--sender", &process, "--receivers", &receivers];
    let args = args.into_iter().chain(["--window", &window, "--count-ms", &count_ms]);
    let result = lab.part("the receivers", args)?.result()?;
    let counts = result.pointer("/counts").and_then(Value::as_array).into_iter().flatten();
    let counts: Vec<f64> = counts.filter_map(Value::as_f64).collect();
    let all: f64 = counts.iter().sum();
    let (smallest, largest) =
        shares(&counts).ok_or("no message was counted; the time to count was too short")?;
    let figure = |name| number(&result, name);
    Ok(Run {
        rate: all / figure("/seconds")?,
        cpu_ns: [figure("/sender_cpu_ns")? / all, figure("/receivers_cpu_ns")? / all],
        memory: [figure("/sender_bytes")?, figure("/receivers_bytes")?],
        smallest,
        largest,
    })
}

/// The smallest and the largest, relative to an even one. None of nothing.
fn shares(counts: &[f64]) -> Option<(f64, f64)> {
    let even = counts.iter().sum::<f64>() / counts.len() as f64;
    let smallest = counts.iter().copied().fold(f64::INFINITY, f64::min);
    let largest = counts.iter().copied().fold(0.0, f64::max);
    (even > 0.0).then(|| (smallest / even, largest / even))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_relative_to_an_even_one() {
        assert_eq!(shares(&[50.0, 100.0, 150.0]), Some((0.5, 1.5)));
        assert_eq!(shares(&[0.0, 0.0]), None);
        assert_eq!(shares(&[]), None);
    }
}
