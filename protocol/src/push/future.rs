//! Copies of what waits, placed at the receivers that are most likely to ask next, while nobody has credit.
//!
//! The message stays in the queue, and belongs to whoever asks first. If that is where its copy is, a word is enough to
//! hand it over; if not, the copy is recalled. A message has at most one copy.
//!
//! Most likely to ask next is who has asked most regularly and soonest: a receiver asked when its credit grew, and its next
//! question is expected a mean gap after the last one, that after the next a gap later. A copy goes to the receiver of the
//! best level whose question, not counting those for which it has copies already, is expected first.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::collections::RangeSet;
use crate::credit::Amount;
use crate::ids::{LinkId, Priority, Seq, span};
use crate::limits::{PLACE_LOOKS, RANGES_MAX, TAKE_BYTES};
use crate::link::{Transmit, violation};
use crate::message::cost_bytes;
use crate::queue::Flight;
use crate::time::{Now, Time};
use crate::wire::{Close, Control, DataHeader, Forgot, Future, Hello, Recall, Span, Take};

use super::levels::Declined;
use super::{PushEngine, PushLink};

/// Which messages have copies, and where.
#[derive(Debug, Default)]
pub(super) struct Placed {
    at: BTreeMap<Seq, LinkId>,
    /// All that waits below has a copy.
    pub(super) up_to: Seq,
    bytes: u64,
    /// Copies that all links together have room for.
    room: u64,
    /// Some message that waits, or that comes, may find a place.
    open: bool,
}

/// The copies of one link.
#[derive(Debug, Default)]
pub(super) struct Copies {
    room: Amount,
    held: Amount,
    /// Of these messages, at this cost, the receiver is still to be sent copies.
    unwritten: BTreeMap<Seq, Amount>,
    written: BTreeMap<Seq, Copy>,
    /// Which messages those are of, by their places in the order of copies on the link.
    numbers: BTreeMap<u64, Seq>,
    next: u64,
    recalls: RangeSet,
    /// It had no room for one: not before it was sent a message whole. That it asks again says nothing: it does so also
    /// when it gives back what it was to take and had no room for.
    full: bool,
    asked: Option<Time>,
    gap: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Copy {
    /// Its place in the order of copies on the link.
    number: u64,
    cost: Amount,
}

impl Copies {
    fn has_room(&self) -> bool {
        !self.full && self.held.messages < self.room.messages
    }

    fn insert(&mut self, seq: Seq, cost: Amount) {
        self.held += cost;
        self.unwritten.insert(seq, cost);
    }

    /// The next copy that is not written is, from now on; gives its number.
    fn write_first(&mut self) -> Option<u64> {
        let (seq, cost) = self.unwritten.pop_first()?;
        let number = self.next;
        self.next += 1;
        self.written.insert(seq, Copy { number, cost });
        self.numbers.insert(number, seq);
        Some(number)
    }

    /// A copy does not count any more. Gives its number if it was written.
    fn remove(&mut self, seq: Seq) -> Option<(Option<u64>, Amount)> {
        let (number, cost) = match self.written.remove(&seq) {
            Some(Copy { number, cost }) => {
                self.numbers.remove(&number);
                (Some(number), cost)
            }
            None => (None, self.unwritten.remove(&seq)?),
        };
        self.held -= cost;
        Some((number, cost))
    }

