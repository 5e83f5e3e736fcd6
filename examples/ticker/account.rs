//! Whether a subscriber accounts for every number.

use drawdown::Seq;

use crate::record::Entry;

/// What a subscriber has had of the numbers that were published.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Account {
    /// Numbers that it has had, each counted once.
    pub(crate) had: u64,
    /// Numbers that it was given again.
    pub(crate) again: u64,
    /// The first and the last number of each gap that it was told of.
    pub(crate) gaps: Vec<(Seq, Seq)>,
    /// The same of what it lacks and was not told of: there must be none.
    pub(crate) holes: Vec<(Seq, Seq)>,
    pub(crate) first: Option<Seq>,
    pub(crate) last: Option<Seq>,
}

impl Account {
    /// Of all numbers below `published`, by what the subscriber has written down.
    pub(crate) fn of(entries: &[Entry], published: Seq) -> Self {
        let mut account = Self::default();
        let mut expected = 0;
        for entry in entries {
            let (Entry::Had(first, last) | Entry::Gap(first, last)) = *entry;
            account.lack(expected, first);
            let new = first.max(expected);
            match entry {
                Entry::Had(..) => {
                    account.had += (last + 1).saturating_sub(new);
                    account.again += new.min(last + 1) - first;
                    account.first.get_or_insert(first);
                    account.last = account.last.max(Some(last));
                }
                Entry::Gap(..) => account.gaps.push((first, last)),
            }
            expected = expected.max(last + 1);
        }
        account.lack(expected, published);
        account
    }

    /// Nothing is known of the numbers from `expected` on that are below `found`.
    fn lack(&mut self, expected: Seq, found: Seq) {
        if expected < found {
            self.holes.push((expected, found - 1));
        }
    }
}
