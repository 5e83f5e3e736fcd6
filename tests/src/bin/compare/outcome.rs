//! What the runs of a row gave.

use drawdown_tests::measure::{Spread, spread};

use crate::peers::Peer;
use crate::rows::Row;

/// What one run gave.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    /// In the unit of the row.
    pub(crate) value: f64,
    /// User and system time of all processes of the run, in microseconds a message; where the system tells it.
    pub(crate) cpu_us: Option<f64>,
    /// What a device between sender and receiver cost, as a share of what those two did.
    pub(crate) device: Option<f64>,
    /// Of what was published, the share that did not arrive; where that may be.
    pub(crate) dropped: Option<f64>,
}

/// A run, or why it failed.
pub(crate) type Turn = Result<Sample, String>;

/// All runs of one peer in one row.
pub(crate) struct Series {
    /// Its place among the peers.
    pub(crate) peer: usize,
    /// Messages of one run.
    pub(crate) count: u64,
    pub(crate) turns: Vec<Turn>,
}

pub(crate) struct Outcome {
    pub(crate) row: &'static Row,
    /// In the order of the peers: Drawdown first.
    pub(crate) series: Vec<Series>,
}

impl Outcome {
    /// Nothing is measured yet. Each run will have one message of `one_of`.
    pub(crate) fn for_rows(
        rows: &[&'static Row],
        peers: &[Box<dyn Peer>],
        one_of: u64,
    ) -> Vec<Self> {
        let series = |row: &Row| {
            let all = peers.iter().enumerate();
            let part = all.filter(|(_, peer)| peer.takes_part(row));
            part.map(|(place, peer)| Series {
                peer: place,
                count: (peer.count(row) / one_of).max(1),
                turns: Vec::new(),
            })
            .collect()
        };
        rows.iter().map(|row| Self { row, series: series(row) }).collect()
    }

    pub(crate) fn failures(&self) -> usize {
        self.series.iter().map(|series| series.failures().count()).sum()
    }

    /// How many times as good Drawdown was, round by round: both ran within the same minute.
    pub(crate) fn ratio(&self, series: &Series) -> Option<Spread> {
        let ours = self.series.first().filter(|ours| ours.peer != series.peer)?;
        let both = ours.turns.iter().zip(&series.turns);
        spread(both.filter_map(|(ours, theirs)| {
            let (ours, theirs) = (ours.as_ref().ok()?, theirs.as_ref().ok()?);
            Some(self.row.unit().ratio(ours.value, theirs.value))
        }))
    }
}

impl Series {
    pub(crate) fn samples(&self) -> impl Iterator<Item = Sample> {
        self.turns.iter().filter_map(|turn| turn.as_ref().ok().copied())
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &str> {
        self.turns.iter().filter_map(|turn| turn.as_ref().err().map(String::as_str))
    }

    pub(crate) fn value(&self) -> Option<Spread> {
        spread(self.samples().map(|sample| sample.value))
    }

    pub(crate) fn dropped(&self) -> Option<Spread> {
        spread(self.samples().filter_map(|sample| sample.dropped))
    }

    pub(crate) fn device(&self) -> Option<Spread> {
        spread(self.samples().filter_map(|sample| sample.device))
    }

    pub(crate) fn cpu_us(&self) -> Option<Spread> {
        spread(self.samples().filter_map(|sample| sample.cpu_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;

    fn series(peer: usize, values: &[Option<f64>]) -> Series {
        let turn = |value: &Option<f64>| {
            value
                .map(|value| Sample { value, cpu_us: None, device: None, dropped: None })
                .ok_or_else(|| "hung".to_owned())
        };
        Series { peer, count: 1, turns: values.iter().map(turn).collect() }
    }

    #[test]
    fn ratios_pair_the_rounds_that_both_finished() {
        let row = ROWS.iter().find(|row| row.name == "memory-64").unwrap();
        let ours = series(0, &[Some(40.0), Some(90.0), Some(10.0)]);
        let theirs = series(1, &[Some(20.0), None, Some(10.0)]);
        let outcome = Outcome { row, series: vec![ours, theirs] };
        let ratio = outcome.ratio(&outcome.series[1]).unwrap();
        assert_eq!(ratio, Spread { median: 1.5, min: 1.0, max: 2.0 });
        assert_eq!(outcome.ratio(&outcome.series[0]), None);
        assert_eq!(outcome.failures(), 1);
    }

    #[test]
    fn of_times_the_shorter_is_better() {
        let row = ROWS.iter().find(|row| row.name == "round-trip").unwrap();
        let outcome =
            Outcome { row, series: vec![series(0, &[Some(20.0)]), series(1, &[Some(10.0)])] };
        assert_eq!(outcome.ratio(&outcome.series[1]).unwrap().median, 0.5);
    }
}
