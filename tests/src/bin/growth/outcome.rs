//! What the rounds of a growth gave.

use drawdown_tests::measure::{Spread, spread};

use crate::growths::Growth;
use crate::lab::Lab;

/// One run of one step: a value for each line, in the order of the panels, or why it failed.
pub(crate) type Turn = Result<Vec<f64>, String>;

pub(crate) struct Outcome {
    pub(crate) growth: &'static Growth,
    pub(crate) steps: Vec<Step>,
}

pub(crate) struct Step {
    pub(crate) at: u64,
    pub(crate) turns: Vec<Turn>,
}

impl Outcome {
    /// Nothing is measured yet.
    pub(crate) fn new(growth: &'static Growth, quick: bool) -> Self {
        let steps = if quick { growth.quick_steps } else { growth.steps };
        let steps = steps.iter().map(|&at| Step { at, turns: Vec::new() }).collect();
        Self { growth, steps }
    }

    /// One more round.
    pub(crate) fn measure(&mut self, lab: &Lab) {
        let at: Vec<u64> = self.steps.iter().map(|step| step.at).collect();
        let turns = (self.growth.round)(lab, &at);
        for (step, turn) in self.steps.iter_mut().zip(turns) {
            if let Err(sentence) = &turn {
                eprintln!("  failed: {sentence}");
            }
            step.turns.push(turn);
        }
    }

    pub(crate) fn failures(&self) -> usize {
        self.steps.iter().map(|step| step.failures().count()).sum()
    }
}

impl Step {
    /// The values of one line.
    pub(crate) fn values(&self, line: usize) -> impl Iterator<Item = f64> {
        self.turns.iter().filter_map(move |turn| turn.as_ref().ok()?.get(line).copied())
    }

    pub(crate) fn spread(&self, line: usize) -> Option<Spread> {
        spread(self.values(line))
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &str> {
        self.turns.iter().filter_map(|turn| turn.as_ref().err().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_failed_do_not_count_as_values() {
        let turns = vec![Ok(vec![1.0, 30.0]), Err("hung".to_owned()), Ok(vec![3.0, 10.0])];
        let step = Step { at: 1, turns };
        assert_eq!(step.spread(1), Some(Spread { median: 20.0, min: 10.0, max: 30.0 }));
        assert_eq!(step.spread(2), None);
        assert_eq!(step.failures().collect::<Vec<_>>(), ["hung"]);
    }
}
