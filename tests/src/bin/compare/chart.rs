//! The picture: a group of bars for each row, as long as the medians, with a line from the least to the most.

use std::fmt::Write;

use drawdown_tests::measure::About;

use crate::outcome::{Outcome, Series};
use crate::peers::Peer;
use crate::rows::Unit;

const WIDTH: usize = 860;
const MARGIN: usize = 20;
/// Where bars begin, and how long the longest may be: names stand left of them, values right.
const BARS_LEFT: usize = 200;
const BAR_WIDTH_MAX: f64 = 440.0;
const BAR_HEIGHT: usize = 16;
const BAR_STEP: usize = 21;
const TITLE_HEIGHT: usize = 24;
const GROUP_GAP: usize = 16;
const HEADER_HEIGHT: usize = 64;

const OURS: &str = "#1f6feb";
const THEIRS: &str = "#9aa4b2";

pub(crate) fn svg(about: &About, peers: &[Box<dyn Peer>], outcomes: &[Outcome]) -> String {
    let group = |outcome: &Outcome| TITLE_HEIGHT + outcome.series.len() * BAR_STEP + GROUP_GAP;
    let height = HEADER_HEIGHT + outcomes.iter().map(group).sum::<usize>();
    // Writing to a string does not fail; so below.
    let mut svg = String::new();
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" font-size="12" fill="#24292f">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
<text x="{MARGIN}" y="28" font-size="16" font-weight="600">Drawdown beside its peers</text>
<text x="{MARGIN}" y="48" fill="#57606a">{}</text>
"##,
        escaped(&about.line())
    );
    let mut top = HEADER_HEIGHT;
    for outcome in outcomes {
        draw_group(&mut svg, top, outcome, peers);
        top += group(outcome);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw_group(svg: &mut String, top: usize, outcome: &Outcome, peers: &[Box<dyn Peer>]) {
    let unit = outcome.row.unit();
    let better = match unit {
        Unit::MessagesPerSecond => "messages a second, longer is better",
        Unit::Microseconds => "microseconds (median), shorter is better",
    };
    let _ = writeln!(
        svg,
        r##"<text x="{MARGIN}" y="{}"><tspan font-weight="600">{}</tspan> <tspan fill="#57606a">{better}</tspan></text>"##,
        top + TITLE_HEIGHT - 9,
        escaped(outcome.row.title),
    );
    let most = outcome.series.iter().filter_map(Series::value).map(|value| value.max);
    let scale = BAR_WIDTH_MAX / most.fold(f64::MIN_POSITIVE, f64::max);
    for (place, series) in outcome.series.iter().enumerate() {
        let name = peers.get(series.peer).map_or("", |peer| peer.name());
        draw_bar(svg, top + TITLE_HEIGHT + place * BAR_STEP, name, series, scale, unit);
    }
}

fn draw_bar(svg: &mut String, top: usize, name: &str, series: &Series, scale: f64, unit: Unit) {
    let (base, middle) = (top + BAR_HEIGHT - 4, top + BAR_HEIGHT / 2);
    let _ = writeln!(
        svg,
        r#"<text x="{}" y="{base}" text-anchor="end">{}</text>"#,
        BARS_LEFT - 8,
        escaped(name)
    );
    let Some(value) = series.value() else {
        let _ = writeln!(svg, r##"<text x="{BARS_LEFT}" y="{base}" fill="#b42318">failed</text>"##);
        return;
    };
    let colour = if series.peer == 0 { OURS } else { THEIRS };
    let at = |value: f64| BARS_LEFT as f64 + value * scale;
    let _ = writeln!(
        svg,
        r##"<rect x="{BARS_LEFT}" y="{top}" width="{:.1}" height="{BAR_HEIGHT}" rx="2" fill="{colour}"/>
<line x1="{:.1}" y1="{middle}" x2="{:.1}" y2="{middle}" stroke="#24292f" stroke-width="1.5"/>
<text x="{:.1}" y="{base}">{}</text>"##,
        value.median * scale,
        at(value.min),
        at(value.max),
        at(value.max) + 8.0,
        unit.show(value.median),
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
