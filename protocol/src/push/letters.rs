//! Dead letters, and what they take.

use std::collections::BTreeMap;

use crate::ids::Seq;
use crate::message::cost_bytes;
use crate::store::DeadLetter;

use super::PushConfig;

/// The dead letters that are kept, each in memory.
#[derive(Debug, Default)]
pub(super) struct Letters {
    by_seq: BTreeMap<Seq, DeadLetter>,
    bytes: u64,
}

impl Letters {
    /// Whether another one that costs so much may be kept.
    pub(super) fn have_room(&self, cost: u64, config: &PushConfig) -> bool {
        self.len() < config.dead_messages
            && self.bytes.saturating_add(cost) <= config.retained_bytes
    }

    pub(super) fn insert(&mut self, letter: DeadLetter) {
        self.bytes += cost(&letter);
        if let Some(before) = self.by_seq.insert(letter.seq, letter) {
            self.bytes -= cost(&before);
        }
    }

    /// Forgets a letter; whether it was there.
    pub(super) fn remove(&mut self, seq: Seq) -> bool {
        let removed = self.by_seq.remove(&seq);
        self.bytes -= removed.as_ref().map_or(0, cost);
        removed.is_some()
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&DeadLetter> {
        self.by_seq.get(&seq)
    }

    /// By rising number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &DeadLetter> {
        self.by_seq.values()
    }

    pub(super) fn len(&self) -> u64 {
        self.by_seq.len() as u64
    }
}

fn cost(letter: &DeadLetter) -> u64 {
    cost_bytes(1, letter.record.len() as u64)
}

impl FromIterator<DeadLetter> for Letters {
    fn from_iter<T: IntoIterator<Item = DeadLetter>>(letters: T) -> Self {
        let mut all = Self::default();
        letters.into_iter().for_each(|letter| all.insert(letter));
        all
    }
}
