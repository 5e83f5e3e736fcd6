//! Pictures of results: one page, one look, readable on light and on dark.

use std::fmt::{Display, Write};

use super::About;

/// How far what stands at the left is from the edge.
pub const MARGIN: f64 = 20.0;

/// Below the heading, where what is drawn begins.
pub const HEADING_BOTTOM: f64 = 66.0;

/// Lines that belong to different figures differ in colour and in dashes: `l0` to `l3`.
pub const LINE_STYLES: usize = 4;

const STYLE: &str = "
svg { color-scheme: light dark; }
.ground { fill: #ffffff; }
text { fill: #1f2328; }
text.less, .less { fill: #59636e; }
text.strong, .strong { font-weight: 600; }
text.end { text-anchor: end; }
text.middle { text-anchor: middle; }
text.bad { fill: #b42318; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.ours { fill: #1f6feb; }
.theirs { fill: #9aa4b2; }
.spread { stroke: #24292f; stroke-width: 1.5; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.range { stroke-width: 1.5; opacity: 0.55; }
.l0 { stroke: #0969da; } .l1 { stroke: #bc4c00; } .l2 { stroke: #1a7f37; } .l3 { stroke: #8250df; }
circle.l0 { fill: #0969da; } circle.l1 { fill: #bc4c00; } circle.l2 { fill: #1a7f37; } circle.l3 { fill: #8250df; }
.line.l1 { stroke-dasharray: 7 4; } .line.l2 { stroke-dasharray: 2 3; } .line.l3 { stroke-dasharray: 9 3 2 3; }
@media (prefers-color-scheme: dark) {
.ground { fill: #0d1117; }
text { fill: #e6edf3; }
text.less, .less { fill: #9198a1; }
text.bad { fill: #ff7b72; }
.grid { stroke: #30363d; }
.ours { fill: #1f6feb; }
.theirs { fill: #57606a; }
.spread { stroke: #e6edf3; }
.l0 { stroke: #58a6ff; } .l1 { stroke: #f0883e; } .l2 { stroke: #3fb950; } .l3 { stroke: #bc8cff; }
circle.l0 { fill: #58a6ff; } circle.l1 { fill: #f0883e; } circle.l2 { fill: #3fb950; } circle.l3 { fill: #bc8cff; }
}
";

/// A picture in the making, as SVG. Positions are in pixels from the upper left corner; texts stand on theirs.
#[derive(Debug)]
pub struct Picture {
    svg: String,
}

impl Picture {
    /// The ground and the heading.
    #[must_use]
    pub fn new(width: f64, height: f64, title: &str, about: &About) -> Self {
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="12">
<style>{STYLE}</style>
<rect class="ground" width="{width}" height="{height}"/>
<text x="{MARGIN}" y="28" font-size="16" class="strong">{}</text>
<text x="{MARGIN}" y="48" class="less">{}</text>
"#,
            escaped(title),
            escaped(&about.line()),
        );
        Self { svg }
    }

    /// A text of these classes: `less`, `strong`, `bad`; `middle` and `end` say which part of it is at `x`.
    pub fn text(&mut self, x: f64, y: f64, classes: &str, text: &str) {
        let text = escaped(text);
        self.add(format_args!(r#"<text x="{x:.1}" y="{y:.1}" class="{classes}">{text}</text>"#));
    }

    /// Something that matters, and after it what explains it.
    pub fn caption(&mut self, x: f64, y: f64, strong: &str, less: &str) {
        let (strong, less) = (escaped(strong), escaped(less));
        self.add(format_args!(
            r#"<text x="{x:.1}" y="{y:.1}"><tspan class="strong">{strong}</tspan> <tspan class="less">{less}</tspan></text>"#
        ));
    }

    /// A bar: `ours` or `theirs`.
    pub fn bar(&mut self, x: f64, y: f64, width: f64, height: f64, class: &str) {
        self.add(format_args!(
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="2" class="{class}"/>"#
        ));
    }

    /// A straight line of these classes: `grid`, `spread`, or one of the line styles with `line` or `range`.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), classes: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.add(format_args!(
            r#"<line class="{classes}" x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}"/>"#
        ));
    }

    /// A line through points.
    pub fn path(&mut self, points: impl IntoIterator<Item = (f64, f64)>, classes: &str) {
        let points: Vec<_> = points.into_iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        self.add(format_args!(r#"<polyline class="{classes}" points="{points}"/>"#));
    }

    /// A point of a line.
    pub fn point(&mut self, x: f64, y: f64, class: &str) {
        self.add(format_args!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="3"/>"#));
    }

    /// The whole picture.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.add("</svg>");
        self.svg
    }

    fn add(&mut self, element: impl Display) {
        // Writing to a string does not fail.
        let _ = writeln!(self.svg, "{element}");
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_markup() {
        let mut picture = Picture::new(10.0, 10.0, "a < b", &About::new(1, false));
        picture.text(1.0, 2.0, "less", "b & c > d");
        let svg = picture.finish();
        assert!(svg.contains(">a &lt; b</text>") && svg.contains(">b &amp; c &gt; d</text>"));
    }
}
