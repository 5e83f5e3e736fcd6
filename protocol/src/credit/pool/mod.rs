//! One receiver's room, shared out among all its senders.
//!
//! What is queued and what may still arrive never add up to more than the window. With one sender it gets everything.
//! With several, half of the room is spread evenly, so that a first message needs no round trip, and the other half
//! goes to those who say that messages wait, the better levels first, and within one in the order in which they said so. An
//! idle sender's credit is taken back when somebody else is short, or comes without finding any left.

mod holders;
mod review;
mod share;
#[cfg(test)]
mod tests;
mod wants;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Add;
use std::time::Duration;

use crate::ids::{LinkId, Priority};
use crate::limits::COUNTED_CREDIT_MAX;
use crate::time::Time;
use crate::wire::{Demand, Echo, Grant};

use super::granter::Granter;
use super::{Amount, Want};

use review::Seen;
pub(crate) use review::UNANSWERED;
use wants::Wants;

/// The room of one receiving socket, and what each of its links was given of it.
#[derive(Debug)]
pub struct Pool {
    window: Amount,
    /// The most that one message can cost: a link with fewer bytes than this may be stuck.
    message_cost_max: u64,
    /// All senders are answered when they say that something waits: they have other receivers to turn to.
    answers: bool,
    paused: bool,
    /// Receive calls that wait: all the room that a window of 0 has.
    waiting: u64,
    /// Of a streamer: what was granted to it, which is all the room that there is.
    forwarded: Option<Amount>,
    queued: Amount,
    outstanding: Amount,
    lines: BTreeMap<LinkId, Line>,
    /// Links whose senders wait for credit: the best level first, in it the one that has waited longest.
    hungry: VecDeque<LinkId>,
    /// Links without demand that ran low.
    low: VecDeque<LinkId>,
    /// Links whose senders asked and were not answered.
    askers: VecDeque<LinkId>,
    /// Links with a grant to send.
    due: VecDeque<LinkId>,
    /// Links on which something may still arrive.
    holders: BTreeSet<LinkId>,
    /// What all senders want together.
    wants: Wants,
    /// The least that links might sit on since all of them were looked at for whether they have less.
    eased: Amount,
    /// Room has become free since it was shared out last.
    freed: bool,
    review_at: Option<Time>,
}

/// A sender whose question is not answered for so long goes elsewhere for that reason. Rooms that are given back at all are
/// given back within a round trip or two.
const IMPATIENT_AFTER: Duration = Duration::from_millis(100);

/// So few links are all looked at whenever the room changes.
const FEW: usize = 64;

#[derive(Debug, Default)]
struct Line {
    granter: Granter,
    priority: Priority,
    /// What the sender said that waits, less what it was given since.
    demand: u64,
    /// What it was given on its demand and has not used.
    fed: u64,
    /// What of both is counted among what all want.
    counted: Want,
    in_hungry: bool,
    in_low: bool,
    in_askers: bool,
    /// How often the sender has said what waits, and how often of that it needs no answer any more.
    heard: u64,
    answered: u64,
    /// Since when it waits to hear whether there is room.
    asks: Option<Time>,
    /// It asked, and was out of patience before it was answered.
    gave_up: bool,
    /// What is taken back from it did not come in time for somebody who asked.
    slow: bool,
    /// The most that it may have, if not all of the room is for it.
    cap: Option<Amount>,
    /// It is given nothing for now.
    is_held: bool,
    seen: Seen,
}

impl Line {
    /// What it may be given beside what it has.
    fn left(&self) -> Option<Amount> {
        self.cap.map(|cap| cap.saturating_sub(self.granter.intended()))
    }

    /// What its sender wants, of credit that it may have.
    const fn want(&self) -> Want {
        Want { waiting: if self.is_held { 0 } else { self.demand }, given: self.fed }
    }
}

