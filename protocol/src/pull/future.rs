//! Copies of messages that wait at their sender: kept here, and no message, until the sender says that they are taken.
//!
//! A copy is dropped when its sender does not want it any more, when its link ends, or when it finds no room. Nothing else is
//! ever done with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::collections::RangeSet;
use crate::credit::Amount;
use crate::ids::{LinkId, Seq, span};
use crate::limits::{MESSAGE_OVERHEAD_BYTES, RANGES_MAX};
use crate::link::{Transmit, refusal, violation, within_credit};
use crate::message::{Records, cost_bytes};
use crate::time::{Time, WallTime};
use crate::wire::{
    Close, CloseCode, Control, DataHeader, DataRun, Forgot, Future, Hello, Outcome, Recall,
    Settlement, Take,
};

use super::run::{self, Run};
use super::{PullEngine, PullLink};

/// The copies that one link has brought.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// By the order in which they were placed.
    kept: BTreeMap<u64, Copy>,
    held: Amount,
    next: u64,
    /// Those that found no room, and of which the sender is to hear.
    forgot: RangeSet,
    /// How many of those it has taken meanwhile: they are not placed any more.
    taken: u64,
    /// The sender has heard how much room there is.
    told: bool,
}

#[derive(Debug)]
pub(super) struct Copy {
    seq: Seq,
    attempt: u32,
    sent_at: WallTime,
    arrived: Time,
    /// Bytes of its own: it may stay for long, and a slice would keep all that was read with it.
    record: Bytes,
    expires: bool,
}

impl Copy {
    pub(super) fn cost(&self) -> Amount {
        Amount::new(1, cost_bytes(1, self.record.len() as u64))
    }

    /// As a run of one message.
    pub(super) fn run(&self) -> (DataHeader, Bytes) {
        let Copy { seq: first_seq, attempt, sent_at, .. } = *self;
        let header = DataHeader { first_delivery: 0, first_seq, sent_at, count: 1, attempt };
        (header, self.record.clone())
    }
}

/// Whether copies that cost so much fit.
fn check_room(copies: Amount, room: Amount) -> Result<(), Close> {
    let reason = "more copies were placed than there is room for";
    copies.fits(room).then_some(()).ok_or_else(|| refusal(CloseCode::CreditExceeded, reason))
}

impl Copies {
    fn check_told(&self) -> Result<(), Close> {
        self.told.then_some(()).ok_or_else(|| violation("copies for which there is no room"))
    }

    /// The link is over, and with it what was only placed on it.
    pub(super) fn take_all(&mut self) -> Vec<Copy> {
        std::mem::take(self).kept.into_values().collect()
    }
}

impl PullEngine {
    /// The room for copies, on all links together and on each.
    fn future(&self) -> Amount {
        match self.config.future_messages {
            0 => Amount::ZERO,
            messages => Amount::new(messages, self.config.future_bytes),
        }
    }

    /// What is said of it in the handshake.
    pub(super) fn future_feature(&self) -> u64 {
        if self.future() == Amount::ZERO || self.passing.is_some() { 0 } else { Hello::FUTURES }
    }

    /// Copies that are kept, and their cost.
    #[must_use]
    pub fn copies(&self) -> Amount {
        self.links.values().fold(self.stray_copies(), |held, link| held + link.copies.held)
    }

    /// Tells a sender that places copies how much room there is.
    pub(super) fn transmit_future(&mut self, id: LinkId, out: &mut Transmit) {
        let Amount { messages, bytes } = self.future();
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let places = link.link.peer().is_some_and(|peer| peer.features & Hello::FUTURES != 0);
        let attached = link.session.is_some() && link.attaches.is_empty();
        if messages > 0 && places && attached && !link.copies.told && !link.is_streamer() {
            link.copies.told = true;
            out.control(&Control::Future(Future { messages, bytes }));
        }
        while !link.copies.forgot.is_empty() {
            let copies = std::iter::from_fn(|| link.copies.forgot.pop_first(u64::MAX));
            let copies = copies.map(Into::into).take(RANGES_MAX).collect();
            out.control(&Control::Forgot(Forgot { copies }));
        }
        link.copies.taken = 0;
    }

    /// Whether a copy may be placed that costs so much.
    pub(super) fn check_copies(&self, id: LinkId, cost: Amount) -> Result<(), Close> {
        let Some(link) = self.links.get(&id) else {
            return Ok(());
        };
        link.copies.check_told()?;
        check_room(cost, self.future())
    }

