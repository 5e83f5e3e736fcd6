//! Everything, for programs.

use drawdown_tests::measure::{About, Spread};
use serde_json::{Value, json};

use crate::outcome::{Outcome, Sample, Series};
use crate::peers::Found;

pub(crate) fn json(about: &About, found: &Found, outcomes: &[Outcome]) -> Value {
    let peers = found.peers.iter().map(
        |peer| json!({ "name": peer.name(), "settings": peer.settings(), "safety": peer.safety() }),
    );
    let missing = found.missing.iter();
    let missing = missing.map(|peer| json!({ "name": peer.name, "why": peer.sentence }));
    let rows = outcomes.iter().map(|outcome| {
        let row = outcome.row;
        let series = outcome.series.iter().map(|series| series_json(outcome, series, found));
        json!({
            "name": row.name,
            "title": row.title,
            "unit": row.unit().name(),
            "size_bytes": row.size,
            "results": series.collect::<Vec<_>>(),
        })
    });
    json!({
        "about": about.json(),
        "peers": peers.collect::<Vec<_>>(),
        "missing": missing.collect::<Vec<_>>(),
        "rows": rows.collect::<Vec<_>>(),
    })
}

fn series_json(outcome: &Outcome, series: &Series, found: &Found) -> Value {
    let sample = |Sample { value, cpu_us, device, dropped }| json!({ "value": value, "cpu_us_per_message": cpu_us, "device_cpu_share": device, "dropped_share": dropped });
    json!({
        "peer": found.peers.get(series.peer).map(|peer| peer.name()),
        "messages": series.count,
        "value": series.value().map(spread_json),
        "cpu_us_per_message": series.cpu_us().map(spread_json),
        "device_cpu_share": series.device().map(spread_json),
        "dropped_share": series.dropped().map(spread_json),
        "drawdown_times_as_good": outcome.ratio(series).map(spread_json),
        "samples": series.samples().map(sample).collect::<Vec<_>>(),
        "failures": series.failures().collect::<Vec<_>>(),
    })
}

fn spread_json(spread: Spread) -> Value {
    json!({ "median": spread.median, "min": spread.min, "max": spread.max })
}