impl Pool {
    /// A window of `window.messages`, and of `window.bytes`, which must hold at least one message of the largest size.
    #[must_use]
    pub fn new(window: Amount, message_cost_max: u64) -> Self {
        Self {
            window: bounded(window, message_cost_max),
            message_cost_max,
            answers: false,
            paused: false,
            waiting: 0,
            forwarded: None,
            queued: Amount::ZERO,
            outstanding: Amount::ZERO,
            lines: BTreeMap::new(),
            hungry: VecDeque::new(),
            low: VecDeque::new(),
            askers: VecDeque::new(),
            due: VecDeque::new(),
            holders: BTreeSet::new(),
            wants: Wants::default(),
            eased: Amount::ZERO,
            freed: false,
            review_at: None,
        }
    }

    /// The same, for senders that have other receivers to turn to if this one has no room: each demand is answered with a
    /// grant, at once or when what is being taken back from others has come, and what is free is given in any amount.
    #[must_use]
    pub fn that_answers(window: Amount, message_cost_max: u64) -> Self {
        Self { answers: true, ..Self::new(window, message_cost_max) }
    }

    /// The window.
    #[must_use]
    pub const fn window(&self) -> Amount {
        self.window
    }

    /// Messages and bytes that have arrived and have not been taken.
    #[must_use]
    pub const fn queued(&self) -> Amount {
        self.queued
    }

    /// What may still arrive, over all links.
    #[must_use]
    pub const fn outstanding(&self) -> Amount {
        self.outstanding
    }

    /// What nobody uses or waits for: free, or granted to senders that have nothing to send as far as is known, beyond what
    /// such ones may sit on.
    #[must_use]
    pub fn unused(&self) -> Amount {
        let allowance = self.allowance();
        let taken = self.lines.values().map(|line| match line.granter.outstanding() {
            outstanding if line.demand > 0 || line.fed > 0 => outstanding,
            idle => idle.min(allowance),
        });
        self.room().saturating_sub(taken.fold(self.queued, Amount::add))
    }

    /// What may still arrive on one link.
    #[must_use]
    pub fn outstanding_on(&self, link: LinkId) -> Amount {
        self.lines.get(&link).map_or(Amount::ZERO, |line| line.granter.outstanding())
    }

    /// The room there is: the window, with a window of 0 the receive calls that wait, of a streamer what was granted to it;
    /// none while paused.
    fn room(&self) -> Amount {
        match (self.paused, self.window.messages) {
            (true, _) => Amount::ZERO,
            (false, _) if self.forwarded.is_some() => self.forwarded.unwrap_or_default(),
            (false, 0) => Amount::new(self.waiting, self.window.bytes),
            (false, _) => self.window,
        }
    }

    fn free(&self) -> Amount {
        self.room().saturating_sub(self.queued + self.outstanding)
    }

    /// What a link without demand may sit on while others wait.
    fn allowance(&self) -> Amount {
        let room = self.room();
        let links = self.lines.len() as u64;
        if links <= 1 {
            return room;
        }
        let each = Amount::new(room.messages / (2 * links), room.bytes / (2 * links));
        if each.messages == 0 || each.bytes < self.message_cost_max { Amount::ZERO } else { each }
    }

    /// What a link without demand is given while nobody waits: its allowance, or if that is nothing, room for one message as
    /// long as there is as much for all.
    fn ease(&self) -> Amount {
        let (allowance, room) = (self.allowance(), self.room());
        let links = self.lines.len() as u64;
        let one = Amount::new(1, self.message_cost_max);
        let for_all = Amount::new(links, links.saturating_mul(one.bytes));
        if allowance == Amount::ZERO && for_all.fits(room) { one } else { allowance }
    }

    /// The same for one link, which may not be for all of the room.
    fn ease_of(&self, link: LinkId) -> Amount {
        let line = self.lines.get(&link);
        match line.and_then(|line| line.cap) {
            _ if line.is_some_and(|line| line.is_held) => Amount::ZERO,
            None => self.ease(),
            // Bytes are of no use without a message to put them in.
            Some(cap) if cap.messages == 0 => Amount::ZERO,
            Some(cap) => cap.min(self.ease()),
        }
    }

