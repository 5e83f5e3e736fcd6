//! One request of a subscriber: how far it has come in a ring, and how far it may go.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::credit::Amount;
use crate::ids::{RequestId, Seq, Session, span};
use crate::limits::{MATCHES_MAX, SCAN_LOOKUPS, TAKE_BYTES};
use crate::link::Transmit;
use crate::message::cost_bytes;
use crate::queue::{Chunk, Mark, Slice};
use crate::time::{Now, Time, WallTime};
use crate::wire::{Control, PublishHeader, Skip};

use super::channel::Channel;
use super::filters::Filters;

/// How a reader stands after its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// It has had everything that there is, and has credit.
    Hungry,
    /// There is more for it: it should have another turn.
    More,
    /// It has no credit.
    Blocked,
    /// What it wants is not retained here, but can be had from upstream.
    Cold,
}

/// A place in a ring, with credit.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) request: RequestId,
    pub(super) session: Session,
    /// Everything below this the subscriber has had, or does not want, or has lost, and knows it.
    told: Seq,
    /// Everything below this has been looked at; what is wanted of it and not sent is in `matches`.
    next: Seq,
    matches: VecDeque<Range<Seq>>,
    matched: u64,
    /// Matches are added as they are published.
    live: bool,
    pub(super) standing: Standing,
    answered: bool,
    /// It was asked, or was given credit when it had none, and may find nothing: then it says how far it has looked.
    owes_word: bool,
    /// The subscriber was told that there is everything up to here.
    pub(super) told_head: Seq,
    limit: Amount,
    spent: Amount,
    sent_at: Mark,
    scanned_at: Mark,
    /// What was fetched for it alone.
    side: VecDeque<Chunk>,
    /// Messages of that which it did not want, since it was sent one last.
    unwanted: u64,
    /// Its session was let go of, and nothing of it is here below this number, or will be.
    ends: Option<Seq>,
}

impl Reader {
    pub(super) fn new(request: RequestId, session: Session, next: Seq, limit: Amount) -> Self {
        Self {
            request,
            session,
            told: next,
            next,
            matches: VecDeque::new(),
            matched: 0,
            live: false,
            standing: Standing::More,
            answered: false,
            owes_word: true,
            told_head: 0,
            limit,
            spent: Amount::ZERO,
            sent_at: Mark::default(),
            scanned_at: Mark::default(),
            side: VecDeque::new(),
            unwanted: 0,
            ends: None,
        }
    }

    /// Raises its credit; false if that would lower it.
    pub(super) fn raise(&mut self, limit: Amount) -> bool {
        let rises = self.limit.fits(limit);
        if rises {
            self.owes_word |= self.is_blocked();
            self.limit = limit;
            // What is fetched for it goes on, with more credit.
            if self.standing != Standing::Cold {
                self.standing = Standing::More;
            }
        }
        rises
    }

    /// What may still be sent.
    pub(super) fn room(&self) -> Amount {
        self.limit.saturating_sub(self.spent)
    }

    /// How much is to be fetched for it: what it may be sent, and where that was not what it wants, as much again as it has
    /// passed over. Each fetch takes a way upstream and back, and a small window says nothing of how far the next match is.
    pub(super) fn fetch_room(&self) -> Amount {
        let room = self.room();
        match self.unwanted {
            0 => room,
            unwanted => Amount::new(room.messages.saturating_add(unwanted), u64::MAX),
        }
    }

    /// Messages sent so far.
    pub(super) const fn sent(&self) -> u64 {
        self.spent.messages
    }

    /// Where it goes on.
    pub(super) fn position(&self) -> Seq {
        self.matches.front().map_or(self.next, |seqs| seqs.start)
    }

    /// How far it has come: nothing below this is still for it.
    pub(super) fn reached(&self, channel: &Channel) -> Seq {
        self.reached_of_itself().unwrap_or_else(|| channel.visible().max(self.told))
    }

    /// The same, unless that is all that may be seen, whatever comes.
    pub(super) fn reached_of_itself(&self) -> Option<Seq> {
        (!self.live || !self.matches.is_empty()).then(|| self.position())
    }

    /// What it has looked at without finding anything for its subscriber, which does not know yet.
    pub(super) fn passed_over(&self, channel: &Channel) -> Range<Seq> {
        self.told..self.reached(channel).max(self.told)
    }

    /// Another request had passed over these, where it begins: nothing of them is wanted.
    pub(super) fn pass_over(&mut self, seqs: Range<Seq>) {
        if seqs.contains(&self.next) {
            self.next = seqs.end;
        }
    }

    /// Whether the next message concerns it: it may be sent that, or told that there is one.
    pub(super) fn waits_for_news(&self, channel: &Channel) -> bool {
        let at_end = self.told_head <= self.position() && self.position() >= channel.visible();
        self.standing == Standing::Hungry || (self.is_blocked() && at_end)
    }