    /// When the receiver is expected to ask for one more than it has copies for; in order, those of whom nothing is known
    /// last.
    fn expected(&self) -> (bool, Time, u64) {
        let held = self.held.messages;
        match (self.asked, self.gap) {
            (Some(asked), Some(gap)) => {
                let steps = u32::try_from(held + 1).unwrap_or(u32::MAX);
                (false, asked + gap.saturating_mul(steps), held)
            }
            _ => (true, Time::ZERO, held),
        }
    }
}

impl Placed {
    pub(super) fn len(&self) -> u64 {
        self.at.len() as u64
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A message waits that has no copy.
    #[inline]
    pub(super) fn note_without_copy(&mut self, seq: Seq) {
        self.up_to = self.up_to.min(seq);
    }
}

impl PushEngine {
    /// A receiver says how many copies it has room for.
    pub(super) fn handle_future(&mut self, id: LinkId, future: Future) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let is_known = link.link.peer().is_some_and(|peer| peer.features & Hello::FUTURES != 0);
        if !is_known || self.passing.is_some() {
            return Err(violation("a FUTURE, which one of the two sides has not said to know"));
        }
        if link.copies.room != Amount::ZERO {
            return Err(violation("a second FUTURE"));
        }
        // Whatever it says, no more is placed than `future_bytes` allow.
        link.copies.room = Amount::new(future.messages.min(1 << 32), future.bytes);
        self.placed.room += link.copies.room.messages;
        self.placed.open = true;
        Ok(())
    }

    /// Copies found no room: somebody else has it.
    pub(super) fn handle_forgot(&mut self, id: LinkId, forgot: Forgot) -> Result<(), Close> {
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let mut numbers = RangeSet::new();
        for range in forgot.copies.iter().map(|span| span.range()) {
            let range = range.filter(|range| range.end <= link.copies.next);
            numbers.insert(range.ok_or_else(|| violation("it forgets what was never placed"))?);
        }
        link.copies.full = true;
        let there = numbers.iter().flat_map(|range| link.copies.numbers.range(range));
        let gone: Vec<Seq> = there.map(|(_, seq)| *seq).collect();
        for seq in gone {
            self.drop_copy(seq);
            self.placed.note_without_copy(seq);
        }
        Ok(())
    }

    /// A receiver's credit has grown: it has asked.
    pub(super) fn note_asked_for_more(&mut self, id: LinkId, now: Time) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let copies = &mut link.copies;
        if let Some(before) = copies.asked.replace(now) {
            let gap = now.since(before);
            copies.gap = Some(copies.gap.map_or(gap, |mean| (mean * 3 + gap) / 4));
        }
    }

