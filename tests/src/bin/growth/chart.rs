//! The picture of a growth: its panels below each other, a line for the medians of each figure, and at each point a bar
//! from the least to the most. It is readable on light and on dark.

use std::fmt::Write;

use drawdown_tests::measure::About;

use crate::growths::{Line, Panel};
use crate::outcome::{Outcome, Step};
use crate::scale::Axis;

const WIDTH: f64 = 760.0;
const MARGIN: f64 = 20.0;
const HEADER_HEIGHT: f64 = 66.0;
/// Of a panel: where the values are drawn, with titles above and steps below.
const PLOT_LEFT: f64 = 90.0;
const PLOT_RIGHT: f64 = WIDTH - 40.0;
const PLOT_TOP: f64 = 46.0;
const PLOT_HEIGHT: f64 = 190.0;
const PANEL_HEIGHT: f64 = PLOT_TOP + PLOT_HEIGHT + 54.0;
/// The first and the last point keep so far from the edges.
const INSET: f64 = 18.0;

/// Lines differ in colour and in dashes.
const STYLE: &str = "
svg { color-scheme: light dark; }
.ground { fill: #ffffff; }
text { fill: #1f2328; }
text.less { fill: #59636e; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.range { stroke-width: 1.5; opacity: 0.55; }
.l0 { stroke: #0969da; } .l1 { stroke: #bc4c00; } .l2 { stroke: #1a7f37; } .l3 { stroke: #8250df; }
circle.l0 { fill: #0969da; } circle.l1 { fill: #bc4c00; } circle.l2 { fill: #1a7f37; } circle.l3 { fill: #8250df; }
.line.l1 { stroke-dasharray: 7 4; } .line.l2 { stroke-dasharray: 2 3; } .line.l3 { stroke-dasharray: 9 3 2 3; }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117; }
text { fill: #e6edf3; }
text.less { fill: #9198a1; }
.grid { stroke: #30363d; }
.l0 { stroke: #58a6ff; } .l1 { stroke: #f0883e; } .l2 { stroke: #3fb950; } .l3 { stroke: #bc8cff; }
circle.l0 { fill: #58a6ff; } circle.l1 { fill: #f0883e; } circle.l2 { fill: #3fb950; } circle.l3 { fill: #bc8cff; }
}
";

/// Line styles that there are.
const LINE_STYLES: usize = 4;

pub(crate) fn svg(about: &About, outcome: &Outcome) -> String {
    let growth = outcome.growth;
    let height = HEADER_HEIGHT + growth.panels.len() as f64 * PANEL_HEIGHT;
    // Writing to a string does not fail; so below.
    let mut svg = String::new();
    let _ = write!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, sans-serif" font-size="12">
<style>{STYLE}</style>
<rect class="ground" width="{WIDTH}" height="{height}"/>
<text x="{MARGIN}" y="28" font-size="16" font-weight="600">{}</text>
<text x="{MARGIN}" y="48" class="less">{}</text>
"#,
        escaped(growth.title),
        escaped(&about.line()),
    );
    let mut first = 0;
    for (place, panel) in growth.panels.iter().enumerate() {
        let top = HEADER_HEIGHT + place as f64 * PANEL_HEIGHT;
        let drawn = Drawing::new(outcome, panel, first, top).map(|drawing| drawing.draw(&mut svg));
        if drawn.is_none() {
            let _ = writeln!(
                svg,
                r#"<text x="{MARGIN}" y="{}" class="less">{}: nothing was measured</text>"#,
                top + 20.0,
                escaped(panel.title)
            );
        }
        first += panel.lines.len();
    }
    svg.push_str("</svg>\n");
    svg
}

/// One panel and where its values are.
struct Drawing<'a> {
    outcome: &'a Outcome,
    panel: &'a Panel,
    /// The place of its first line among those of all panels.
    first: usize,
    top: f64,
    across: Axis,
    up: Axis,
}

impl<'a> Drawing<'a> {
    /// None if there is nothing to draw.
    fn new(outcome: &'a Outcome, panel: &'a Panel, first: usize, top: f64) -> Option<Self> {
        let steps = outcome.steps.iter().map(|step| step.at as f64);
        let lines = first..first + panel.lines.len();
        let values = lines.flat_map(|line| outcome.steps.iter().flat_map(move |s| s.values(line)));
        Some(Self {
            across: Axis::tight(outcome.growth.axis.scale, steps)?,
            up: Axis::round(panel.scale, values)?,
            outcome,
            panel,
            first,
            top,
        })
    }

    fn draw(&self, svg: &mut String) {
        let _ = writeln!(
            svg,
            r#"<text x="{MARGIN}" y="{}" font-weight="600">{}</text>"#,
            self.top + 18.0,
            escaped(self.panel.title),
        );
        self.draw_axes(svg);
        let mut legend_left = PLOT_LEFT;
        for (place, line) in self.panel.lines.iter().enumerate() {
            let style = place % LINE_STYLES;
            if self.panel.lines.len() > 1 {
                legend_left = self.draw_legend(svg, line, style, legend_left);
            }
            self.draw_line(svg, self.first + place, style);
        }
    }

    fn draw_axes(&self, svg: &mut String) {
        for tick in self.up.ticks() {
            let Some(y) = self.y(tick) else { continue };
            let _ = writeln!(
                svg,
                r#"<line class="grid" x1="{PLOT_LEFT}" y1="{y:.1}" x2="{PLOT_RIGHT}" y2="{y:.1}"/>
<text x="{}" y="{:.1}" text-anchor="end" class="less">{}</text>"#,
                PLOT_LEFT - 8.0,
                y + 4.0,
                self.panel.unit.show(tick),
            );
        }
        let axis = &self.outcome.growth.axis;
        let bottom = self.top + PLOT_TOP + PLOT_HEIGHT;
        for step in &self.outcome.steps {
            let Some(x) = self.x(step) else { continue };
            let _ = writeln!(
                svg,
                r#"<text x="{x:.1}" y="{}" text-anchor="middle" class="less">{}</text>"#,
                bottom + 16.0,
                axis.unit.show(step.at as f64),
            );
        }
        let _ = writeln!(
            svg,
            r#"<text x="{}" y="{}" text-anchor="middle" class="less">{}</text>"#,
            f64::midpoint(PLOT_LEFT, PLOT_RIGHT),
            bottom + 34.0,
            escaped(axis.title),
        );
    }

    /// Gives where the next one begins.
    fn draw_legend(&self, svg: &mut String, line: &Line, style: usize, left: f64) -> f64 {
        let y = self.top + PLOT_TOP - 10.0;
        let text_left = left + 32.0;
        let _ = writeln!(
            svg,
            r#"<line class="line l{style}" x1="{left:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>
<text x="{text_left:.1}" y="{y:.1}">{}</text>"#,
            y - 4.0,
            left + 26.0,
            y - 4.0,
            escaped(line.title),
        );
        // About as wide as the text is.
        text_left + line.title.chars().count() as f64 * 6.6 + 20.0
    }

    fn draw_line(&self, svg: &mut String, line: usize, style: usize) {
        let points: Vec<_> = self
            .outcome
            .steps
            .iter()
            .filter_map(|step| Some((self.x(step)?, step.spread(line)?)))
            .filter_map(|(x, spread)| Some((x, self.y(spread.median)?, spread)))
            .collect();
        let path: Vec<_> = points.iter().map(|(x, y, _)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(svg, r#"<polyline class="line l{style}" points="{}"/>"#, path.join(" "));
        for (x, y, spread) in points {
            if let (Some(low), Some(high)) = (self.y(spread.min), self.y(spread.max)) {
                let _ = writeln!(
                    svg,
                    r#"<line class="range l{style}" x1="{x:.1}" y1="{low:.1}" x2="{x:.1}" y2="{high:.1}"/>"#
                );
            }
            let _ = writeln!(svg, r#"<circle class="l{style}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#);
        }
    }

    fn x(&self, step: &Step) -> Option<f64> {
        let (left, right) = (PLOT_LEFT + INSET, PLOT_RIGHT - INSET);
        Some(left + self.across.place(step.at as f64)? * (right - left))
    }

    fn y(&self, value: f64) -> Option<f64> {
        Some(self.top + PLOT_TOP + PLOT_HEIGHT * (1.0 - self.up.place(value)?))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(values: &[f64]) -> Outcome {
        let growth = crate::growths::GROWTHS.iter().find(|growth| growth.name == "size").unwrap();
        let mut outcome = Outcome::new(growth, false);
        for step in &mut outcome.steps {
            step.turns.push(Ok(values.to_vec()));
        }
        outcome
    }

    #[test]
    fn every_step_of_every_line_has_a_point_within_the_picture() {
        let outcome = outcome(&[5e6, 2e9]);
        let svg = svg(&About::new(1, true), &outcome);
        let places: Vec<f64> = svg
            .lines()
            .filter_map(|line| line.split_once("cy=\"")?.1.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(places.len(), 2 * outcome.steps.len());
        let height = HEADER_HEIGHT + 2.0 * PANEL_HEIGHT;
        assert!(places.iter().all(|y| (0.0..height).contains(y)), "{places:?}");
    }

    #[test]
    fn a_panel_without_values_says_so() {
        let svg = svg(&About::new(1, true), &outcome(&[5e6]));
        assert_eq!(svg.matches("nothing was measured").count(), 1);
    }
}