    /// What a link with demand is given at a time.
    fn share(&self) -> Amount {
        let room = self.room();
        let parts = 2 * (self.hungry.len() as u64).max(1);
        Amount::new((room.messages / parts).max(1), (room.bytes / parts).max(self.message_cost_max))
    }

    /// Takes a link in, whose sender is of the best level.
    pub fn attach(&mut self, link: LinkId) {
        self.attach_at(link, Priority::BEST);
    }

    /// Takes a link in. While senders of several levels wait for room, that of the best gets it.
    pub fn attach_at(&mut self, link: LinkId, priority: Priority) {
        self.lines.insert(link, Line { priority, ..Line::default() });
        self.eased = self.eased.min(self.ease());
        match self.lines.len() {
            1 if self.answers => self.mark_due(link),
            // A streamer asks for what senders ask of it, so it has to know.
            1 if self.forwarded.is_some() => self.mark_due(link),
            1 => {}
            // From now on senders have to say what waits.
            2 => self
                .lines
                .keys()
                .copied()
                .collect::<Vec<_>>()
                .into_iter()
                .for_each(|link| self.mark_due(link)),
            _ => self.mark_due(link),
        }
        self.note_low(link);
        self.share_out();
        if self.is_starved(link) {
            self.even_out();
        }
        self.answer();
    }

    /// Lets a link go; its credit dies with it.
    pub fn detach(&mut self, link: LinkId) {
        let Some(line) = self.lines.remove(&link) else {
            return;
        };
        self.outstanding -= line.granter.outstanding();
        self.holders.remove(&link);
        self.wants.replace(line.counted, Want::NOTHING);
        self.hungry.retain(|other| *other != link);
        self.low.retain(|other| *other != link);
        self.askers.retain(|other| *other != link);
        self.due.retain(|other| *other != link);
        if self.lines.len() == 1 {
            let alone: Vec<LinkId> = self.lines.keys().copied().collect();
            for link in alone {
                self.mark_due(link);
                self.note_low(link);
            }
        }
        self.share_out();
        self.answer();
    }

    /// Whether so much may come on a link.
    pub(crate) fn allows(&self, link: LinkId, amount: Amount) -> bool {
        self.lines.get(&link).is_some_and(|line| line.granter.allows(amount))
    }

    /// Counts what arrived on a link and is queued now. False if the sender went beyond its credit.
    #[must_use]
    pub fn receive(&mut self, link: LinkId, amount: Amount) -> bool {
        let received = self.change_credit(link, |line| {
            let received = line.granter.receive(amount);
            if received {
                line.fed = line.fed.saturating_sub(amount.messages);
            }
            received
        });
        if received != Some(true) {
            return false;
        }
        self.queued += amount;
        self.count_want(link);
        self.note_low(link);
        self.share_out();
        self.spare(link);
        self.answer();
        true
    }

    /// Counts what was taken out of the queue. Its room is shared out, once for many, when somebody looks.
    #[inline]
    pub fn release(&mut self, amount: Amount) {
        self.queued -= amount;
        self.freed = true;
    }

    /// Takes a sender's word on how many messages wait for credit.
    pub fn demand(&mut self, link: LinkId, demand: Demand, now: Time) {
        let waiting = demand.waiting;
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        line.demand = waiting;
        line.heard += 1;
        match waiting {
            0 => {
                line.fed = 0;
                // One that goes elsewhere sooner may just have found room there.
                let asked = line.asks.take();
                line.gave_up |= asked.is_some_and(|asked| now >= asked + IMPATIENT_AFTER);
            }
            _ => {
                self.line_up(link);
                if self.answers || demand.asks {
                    self.note_question(link, now);
                }
            }
        }
        self.count_want(link);
        self.share_out();
        if !self.hungry.is_empty() {
            self.relieve();
        } else if waiting == 0 && self.low.iter().any(|other| self.is_starved(*other)) {
            self.lower(link, self.ease());
        }
        self.answer();
    }

