//! The receiving side of one link's credit.

use crate::wire::{Echo, Grant};

use super::Amount;

/// What one sender was granted, what of it has arrived, and what may still arrive.
#[derive(Debug, Default)]
pub(super) struct Granter {
    serial: u64,
    /// The limit that the sender should go by.
    limit: Amount,
    /// The highest limit of a grant that it may still be going by.
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
        usable(self.ceiling.max(self.limit).saturating_sub(self.received))
    }

    /// What the sender may still dispatch once it has seen every grant.
    pub(super) fn intended(&self) -> Amount {
        usable(self.limit.saturating_sub(self.received))
    }

    /// What has arrived.
    pub(super) const fn received(&self) -> Amount {
        self.received
    }

    /// Whether something was taken away that may still arrive, until the sender says that it will not.
    pub(super) fn is_returning(&self) -> bool {
        self.outstanding() != self.intended()
    }

    /// Whether so much may come. What is to be granted and was not told yet is not: who does not read what it is told would
    /// have no bound.
    pub(super) fn allows(&self, amount: Amount) -> bool {
        amount.fits(usable(self.ceiling.saturating_sub(self.received)))
    }

    /// Counts what arrived; false if it was more than granted.
    pub(super) fn receive(&mut self, amount: Amount) -> bool {
        let within = self.allows(amount);
        if within {
            self.received += amount;
            self.reclaim();
        }
        within
    }

    /// Lets the sender go further. What was taken away and not echoed comes back first: nothing more may arrive until the
    /// limit passes the ceiling.
    pub(super) fn raise(&mut self, by: Amount) {
        self.limit = self.received + self.intended() + by;
        self.due = true;
    }

    /// Where the sender has no message left that it may dispatch, it cannot use its bytes either, and no echo is needed to
    /// take them back.
    fn reclaim(&mut self) {
        self.limit = self.received + usable(self.limit.saturating_sub(self.received));
        self.ceiling = self.received + usable(self.ceiling.saturating_sub(self.received));
    }

    /// Leaves the sender `keep` at the most. True if that took something away.
    pub(super) fn lower(&mut self, keep: Amount) -> bool {
        let limit = self.received + usable(self.intended().min(keep));
        if limit == self.limit {
            return false;
        }
        self.limit = limit;
        self.reclaim();
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
            self.ceiling = self.sent.max(dispatched);
            self.reclaim();
        }
        true
    }

    pub(super) const fn mark_due(&mut self) {
        self.due = true;
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    /// Whether the grant to send takes something away.
    pub(super) fn is_lowering(&self) -> bool {
        self.due && !self.sent.fits(self.limit)
    }

    /// The grant to send, if there is a new one.
    pub(super) fn poll_grant(&mut self, contended: bool, answered: u64) -> Option<Grant> {
        self.due.then(|| {
            let is_lowering = self.is_lowering();
            self.due = false;
            self.serial += 1;
            if is_lowering {
                self.lowered = Some(self.serial);
            }
            self.sent = self.limit;
            self.ceiling = self.ceiling.max(self.limit);
            let Amount { messages, bytes } = self.limit;
            Grant { serial: self.serial, messages, bytes, contended, answered }
        })
    }
}

/// Bytes are of no use without a message to put them in.
const fn usable(amount: Amount) -> Amount {
    if amount.messages == 0 { Amount::ZERO } else { amount }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_with_the_last_message() {
        let mut granter = Granter::default();
        granter.raise(Amount::new(1, 1000));
        granter.poll_grant(true, 0);
        assert!(granter.receive(Amount::new(1, 40)));
        assert_eq!(granter.outstanding(), Amount::ZERO);
        granter.raise(Amount::new(1, 500));
        let grant = granter.poll_grant(true, 0).unwrap();
        assert_eq!((grant.messages, grant.bytes), (2, 540), "not what is left of the first grant");
        assert_eq!(granter.outstanding(), Amount::new(1, 500));
    }

    #[test]
    fn an_echo_never_brings_back_bytes_that_are_of_no_use() {
        let mut granter = Granter::default();
        granter.raise(Amount::new(2, 1000));
        granter.poll_grant(true, 0);
        granter.lower(Amount::new(1, 600));
        let lowered = granter.poll_grant(true, 0).unwrap();
        assert!(granter.receive(Amount::new(2, 100)), "it had not seen the lowering");
        granter.raise(Amount::new(1, 200));
        let echo = Echo { serial: lowered.serial, messages: 2, bytes: 100 };
        assert!(granter.handle_echo(echo));
        assert_eq!(granter.outstanding(), Amount::new(1, 200));
    }

    #[test]
    fn a_grant_that_was_never_sent_needs_no_echo() {
        let mut granter = Granter::default();
        granter.raise(Amount::new(1, 100));
        granter.lower(Amount::ZERO);
        assert_eq!(granter.outstanding(), Amount::ZERO);
    }

    #[test]
    fn what_was_taken_away_counts_until_the_echo() {
        let mut granter = Granter::default();
        granter.raise(Amount::new(10, 1000));
        assert_eq!(granter.poll_grant(false, 0).unwrap().messages, 10);
        assert!(granter.lower(Amount::new(2, 200)));
        let lowered = granter.poll_grant(false, 0).unwrap();
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
        granter.poll_grant(false, 0);
        granter.lower(Amount::new(5, 500));
        let first = granter.poll_grant(false, 0).unwrap();
        granter.lower(Amount::new(1, 100));
        let second = granter.poll_grant(false, 0).unwrap();
        assert!(granter.handle_echo(Echo { serial: first.serial, messages: 0, bytes: 0 }));
        assert_eq!(granter.outstanding().messages, 10);
        assert!(granter.handle_echo(Echo { serial: second.serial, messages: 0, bytes: 0 }));
        assert_eq!(granter.outstanding().messages, 1);
    }
}
