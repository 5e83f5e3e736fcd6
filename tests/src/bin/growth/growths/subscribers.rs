//! Subscribers that all want everything.

use crate::lab::{Lab, allow_links};
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

use super::shares::{Shares, count_ms, relative};
use super::{CPU_OF_PUBLISHING, Growth, Line, MEMORY_OF_PUBLISHING, Panel, StepAxis};

pub(super) const GROWTH: Growth = Growth {
    name: "subscribers",
    title: "One publisher, by how many subscribe",
    settings: "256 B over tcp, in memory, one by one and as fast as it goes, whoever keeps up; a process with the publisher, \
               whose ring has 65,536 messages, and one with all subscribers, each with a window of 1,000 messages. After a \
               warm-up it counts what arrives for a second, and longer with many subscribers. Shares are relative to an \
               even one; what is missed is relative to all that was published to somebody.",
    axis: StepAxis { title: "subscribers", unit: Unit::Count, scale: Kind::Log },
    steps: &[1, 10, 100, 1_000],
    quick_steps: &[1, 10, 100],
    panels: &[
        Panel {
            title: "messages a second that arrive, over all subscribers",
            unit: Unit::PerSecond,
            scale: Kind::Log,
            lines: &[Line { name: "messages_per_second", title: "arrive in a second" }],
        },
        Panel {
            title: "the same, relative to one subscriber",
            unit: Unit::Ratio,
            scale: Kind::Linear,
            lines: &[Line { name: "relative", title: "relative to one subscriber" }],
        },
        Panel {
            title: "share that was missed",
            unit: Unit::Ratio,
            scale: Kind::Linear,
            lines: &[Line { name: "missed_share", title: "missed" }],
        },
        Panel {
            title: "CPU time of a message that arrives",
            unit: Unit::Nanoseconds,
            scale: Kind::Log,
            lines: CPU_OF_PUBLISHING,
        },
        Panel {
            title: "resident memory at the end",
            unit: Unit::Bytes,
            scale: Kind::Log,
            lines: MEMORY_OF_PUBLISHING,
        },
        Panel {
            title: "share of a subscriber, relative to an even one",
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
        |subscribers| measure(lab, subscribers),
        |shares, relative| {
            let Shares { rate, cpu_ns, memory, missed_share, smallest, largest, .. } = shares;
            let [publisher_cpu, subscribers_cpu] = cpu_ns;
            let [publisher_bytes, subscribers_bytes] = memory;
            vec![
                rate,
                relative,
                missed_share,
                publisher_cpu,
                subscribers_cpu,
                publisher_bytes,
                subscribers_bytes,
                smallest,
                largest,
            ]
        },
    )
}

fn measure(lab: &Lab, subscribers: u64) -> Result<Shares, String> {
    allow_links(subscribers)?;
    let count_ms = count_ms(lab, subscribers).to_string();
    let (subscribers, window) = (subscribers.to_string(), WINDOW.to_string());
    let mut publisher = lab.part("the publisher", ["publish", "--links", &subscribers])?;
    let endpoint = publisher.told("bound")?;
    let process = publisher.id().to_string();
    let args = ["subscribe", "--connect", &endpoint, "--sender", &process];
    let args = args.into_iter().chain(["--receivers", &subscribers, "--window", &window]);
    let args = args.chain(["--count-ms", &count_ms]);
    Shares::of(&lab.part("the subscribers", args)?.result()?)
}
