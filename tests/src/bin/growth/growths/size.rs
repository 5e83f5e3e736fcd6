//! The size of messages.

use drawdown_tests::measure::{Process, wait_for};

use crate::lab::Lab;
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

use super::{Growth, Line, Panel, StepAxis, each};

pub(super) const GROWTH: Growth = Growth {
    name: "size",
    title: "Messages and bytes a second, by the size of messages",
    settings: "Two processes (drawdown bench) over tcp, in memory, in batches. The lower of two rates: the receiver's from \
               its first message to its last, and the sender's until all is confirmed.",
    axis: StepAxis { title: "size of a message", unit: Unit::Size, scale: Kind::Log },
    steps: &[16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20],
    quick_steps: &[16, 256, 4 << 10, 64 << 10, 1 << 20],
    panels: &[
        Panel {
            title: "messages a second",
            unit: Unit::PerSecond,
            scale: Kind::Log,
            lines: &[Line { name: "messages_per_second", title: "messages a second" }],
        },
        Panel {
            title: "bytes a second",
            unit: Unit::BytesPerSecond,
            scale: Kind::Log,
            lines: &[Line { name: "bytes_per_second", title: "bytes a second" }],
        },
    ],
    round,
};

/// What a machine sends in about a second: so many messages if they are small, else so many bytes.
const MESSAGES: u64 = 10_000_000;
const BYTES: u64 = 3 << 30;

/// Runs of `--quick` have so many times fewer messages.
const QUICK: u64 = 20;

fn round(lab: &Lab, sizes: &[u64]) -> Vec<Turn> {
    each(sizes, |size| measure(lab, size))
}

fn measure(lab: &Lab, size: u64) -> Turn {
    let count = MESSAGES.min(BYTES / size) / if lab.quick { QUICK } else { 1 };
    let (count, size_text) = (count.to_string(), size.to_string());
    let load = ["--count", &count, "--size", &size_text];
    let pull = ["pull", "--bind", "tcp://127.0.0.1:0"];
    let mut receiver = lab.bench("the receiver", pull.into_iter().chain(load))?;
    let endpoint = receiver.told("bound")?;
    let push = ["push", "--connect", &endpoint];
    let mut sender = lab.bench("the sender", push.into_iter().chain(load))?;
    wait_for(&mut [&mut receiver, &mut sender])?;
    let rate = |process: Process| process.result()?.number("/messages_per_second");
    let rate = rate(receiver)?.min(rate(sender)?);
    Ok(vec![rate, rate * size as f64])
}
