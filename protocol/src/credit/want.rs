//! What senders want of somebody who passes on, and who asks for it further on.

use std::ops::Add;

/// Messages that wait for credit, and what credit was given for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Want {
    /// Messages that wait at senders for credit.
    pub(crate) waiting: u64,
    /// Messages that were given credit because they waited, and have not arrived.
    pub(crate) given: u64,
}

impl Want {
    /// Nothing waits, and nothing is on its way.
    pub(crate) const NOTHING: Want = Want { waiting: 0, given: 0 };

    /// Whether those who are asked should hear of it, who heard last of `before`: how much waits is no news.
    pub(crate) fn is_news_after(self, before: Want) -> bool {
        let waits = |want: Want| want.waiting > 0;
        let is_over = |want: Want| want == Self::NOTHING;
        waits(before) != waits(self) || is_over(before) != is_over(self)
    }

    /// Whether what was given is all that was wanted, and is about to be used.
    pub(crate) const fn is_met(self) -> bool {
        self.waiting == 0 && self.given > 0
    }
}

impl Add for Want {
    type Output = Want;

    fn add(self, rhs: Want) -> Want {
        Want {
            waiting: self.waiting.saturating_add(rhs.waiting),
            given: self.given.saturating_add(rhs.given),
        }
    }
}
