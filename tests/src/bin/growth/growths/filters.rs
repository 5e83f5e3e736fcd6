//! Subscribers that want a little each.

use crate::lab::Lab;
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

use super::{Growth, Line, Panel, StepAxis, each};

pub(super) const GROWTH: Growth = Growth {
    name: "filters",
    title: "What it costs to publish a message, by how many filters there are",
    settings: "64 B over tcp, in memory, one by one; a process with the publisher, whose ring holds all messages, and one \
               with the subscribers: one that has all filters, or up to 100 with equal parts. Each message matches one \
               filter, and all filters are matched in turn. CPU time is that of the publisher's process until all is sent; \
               memory is from before it publishes.",
    axis: StepAxis { title: "filters in all", unit: Unit::Count, scale: Kind::Log },
    steps: &[1, 100, 10_000, 100_000],
    quick_steps: &[1, 100, 10_000],
    panels: &[
        Panel {
            title: "time to publish a message",
            unit: Unit::Nanoseconds,
            scale: Kind::Log,
            lines: &[
                Line { name: "publish_to_one_ns", title: "to 1 subscriber" },
                Line { name: "publish_to_many_ns", title: "to up to 100" },
            ],
        },
        Panel {
            title: "CPU time of a message, of the publisher's process",
            unit: Unit::Nanoseconds,
            scale: Kind::Log,
            lines: &[
                Line { name: "cpu_to_one_ns", title: "CPU, 1 subscriber" },
                Line { name: "cpu_to_many_ns", title: "CPU, up to 100" },
            ],
        },
        Panel {
            title: "resident memory of the publisher's process",
            unit: Unit::Bytes,
            scale: Kind::Log,
            lines: &[
                Line { name: "memory_to_one_bytes", title: "memory, 1 subscriber" },
                Line { name: "memory_to_many_bytes", title: "memory, up to 100" },
            ],
        },
    ],
    round,
};

const MESSAGES: u64 = 1_000_000;

/// Runs of `--quick` have so many times fewer messages.
const QUICK: u64 = 10;

/// Links of so many filters.
const SUBSCRIBERS_MAX: u64 = 100;

fn round(lab: &Lab, steps: &[u64]) -> Vec<Turn> {
    each(steps, |filters| {
        let one = measure(lab, filters, 1)?;
        let many = measure(lab, filters, filters.min(SUBSCRIBERS_MAX))?;
        Ok(one.into_iter().zip(many).flat_map(<[f64; 2]>::from).collect())
    })
}

/// The time to publish a message, its CPU time, and the memory before.
fn measure(lab: &Lab, filters: u64, subscribers: u64) -> Result<[f64; 3], String> {
    let messages = (MESSAGES / if lab.quick { QUICK } else { 1 }).to_string();
    let (filters, subscribers) = (filters.to_string(), subscribers.to_string());
    let common = ["--filters", &filters, "--subscribers", &subscribers];
    let publish = ["filter-publish", "--messages", &messages];
    let mut publisher = lab.part("the publisher", publish.into_iter().chain(common))?;
    let endpoint = publisher.told("bound")?;
    let subscribe = ["filter-subscribe", "--connect", &endpoint];
    let _subscribers = lab.part("the subscribers", subscribe.into_iter().chain(common))?;
    let result = publisher.result()?;
    Ok([result.number("/publish_ns")?, result.number("/cpu_ns")?, result.number("/memory_bytes")?])
}