    /// Whether its subscriber has given no credit and cannot know that there is more for it.
    pub(super) fn is_taken_for_idle(&self, channel: &Channel) -> bool {
        let position = self.position();
        self.is_blocked() && self.told_head <= position && position < channel.head()
    }

    /// Whether it has been sent everything that it may see.
    pub(super) fn has_all(&self, channel: &Channel) -> bool {
        self.reached(channel) >= channel.visible()
    }

    /// Its subscriber wants other topics from now on.
    pub(super) fn rescan(&mut self) {
        self.matches.clear();
        self.matched = 0;
        self.live = false;
        self.next = self.told;
        self.standing = Standing::More;
        // What was fetched begins where the reader was, which may be further on.
        self.drop_side();
    }

    /// A message that it wants was published. True if it had nothing else to do, or has to tell that there is more than it
    /// may send.
    pub(super) fn note_match(&mut self, seq: Seq) -> bool {
        // What was asked for may lie ahead of what is published, and several of its prefixes may match.
        let is_noted = self.matches.back().is_some_and(|last| seq < last.end);
        if !self.live || seq < self.told || is_noted {
            return false;
        }
        if self.matched >= self.room().messages || self.matches.len() >= MATCHES_MAX {
            // It looks for itself when it has credit again, or has been sent what was found.
            self.live = false;
            self.next = seq;
            return self.is_blocked() && self.told_head <= seq;
        }
        push_seq(&mut self.matches, seq);
        self.matched += 1;
        // One that has not the bytes for what it was to be sent before is no further.
        let was_hungry = self.standing == Standing::Hungry;
        if was_hungry {
            self.standing = Standing::More;
        }
        was_hungry
    }

    /// From this number on some will be missing: it has to look for itself, and to tell.
    pub(super) fn note_hole(&mut self, at: Seq) {
        if std::mem::replace(&mut self.live, false) {
            self.next = at.max(self.told);
            self.standing = Standing::More;
        }
    }

    /// Sends what it may have now. `lookups` are those that were made in this turn of its link.
    pub(super) fn serve(
        &mut self,
        channel: &mut Channel,
        filters: &Filters,
        now: Now,
        lookups: &mut u64,
        out: &mut Transmit,
    ) -> Standing {
        let before = out.len();
        self.standing = self.advance(channel, filters, now, lookups, out);
        if out.len() == before {
            // How far it has come already.
            let position = self.reached(channel);
            if !self.answered || self.owes_word && position > self.told {
                self.skip_to(position, out);
            }
        }
        self.answered = true;
        self.owes_word &= matches!(self.standing, Standing::More | Standing::Cold);
        self.standing
    }

    fn advance(
        &mut self,
        channel: &mut Channel,
        filters: &Filters,
        now: Now,
        lookups: &mut u64,
        out: &mut Transmit,
    ) -> Standing {
        if self.live && self.matches.is_empty() {
            self.next = self.reached(channel);
        }
        let clock = channel.publisher_clock(now);
        self.send_side(filters, clock, out);
        let servable = channel.servable_from(self.position());
        if self.position() < servable {
            self.lose_below(servable, out);
        }
        if self.position() < channel.ring.oldest() {
            self.give_up_matches();
            let blocked = self.is_blocked() || !self.side.is_empty();
            return if blocked { Standing::Blocked } else { Standing::Cold };
        }
        self.side.clear();
        if self.position().max(channel.ring.closed_end()) < channel.visible() && !self.is_blocked()
        {
            channel.ring.close_chunk(now.wall);
        }
        let closed = channel.ring.closed_end().min(channel.visible());
        if self.position() < closed && channel.ring.chunks().next_chunk(self.position()).is_none() {
            // The ring goes on with numbers that will never be in it.
            self.lose_below(closed, out);
        }
        if filters.match_all() {
            self.send_all(channel, clock, out)
        } else {
            self.send_matching(channel, filters, clock, lookups, out)
        }
    }

    fn is_blocked(&self) -> bool {
        self.room().messages == 0
    }

    /// What it has not had below `oldest` is gone for good: says so.
    fn lose_below(&mut self, oldest: Seq, out: &mut Transmit) {
        // What was looked at before and not wanted is no loss.
        let position = self.position();
        if position > self.told {
            self.skip_to(position, out);
        }
        while let Some(seqs) = self.matches.front_mut()
            && seqs.start < oldest
        {
            let lost = seqs.start..seqs.end.min(oldest);
            self.matched -= span(&lost);
            seqs.start = lost.end;
            if seqs.is_empty() {
                self.matches.pop_front();
            }
        }
        self.next = self.next.max(oldest);
        self.told = oldest;
        self.skip_to(oldest, out);
    }

