//! Everything, for programs.

use drawdown_tests::measure::About;
use serde_json::{Map, Value, json};

use crate::outcome::{Outcome, Step};

pub(crate) fn json(about: &About, outcomes: &[Outcome]) -> Value {
    let growths = outcomes.iter().map(|outcome| {
        let growth = outcome.growth;
        json!({
            "name": growth.name,
            "title": growth.title,
            "settings": growth.settings,
            "axis": { "title": growth.axis.title, "unit": growth.axis.unit.name() },
            "steps": outcome.steps.iter().map(|step| step_json(outcome, step)).collect::<Vec<_>>(),
        })
    });
    json!({ "about": about.json(), "growths": growths.collect::<Vec<_>>() })
}

fn step_json(outcome: &Outcome, step: &Step) -> Value {
    let figures = outcome.growth.lines().enumerate().map(|(at, (unit, line))| {
        let spread = step.spread(at);
        let figure = json!({
            "unit": unit.name(),
            "median": spread.map(|spread| spread.median),
            "min": spread.map(|spread| spread.min),
            "max": spread.map(|spread| spread.max),
            "samples": step.values(at).collect::<Vec<_>>(),
        });
        (line.name.to_owned(), figure)
    });
    json!({
        "at": step.at,
        "figures": figures.collect::<Map<_, _>>(),
        "failures": step.failures().collect::<Vec<_>>(),
    })
}
