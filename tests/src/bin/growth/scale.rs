//! The axis of a chart: which values it shows, where they are, and which of them are written beside it.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Equal steps are equal factors. Only for values above 0.
    Log,
    /// Begins at 0.
    Linear,
}

/// Ticks that an axis has at most, about.
const TICKS_MAX: f64 = 6.0;

/// Round values of a decade.
const ROUND_STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// Relative: what logarithms may lose.
const HAIR: f64 = 1e-9;

pub(crate) struct Axis {
    kind: Kind,
    min: f64,
    max: f64,
}

impl Axis {
    /// Exactly from the least to the most.
    pub(crate) fn tight(kind: Kind, values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let shown = values.into_iter().filter(|value| value.is_finite());
        let shown = shown.filter(|value| kind == Kind::Linear || *value > 0.0);
        let (min, max) = shown.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| {
            (min.min(value), max.max(value))
        });
        (min <= max).then_some(Self { kind, min, max })
    }

    /// Between round values, with room for all.
    pub(crate) fn round(kind: Kind, values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let Self { min, max, .. } = Self::tight(kind, values)?;
        let (min, max) = match kind {
            Kind::Log => (round_down(min), round_up(max)),
            Kind::Linear => {
                let step = linear_step(max);
                (0.0, (max / step).ceil().max(1.0) * step)
            }
        };
        Some(Self { kind, min, max })
    }

    /// From 0 at the least value to 1 at the most. None for what a log axis cannot show.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        let (value, min, max) = match self.kind {
            Kind::Log if value <= 0.0 => return None,
            Kind::Log => (value.log10(), self.min.log10(), self.max.log10()),
            Kind::Linear => (value, self.min, self.max),
        };
        // A single value stands in the middle.
        Some(if max > min { (value - min) / (max - min) } else { 0.5 })
    }

    /// Round values within the axis, rising.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        match self.kind {
            Kind::Log => log_ticks(self.min, self.max),
            Kind::Linear => {
                let step = linear_step(self.max);
                (0..=(self.max / step).round() as u32)
                    .map(|count| f64::from(count) * step)
                    .collect()
            }
        }
    }
}

fn linear_step(max: f64) -> f64 {
    let rough = if max > 0.0 { max / TICKS_MAX } else { 1.0 };
    round_up(rough)
}

/// 1, 2, 5 and 10 times the decade of a value, which may be a hair below it.
fn round_values(value: f64) -> [f64; 4] {
    let decade = 10f64.powf((value * (1.0 + HAIR)).log10().floor());
    ROUND_STEPS.map(|step| step * decade)
}

fn round_down(value: f64) -> f64 {
    let below = round_values(value).into_iter().filter(|round| *round <= value * (1.0 + HAIR));
    below.fold(f64::MIN_POSITIVE, f64::max)
}

fn round_up(value: f64) -> f64 {
    let above = round_values(value).into_iter().filter(|round| *round >= value * (1.0 - HAIR));
    above.fold(f64::INFINITY, f64::min)
}

fn log_ticks(min: f64, max: f64) -> Vec<f64> {
    let decades = (max / min).log10();
    // As dense as stays readable: 1, 2 and 5 of a decade, each decade, or each second or third one.
    let steps: &[f64] = if decades * 3.0 <= TICKS_MAX { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let stride = (decades / TICKS_MAX).ceil().max(1.0) as usize;
    let (first, last) = (min.log10().floor() as i32, max.log10().ceil() as i32);
    let within = |tick: &f64| *tick >= min * (1.0 - HAIR) && *tick <= max * (1.0 + HAIR);
    (first..=last)
        .step_by(stride)
        .flat_map(|decade| steps.iter().map(move |step| step * 10f64.powi(decade)))
        .filter(within)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= b.abs() * 1e-9)
    }

    #[test]
    fn equal_factors_are_equal_steps_on_a_log_axis() {
        let axis = Axis::tight(Kind::Log, [1e7, 1e3, 1e5]).unwrap();
        let places: Vec<f64> = [1e3, 1e4, 1e5, 1e7].iter().filter_map(|v| axis.place(*v)).collect();
        assert!(close(&places, &[0.0, 0.25, 0.5, 1.0]), "{places:?}");
        assert_eq!(axis.place(0.0), None);
    }

    #[test]
    fn a_round_axis_has_room_for_all_values_and_ends_at_ticks() {
        let sets: [&[f64]; 6] =
            [&[3.0, 700.0], &[130.0, 170.0], &[1.0], &[0.02, 9.9e8], &[0.97, 1.04], &[500.0]];
        for kind in [Kind::Log, Kind::Linear] {
            for values in sets {
                let axis = Axis::round(kind, values.iter().copied()).unwrap();
                for value in values {
                    let place = axis.place(*value).unwrap();
                    assert!((-1e-9..=1.0 + 1e-9).contains(&place), "{kind:?} {values:?}: {place}");
                }
                let ticks = axis.ticks();
                assert!((1..=10).contains(&ticks.len()), "{kind:?} {values:?}: {ticks:?}");
                assert!(ticks.is_sorted(), "{ticks:?}");
            }
        }
    }

    #[test]
    fn ticks_are_round_values() {
        let axis = Axis::round(Kind::Log, [130.0, 1_700.0]).unwrap();
        assert!(close(&axis.ticks(), &[100.0, 200.0, 500.0, 1000.0, 2000.0]));
        let axis = Axis::round(Kind::Log, [1.0, 1e6]).unwrap();
        assert!(close(&axis.ticks(), &[1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6]));
        let axis = Axis::round(Kind::Linear, [0.3, 1.1]).unwrap();
        assert!(close(&axis.ticks(), &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2]));
    }

    #[test]
    fn nothing_to_show_is_no_axis() {
        assert!(Axis::round(Kind::Log, [0.0, -1.0]).is_none());
        assert!(Axis::round(Kind::Linear, []).is_none());
        assert!(Axis::round(Kind::Linear, [0.0]).is_some());
    }
}
