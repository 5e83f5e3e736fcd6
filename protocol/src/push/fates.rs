//! How messages ended that were not confirmed, for those who hold receipts.

use std::collections::VecDeque;
use std::ops::Range;

use crate::collections::RangeSet;
use crate::ids::Seq;
use crate::limits::OUTCOMES_MAX;

use super::Fate;

/// The last outcomes other than a confirmation; of messages side by side that ended alike and together only one is counted.
#[derive(Debug, Default)]
pub(super) struct Fates {
    expired: RangeSet,
    dead: RangeSet,
    /// In the order in which they came.
    order: VecDeque<(Range<Seq>, Fate)>,
}

impl Fates {
    /// A message has ended, and was not confirmed.
    pub(super) fn note(&mut self, seq: Seq, fate: Fate) {
        if let Some(of_kind) = self.of_kind(fate) {
            of_kind.insert(seq..seq + 1);
        }
        match self.order.back_mut() {
            Some((seqs, last)) if seqs.end == seq && *last == fate => seqs.end += 1,
            _ => self.order.push_back((seq..seq + 1, fate)),
        }
        if self.order.len() > OUTCOMES_MAX
            && let Some((seqs, fate)) = self.order.pop_front()
            && let Some(of_kind) = self.of_kind(fate)
        {
            of_kind.remove(seqs);
        }
    }

    fn of_kind(&mut self, fate: Fate) -> Option<&mut RangeSet> {
        match fate {
            Fate::Confirmed => None,
            Fate::Expired => Some(&mut self.expired),
            Fate::DeadLettered => Some(&mut self.dead),
        }
    }

    /// How a message ended, if it was not confirmed and that is remembered.
    pub(super) fn of(&self, seq: Seq) -> Option<Fate> {
        match () {
            () if self.expired.contains(seq) => Some(Fate::Expired),
            () if self.dead.contains(seq) => Some(Fate::DeadLettered),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_together_is_remembered_as_one_and_what_ended_first_is_forgotten_first() {
        let mut fates = Fates::default();
        let many = OUTCOMES_MAX as u64 * 2;
        (0..many).for_each(|seq| fates.note(1_000 + seq, Fate::Expired));
        assert_eq!(fates.order.len(), 1);
        fates.note(0, Fate::DeadLettered);
        assert_eq!((fates.of(0), fates.of(1_000)), (Some(Fate::DeadLettered), Some(Fate::Expired)));
        let far = 1_000 + many;
        (1..OUTCOMES_MAX as u64).for_each(|other| fates.note(far + 2 * other, Fate::Expired));
        assert_eq!((fates.of(1_000), fates.of(0)), (None, Some(Fate::DeadLettered)));
        assert_eq!(fates.of(far + 2), Some(Fate::Expired));
    }
}
