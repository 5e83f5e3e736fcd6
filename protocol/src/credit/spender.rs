//! The sending side of one link's credit.

use crate::wire::{Demand, Echo, Grant};

use super::Amount;

/// How far a sender may go on one link, and how far it has gone.
#[derive(Debug, Default)]
pub(crate) struct Spender {
    serial: Option<u64>,
    limit: Amount,
    spent: Amount,
    echo_due: Option<u64>,
    contended: bool,
    /// What is left of the demand that the receiver was told last, and the limit that it was told at.
    advertised: u64,
    told_at: Option<Amount>,
    /// The receiver has not been told that nothing waits any more.
    asked: bool,
    /// Nothing more is dispatched, whatever is granted.
    stopped: bool,
    /// It is to answer what it was told last.
    asks: bool,
    /// How often it was told what waits, and how much of that it has answered.
    told: u64,
    answered: u64,
}

impl Spender {
    /// Takes a grant; one that is not newer than the last is ignored.
    pub(crate) fn handle_grant(&mut self, grant: Grant) {
        if self.serial.is_some_and(|serial| grant.serial <= serial) {
            return;
        }
        let limit = Amount::new(grant.messages, grant.bytes);
        if !self.limit.fits(limit) {
            self.echo_due = Some(grant.serial);
            // What was granted on a demand may have been taken back: it has to be told again.
            self.advertised = 0;
        }
        self.answered = grant.answered;
        self.serial = Some(grant.serial);
        self.limit = limit;
        self.contended = grant.contended;
    }

    /// Whether nothing more is dispatched, whatever is granted.
    pub(crate) const fn has_stopped(&self) -> bool {
        self.stopped
    }

    /// Whether the receiver wants to be told what waits.
    pub(crate) const fn is_contended(&self) -> bool {
        self.contended
    }

    /// Whether the receiver knows what waits, and has nothing more to give now. It will when it has.
    pub(crate) const fn is_refused(&self) -> bool {
        self.advertised > 0 && self.answered >= self.told
    }

    /// Whether the receiver is still to be told that nothing waits any more, once that is so.
    pub(crate) const fn has_asked(&self) -> bool {
        self.asked
    }

    /// What may still be dispatched.
    pub(crate) fn room(&self) -> Amount {
        if self.stopped { Amount::ZERO } else { self.limit.saturating_sub(self.spent) }
    }

    /// Dispatches nothing more: the link is to end when what it has is done.
    pub(crate) const fn stop(&mut self) {
        self.stopped = true;
    }

    /// The receiver's limit, absolute.
    pub(crate) const fn limit(&self) -> Amount {
        self.limit
    }

    /// What has been dispatched, absolute.
    pub(crate) const fn spent(&self) -> Amount {
        self.spent
    }

    /// Draws down credit for what is dispatched now.
    pub(crate) fn spend(&mut self, amount: Amount) {
        debug_assert!(
            amount.fits(self.room()),
            "{amount:?} dispatched with room for {:?}",
            self.room()
        );
        self.spent += amount;
        self.advertised = self.advertised.saturating_sub(amount.messages);
    }

    /// What was to be dispatched is not, and was not counted in an echo beyond the limit.
    pub(crate) fn refund(&mut self, amount: Amount) {
        self.spent -= amount;
    }

    /// Whether nothing was dispatched beyond the limit.
    pub(crate) const fn is_within_limit(&self) -> bool {
        self.spent.fits(self.limit)
    }

    /// The answer to a lowered grant, once.
    pub(crate) fn poll_echo(&mut self) -> Option<Echo> {
        let serial = self.echo_due.take()?;
        Some(Echo { serial, messages: self.spent.messages, bytes: self.spent.bytes })
    }

    /// What the receiver should be told about what waits here, if it wants to know and does not know it.
    pub(crate) fn poll_demand(&mut self, waiting: u64, blocked: bool) -> Option<Demand> {
        if self.contended { self.tell(waiting, blocked, false) } else { None }
    }

    /// The same, and it is to answer, whether it wants to know or not.
    pub(crate) fn ask(&mut self, waiting: u64, blocked: bool) -> Option<Demand> {
        self.tell(waiting, blocked, true)
    }

