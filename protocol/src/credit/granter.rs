//! The receiving side of one link's credit.

use crate::wire::{Echo, Grant};

use super::Amount;

/// What one sender was granted, what of it has arrived, and what may still arrive.
#[derive(Debug, Default)]
pub(super) struct Granter {
    serial: u64,
    /// The limit that the sender should go by.
    limit: Amount,
    /// The highest limit that it may still be going by.
    ceiling: Amount,
    received: Amount,
    /// The limit of the last grant that was sent.
    sent: Amount,
    /// The serial of the last grant that was lower than the one before it and has not been echoed.
    lowered: Option<u64>,
    due: bool,
}

impl Granter {
    /// What may still arrive.
    pub(super) fn outstanding(&self) -> Amount {
        self.ceiling.saturating_sub(self.received)
    }

    /// What the sender may still dispatch once it has seen every grant.
    pub(super) fn intended(&self) -> Amount {
        self.limit.saturating_sub(self.received)
    }

    /// Counts what arrived; false if it was more than granted.
    pub(super) fn receive(&mut self, amount: Amount) -> bool {
        let within = amount.fits(self.outstanding());
        self.received += amount;
        within
    }

    pub(super) fn raise(&mut self, by: Amount) {
        // What was taken away and not echoed comes back first: the ceiling moves when the limit passes it.
        self.limit = self.limit.max(self.received) + by;
        self.ceiling = self.ceiling.max(self.limit);
        self.due = true;
    }

    /// Leaves the sender `keep` at the most. True if that took something away.
    pub(super) fn lower(&mut self, keep: Amount) -> bool {
        let limit = self.limit.min(self.received + keep);
        if limit == self.limit {
            return false;
        }
        self.limit = limit;
        self.due = true;
        true
    }

    /// Takes an echo. False if it claims less than what has arrived, or more than was ever granted.
    pub(super) fn handle_echo(&mut self, echo: Echo) -> bool {
        let dispatched = Amount::new(echo.messages, echo.bytes);
        if !self.received.fits(dispatched) || !dispatched.fits(self.ceiling) {
            return false;
        }
        if self.lowered.is_some_and(|serial| echo.serial >= serial) {
            self.lowered = None;
            self.ceiling = self.limit.max(self.sent).max(dispatched);
        }
        true
    }

    pub(super) const fn mark_due(&mut self) {
        self.due = true;
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    /// The grant to send, if there is a new one.
    pub(super) fn poll_grant(&mut self, contended: bool) -> Option<Grant> {
        self.due.then(|| {
            self.due = false;
            self.serial += 1;
            if !self.sent.fits(self.limit) {
                self.lowered = Some(self.serial);
            }
            self.sent = self.limit;
            let Amount { messages, bytes } = self.limit;
            Grant { serial: self.serial, messages, bytes, contended }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_away_counts_until_the_echo() {
        let mut granter = Granter::default();
        granter.raise(Amount::new(10, 1000));
        assert_eq!(granter.poll_grant(false).unwrap().messages, 10);
        assert!(granter.lower(Amount::new(2, 200)));
        let lowered = granter.poll_grant(false).unwrap();
        assert_eq!((lowered.serial, lowered.messages), (2, 2));
        assert_eq!(granter.outstanding(), Amount::new(10, 1000));

        assert!(
            granter.receive(Amount::new(5, 500)),
            "it was dispatched before the sender saw the lowering"
        );
        assert!(granter.handle_echo(Echo { serial: 2, messages: 6, bytes: 600 }));
        assert_eq!(granter.outstanding(), Amount::new(1, 100), "one is on its way");
        assert!(!granter.receive(Amount::new(2, 200)), "more than granted");
    }

    #[test]
    fn an_echo_that_lies_is_refused() {
        let mut granter = Granter::default();
        granter.raise(Amount::new(10, 1000));
        granter.receive(Amount::new(5, 500));
        granter.lower(Amount::ZERO);
        assert!(!granter.handle_echo(Echo { serial: 1, messages: 4, bytes: 400 }));
        assert!(!granter.handle_echo(Echo { serial: 1, messages: 11, bytes: 1000 }));
    }

    #[test]
    fn an_old_echo_does_not_end_a_newer_lowering() {
        let mut granter = Granter::default();
        granter.raise(Amount::new(10, 1000));
        granter.poll_grant(false);
        granter.lower(Amount::new(5, 500));
        let first = granter.poll_grant(false).unwrap();
        granter.lower(Amount::new(1, 100));
        let second = granter.poll_grant(false).unwrap();
        assert!(granter.handle_echo(Echo { serial: first.serial, messages: 0, bytes: 0 }));
        assert_eq!(granter.outstanding().messages, 10);
        assert!(granter.handle_echo(Echo { serial: second.serial, messages: 0, bytes: 0 }));
        assert_eq!(granter.outstanding().messages, 1);
    }
}
