//! The picture of a growth: its panels below each other, a line for the medians of each figure, and at each point a bar
//! from the least to the most.

use drawdown_tests::measure::About;
use drawdown_tests::measure::picture::{HEADING_BOTTOM, LINE_STYLES, MARGIN, Picture};

use crate::growths::{Line, Panel};
use crate::outcome::{Outcome, Step};
use crate::scale::Axis;

const WIDTH: f64 = 760.0;
/// Of a panel: where the values are drawn, with titles above and steps below.
const PLOT_LEFT: f64 = 90.0;
const PLOT_RIGHT: f64 = WIDTH - 40.0;
const PLOT_TOP: f64 = 46.0;
const PLOT_HEIGHT: f64 = 190.0;
const PANEL_HEIGHT: f64 = PLOT_TOP + PLOT_HEIGHT + 54.0;
/// The first and the last point keep so far from the edges.
const INSET: f64 = 18.0;

pub(crate) fn svg(about: &About, outcome: &Outcome) -> String {
    let growth = outcome.growth;
    let height = HEADING_BOTTOM + growth.panels.len() as f64 * PANEL_HEIGHT;
    let mut picture = Picture::new(WIDTH, height, growth.title, about);
    let mut first = 0;
    for (place, panel) in growth.panels.iter().enumerate() {
        let top = HEADING_BOTTOM + place as f64 * PANEL_HEIGHT;
        match Drawing::new(outcome, panel, first, top) {
            Some(drawing) => drawing.draw(&mut picture),
            None => {
                let text = format!("{}: nothing was measured", panel.title);
                picture.text(MARGIN, top + 20.0, "less", &text);
            }
        }
        first += panel.lines.len();
    }
    picture.finish()
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

    fn draw(&self, picture: &mut Picture) {
        picture.text(MARGIN, self.top + 18.0, "strong", self.panel.title);
        self.draw_axes(picture);
        let mut legend_left = PLOT_LEFT;
        for (place, line) in self.panel.lines.iter().enumerate() {
            let style = place % LINE_STYLES;
            if self.panel.lines.len() > 1 {
                legend_left = self.draw_legend(picture, line, style, legend_left);
            }
            self.draw_line(picture, self.first + place, style);
        }
    }

    fn draw_axes(&self, picture: &mut Picture) {
        for tick in self.up.ticks() {
            let Some(y) = self.y(tick) else { continue };
            picture.line((PLOT_LEFT, y), (PLOT_RIGHT, y), "grid");
            picture.text(PLOT_LEFT - 8.0, y + 4.0, "less end", &self.panel.unit.show(tick));
        }
        let axis = &self.outcome.growth.axis;
        let bottom = self.top + PLOT_TOP + PLOT_HEIGHT;
        for step in &self.outcome.steps {
            let Some(x) = self.x(step) else { continue };
            picture.text(x, bottom + 16.0, "less middle", &axis.unit.show(step.at as f64));
        }
        let middle = f64::midpoint(PLOT_LEFT, PLOT_RIGHT);
        picture.text(middle, bottom + 34.0, "less middle", axis.title);
    }

    /// Gives where the next one begins.
    fn draw_legend(&self, picture: &mut Picture, line: &Line, style: usize, left: f64) -> f64 {
        let y = self.top + PLOT_TOP - 10.0;
        let text_left = left + 32.0;
        picture.line((left, y - 4.0), (left + 26.0, y - 4.0), &format!("line l{style}"));
        picture.text(text_left, y, "", line.title);
        // About as wide as the text is.
        text_left + line.title.chars().count() as f64 * 6.6 + 20.0
    }

    fn draw_line(&self, picture: &mut Picture, line: usize, style: usize) {
        let points: Vec<_> = self
            .outcome
            .steps
            .iter()
            .filter_map(|step| Some((self.x(step)?, step.spread(line)?)))
            .filter_map(|(x, spread)| Some((x, self.y(spread.median)?, spread)))
            .collect();
        picture.path(points.iter().map(|(x, y, _)| (*x, *y)), &format!("line l{style}"));
        for (x, y, spread) in points {
            if let (Some(low), Some(high)) = (self.y(spread.min), self.y(spread.max)) {
                picture.line((x, low), (x, high), &format!("range l{style}"));
            }
            picture.point(x, y, &format!("l{style}"));
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
        let height = HEADING_BOTTOM + 2.0 * PANEL_HEIGHT;
        assert!(places.iter().all(|y| (0.0..height).contains(y)), "{places:?}");
    }

    #[test]
    fn a_panel_without_values_says_so() {
        let svg = svg(&About::new(1, true), &outcome(&[5e6]));
        assert_eq!(svg.matches("nothing was measured").count(), 1);
    }
}
