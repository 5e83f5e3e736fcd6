//! The picture: a group of bars for each row, as long as the medians, with a line from the least to the most.

use drawdown_tests::measure::About;
use drawdown_tests::measure::picture::{HEADING_BOTTOM, MARGIN, Picture};

use crate::outcome::{Outcome, Series};
use crate::peers::Peer;
use crate::rows::Unit;

const WIDTH: f64 = 860.0;
/// Where bars begin, and how long the longest may be: names stand left of them, values right.
const BARS_LEFT: f64 = 200.0;
const BAR_WIDTH_MAX: f64 = 440.0;
const BAR_HEIGHT: f64 = 16.0;
const BAR_STEP: f64 = 21.0;
const TITLE_HEIGHT: f64 = 24.0;
const GROUP_GAP: f64 = 16.0;

pub(crate) fn svg(about: &About, peers: &[Box<dyn Peer>], outcomes: &[Outcome]) -> String {
    let group =
        |outcome: &Outcome| TITLE_HEIGHT + outcome.series.len() as f64 * BAR_STEP + GROUP_GAP;
    let height = HEADING_BOTTOM + outcomes.iter().map(group).sum::<f64>();
    let mut picture = Picture::new(WIDTH, height, "Drawdown beside its peers", about);
    let mut top = HEADING_BOTTOM;
    for outcome in outcomes {
        draw_group(&mut picture, top, outcome, peers);
        top += group(outcome);
    }
    picture.finish()
}

fn draw_group(picture: &mut Picture, top: f64, outcome: &Outcome, peers: &[Box<dyn Peer>]) {
    let unit = outcome.row.unit();
    let better = match unit {
        Unit::MessagesPerSecond => "messages a second, longer is better",
        Unit::Microseconds => "microseconds (median), shorter is better",
    };
    picture.caption(MARGIN, top + TITLE_HEIGHT - 9.0, outcome.row.title, better);
    let most = outcome.series.iter().filter_map(Series::value).map(|value| value.max);
    let scale = BAR_WIDTH_MAX / most.fold(f64::MIN_POSITIVE, f64::max);
    for (place, series) in outcome.series.iter().enumerate() {
        let name = peers.get(series.peer).map_or("", |peer| peer.name());
        let top = top + TITLE_HEIGHT + place as f64 * BAR_STEP;
        draw_bar(picture, top, name, series, scale, unit);
    }
}

fn draw_bar(picture: &mut Picture, top: f64, name: &str, series: &Series, scale: f64, unit: Unit) {
    let (base, middle) = (top + BAR_HEIGHT - 4.0, top + BAR_HEIGHT / 2.0);
    picture.text(BARS_LEFT - 8.0, base, "end", name);
    let Some(value) = series.value() else {
        picture.text(BARS_LEFT, base, "bad", "failed");
        return;
    };
    let class = if series.peer == 0 { "ours" } else { "theirs" };
    let at = |value: f64| BARS_LEFT + value * scale;
    picture.bar(BARS_LEFT, top, value.median * scale, BAR_HEIGHT, class);
    picture.line((at(value.min), middle), (at(value.max), middle), "spread");
    let dropped = series.dropped().filter(|share| share.median > 0.0);
    let dropped = dropped.map(|share| format!(" ({:.0} % dropped)", share.median * 100.0));
    let shown = unit.show(value.median) + &dropped.unwrap_or_default();
    picture.text(at(value.max) + 8.0, base, "", &shown);
}
