//! Receivers that all work.

use crate::lab::{Lab, allow_links};
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

use super::shares::{Shares, count_ms, relative};
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

fn round(lab: &Lab, steps: &[u64]) -> Vec<Turn> {
    relative(
        steps,
        |receivers| measure(lab, receivers),
        |shares, relative| {
            let Shares { rate, cpu_ns, memory, smallest, largest, .. } = shares;
            let [sender_cpu, receivers_cpu] = cpu_ns;
            let [sender_bytes, receivers_bytes] = memory;
            vec![
                rate,
                relative,
                sender_cpu,
                receivers_cpu,
                sender_bytes,
                receivers_bytes,
                smallest,
                largest,
            ]
        },
    )
}

fn measure(lab: &Lab, receivers: u64) -> Result<Shares, String> {
    allow_links(receivers)?;
    let count_ms = count_ms(lab, receivers).to_string();
    let (receivers, window) = (receivers.to_string(), WINDOW.to_string());
    let mut sender = lab.part("the sender", ["flood", "--links", &receivers])?;
    let endpoint = sender.told("bound")?;
    let process = sender.id().to_string();
    let args = ["share", "--connect", &endpoint, "--sender", &process, "--receivers", &receivers];
    let args = args.into_iter().chain(["--window", &window, "--count-ms", &count_ms]);
    Shares::of(&lab.part("the receivers", args)?.result()?)
}
