//! The receiving side of credit that is counted from a request on and never lowered: a new request takes its place.

use super::Amount;

/// What a source may send for one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Allowance {
    limit: Amount,
    received: Amount,
    told: Amount,
}

impl Allowance {
    /// What may still arrive. Bytes are of no use without a message to spend them on.
    pub(crate) fn outstanding(&self) -> Amount {
        let left = self.limit.saturating_sub(self.received);
        if left.messages == 0 { Amount::ZERO } else { left }
    }

    /// Whether more bytes are left over from the last message than are to be outstanding: only a new request takes them back.
    pub(crate) fn has_left_over(&self, outstanding: Amount) -> bool {
        let left = self.limit.saturating_sub(self.received);
        left.messages == 0 && left.bytes > outstanding.bytes
    }

    /// Whether so much may arrive.
    pub(crate) fn allows(&self, amount: Amount) -> bool {
        amount.fits(self.outstanding())
    }

    /// Counts what arrived; false if it was more than allowed.
    pub(crate) fn receive(&mut self, amount: Amount) -> bool {
        let within = self.allows(amount);
        if within {
            self.received += amount;
        }
        within
    }

    /// Lets the source have so much outstanding, or more if it has more.
    pub(crate) fn raise_to(&mut self, outstanding: Amount) {
        self.limit = self.limit.max(self.received + outstanding);
    }

    /// The limit, to be told to the source.
    pub(crate) const fn tell(&mut self) -> Amount {
        self.told = self.limit;
        self.limit
    }

    /// Whether the limit is news to the source.
    pub(crate) fn has_news(&self) -> bool {
        self.told != self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_and_never_falls() {
        let mut allowance = Allowance::default();
        assert!(!allowance.receive(Amount::new(1, 10)), "nothing was allowed");
        allowance.raise_to(Amount::new(10, 1_000));
        assert_eq!(allowance.tell(), Amount::new(10, 1_000));
        assert!(allowance.receive(Amount::new(4, 900)));
        assert!(!allowance.has_news());
        allowance.raise_to(Amount::new(3, 50));
        assert_eq!(allowance.outstanding(), Amount::new(6, 100));
        allowance.raise_to(Amount::new(10, 1_000));
        assert!(allowance.has_news());
        assert_eq!(allowance.tell(), Amount::new(14, 1_900));
        assert!(!allowance.receive(Amount::new(10, 1_001)));
        assert!(allowance.receive(Amount::new(10, 1_000)));
    }

    #[test]
    fn bytes_without_a_message_are_nobodys() {
        let mut allowance = Allowance::default();
        allowance.raise_to(Amount::new(2, 1_000));
        assert!(allowance.receive(Amount::new(2, 100)));
        assert_eq!(allowance.outstanding(), Amount::ZERO);
        assert!(!allowance.has_left_over(Amount::new(1, 900)));
        assert!(allowance.has_left_over(Amount::new(1, 899)));
        allowance.raise_to(Amount::new(1, 950));
        assert_eq!(allowance.outstanding(), Amount::new(1, 950));
        assert!(!allowance.has_left_over(Amount::new(1, 10)), "they can be spent");
    }
}
