//! A session that goes on although its messages were lost with their store: receivers give back what they have of it.
//!
//! What a receiver holds or works on is pending there again, and what was only placed with it as a copy is back in the
//! queue. What nobody has is gone. A receiver gives contents back before it says what it holds (ATTACH), so that both are
//! found here in the order in which every other receiver that comes back is heard.

use std::ops::Range;

use bytes::Bytes;

use crate::collections::RangeSet;
use crate::event::Event;
use crate::ids::{LinkId, Seq, span};
use crate::link::{refusal, violation};
use crate::message::{cost_bytes_max, skip};
use crate::queue::Chunk;
use crate::store::Attempts;
use crate::time::{Now, Time};
use crate::wire::{Close, CloseCode, DataRun};

use super::{PushEngine, PushLink};

/// What is not known of the session yet.
#[derive(Debug)]
pub(super) struct Rebuild {
    /// Numbers that may still come back.
    lost: RangeSet,
    /// Bytes of the records that came back.
    bytes: u64,
    opens: Opens,
}

/// When the first message is handed out: before that, receivers say what they have, and what they have confirmed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opens {
    /// A grace time after the first receiver has come.
    Later,
    At(Time),
    Open,
}

/// A last word to a receiver that gives back what it was not asked for.
fn unwanted() -> Close {
    violation("contents that nobody asked for")
}

impl PushLink {
    /// Whether its receiver may give anything back: it has not said yet what it holds.
    fn may_restore(&self) -> bool {
        self.link.peer().is_some() && self.attaches == 0
    }
}

impl PushEngine {
    /// Goes on with numbers from `next_seq` on, which is above every number that was ever given out in this session, or with
    /// those of the store if they are higher. Of the numbers below, receivers are asked to give back what this socket does
    /// not have.
    #[must_use]
    pub fn rebuilding(mut self, next_seq: Seq) -> Self {
        if next_seq > self.next_seq() {
            self.done.insert(self.next_seq()..next_seq);
            self.chunks.jump(next_seq);
        }
        let mut lost: RangeSet = std::iter::once(0..next_seq).collect();
        self.chunks.sealed().for_each(|seqs| {
            lost.remove(seqs);
        });
        self.dead.iter().for_each(|letter| {
            lost.remove(letter.seq..letter.seq + 1);
        });
        self.rebuild =
            (!lost.is_empty()).then_some(Rebuild { lost, bytes: 0, opens: Opens::Later });
        self
    }

    /// The first receiver has come: others that are there will in a moment.
    pub(super) fn expect_receivers(&mut self, now: Time) {
        let grace = self.config.grace;
        if let Some(rebuild) = self.rebuild.as_mut().filter(|r| r.opens == Opens::Later) {
            rebuild.opens = Opens::At(now + grace);
        }
    }

    /// Whether nothing is handed out yet, because receivers are still to say what they have of the session.
    #[must_use]
    pub fn is_rebuilding(&self) -> bool {
        self.rebuild.as_ref().is_some_and(|rebuild| rebuild.opens != Opens::Open)
    }

    /// When [`PushEngine::end_rebuilding`] wants to be called.
    pub(super) fn rebuilt_at(&self) -> Option<Time> {
        match self.rebuild.as_ref()?.opens {
            Opens::At(at) => Some(at),
            Opens::Later | Opens::Open => None,
        }
    }

    /// Receivers have had their time. Who comes later is heard as well.
    pub(super) fn end_rebuilding(&mut self, now: Time) {
        if self.rebuilt_at().is_some_and(|at| at <= now)
            && let Some(rebuild) = &mut self.rebuild
        {
            rebuild.opens = Opens::Open;
            if self.refused {
                // Nobody was asked for credit for it before.
                self.wakes.extend(self.links.keys());
            }
        }
    }

    /// Whether nothing is known of some of these numbers.
    pub(super) fn is_lost(&self, seqs: Range<Seq>) -> bool {
        self.rebuild.as_ref().is_some_and(|r| r.lost.within(seqs).next().is_some())
    }

