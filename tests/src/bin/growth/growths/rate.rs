//! Load.

use drawdown_tests::measure::Ended;

use crate::lab::Lab;
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

use super::{Growth, Line, Panel, StepAxis};

pub(super) const GROWTH: Growth = Growth {
    name: "rate",
    title: "Latency, by load",
    settings: "256 B over tcp, in memory, one by one, from before send to after recv; both sockets in one process, as built by \
               default. Load is relative to the greatest rate of the same process, measured just before. The sender \
               sends what is due and sleeps for 100 µs.",
    axis: StepAxis { title: "load", unit: Unit::Percent, scale: Kind::Linear },
    steps: &[10, 25, 50, 75, 90],
    quick_steps: &[10, 50, 90],
    panels: &[
        Panel {
            title: "latency",
            unit: Unit::Nanoseconds,
            scale: Kind::Log,
            lines: &[
                Line { name: "p50_ns", title: "p50" },
                Line { name: "p99_ns", title: "p99" },
                Line { name: "p999_ns", title: "p99.9" },
            ],
        },
        Panel {
            title: "messages a second that were received",
            unit: Unit::PerSecond,
            scale: Kind::Linear,
            lines: &[Line { name: "messages_per_second", title: "received a second" }],
        },
    ],
    round,
};

const LOAD_MS: u64 = 2_000;
const QUICK_LOAD_MS: u64 = 300;

/// One process measures the greatest rate and all loads.
fn round(lab: &Lab, percents: &[u64]) -> Vec<Turn> {
    match measure(lab, percents) {
        Ok(loads) => (0..percents.len()).map(|place| turn(&loads, place)).collect(),
        Err(sentence) => percents.iter().map(|_| Err(sentence.clone())).collect(),
    }
}

fn measure(lab: &Lab, percents: &[u64]) -> Result<Ended, String> {
    let percents: Vec<_> = percents.iter().map(u64::to_string).collect();
    let load_ms = if lab.quick { QUICK_LOAD_MS } else { LOAD_MS }.to_string();
    let args = ["rate", "--percents", &percents.join(","), "--load-ms", &load_ms];
    lab.part("the load", args)?.result()
}

fn turn(loads: &Ended, place: usize) -> Turn {
    let figure = |line: &Line| loads.number(&format!("/loads/{place}/{}", line.name));
    GROWTH.lines().map(|(_, line)| figure(line)).collect()
}
