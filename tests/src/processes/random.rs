//! Numbers that look random, the same for the same seed.

use std::time::SystemTime;

/// SplitMix64.
pub struct Random(u64);

impl Random {
    /// Those of a seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// With the seed in `DRAWDOWN_SEED`, or a new one, which is printed.
    ///
    /// # Panics
    /// When the clock says that it is before 1970.
    #[must_use]
    pub fn start() -> Self {
        let given = std::env::var("DRAWDOWN_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.expect("it is after 1970").as_micros() as u64
        });
        println!("DRAWDOWN_SEED={seed}");
        Self(seed)
    }

    /// The next one, of 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next one, below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end
    }
}
