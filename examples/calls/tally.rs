//! What came of a client's calls.

use std::collections::BTreeMap;
use std::time::Duration;

/// Why the standby was asked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Why {
    /// No server was there, or the one that had the call was lost.
    Gone,
    /// A server was there all the time, and each has room for all clients: this must not be.
    Unexplained,
}

#[derive(Clone, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) made: u64,
    pub(crate) answered: u64,
    /// Replies that were not to what was asked.
    pub(crate) wrong: u64,
    /// Why calls were not answered.
    pub(crate) failures: Vec<String>,
    /// Attempts beyond the first.
    pub(crate) retried: u64,
    /// Second answers to a call, which its caller never saw.
    pub(crate) late: u64,
    /// How many each server answered.
    pub(crate) by_server: BTreeMap<u32, u64>,
    /// How many the standby answered.
    pub(crate) by_standby: BTreeMap<Why, u64>,
    times: Vec<Duration>,
}

impl Tally {
    pub(crate) fn note(&mut self, server: u32, time: Duration) {
        self.answered += 1;
        self.times.push(time);
        *self.by_server.entry(server).or_default() += 1;
    }

    pub(crate) fn note_standby(&mut self, why: Why) {
        *self.by_standby.entry(why).or_default() += 1;
    }

    /// Takes another client's in.
    pub(crate) fn add(&mut self, other: &Self) {
        self.made += other.made;
        self.answered += other.answered;
        self.wrong += other.wrong;
        self.failures.extend_from_slice(&other.failures);
        self.retried += other.retried;
        self.late += other.late;
        self.times.extend_from_slice(&other.times);
        for (server, count) in &other.by_server {
            *self.by_server.entry(*server).or_default() += count;
        }
        for (why, count) in &other.by_standby {
            *self.by_standby.entry(*why).or_default() += count;
        }
    }

    pub(crate) fn standby(&self, why: Why) -> u64 {
        self.by_standby.get(&why).copied().unwrap_or_default()
    }

    /// Every call was answered, and none with another one's answer.
    pub(crate) fn is_whole(&self) -> bool {
        self.made == self.answered && self.wrong == 0 && self.failures.is_empty()
    }

    /// The time that 99 of 100 did not exceed.
    pub(crate) fn p99(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        let rank = (times.len() * 99).div_ceil(100);
        times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}