    /// Takes an echo. False if it lies.
    #[must_use]
    pub fn echo(&mut self, link: LinkId, echo: Echo) -> bool {
        let heard = self.change_credit(link, |line| {
            let heard = line.granter.handle_echo(echo);
            if heard {
                line.slow &= line.granter.is_returning();
            }
            heard
        });
        if heard != Some(true) {
            return false;
        }
        self.share_out();
        if self.is_short_of_what_comes() {
            self.relieve();
        }
        self.answer();
        true
    }

    /// Sets the window; a lower one is complete once the senders have echoed it.
    pub fn set_window(&mut self, window: Amount) {
        self.window = bounded(window, self.message_cost_max);
        self.resize();
    }

    /// Stops granting and takes back what was granted, or goes on.
    pub fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
        self.resize();
    }

    /// How many receive calls wait. Only a window of 0 depends on it.
    pub fn set_waiting(&mut self, waiting: u64) {
        if self.waiting != waiting {
            self.waiting = waiting;
            if self.window.messages == 0 {
                self.resize();
            }
        }
    }

    /// Sets the room of a streamer: what was granted to it; and what has arrived and still waits to be passed on.
    pub(crate) fn forward(&mut self, room: Amount, waiting: Amount) {
        if self.forwarded != Some(room) || self.queued != waiting {
            self.forwarded = Some(room);
            self.queued = waiting;
            self.resize();
        }
    }

    /// Sets the room of a router as that of a streamer, and lets these links have so much of it at the most. Links that
    /// were never named may have all of it.
    pub(crate) fn forward_capped(
        &mut self,
        room: Amount,
        waiting: Amount,
        caps: impl Iterator<Item = (LinkId, Amount)>,
    ) {
        let mut changed = self.forwarded != Some(room) || self.queued != waiting;
        self.forwarded = Some(room);
        self.queued = waiting;
        let mut capped = Vec::new();
        for (link, cap) in caps {
            if let Some(line) = self.lines.get_mut(&link).filter(|line| line.cap != Some(cap)) {
                line.cap = Some(cap);
                changed = true;
                self.lower(link, cap);
                capped.push(link);
            }
        }
        if changed {
            self.resize();
            // Of very many links it may not have looked at those that may have more now.
            let before = self.low.len();
            capped.into_iter().for_each(|link| self.note_low(link));
            if self.low.len() > before {
                self.share_out();
            }
        }
    }

    /// Gives a link nothing more than it has, or its share again.
    pub(crate) fn set_held(&mut self, link: LinkId, is_held: bool) {
        let Some(line) = self.lines.get_mut(&link).filter(|line| line.is_held != is_held) else {
            return;
        };
        line.is_held = is_held;
        if is_held {
            (line.in_hungry, line.in_low) = (false, false);
            self.hungry.retain(|other| *other != link);
            self.low.retain(|other| *other != link);
        } else {
            if line.demand > 0 {
                self.line_up(link);
            }
            self.note_low(link);
        }
        self.count_want(link);
        self.share_out();
        if !is_held && !self.hungry.is_empty() {
            // All of the room may be with those that need none of it now.
            self.relieve();
        }
        self.answer();
    }

    /// Whether somebody waits for room while one of these links has some that it was given because it asked.
    pub(crate) fn waits_for(&self, mut links: impl Iterator<Item = LinkId>) -> bool {
        !self.hungry.is_empty()
            && links.any(|link| self.lines.get(&link).is_some_and(|line| line.fed > 0))
    }

    /// These links may not be about to use what they were given because they asked: it is taken back, and they wait behind
    /// all others of their level.
    pub(crate) fn doubt(&mut self, links: impl Iterator<Item = LinkId>) {
        let is_fed = |link: &LinkId| self.lines.get(link).is_some_and(|line| line.fed > 0);
        let fed: Vec<LinkId> = links.filter(is_fed).collect();
        self.put_behind(fed);
    }

    /// Takes all from links that may still be taken back; they wait behind all others of their levels.
    fn put_behind(&mut self, links: Vec<LinkId>) {
        for link in links {
            self.lower(link, Amount::ZERO);
            if let Some(line) = self.lines.get_mut(&link)
                && std::mem::take(&mut line.in_hungry)
            {
                self.hungry.retain(|other| *other != link);
                self.line_up(link);
            }
        }
        self.share_out();
        self.answer();
    }

    /// The next link that has a grant to send.
    #[inline]
    pub fn poll_due(&mut self) -> Option<LinkId> {
        self.share_out_freed();
        self.due.pop_front()
    }

    #[inline]
    fn share_out_freed(&mut self) {
        if std::mem::take(&mut self.freed) {
            self.share_out();
            self.answer();
        }
    }

    /// The grant to send on a link, if there is a new one.
    pub fn poll_grant(&mut self, link: LinkId) -> Option<Grant> {
        self.share_out_freed();
        let contended = self.lines.len() > 1 || self.forwarded.is_some();
        let line = self.lines.get_mut(&link)?;
        if line.asks.is_none() {
            line.answered = line.heard;
        }
        line.granter.poll_grant(contended, line.answered)
    }

    /// The same, if it takes something away: that is to be said before messages are given back, which the sender would send
    /// again on that credit.
    pub fn poll_lowered(&mut self, link: LinkId) -> Option<Grant> {
        let is_lowering = self.lines.get(&link).is_some_and(|line| line.granter.is_lowering());
        if is_lowering { self.poll_grant(link) } else { None }
    }

    /// Says the grant of a link again, which does no harm.
    pub fn repeat_grant(&mut self, link: LinkId) -> Option<Grant> {
        self.lines.get_mut(&link)?.granter.mark_due();
        self.poll_grant(link)
    }

    /// After the room has changed.
    fn resize(&mut self) {
        let over = (self.queued + self.outstanding).saturating_sub(self.room());
        if over != Amount::ZERO {
            self.take_back();
        }
        self.note_low_ones();
        self.share_out();
        if self.sits_idle() {
            self.relieve();
        }
        self.answer();
    }

    fn mark_due(&mut self, link: LinkId) {
        if let Some(line) = self.lines.get_mut(&link) {
            if !line.granter.is_due() {
                self.due.push_back(link);
            }
            line.granter.mark_due();
        }
    }

    /// Remembers all links that have used up half of what they may sit on now. Those of very many are looked at only once that
    /// has doubled: none of them has nothing before, and each is looked at when it uses something.
    fn note_low_ones(&mut self) {
        let (ease, before) = (self.ease(), self.eased);
        let twice = Amount::new(before.messages.saturating_mul(2), before.bytes.saturating_mul(2));
        if self.lines.len() > FEW && ease.fits(twice) {
            self.eased = before.min(ease);
            return;
        }
        self.eased = ease;
        let links: Vec<LinkId> = self.lines.keys().copied().collect();
        links.into_iter().for_each(|link| self.note_low(link));
    }

    /// Remembers a link that has used up half of what it may sit on.
    fn note_low(&mut self, link: LinkId) {
        let ease = self.ease_of(link);
        if let Some(line) = self.lines.get_mut(&link)
            && !line.in_low
            && runs_low(line.granter.intended(), ease, self.message_cost_max)
        {
            line.in_low = true;
            self.low.push_back(link);
        }
    }
}

/// A window that holds at least one message, and whose parts can be added up.
fn bounded(window: Amount, message_cost_max: u64) -> Amount {
    let most = Amount::new(COUNTED_CREDIT_MAX, COUNTED_CREDIT_MAX);
    window.min(most).max(Amount::new(0, message_cost_max))
}

/// Whether a link is at half of its allowance or less, or could not send one large message.
fn runs_low(intended: Amount, allowance: Amount, message_cost_max: u64) -> bool {
    allowance.messages > 0
        && (intended.messages <= allowance.messages / 2
            || intended.bytes < allowance.bytes / 2
            || intended.bytes < message_cost_max)
        && !allowance.fits(intended)
}
