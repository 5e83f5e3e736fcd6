//! What a PULL socket says on a link.

use crate::ids::LinkId;
use crate::limits::{RANGES_MAX, SETTLEMENTS_PER_FRAME};
use crate::link::Transmit;
use crate::time::Now;
use crate::wire::{Control, Heartbeat, Outcome, Settle, Settlement, Taken};

use super::{PullEngine, PullLink};

impl PullEngine {
    /// Writes what a link has to say now.
    pub fn poll_transmit(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.link.transmit_first(out);
        if link.link.is_open() {
            link.restores.write(out);
            for attach in link.attaches.drain(..) {
                out.control(&Control::Attach(attach));
            }
            if let Some(behind) = self.poll_behind(id) {
                out.control(&Control::Behind(behind));
            }
        }
        if self.links.get(&id).is_some_and(|link| link.link.is_open()) {
            self.transmit_future(id, out);
        }
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if link.link.is_open()
            && let Some(lowered) = self.pool.poll_lowered(id)
        {
            out.control(&Control::Grant(lowered));
        }
        if link.is_heard() {
            link.transmit_settlements(out);
        }
        if link.link.is_open() {
            let heartbeat = link.link.take_heartbeat();
            if heartbeat {
                let deliveries = link.next_delivery;
                out.control(&Control::Heartbeat(Heartbeat { deliveries, ..Heartbeat::default() }));
            }
            let grant =
                if heartbeat { self.pool.repeat_grant(id) } else { self.pool.poll_grant(id) };
            if let Some(grant) = grant {
                out.control(&Control::Grant(grant));
            }
        }
        link.link.transmit_last(out, now.time);
        out.finish();
    }
}

impl PullLink {
    /// Whether the sender still hears what became of its messages, also just before the last word. It has to know what it is
    /// spoken to of: nothing is held on a link that was not attached.
    fn is_heard(&self) -> bool {
        self.link.is_open() || (self.link.is_parting() && self.attaches.is_empty())
    }

    fn transmit_settlements(&mut self, out: &mut Transmit) {
        while !self.taken.is_empty() {
            let deliveries = std::iter::from_fn(|| self.taken.pop_first(u64::MAX)).map(Into::into);
            out.control(&Control::Taken(Taken {
                deliveries: deliveries.take(RANGES_MAX).collect(),
            }));
        }
        while !self.confirms.is_empty() || !self.settlements.is_empty() || !self.extended.is_empty()
        {
            let confirms = std::iter::from_fn(|| self.confirms.pop_first(u64::MAX));
            let confirms = confirms.map(|deliveries| Settlement {
                deliveries: deliveries.into(),
                outcome: Outcome::Confirmed,
            });
            let others = std::iter::from_fn(|| {
                self.settlements.pop_front().or_else(|| self.extended.pop_first())
            });
            let settlements =
                confirms.take(RANGES_MAX / 2).chain(others.take(SETTLEMENTS_PER_FRAME)).collect();
            out.control(&Control::Settle(Settle { settlements }));
            self.settles += 1;
        }
    }
}
