//! Subscribers that take nothing, beside one that does.

use crate::lab::{Lab, allow_links};
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

use super::shares::{Shares, count_ms, relative};
use super::{CPU_OF_PUBLISHING, Growth, Line, Panel, StepAxis};

pub(super) const GROWTH: Growth = Growth {
    name: "stuck",
    title: "One subscriber that takes everything, among others that are stuck",
    settings: "256 B over tcp, in memory; a process each for the publisher, for a subscriber that takes everything, and for \
               those that take nothing but are linked; windows of 1,000 messages, a ring of 65,536. The publisher stays \
               within half a ring of the subscriber that is furthest, which therefore must miss nothing. After a warm-up it \
               counts for a second.",
    axis: StepAxis { title: "subscribers, all but one stuck", unit: Unit::Count, scale: Kind::Log },
    steps: &[1, 10, 100, 1_000],
    quick_steps: &[1, 100],
    panels: &[
        Panel {
            title: "messages a second that the other one gets",
            unit: Unit::PerSecond,
            scale: Kind::Linear,
            lines: &[Line { name: "messages_per_second", title: "messages a second" }],
        },
        Panel {
            title: "the same, relative to a run without those that are stuck",
            unit: Unit::Ratio,
            scale: Kind::Linear,
            lines: &[Line { name: "relative", title: "relative to being alone" }],
        },
        Panel {
            title: "messages that it misses",
            unit: Unit::Count,
            scale: Kind::Linear,
            lines: &[Line { name: "missed", title: "missed" }],
        },
        Panel {
            title: "CPU time of a message",
            unit: Unit::Nanoseconds,
            scale: Kind::Log,
            lines: CPU_OF_PUBLISHING,
        },
        Panel {
            title: "resident memory of the publisher",
            unit: Unit::Bytes,
            scale: Kind::Linear,
            lines: &[Line { name: "publisher_bytes", title: "memory of the publisher" }],
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
            let Shares { rate, cpu_ns, memory, missed, .. } = shares;
            let ([publisher_cpu, subscriber_cpu], [publisher_bytes, _]) = (cpu_ns, memory);
            vec![rate, relative, missed, publisher_cpu, subscriber_cpu, publisher_bytes]
        },
    )
}

fn measure(lab: &Lab, subscribers: u64) -> Result<Shares, String> {
    allow_links(subscribers)?;
    let (links, stuck) = (subscribers.to_string(), (subscribers - 1).to_string());
    let (count_ms, window) = (count_ms(lab, 1).to_string(), WINDOW.to_string());
    let publish = ["publish", "--links", &links, "--keep-pace"];
    let mut publisher = lab.part("the publisher", publish)?;
    let endpoint = publisher.told("bound")?;
    let process = publisher.id().to_string();
    let stuck = ["stand-still", "--connect", &endpoint, "--receivers", &stuck];
    let _stuck =
        lab.part("those that are stuck", stuck.into_iter().chain(["--window", &window]))?;
    let args = ["subscribe", "--connect", &endpoint, "--sender", &process, "--receivers", "1"];
    let args = args.into_iter().chain(["--window", &window, "--count-ms", &count_ms]);
    Shares::of(&lab.part("the subscriber", args)?.result()?)
}
