//! Chance that can be had again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// SplitMix64.
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Another one for each run.
    pub(crate) fn any_seed() -> u64 {
        RandomState::new().hash_one(0)
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// So many milliseconds or more, and less than `end`, which is greater.
    pub(crate) fn millis(&mut self, first: u64, end: u64) -> Duration {
        Duration::from_millis(first + self.next() % (end - first))
    }
}