    fn tell(&mut self, waiting: u64, blocked: bool, asks: bool) -> Option<Demand> {
        let waiting = if self.stopped { 0 } else { waiting };
        // With messages left it is bytes that are short: the receiver, who counts messages, may think that all is well. A grant
        // that says the same once more was its answer.
        let short_of_bytes = self.room().messages > 0 && self.told_at != Some(self.limit);
        let news = match (waiting, self.advertised) {
            // Also if all that was asked for has been used: the receiver may have given more on the same word.
            (0, _) => self.asked,
            (_, advertised) => {
                let unasked = asks && !self.asks && !self.is_refused();
                blocked && (advertised == 0 || short_of_bytes || unasked)
            }
        };
        if !news {
            return None;
        }
        self.advertised = waiting;
        self.asked = waiting > 0;
        self.asks = asks && waiting > 0;
        self.told += 1;
        self.told_at = Some(self.limit);
        Some(Demand { waiting, asks: self.asks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(serial: u64, messages: u64) -> Grant {
        Grant { serial, messages, bytes: messages * 100, contended: true, answered: 0 }
    }

    #[test]
    fn repeated_and_late_grants_do_no_harm() {
        let mut spender = Spender::default();
        spender.handle_grant(grant(2, 10));
        spender.spend(Amount::new(4, 400));
        spender.handle_grant(grant(2, 10));
        spender.handle_grant(grant(1, 500));
        assert_eq!(spender.room(), Amount::new(6, 600));
        assert_eq!(spender.poll_echo(), None);
    }

    #[test]
    fn a_lowered_grant_is_echoed_once_with_what_was_spent() {
        let mut spender = Spender::default();
        spender.handle_grant(grant(1, 10));
        spender.spend(Amount::new(4, 400));
        spender.handle_grant(grant(2, 3));
        assert_eq!(spender.room(), Amount::ZERO);
        assert_eq!(spender.poll_echo(), Some(Echo { serial: 2, messages: 4, bytes: 400 }));
        assert_eq!(spender.poll_echo(), None);
    }

    #[test]
    fn demand_is_told_when_blocked_and_taken_back_when_nothing_waits() {
        let mut spender = Spender::default();
        spender.handle_grant(grant(1, 2));
        assert_eq!(spender.poll_demand(5, false), None);
        spender.spend(Amount::new(2, 200));
        assert_eq!(spender.poll_demand(3, true), Some(Demand { waiting: 3, asks: false }));
        assert_eq!(spender.poll_demand(3, true), None, "told already");
        assert_eq!(spender.poll_demand(0, false), Some(Demand { waiting: 0, asks: false }));
        assert_eq!(spender.poll_demand(0, false), None);
    }

    #[test]
    fn who_has_stopped_has_no_room_whatever_is_granted_and_wants_none() {
        let mut spender = Spender::default();
        spender.handle_grant(grant(1, 2));
        spender.spend(Amount::new(2, 200));
        assert_eq!(spender.poll_demand(3, true), Some(Demand { waiting: 3, asks: false }));
        spender.stop();
        spender.handle_grant(grant(2, 10));
        assert_eq!(spender.room(), Amount::ZERO);
        assert_eq!(spender.poll_demand(3, true), Some(Demand { waiting: 0, asks: false }));
        spender.handle_grant(grant(3, 1));
        assert_eq!(spender.poll_echo(), Some(Echo { serial: 3, messages: 2, bytes: 200 }));
    }

    #[test]
    fn who_is_short_of_bytes_says_so_once_for_each_limit() {
        let mut spender = Spender::default();
        spender.handle_grant(grant(1, 3));
        spender.spend(Amount::new(1, 290));
        assert_eq!(spender.poll_demand(2, true), Some(Demand { waiting: 2, asks: false }));
        spender.handle_grant(Grant { answered: 1, ..grant(2, 3) });
        assert_eq!(spender.poll_demand(2, true), None, "it has answered that there are none");
        spender.handle_grant(Grant { answered: 1, ..grant(3, 4) });
        assert_eq!(spender.poll_demand(2, true), Some(Demand { waiting: 2, asks: false }));
    }

    #[test]
    fn a_grant_that_crossed_the_question_is_no_answer_to_it() {
        let mut spender = Spender::default();
        assert_eq!(spender.ask(1, true), Some(Demand { waiting: 1, asks: true }));
        spender.handle_grant(grant(1, 0));
        assert!(!spender.is_refused());
        spender.handle_grant(Grant { answered: 1, ..grant(2, 0) });
        assert!(spender.is_refused());
    }
}