    /// What is known to be done does not come back.
    pub(super) fn forget_lost(&mut self, seqs: Range<Seq>) {
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.lost.remove(seqs);
        }
    }

    /// Why a receiver that names a number which was never given out is refused.
    pub(super) fn never_sent(&self) -> Close {
        match &self.rebuild {
            None => violation("it holds what was never sent"),
            Some(_) => refusal(
                CloseCode::ProtocolViolation,
                format!(
                    "it holds messages of this session from beyond number {}, with which the session was to go on",
                    self.next_seq()
                ),
            ),
        }
    }

    /// A receiver begins to give something back: it must have been asked.
    pub(super) fn check_restored(&self, id: LinkId) -> Result<(), Close> {
        let may = self.links.get(&id).is_none_or(PushLink::may_restore) && self.rebuild.is_some();
        may.then_some(()).ok_or_else(unwanted)
    }

    /// A receiver gives back what it has.
    pub(super) fn handle_restored(
        &mut self,
        id: LinkId,
        data: DataRun,
        now: Now,
    ) -> Result<(), Close> {
        let DataRun { header, records, .. } = data;
        let count = u64::from(header.count);
        self.check_restored(id)?;
        let (Some(link), Some(rebuild)) = (self.links.get_mut(&id), &self.rebuild) else {
            return Ok(());
        };
        if header.first_delivery != link.restored {
            return Err(violation("contents out of turn"));
        }
        link.restored += count;
        let end = header.first_seq.checked_add(count).filter(|end| *end <= self.next_seq());
        let Some(end) = end else {
            return Err(self.never_sent());
        };
        let lost: Vec<Range<Seq>> = rebuild.lost.within(header.first_seq..end).collect();
        let (mut at, mut next) = (0, header.first_seq);
        for seqs in lost {
            let from = skip(&records, at, seqs.start - next);
            at = skip(&records, from, span(&seqs));
            next = seqs.end;
            let part = records.get(from..at).unwrap_or_default();
            self.restore(seqs.clone(), part, header.attempt, now.time)?;
            if let Some(link) = self.links.get_mut(&id) {
                link.returned.insert(seqs);
            }
        }
        // Some may have been on their way for longer than their shelf life.
        self.expire_due(now);
        Ok(())
    }

    /// A part of what was lost is here again.
    ///
    /// No more comes back than this socket could have had before, beside what it has taken in since.
    fn restore(
        &mut self,
        seqs: Range<Seq>,
        records: &[u8],
        failed: u32,
        now: Time,
    ) -> Result<(), Close> {
        let one_more = cost_bytes_max(self.config.link.message_bytes_max);
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.bytes += records.len() as u64;
            if rebuild.bytes > self.config.retained_bytes.saturating_add(one_more) {
                let reason = "receivers give back more than this socket may retain";
                return Err(refusal(CloseCode::TooMany, reason));
            }
        }
        // Bytes of their own: a slice would keep all that was read with it.
        let records = Bytes::copy_from_slice(records);
        self.forget_lost(seqs.clone());
        self.done.remove(seqs.clone());
        self.note_expiries(seqs.start, &records);
        self.chunks.restore(Chunk::new(seqs.clone(), records, None, now));
        if failed > 0 {
            for seq in seqs.clone() {
                let attempts = Attempts { failed, reason: String::new() };
                if let Some(journal) = &mut self.journal {
                    journal.put_attempts(seq, attempts.clone());
                }
                self.attempts.insert(seq, attempts);
            }
        }
        if let Some(journal) = &mut self.journal {
            journal.sealed(seqs.start);
        }
        self.counters.restored += span(&seqs);
        Ok(())
    }

    /// Queues what came back by a link that is about to say what of it is pending there, or never will. Says what that is.
    pub(super) fn queue_returned(&mut self, id: LinkId) -> RangeSet {
        let link = self.links.get_mut(&id);
        let returned = link.map(|link| std::mem::take(&mut link.returned)).unwrap_or_default();
        for seqs in returned.iter() {
            self.expire_stale(seqs.clone());
            self.done.missing(seqs).into_iter().for_each(|part| self.enqueue(part));
        }
        returned
    }

    /// What another receiver holds than the one that gave it back is not for that one to say.
    pub(super) fn take_returned(&mut self, seqs: &Range<Seq>) -> Vec<Range<Seq>> {
        let mut taken = Vec::new();
        if self.rebuild.is_some() {
            for link in self.links.values_mut().filter(|link| !link.returned.is_empty()) {
                taken.extend(link.returned.within(seqs.clone()));
                link.returned.remove(seqs.clone());
            }
        }
        taken
    }

    /// A receiver has more to say: what it may still hold is not for others yet.
    pub(super) fn keep_returned(&mut self, id: LinkId, returned: &RangeSet) {
        let left: RangeSet = returned.iter().flat_map(|seqs| self.queued.within(seqs)).collect();
        left.iter().for_each(|seqs| self.unqueue(seqs));
        if let Some(link) = self.links.get_mut(&id) {
            link.returned = left;
        }
    }

    /// A receiver has said all: how much came back with it.
    pub(super) fn tell_restored(&mut self, id: LinkId) {
        let messages = self.links.get(&id).map_or(0, |link| link.restored);
        if messages > 0 {
            self.events.push(Event::Restored { link: id, messages });
        }
    }
}
