//! What some receivers of one sender got within the same time, and what that cost.

use drawdown_tests::measure::Ended;
use serde_json::Value;

use crate::lab::Lab;
use crate::outcome::Turn;

/// What a few receivers need to show their shares; many need longer.
const COUNT_MS: u64 = 1_000;
const COUNT_MS_PER_RECEIVER: u64 = 15;

/// Runs of `--quick` count so many times shorter.
const QUICK: u64 = 5;

/// How long so many receivers are counted.
pub(super) fn count_ms(lab: &Lab, receivers: u64) -> u64 {
    let count_ms = COUNT_MS.max(receivers * COUNT_MS_PER_RECEIVER);
    count_ms / if lab.quick { QUICK } else { 1 }
}

pub(super) struct Shares {
    /// Messages a second, over all receivers.
    pub(super) rate: f64,
    /// Of a message, at the sender and at all receivers.
    pub(super) cpu_ns: [f64; 2],
    /// Bytes of the sender's process and of the receivers'.
    pub(super) memory: [f64; 2],
    /// Messages that receivers were told to have missed.
    pub(super) missed: f64,
    /// The same, as a share of all that they were to get.
    pub(super) missed_share: f64,
    /// What one receiver got, relative to an even share.
    pub(super) smallest: f64,
    pub(super) largest: f64,
}

impl Shares {
    /// What the receivers' process tells.
    pub(super) fn of(result: &Ended) -> Result<Self, String> {
        let counts = result.result.pointer("/counts").and_then(Value::as_array);
        let counts: Vec<f64> = counts.into_iter().flatten().filter_map(Value::as_f64).collect();
        let all: f64 = counts.iter().sum();
        let (smallest, largest) =
            extremes(&counts).ok_or("no message was counted; the time to count was too short")?;
        let figure = |name| result.number(name);
        let missed = figure("/missed")?;
        Ok(Self {
            rate: all / figure("/seconds")?,
            cpu_ns: [figure("/sender_cpu_ns")? / all, figure("/receivers_cpu_ns")? / all],
            memory: [figure("/sender_bytes")?, figure("/receivers_bytes")?],
            missed,
            missed_share: missed / (all + missed),
            smallest,
            largest,
        })
    }
}

/// A round of steps, and each step's rate relative to that of the first.
pub(super) fn relative(
    steps: &[u64],
    measure: impl Fn(u64) -> Result<Shares, String>,
    figures: impl Fn(Shares, f64) -> Vec<f64>,
) -> Vec<Turn> {
    let runs: Vec<_> = steps.iter().map(|&step| measure(step)).collect();
    let first = runs.first().and_then(|run| run.as_ref().ok()).map(|run| run.rate);
    let turn = |run: Result<Shares, String>| {
        let run = run?;
        let first = first.ok_or("there is no rate of the first step to compare with")?;
        let relative = run.rate / first;
        Ok(figures(run, relative))
    };
    runs.into_iter().map(turn).collect()
}

/// The smallest and the largest, relative to an even one. None of nothing.
fn extremes(counts: &[f64]) -> Option<(f64, f64)> {
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
        assert_eq!(extremes(&[50.0, 100.0, 150.0]), Some((0.5, 1.5)));
        assert_eq!(extremes(&[0.0, 0.0]), None);
        assert_eq!(extremes(&[]), None);
    }
}
