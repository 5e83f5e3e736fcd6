//! What came of a client's calls.

use std::time::{Duration, Instant};

use crate::scene::Site;

/// A call that was answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// Where it was worked on.
    pub(crate) by: Site,
}

#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) made: u64,
    pub(crate) told: Vec<Told>,
    /// Replies that were not to what was asked.
    pub(crate) wrong: u64,
    /// Why calls were not answered.
    pub(crate) failures: Vec<String>,
}

/// A time in which a site was well, and had been for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calm {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

impl Told {
    fn time(&self) -> Duration {
        self.ended - self.begun
    }
}

impl Tally {
    /// Takes another client's in.
    pub(crate) fn add(&mut self, other: Self) {
        self.made += other.made;
        self.told.extend(other.told);
        self.wrong += other.wrong;
        self.failures.extend(other.failures);
    }

    /// Every call was answered, and none with another one's answer.
    pub(crate) fn is_whole(&self) -> bool {
        self.made == self.told.len() as u64 && self.wrong == 0 && self.failures.is_empty()
    }

    pub(crate) fn by(&self, site: Site) -> impl Iterator<Item = &Told> {
        self.told.iter().filter(move |told| told.by == site)
    }

    /// Calls that another site worked on although nothing was wrong at home.
    pub(crate) fn astray(&self, home: Site, calms: &[Calm]) -> usize {
        let in_calm = |told: &&Told| {
            calms.iter().any(|calm| calm.from <= told.begun && told.ended <= calm.to)
        };
        self.by(home.other()).filter(in_calm).count()
    }

    /// The time that half of those that this site answered did not exceed, and the longest.
    pub(crate) fn times(&self, site: Site) -> (Duration, Duration) {
        let mut times: Vec<Duration> = self.by(site).map(Told::time).collect();
        times.sort_unstable();
        let median = times.get(times.len() / 2).copied().unwrap_or_default();
        (median, times.last().copied().unwrap_or_default())
    }
}