    /// A receiver is sent a message whole: that is dispatched, whatever room it has for copies, so it may be tried again
    /// whether it has any.
    pub(super) fn note_sent_whole(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id)
            && std::mem::take(&mut link.copies.full)
        {
            self.placed.open = true;
        }
    }

    /// A link is over: its copies are gone with it.
    pub(super) fn forget_copies(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let copies = std::mem::take(&mut link.copies);
        self.placed.room -= copies.room.messages;
        for seq in copies.unwritten.keys().chain(copies.written.keys()) {
            self.placed.at.remove(seq);
            self.placed.note_without_copy(*seq);
        }
        self.placed.bytes -= copies.held.bytes;
        self.placed.open |= copies.held != Amount::ZERO;
    }

    /// Something waits, and may be placed: some link is to see to it.
    #[inline]
    pub(super) fn wake_to_place(&mut self) {
        if self.placed.open && self.ready == 0 {
            self.wake_one_to_place();
        }
    }

    fn wake_one_to_place(&mut self) {
        let place = self.links.iter().find(|(_, link)| link.copies.has_room()).map(|(id, _)| *id);
        // Whoever is woken opens it again if there is room left.
        self.placed.open = false;
        self.wakes.extend(place);
    }

    /// Decides where copies of what waits are placed, while nobody has credit for it: of so many that others have their turn
    /// meanwhile.
    pub(super) fn place(&mut self) {
        if self.placed.room == 0 || self.ready > 0 || self.pending >= self.config.pending_messages {
            return;
        }
        if !self.links.values().any(|link| link.copies.has_room()) {
            self.placed.open = false;
            return;
        }
        // Each place is looked for among all links.
        for _ in 0..(PLACE_LOOKS / self.links.len() as u64).max(1) {
            let Some(seq) = self.next_to_place() else {
                // More may come.
                self.placed.open = self.links.values().any(|link| link.copies.has_room());
                return;
            };
            if !self.place_one(seq) {
                self.placed.open = false;
                return;
            }
        }
        self.wake_one_to_place();
    }

    /// Decides where the copy of a message is placed; says whether there is a place for it.
    fn place_one(&mut self, seq: Seq) -> bool {
        let Some(slice) = self.chunks.slice(seq..seq + 1, u64::MAX) else {
            return false;
        };
        let cost = Amount::new(1, cost_bytes(1, slice.record_bytes() as u64));
        if self.placed.bytes + cost.bytes > self.config.future_bytes {
            return false;
        }
        let Some(id) = self.likeliest(seq, cost) else {
            return false;
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.copies.insert(seq, cost);
            self.placed.at.insert(seq, id);
            self.placed.bytes += cost.bytes;
            self.wake(id);
        }
        true
    }

    /// The first message that waits and has no copy.
    fn next_to_place(&mut self) -> Option<Seq> {
        let found = self.first_without_copy();
        if found.is_some() || self.chunks.open_len() == 0 {
            return found;
        }
        self.seal();
        self.first_without_copy()
    }

    /// The same, of those that are sealed. It goes on where it was last.
    fn first_without_copy(&mut self) -> Option<Seq> {
        let end = self.reserved_end().min(self.next_seq());
        let mut waiting = self.queued.within(self.placed.up_to.min(end)..end).flatten();
        let found = waiting.find(|seq| !self.placed.at.contains_key(seq));
        self.placed.up_to = found.unwrap_or(end);
        found
    }

    /// Who is expected to ask first, of those with room for a copy.
    fn likeliest(&self, seq: Seq, cost: Amount) -> Option<LinkId> {
        let not_here = self.given_back.get(&seq);
        let fits = |link: &&PushLink| {
            let copies = &link.copies;
            copies.has_room()
                && (copies.held + cost).fits(copies.room)
                && !link.spender.has_stopped()
        };
        let links = self.links.iter().filter(|(id, link)| fits(link) && not_here != Some(*id));
        let rank =
            |link: &PushLink| -> (bool, Priority) { (link.trial_until.is_some(), link.priority) };
        links.min_by_key(|(_, link)| (rank(link), link.copies.expected())).map(|(id, _)| *id)
    }

    /// Writes what a link is to hear of copies: which are not wanted any more, and new ones.
    pub(super) fn write_copies(&mut self, id: LinkId, now: Now, out: &mut Transmit) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        while !link.copies.recalls.is_empty() {
            let copies = std::iter::from_fn(|| link.copies.recalls.pop_first(u64::MAX));
            let copies = copies.map(Into::into).take(RANGES_MAX).collect();
            out.control(&Control::Recall(Recall { copies }));
        }
        while out.len() < TAKE_BYTES {
            let first =
                self.links.get(&id).and_then(|link| link.copies.unwritten.first_key_value());
            let Some((&seq, _)) = first else {
                return;
            };
            let (_, attempt) = self.attempts_from(seq..seq + 1);
            let slice = self.chunks.slice(seq..seq + 1, u64::MAX);
            let Some((slice, link)) = slice.zip(self.links.get_mut(&id)) else {
                return;
            };
            let Some(number) = link.copies.write_first() else {
                return;
            };
            let header = DataHeader {
                first_delivery: number,
                first_seq: seq,
                sent_at: now.wall,
                count: 1,
                attempt,
            };
            out.copies(header, slice.body, slice.tail);
        }
    }

    /// The copies that a link is to take instead of what is first in the queue: they are first, or what is first is placed
    /// elsewhere, and was passed over by no more messages than there is room for copies.
    pub(super) fn copies_to_take(&self, id: LinkId, messages_max: u64) -> Option<Range<Seq>> {
        if self.placed.at.is_empty() {
            return None;
        }
        let first = self.queued.first()?;
        let link = self.links.get(&id)?;
        let mut written = link.copies.written.iter().map(|(seq, copy)| (*seq, copy.number));
        let (start, number) = written.next()?;
        let has_place = self.placed.at.contains_key(&first);
        let comes_now = start == first || (has_place && start - first <= self.placed.room);
        if !comes_now {
            return None;
        }
        let follows = |(at, (seq, n)): &(u64, (Seq, u64))| *seq == start + at && *n == number + at;
        // No further than it can go: there may be very many.
        let most = messages_max.min(link.spender.room().messages).max(1);
        let more = (1..most).zip(written).take_while(follows).count() as u64;
        Some(start..start + 1 + more)
    }

    /// Up to where a link may be sent messages that are not placed on it.
    pub(super) fn before_copies(&self, id: LinkId, seqs: &Range<Seq>) -> Seq {
        if self.placed.at.is_empty() {
            return seqs.end;
        }
        let written = self.links.get(&id).map(|link| &link.copies.written);
        let own = written.and_then(|written| written.range(seqs.clone()).next());
        own.map_or(seqs.end, |(seq, _)| *seq)
    }

    /// Dispatches copies that are placed on a link: it is told to take them. Says how many.
    pub(super) fn dispatch_copies(
        &mut self,
        id: LinkId,
        seqs: &Range<Seq>,
        now: Now,
        out: &mut Transmit,
    ) -> u64 {
        let Some(link) = self.links.get_mut(&id) else {
            return 0;
        };
        let room = link.spender.room();
        let mut cost = Amount::ZERO;
        let mut number = None;
        for seq in seqs.clone() {
            let Some(copy) = link.copies.written.get(&seq) else {
                break;
            };
            if !(cost + copy.cost).fits(room) {
                break;
            }
            cost += copy.cost;
            number = number.or(Some(copy.number));
        }
        let Some(number) = number else {
            self.let_pass(id, Declined::TooLarge);
            return 0;
        };
        let taken = seqs.start..seqs.start + cost.messages;
        let first_delivery = link.next_delivery;
        link.spender.spend(cost);
        link.turn = link.turn.saturating_add(cost.messages);
        link.flights.insert(first_delivery, Flight::new(taken.clone(), now.time));
        link.next_delivery += cost.messages;
        let priority = link.priority;
        for seq in taken.clone() {
            link.copies.remove(seq);
            self.placed.at.remove(&seq);
        }
        self.placed.bytes -= cost.bytes;
        self.placed.open = true;
        self.pending += cost.messages;
        self.queued.remove(taken.clone());
        self.forget_given_back(taken.clone());
        self.counters.dispatched += cost.messages;
        self.counters.taken_copies += cost.messages;
        self.note_level(priority);
        let copies = Span { first: number, count: span(&taken) };
        out.control(&Control::Take(Take { copies, first_delivery, bytes: cost.bytes }));
        if self.config.reassign_after.is_some() {
            self.plan_reassign(now.time);
        }
        cost.messages
    }

    /// Messages leave the queue: their copies are recalled.
    pub(super) fn recall(&mut self, seqs: Range<Seq>) {
        while let Some(seq) = self.placed.at.range(seqs.clone()).next().map(|(seq, _)| *seq) {
            let Some((id, number)) = self.drop_copy(seq) else {
                return;
            };
            if let (Some(number), Some(link)) = (number, self.links.get_mut(&id)) {
                link.copies.recalls.insert(number..number + 1);
                self.wake(id);
            }
        }
    }

    /// A copy does not count any more. Gives the link that it was on, and its number if it was written.
    fn drop_copy(&mut self, seq: Seq) -> Option<(LinkId, Option<u64>)> {
        let id = self.placed.at.remove(&seq)?;
        let (number, cost) = self.links.get_mut(&id)?.copies.remove(seq)?;
        self.placed.bytes -= cost.bytes;
        self.placed.open = true;
        Some((id, number))
    }
}