    /// Its session is let go of.
    pub(super) fn end(&mut self, channel: &Channel) {
        self.next = self.next.max(self.reached(channel));
        self.side.clear();
        self.standing = Standing::Blocked;
        self.ends = Some(channel.ring.next_seq().max(channel.head()));
    }

    /// Tells the subscriber what it has lost with the session, if that was let go of. True if there is no more to say.
    pub(super) fn tell_end(&mut self, out: &mut Transmit) -> bool {
        let Some(end) = self.ends else {
            return false;
        };
        let position = self.position();
        if position < end {
            self.lose_below(end, out);
        } else if position > self.told {
            self.skip_to(position, out);
        }
        true
    }

    /// Looks for itself again from where it is.
    fn give_up_matches(&mut self) {
        self.next = self.position();
        self.matches.clear();
        self.matched = 0;
        self.live = false;
    }

    /// Whether it still waits for what is fetched for it alone.
    pub(super) fn wants_side(&self) -> bool {
        self.standing == Standing::Cold || !self.side.is_empty()
    }

    /// Takes in what was fetched for it alone, as long as that goes on where the reader is, or what it has of it ends. False
    /// if not: it looks elsewhere now.
    pub(super) fn take_in(&mut self, seqs: Range<Seq>, records: Bytes, now: Time) -> bool {
        let goes_on_at = self.side.back().map_or(self.position(), |chunk| chunk.seqs.end);
        let is_wanted = self.wants_side() && seqs.start <= goes_on_at;
        if is_wanted {
            self.side.push_back(Chunk::new(seqs, records, None, now));
            self.standing = Standing::More;
        }
        is_wanted
    }

    /// Whether what was fetched for it alone waits to be sent.
    pub(super) fn has_side(&self) -> bool {
        !self.side.is_empty()
    }

    /// Lets go of what was fetched for it alone: at its next turn it wants that again.
    pub(super) fn drop_side(&mut self) {
        self.side.clear();
        self.forget_marks();
    }

    /// Sends what was fetched for it alone.
    fn send_side(&mut self, filters: &Filters, clock: WallTime, out: &mut Transmit) {
        if self.side.is_empty() {
            return;
        }
        self.send_fetched(filters, clock, out);
        self.forget_marks();
    }

    /// Marks are places in the chunks of a ring, or in one that was fetched: those may lie over each other.
    fn forget_marks(&mut self) {
        self.sent_at = Mark::default();
        self.scanned_at = Mark::default();
    }

    fn send_fetched(&mut self, filters: &Filters, clock: WallTime, out: &mut Transmit) {
        while let Some(chunk) = self.side.pop_front() {
            self.forget_marks();
            if chunk.seqs.start > self.next {
                self.lose_below(chunk.seqs.start, out);
            }
            while self.next < chunk.seqs.end {
                let wanted = self.wanted_run(&chunk, filters);
                self.unwanted = self.unwanted.saturating_add(wanted.start - self.next);
                self.next = wanted.start;
                if !wanted.is_empty() {
                    if !self.send(&chunk, wanted, clock, out) {
                        self.side.push_front(chunk);
                        return;
                    }
                    self.next = self.told;
                }
            }
        }
    }

    /// The next messages of a chunk that are wanted; empty at its end if there are none.
    fn wanted_run(&mut self, chunk: &Chunk, filters: &Filters) -> Range<Seq> {
        let chunk_end = chunk.seqs.end;
        if filters.match_all() {
            return self.next..chunk_end;
        }
        let mut is_wanted = |seq| {
            let found = chunk.record(seq, &mut self.scanned_at);
            found.is_some_and(|(at, head)| filters.matches(chunk.topic(at, &head), &mut 0))
        };
        let start = (self.next..chunk_end).find(|seq| is_wanted(*seq)).unwrap_or(chunk_end);
        let end = (start..chunk_end).find(|seq| !is_wanted(*seq)).unwrap_or(chunk_end);
        start..end
    }

    /// Tells the subscriber how far it has come although nothing was for it.
    pub(super) fn tell_position(&mut self, channel: &Channel, out: &mut Transmit) {
        let position = self.reached(channel);
        if position > self.told {
            self.skip_to(position, out);
        }
    }

    fn skip_to(&mut self, next: Seq, out: &mut Transmit) {
        out.control(&Control::Skip(Skip { request: self.request, from: self.told, next }));
        self.told = next;
    }

    /// Sends everything from where it is.
    fn send_all(&mut self, channel: &Channel, clock: WallTime, out: &mut Transmit) -> Standing {
        let visible = channel.visible();
        while self.next < visible {
            if out.len() >= TAKE_BYTES {
                return Standing::More;
            }
            let Some(chunk) = channel.ring.chunks().next_chunk(self.next) else {
                break;
            };
            self.pass_hole(chunk, out);
            let seqs = self.next..chunk.seqs.end.min(visible);
            if !self.send(chunk, seqs, clock, out) {
                return Standing::Blocked;
            }
            self.next = self.told;
        }
        self.at_end()
    }

