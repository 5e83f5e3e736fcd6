//! Figures as people read them.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    Count,
    Percent,
    PerSecond,
    BytesPerSecond,
    Bytes,
    /// Of a message, in steps of 1,024.
    Size,
    Nanoseconds,
    /// Of something to what it is compared with.
    Ratio,
}

const DECIMAL: [&str; 5] = ["", "k", "M", "G", "T"];
const BYTES: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
const BINARY: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
const TIME: [&str; 4] = ["ns", "µs", "ms", "s"];

impl Unit {
    /// Three figures that count, and the unit.
    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Count => scaled(value, 1000.0, &DECIMAL),
            Self::Percent => format!("{value} %"),
            Self::PerSecond => format!("{}/s", scaled(value, 1000.0, &DECIMAL)),
            Self::BytesPerSecond => format!("{}/s", Self::Bytes.show(value)),
            Self::Bytes => scaled(value, 1000.0, &BYTES),
            Self::Size => scaled(value, 1024.0, &BINARY),
            Self::Nanoseconds => scaled(value, 1000.0, &TIME),
            Self::Ratio => figures(value),
        }
    }

    /// For programs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Percent => "percent",
            Self::PerSecond => "per_second",
            Self::BytesPerSecond => "bytes_per_second",
            Self::Bytes | Self::Size => "bytes",
            Self::Nanoseconds => "nanoseconds",
            Self::Ratio => "ratio",
        }
    }
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    // What rounds up to a whole step is shown as one.
    while value.abs() >= step * 0.9995 {
        let Some(larger) = units.next() else { break };
        value /= step;
        unit = larger;
    }
    format!("{} {unit}", figures(value)).trim_end().to_owned()
}

fn figures(value: f64) -> String {
    // A whole number needs no more than itself.
    let digits = match value.abs() {
        _ if value == value.trunc() => 0,
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_in_the_unit_that_fits() {
        assert_eq!(Unit::Size.show(16.0), "16 B");
        assert_eq!(Unit::Size.show(262_144.0), "256 KiB");
        assert_eq!(Unit::Size.show(1_048_576.0), "1 MiB");
        assert_eq!(Unit::Count.show(10_000_000.0), "10 M");
        assert_eq!(Unit::Count.show(100.0), "100");
        assert_eq!(Unit::Percent.show(75.0), "75 %");
    }

    #[test]
    fn three_figures_count() {
        assert_eq!(Unit::PerSecond.show(9_876_543.0), "9.88 M/s");
        assert_eq!(Unit::BytesPerSecond.show(12_345_678.0), "12.3 MB/s");
        assert_eq!(Unit::Nanoseconds.show(123_456.0), "123 µs");
        assert_eq!(Unit::Nanoseconds.show(0.0), "0 ns");
        assert_eq!(Unit::Nanoseconds.show(999.9), "1.00 µs");
        assert_eq!(Unit::Ratio.show(0.98765), "0.988");
        assert_eq!(Unit::Ratio.show(1.0), "1");
    }
}
