//! The table for people.

use std::fmt::Write;

use drawdown_tests::measure::{About, Spread};

use crate::outcome::Outcome;
use crate::peers::{Found, Peer};
use crate::rows::Unit;

const READING: &str = "
Rates count from the receiver's first message to its last; where the sender gets confirmations, from its first send to
the last of them, if that is longer. CPU is user and system time of all processes. \"Drawdown x 2\": twice as good as
this peer, by the median of the rounds' ratios. What is published is not waited for: messages that arrived count, over all
subscribers, and \"dropped\" is the share of the others. \"device\": what its CPU adds, as a share of
that of sender and receiver.

";

/// Where was measured, who takes part and under which settings, and who is missing.
pub(crate) fn heading(about: &About, found: &Found) -> String {
    let mut text = about.heading() + READING;
    for peer in &found.peers {
        // Writing to a string does not fail; so below.
        let _ = writeln!(text, "{}: {}. {}.", peer.name(), peer.settings(), peer.safety());
    }
    for missing in &found.missing {
        let _ = writeln!(text, "{} is not measured: {}", missing.name, missing.sentence);
    }
    text
}

/// One row, a line for each who took part.
pub(crate) fn row(outcome: &Outcome, peers: &[Box<dyn Peer>]) -> String {
    let (row, unit) = (outcome.row, outcome.row.unit());
    let mut text = format!("\n{} ({}, in {})\n", row.title, row.name, unit.name());
    for series in &outcome.series {
        let name = peers.get(series.peer).map_or("", |peer| peer.name());
        let value = series.value().map(|value| value_column(unit, value)).unwrap_or_default();
        let cpu = series.cpu_us().filter(|_| unit == Unit::MessagesPerSecond);
        let cpu = cpu.map(|cpu| format!("CPU {:.2} µs a message", cpu.median)).unwrap_or_default();
        let ratio = outcome.ratio(series).map(ratio_column).unwrap_or_default();
        let dropped = series.dropped().map(dropped_column).unwrap_or_default();
        let device = series.device().map(device_column).unwrap_or_default();
        let line = format!("  {name:<26} {value:<32} {cpu:<24} {device}{dropped}{ratio}");
        let _ = writeln!(text, "{}", line.trim_end());
        if let Some(failure) = series.failures().next() {
            let (failed, all) = (series.failures().count(), series.turns.len());
            let _ = writeln!(text, "    {failed} of {all} runs failed: {failure}");
        }
    }
    text
}

fn value_column(unit: Unit, value: Spread) -> String {
    let Spread { median, min, max } = value;
    format!("{:<9} ({} - {})", unit.show(median), unit.show(min), unit.show(max))
}

/// Only where there is a device.
fn device_column(share: Spread) -> String {
    format!("{:<18}", format!("device + {:.2}", share.median))
}

/// Only where something may be dropped.
fn dropped_column(share: Spread) -> String {
    format!("{:<16}", format!("dropped {:.1} %", share.median * 100.0))
}

fn ratio_column(ratio: Spread) -> String {
    format!("Drawdown x {:.2} ({:.2} - {:.2})", ratio.median, ratio.min, ratio.max)
}
