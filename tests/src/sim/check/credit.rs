//! Credit as an onlooker sees it who knows both sides and everything between them.

use std::collections::VecDeque;

use drawdown_protocol::credit::Amount;
use drawdown_protocol::wire::Grant;

use super::{Verdict, ensure};

/// The credit of one connection.
#[derive(Default)]
pub(crate) struct CreditWatch {
    /// Limits that the receiver has granted and the sender has not seen.
    unseen: VecDeque<Amount>,
    /// The limit that the sender goes by.
    seen: Amount,
    serial: u64,
    dispatched: Amount,
    arrived: Amount,
}

impl CreditWatch {
    /// The receiver says this.
    pub(crate) fn granted(&mut self, grant: Grant) -> Verdict {
        let serial = self.serial;
        self.serial = grant.serial;
        self.unseen.push_back(Amount::new(grant.messages, grant.bytes));
        ensure(grant.serial > serial, || {
            format!("grant {} was made after grant {serial}", grant.serial)
        })
    }

    /// The sender hears the oldest grant that it has not heard.
    pub(crate) fn seen(&mut self) -> Verdict {
        let limit = self.unseen.pop_front().ok_or("a grant arrived that was never made")?;
        self.seen = limit;
        Ok(())
    }

    /// The sender dispatches this.
    pub(crate) fn dispatched(&mut self, amount: Amount) -> Verdict {
        self.dispatched += amount;
        ensure(self.dispatched.fits(self.seen), || {
            format!("{:?} dispatched on a limit of {:?}", self.dispatched, self.seen)
        })
    }

    pub(crate) fn arrived(&mut self, amount: Amount) {
        self.arrived += amount;
    }

    /// What the sender may dispatch now.
    pub(crate) const fn spare(&self) -> Amount {
        self.seen.saturating_sub(self.dispatched)
    }

    /// The most that may still arrive, whatever the sender does. A limit that allows it no message more than it has
    /// dispatched allows it no bytes either.
    pub(crate) fn may_arrive(&self) -> Amount {
        let limits = self.unseen.iter().chain([&self.seen]);
        let usable = limits.filter(|limit| limit.messages > self.dispatched.messages);
        usable.fold(self.dispatched, |most, limit| most.max(*limit)).saturating_sub(self.arrived)
    }
}

/// The window of one receiver over all its senders.
///
/// What is queued and may arrive must fit the room; when the room shrinks, it must not grow until it fits again.
#[derive(Default)]
pub(crate) struct WindowWatch {
    /// What there was at the last look, where that was too much.
    over: Amount,
    room: Amount,
}

impl WindowWatch {
    /// The room changes. What was within the old one is forgiven.
    pub(crate) fn resized(&mut self, room: Amount, used: Amount) {
        self.over = self.over.max(self.room.min(used));
        self.room = room;
    }

    /// Looks at what is queued and what may arrive.
    pub(crate) fn check(&mut self, used: Amount, of: &str) -> Verdict {
        let allowed = self.room.max(self.over);
        self.over = self.over.min(used);
        ensure(used.fits(allowed), || {
            format!("{of}: {used:?} is queued or may arrive, there is room for {:?}", self.room)
        })
    }
}
