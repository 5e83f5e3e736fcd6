//! What senders want, counted as it changes: devices ask after each frame.

use crate::credit::Want;
use crate::ids::LinkId;

use super::Pool;

/// What many want together. No sum of what peers may say comes near the end of these numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants {
    waiting: u128,
    given: u128,
}

impl Wants {
    /// One of them wants something else than before.
    pub(super) fn replace(&mut self, before: Want, now: Want) {
        self.waiting = self.waiting + u128::from(now.waiting) - u128::from(before.waiting);
        self.given = self.given + u128::from(now.given) - u128::from(before.given);
    }

    fn sum(self) -> Want {
        let bounded = |sum: u128| u64::try_from(sum).unwrap_or(u64::MAX);
        Want { waiting: bounded(self.waiting), given: bounded(self.given) }
    }
}

impl Pool {
    /// What all senders want together, of credit that they may have.
    pub(crate) fn want(&self) -> Want {
        self.wants.sum()
    }

    /// What the senders on these links want each, and all others together.
    pub(crate) fn wants(&self, links: impl Iterator<Item = LinkId>) -> (Vec<Want>, Want) {
        let mut others = self.wants;
        let each = links.map(|link| {
            let want = self.lines.get(&link).map_or(Want::NOTHING, |line| line.counted);
            others.replace(want, Want::NOTHING);
            want
        });
        (each.collect(), others.sum())
    }

    /// Counts what a sender wants anew, after anything that changes it.
    pub(super) fn count_want(&mut self, link: LinkId) {
        if let Some(line) = self.lines.get_mut(&link) {
            let want = line.want();
            self.wants.replace(std::mem::replace(&mut line.counted, want), want);
        }
    }
}
