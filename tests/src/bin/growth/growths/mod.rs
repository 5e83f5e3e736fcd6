//! What is measured.

mod depth;
mod filters;
mod idle;
mod links;
mod rate;
mod shares;
mod size;
mod stuck;
mod subscribers;

use crate::lab::Lab;
use crate::outcome::Turn;
use crate::scale::Kind;
use crate::unit::Unit;

/// How figures change from step to step.
pub(crate) struct Growth {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// How it is measured.
    pub(crate) settings: &'static str,
    /// What the steps are.
    pub(crate) axis: StepAxis,
    pub(crate) steps: &'static [u64],
    pub(crate) quick_steps: &'static [u64],
    pub(crate) panels: &'static [Panel],
    /// Measures each step once.
    pub(crate) round: fn(&Lab, &[u64]) -> Vec<Turn>,
}

pub(crate) struct StepAxis {
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) scale: Kind,
}

/// Figures that are drawn together.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) scale: Kind,
    pub(crate) lines: &'static [Line],
}

/// One figure.
pub(crate) struct Line {
    /// For programs.
    pub(crate) name: &'static str,
    /// The heading of its column.
    pub(crate) title: &'static str,
}

/// What both sides of a link cost.
const CPU_OF_SIDES: &[Line] = &[
    Line { name: "sender_cpu_ns", title: "CPU of the sender" },
    Line { name: "receivers_cpu_ns", title: "CPU of all receivers" },
];
const MEMORY_OF_SIDES: &[Line] = &[
    Line { name: "sender_bytes", title: "memory of the sender's process" },
    Line { name: "receivers_bytes", title: "memory of the receivers' process" },
];

/// The same of publishers and subscribers.
const CPU_OF_PUBLISHING: &[Line] = &[
    Line { name: "publisher_cpu_ns", title: "CPU of the publisher" },
    Line { name: "subscribers_cpu_ns", title: "CPU of all subscribers" },
];
const MEMORY_OF_PUBLISHING: &[Line] = &[
    Line { name: "publisher_bytes", title: "memory of the publisher's process" },
    Line { name: "subscribers_bytes", title: "memory of the subscribers' process" },
];

pub(crate) const GROWTHS: &[Growth] = &[
    size::GROWTH,
    depth::GROWTH,
    links::GROWTH,
    rate::GROWTH,
    idle::GROWTH,
    subscribers::GROWTH,
    filters::GROWTH,
    stuck::GROWTH,
];

impl Growth {
    /// The lines of all panels.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (Unit, &'static Line)> {
        self.panels.iter().flat_map(|panel| panel.lines.iter().map(|line| (panel.unit, line)))
    }
}

/// Those with these names, or all of them.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<&'static Growth>, String> {
    if names.is_empty() {
        return Ok(GROWTHS.iter().collect());
    }
    let find = |name: &String| {
        GROWTHS.iter().find(|growth| growth.name == name).ok_or_else(|| {
            let known: Vec<_> = GROWTHS.iter().map(|growth| growth.name).collect();
            format!("there is no growth {name}; there are {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

pub(crate) fn help() -> String {
    let mut text = "Growths:\n".to_owned();
    for growth in GROWTHS {
        text.push_str(&format!("  {:<12} {}\n", growth.name, growth.title));
    }
    text.push_str(
        "
Examples:
  cargo build --release -p drawdown -p drawdown-tests --bin drawdown --bin growth
  target/release/growth
  target/release/growth --rounds 5 --json growth.json --svg pictures size depth
  target/release/growth --quick links",
    );
    text
}

/// A round of steps that do not depend on each other.
fn each(steps: &[u64], measure: impl Fn(u64) -> Turn) -> Vec<Turn> {
    steps.iter().map(|&step| measure(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growths_are_chosen_by_name() {
        assert_eq!(chosen(&[]).unwrap().len(), GROWTHS.len());
        let two = chosen(&["rate".to_owned(), "size".to_owned()]).unwrap();
        assert_eq!(two.iter().map(|growth| growth.name).collect::<Vec<_>>(), ["rate", "size"]);
        let unknown = chosen(&["weight".to_owned()]).err().unwrap();
        assert!(unknown.contains("size, depth"), "{unknown}");
    }
}