    /// Numbers that are missing in the ring before a chunk are lost. Nothing stands before them.
    fn pass_hole(&mut self, chunk: &Chunk, out: &mut Transmit) {
        if chunk.seqs.start > self.next {
            self.lose_below(chunk.seqs.start, out);
        }
    }

    /// Sends what matches, and looks on for more.
    fn send_matching(
        &mut self,
        channel: &Channel,
        filters: &Filters,
        clock: WallTime,
        lookups: &mut u64,
        out: &mut Transmit,
    ) -> Standing {
        loop {
            if let Some(standing) = self.send_matches(channel, clock, out) {
                return standing;
            }
            if self.live || self.next >= channel.visible() {
                self.live = true;
                return self.at_end();
            }
            if self.is_blocked() {
                return Standing::Blocked;
            }
            self.scan(channel, filters, lookups, out);
            if self.matches.is_empty() && self.next < channel.visible() {
                return Standing::More;
            }
        }
    }

    fn at_end(&self) -> Standing {
        if self.is_blocked() { Standing::Blocked } else { Standing::Hungry }
    }

    /// Sends what was found to match. Says why if it has to stop before the last.
    fn send_matches(
        &mut self,
        channel: &Channel,
        clock: WallTime,
        out: &mut Transmit,
    ) -> Option<Standing> {
        while let Some(seqs) = self.matches.front().cloned() {
            if out.len() >= TAKE_BYTES {
                return Some(Standing::More);
            }
            let chunk = channel.ring.chunks().holding(seqs.start);
            if !chunk.is_some_and(|chunk| self.send(chunk, seqs, clock, out)) {
                return Some(Standing::Blocked);
            }
            if let Some(seqs) = self.matches.front_mut() {
                self.matched -= self.told - seqs.start;
                seqs.start = self.told;
                if seqs.is_empty() {
                    self.matches.pop_front();
                }
            }
        }
        None
    }

    /// Looks for matches from where it is, for a turn, or until there are as many as it has credit for.
    fn scan(
        &mut self,
        channel: &Channel,
        filters: &Filters,
        lookups: &mut u64,
        out: &mut Transmit,
    ) {
        let visible = channel.visible();
        let wanted = self.room().messages;
        while self.next < visible && self.matched < wanted && *lookups < SCAN_LOOKUPS {
            let chunk = channel.ring.chunks().next_chunk(self.next);
            let start = chunk.map_or(visible, |chunk| chunk.seqs.start);
            if start > self.next && !self.matches.is_empty() {
                // The hole is told of when what stands before it is sent.
                return;
            }
            let Some(chunk) = chunk else {
                // The ring ends with numbers that will never be in it.
                return self.lose_below(visible, out);
            };
            self.pass_hole(chunk, out);
            let end = visible.min(chunk.seqs.end);
            while self.next < end && self.matched < wanted && *lookups < SCAN_LOOKUPS {
                let Some((at, head)) = chunk.record(self.next, &mut self.scanned_at) else {
                    self.next = end;
                    break;
                };
                if filters.matches(chunk.topic(at, &head), lookups) {
                    push_seq(&mut self.matches, self.next);
                    self.matched += 1;
                }
                self.next += 1;
            }
        }
    }

    /// Sends those of `seqs` that a chunk holds, as far as credit goes; false if not even one may go.
    fn send(
        &mut self,
        chunk: &Chunk,
        seqs: Range<Seq>,
        clock: WallTime,
        out: &mut Transmit,
    ) -> bool {
        let room = self.room();
        let end = seqs.end.min(chunk.seqs.end).min(seqs.start.saturating_add(room.messages));
        match chunk.slice(seqs.start..end, room.bytes, &mut self.sent_at) {
            Some(slice) => {
                self.send_slice(slice, clock, out);
                true
            }
            None => false,
        }
    }

    fn send_slice(&mut self, slice: Slice, clock: WallTime, out: &mut Transmit) {
        let count = span(&slice.seqs);
        self.spent += Amount::new(count, cost_bytes(count, slice.record_bytes() as u64));
        let header = PublishHeader {
            from: self.told.min(slice.seqs.start),
            first_seq: slice.seqs.start,
            sent_at: clock,
            // A chunk has no more messages than bytes.
            count: count as u32,
            request: self.request,
        };
        self.told = slice.seqs.end;
        self.unwanted = 0;
        out.publish(header, slice.body, slice.tail);
    }
}

/// Adds a number to runs that it stands behind.
fn push_seq(runs: &mut VecDeque<Range<Seq>>, seq: Seq) {
    match runs.back_mut() {
        Some(last) if last.end == seq => last.end += 1,
        _ => runs.push_back(seq..seq + 1),
    }
}