    /// Keeps copies, as far as there is room.
    pub(super) fn handle_copies(
        &mut self,
        id: LinkId,
        data: DataRun,
        now: Time,
    ) -> Result<(), Close> {
        let DataRun { header, records, .. } = data;
        let (room, count) = (self.future(), u64::from(header.count));
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        link.copies.check_told()?;
        if header.first_delivery != link.copies.next {
            return Err(violation("a copy out of turn"));
        }
        link.restores.arrived();
        let mut all = self.copies();
        if !(all + Amount::new(count, cost_bytes(count, records.len() as u64))).fits(room) {
            self.drop_stray_copies();
            all = self.copies();
        }
        let Some(PullLink { copies, .. }) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let numbers = header.first_delivery..;
        let seqs = header.first_seq..;
        for ((number, seq), (at, head)) in numbers.zip(seqs).zip(Records::new(&records)) {
            let record = records.get(at..at + head.record_bytes()).unwrap_or_default();
            let cost = Amount::new(1, cost_bytes(1, record.len() as u64));
            // To its sender, what found no room is placed until it hears of it.
            let untold = Amount::new(copies.forgot.len().saturating_sub(copies.taken), 0);
            check_room(copies.held + untold + cost, room)?;
            copies.next = number + 1;
            if !(all + cost).fits(room) {
                copies.forgot.insert(number..number + 1);
                continue;
            }
            all += cost;
            copies.held += cost;
            let copy = Copy {
                seq,
                attempt: header.attempt,
                sent_at: header.sent_at,
                arrived: now,
                record: Bytes::copy_from_slice(record),
                expires: head.expires.is_some(),
            };
            copies.kept.insert(number, copy);
        }
        if !copies.forgot.is_empty() {
            self.wakes.push_back(id);
        }
        Ok(())
    }

    /// Copies are messages now. Those that found no room are given back.
    pub(super) fn handle_take(&mut self, id: LinkId, take: Take) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let numbers = take.copies.range().ok_or_else(|| violation("an empty range"))?;
        if numbers.end > link.copies.next {
            return Err(violation("it takes copies that were never placed"));
        }
        let (Some(via), Some(origin)) = (link.session, link.origin) else {
            return Err(violation("messages of no session"));
        };
        if take.first_delivery != link.next_delivery {
            return Err(violation("a delivery number out of turn"));
        }
        let forgot = link.copies.forgot.within(numbers.clone());
        link.copies.taken += forgot.map(|part| span(&part)).sum::<u64>();
        let taken: Vec<(u64, Copy)> = {
            let there: Vec<u64> =
                link.copies.kept.range(numbers.clone()).map(|(n, _)| *n).collect();
            there.into_iter().filter_map(|n| Some((n, link.copies.kept.remove(&n)?))).collect()
        };
        if !taken.is_sorted_by(|(n, a), (m, b)| b.seq.checked_sub(a.seq) == Some(m - n)) {
            return Err(violation("it takes copies whose numbers do not follow each other"));
        }
        let known = taken.iter().fold(Amount::ZERO, |sum, (_, copy)| sum + copy.cost());
        link.copies.held -= known;
        let cost = Amount::new(take.copies.count, take.bytes);
        let missing = cost.saturating_sub(known);
        let least = missing.messages.checked_mul(MESSAGE_OVERHEAD_BYTES);
        let is_true = known.fits(cost)
            && least.is_some_and(|least| least <= missing.bytes)
            && (missing.messages > 0 || missing.bytes == 0);
        if !is_true {
            return Err(violation("copies do not cost what it says"));
        }
        within_credit(self.pool.receive(id, cost))?;
        link.next_delivery += cost.messages;
        link.received += cost.messages;
        self.counters.received += cost.messages;
        self.give_back_missing(id, &take, &taken, missing);
        for (number, copy) in taken {
            let header = DataHeader {
                first_delivery: take.first_delivery + (number - numbers.start),
                first_seq: copy.seq,
                sent_at: copy.sent_at,
                count: 1,
                attempt: copy.attempt,
            };
            let priority = self.links.get(&id).map(|link| link.priority).unwrap_or_default();
            let key = run::key(priority, self.next_run);
            self.next_run += 1;
            let run = Run::new(key, origin.session, &header, copy.record, copy.arrived);
            self.take_in(id, via, origin, Arc::new(run), header.first_delivery, copy.expires);
        }
        self.wake_granted();
        Ok(())
    }

    /// What was taken and is not here goes back to its sender, and takes no room.
    fn give_back_missing(
        &mut self,
        id: LinkId,
        take: &Take,
        taken: &[(u64, Copy)],
        missing: Amount,
    ) {
        if missing == Amount::ZERO {
            return;
        }
        self.pool.release(missing);
        let mut gaps: RangeSet = RangeSet::new();
        gaps.insert(take.first_delivery..take.first_delivery + take.copies.count);
        for (number, _) in taken {
            let at = take.first_delivery + (number - take.copies.first);
            gaps.remove(at..at + 1);
        }
        if let Some(link) = self.links.get_mut(&id) {
            link.settlements.extend(gaps.iter().map(|deliveries| Settlement {
                deliveries: deliveries.into(),
                outcome: Outcome::Released,
            }));
            self.wakes.push_back(id);
        }
    }

    /// Copies are not wanted any more.
    pub(super) fn handle_recall(&mut self, id: LinkId, recall: Recall) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        for numbers in recall.copies.iter().filter_map(|span| span.range()) {
            link.copies.forgot.remove(numbers.clone());
            let gone: Vec<u64> = link.copies.kept.range(numbers).map(|(n, _)| *n).collect();
            for number in gone {
                if let Some(copy) = link.copies.kept.remove(&number) {
                    link.copies.held -= copy.cost();
                }
            }
        }
    }
}
