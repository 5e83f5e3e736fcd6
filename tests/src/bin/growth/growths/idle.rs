//! Nothing to do.

use std::time::{Duration, Instant};

use drawdown_tests::measure::{Process, cpu_time, resident_bytes};

use crate::lab::{Lab, allow_links};
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

use super::{CPU_OF_SIDES, Growth, MEMORY_OF_SIDES, Panel, StepAxis, each};

pub(super) const GROWTH: Growth = Growth {
    name: "idle",
    title: "What links cost that have nothing to do",
    settings: "A process with a sender and one with its receivers, a link each over tcp, heartbeats every second. CPU time \
               of 10 s.",
    axis: StepAxis { title: "links", unit: Unit::Count, scale: Kind::Log },
    steps: &[1, 100, 1_000],
    quick_steps: &[1, 100],
    panels: &[
        Panel {
            title: "CPU time of 10 s",
            unit: Unit::Nanoseconds,
            scale: Kind::Log,
            lines: CPU_OF_SIDES,
        },
        Panel {
            title: "resident memory",
            unit: Unit::Bytes,
            scale: Kind::Log,
            lines: MEMORY_OF_SIDES,
        },
    ],
    round,
};

const WATCH: Duration = Duration::from_secs(10);
const QUICK_WATCH: Duration = Duration::from_secs(1);

/// After the links are made, what that takes calms down.
const CALM: Duration = Duration::from_secs(1);

fn round(lab: &Lab, steps: &[u64]) -> Vec<Turn> {
    each(steps, |links| measure(lab, links))
}

fn measure(lab: &Lab, links: u64) -> Turn {
    allow_links(links)?;
    let links = links.to_string();
    let mut sender = lab.part("the sender", ["idle-send", "--links", &links])?;
    let endpoint = sender.told("bound")?;
    let receive = ["idle-receive", "--connect", &endpoint, "--receivers", &links];
    let receivers = lab.part("the receivers", receive)?;
    sender.told("linked")?;
    std::thread::sleep(CALM);
    let watch = if lab.quick { QUICK_WATCH } else { WATCH };
    let (start, before) = (Instant::now(), [cpu_ns(&sender)?, cpu_ns(&receivers)?]);
    std::thread::sleep(watch);
    let (time, after) = (start.elapsed(), [cpu_ns(&sender)?, cpu_ns(&receivers)?]);
    let of_10_s = WATCH.as_secs_f64() / time.as_secs_f64();
    let cpu = after.iter().zip(before).map(|(after, before)| (after - before) * of_10_s);
    let memory = [&sender, &receivers].map(|process| resident_bytes(&process.id().to_string()));
    cpu.map(Ok).chain(memory).collect()
}

fn cpu_ns(process: &Process) -> Result<f64, String> {
    Ok(cpu_time(process.id())?.as_nanos() as f64)
}
