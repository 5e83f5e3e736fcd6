//! Messages that wait.

use crate::lab::Lab;
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

use super::{Growth, Line, Panel, StepAxis, each};

pub(super) const GROWTH: Growth = Growth {
    name: "depth",
    title: "What a waiting message costs, by how many wait",
    settings: "64 B, in memory, in batches. A new process for each depth; a paused receiver in it over tcp, with a window of \
               100 k messages, is resumed once all messages wait. The queue is filled and drained at least twice: the \
               first filling also gets memory from the system, and the others use it again (their median). Memory is what \
               the process grew by, of the system's allocator.",
    axis: StepAxis { title: "messages that wait", unit: Unit::Count, scale: Kind::Log },
    steps: &[1_000, 10_000, 100_000, 1_000_000, 10_000_000],
    quick_steps: &[1_000, 10_000, 100_000],
    panels: &[
        Panel {
            title: "time of a message",
            unit: Unit::Nanoseconds,
            scale: Kind::Log,
            lines: &[
                Line { name: "enqueue_first_ns", title: "enqueue, first filling" },
                Line { name: "enqueue_again_ns", title: "enqueue, again" },
                Line { name: "drain_ns", title: "drain" },
            ],
        },
        Panel {
            title: "resident memory of a message",
            unit: Unit::Bytes,
            scale: Kind::Log,
            lines: &[
                Line { name: "memory_bytes", title: "memory while all wait" },
                Line { name: "memory_drained_bytes", title: "memory still there when drained" },
            ],
        },
    ],
    round,
};

fn round(lab: &Lab, depths: &[u64]) -> Vec<Turn> {
    each(depths, |depth| {
        let part = lab.part("the queue", ["depth", "--messages", &depth.to_string()])?;
        let result = part.result()?;
        let figures = GROWTH.lines();
        figures.map(|(_, line)| result.number(&format!("/{}", line.name))).collect()
    })
}
