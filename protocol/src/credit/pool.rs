//! One receiver's room, shared out among all its senders.
//!
//! What is queued and what may still arrive never add up to more than the window. With one sender it gets everything.
//! With several, half of the room is spread evenly, so that a first message needs no round trip, and the other half
//! goes to those who say that messages wait, in the order in which they said so. An idle sender's credit is taken back
//! when somebody else is short.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::LinkId;
use crate::wire::{Echo, Grant};

use super::Amount;
use super::granter::Granter;

/// The room of one receiving socket, and what each of its links was given of it.
#[derive(Debug)]
pub struct Pool {
    window: Amount,
    /// The most that one message can cost: a link with fewer bytes than this may be stuck.
    message_cost_max: u64,
    paused: bool,
    /// Receive calls that wait: all the room that a window of 0 has.
    waiting: u64,
    queued: Amount,
    outstanding: Amount,
    lines: BTreeMap<LinkId, Line>,
    /// Links whose senders wait for credit, longest first.
    hungry: VecDeque<LinkId>,
    /// Links without demand that ran low.
    low: VecDeque<LinkId>,
    /// Links with a grant to send.
    due: VecDeque<LinkId>,
}

#[derive(Debug, Default)]
struct Line {
    granter: Granter,
    /// What the sender said that waits, less what it was given since.
    demand: u64,
    /// What it was given on its demand and has not used.
    fed: u64,
    in_hungry: bool,
    in_low: bool,
}

impl Pool {
    /// A window of `window.messages`, and of `window.bytes`, which must hold at least one message of the largest size.
    #[must_use]
    pub fn new(window: Amount, message_cost_max: u64) -> Self {
        Self {
            window: Amount::new(window.messages, window.bytes.max(message_cost_max)),
            message_cost_max,
            paused: false,
            waiting: 0,
            queued: Amount::ZERO,
            outstanding: Amount::ZERO,
            lines: BTreeMap::new(),
            hungry: VecDeque::new(),
            low: VecDeque::new(),
            due: VecDeque::new(),
        }
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

    /// What may still arrive on one link.
    #[must_use]
    pub fn outstanding_on(&self, link: LinkId) -> Amount {
        self.lines.get(&link).map_or(Amount::ZERO, |line| line.granter.outstanding())
    }

    /// The room there is: the window, or with a window of 0 the receive calls that wait.
    fn room(&self) -> Amount {
        match (self.paused, self.window.messages) {
            (true, _) => Amount::ZERO,
            (false, 0) => Amount::new(self.waiting, self.window.bytes),
            (false, _) => self.window,
        }
    }

    fn free(&self) -> Amount {
        self.room().saturating_sub(self.queued + self.outstanding)
    }

    /// What a link without demand may sit on.
    fn allowance(&self) -> Amount {
        let room = self.room();
        let links = self.lines.len() as u64;
        if links <= 1 {
            return room;
        }
        let each = Amount::new(room.messages / (2 * links), room.bytes / (2 * links));
        if each.messages == 0 || each.bytes < self.message_cost_max { Amount::ZERO } else { each }
    }

    /// What a link with demand is given at a time.
    fn share(&self) -> Amount {
        let room = self.room();
        let parts = 2 * (self.hungry.len() as u64).max(1);
        Amount::new((room.messages / parts).max(1), (room.bytes / parts).max(self.message_cost_max))
    }

    /// Takes a link in.
    pub fn attach(&mut self, link: LinkId) {
        self.lines.insert(link, Line::default());
        match self.lines.len() {
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
    }

    /// Lets a link go; its credit dies with it.
    pub fn detach(&mut self, link: LinkId) {
        let Some(line) = self.lines.remove(&link) else {
            return;
        };
        self.outstanding -= line.granter.outstanding();
        self.hungry.retain(|other| *other != link);
        self.low.retain(|other| *other != link);
        self.due.retain(|other| *other != link);
        if self.lines.len() == 1 {
            let alone: Vec<LinkId> = self.lines.keys().copied().collect();
            for link in alone {
                self.mark_due(link);
                self.note_low(link);
            }
        }
        self.share_out();
    }

    /// Counts what arrived on a link and is queued now. False if the sender went beyond its credit.
    #[must_use]
    pub fn receive(&mut self, link: LinkId, amount: Amount) -> bool {
        let Some(line) = self.lines.get_mut(&link) else {
            return false;
        };
        let before = line.granter.outstanding();
        if !line.granter.receive(amount) {
            return false;
        }
        let after = line.granter.outstanding();
        line.fed = line.fed.saturating_sub(amount.messages);
        self.outstanding = self.outstanding + after - before;
        self.queued += amount;
        self.note_low(link);
        self.share_out();
        self.spare(link);
        true
    }

    /// Counts what was taken out of the queue.
    pub fn release(&mut self, amount: Amount) {
        self.queued -= amount;
        self.share_out();
    }

    /// Takes a sender's word on how many messages wait for credit.
    pub fn demand(&mut self, link: LinkId, waiting: u64) {
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        line.demand = waiting;
        if waiting == 0 {
            line.fed = 0;
        }
        if waiting > 0 && !line.in_hungry {
            line.in_hungry = true;
            self.hungry.push_back(link);
        }
        self.share_out();
        if !self.hungry.is_empty() {
            self.take_back();
            self.share_out();
        }
    }

    /// Takes an echo. False if it lies.
    #[must_use]
    pub fn echo(&mut self, link: LinkId, echo: Echo) -> bool {
        let Some(line) = self.lines.get_mut(&link) else {
            return false;
        };
        let before = line.granter.outstanding();
        if !line.granter.handle_echo(echo) {
            return false;
        }
        let after = line.granter.outstanding();
        self.outstanding = self.outstanding + after - before;
        self.share_out();
        true
    }

    /// Sets the window; a lower one is complete once the senders have echoed it.
    pub fn set_window(&mut self, window: Amount) {
        self.window = Amount::new(window.messages, window.bytes.max(self.message_cost_max));
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

    /// The next link that has a grant to send.
    pub fn poll_due(&mut self) -> Option<LinkId> {
        self.due.pop_front()
    }

    /// The grant to send on a link, if there is a new one.
    pub fn poll_grant(&mut self, link: LinkId) -> Option<Grant> {
        let contended = self.lines.len() > 1;
        self.lines.get_mut(&link)?.granter.poll_grant(contended)
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
        let links: Vec<LinkId> = self.lines.keys().copied().collect();
        for link in links {
            self.note_low(link);
        }
        self.share_out();
    }

    fn mark_due(&mut self, link: LinkId) {
        if let Some(line) = self.lines.get_mut(&link) {
            if !line.granter.is_due() {
                self.due.push_back(link);
            }
            line.granter.mark_due();
        }
    }

    /// Remembers a link that has used up half of what it may sit on.
    fn note_low(&mut self, link: LinkId) {
        let allowance = self.allowance();
        if let Some(line) = self.lines.get_mut(&link)
            && !line.in_low
            && runs_low(line.granter.intended(), allowance, self.message_cost_max)
        {
            line.in_low = true;
            self.low.push_back(link);
        }
    }

    /// Gives what is free to those who wait, then to those who ran low.
    fn share_out(&mut self) {
        for _ in 0..self.hungry.len() {
            let Some(link) = self.hungry.front().copied() else {
                break;
            };
            if !self.feed(link) {
                break;
            }
        }
        for _ in 0..self.low.len() {
            let spare = self.hungry.is_empty() || self.free().messages > self.share().messages;
            if !spare || self.free().messages == 0 {
                break;
            }
            if let Some(link) = self.low.pop_front() {
                self.top_up(link);
            }
        }
    }

    /// Gives the first hungry link its share. False if there is too little free.
    fn feed(&mut self, link: LinkId) -> bool {
        let (free, share) = (self.free(), self.share());
        let Some(line) = self.lines.get_mut(&link) else {
            self.hungry.pop_front();
            return true;
        };
        let intended = line.granter.intended();
        let short_of_bytes = intended.messages > 0 && intended.bytes < self.message_cost_max;
        let wanted = share.messages.min(line.demand);
        let messages = if short_of_bytes { 0 } else { wanted };
        let by = Amount::new(messages, share.bytes).min(free);
        let stuck = intended.bytes + by.bytes < self.message_cost_max;
        if wanted > 0 && (stuck || by.messages < (messages / 4).max(messages.min(1))) {
            return false;
        }
        self.hungry.pop_front();
        line.demand -= by.messages;
        line.fed += by.messages;
        line.in_hungry = line.demand > 0;
        if line.in_hungry {
            self.hungry.push_back(link);
        }
        if wanted > 0 {
            self.give(link, by);
        }
        true
    }

    /// Fills a link up to its allowance if there is enough free to bother, and remembers it if that was not enough.
    fn top_up(&mut self, link: LinkId) {
        let (free, allowance) = (self.free(), self.allowance());
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        line.in_low = false;
        let intended = line.granter.intended();
        if allowance.fits(intended) {
            return;
        }
        let by = allowance.saturating_sub(intended).min(free);
        let starving = self.queued.messages == 0 && by.messages > 0;
        let worthwhile = starving
            || by.messages >= (allowance.messages / 4).max(1)
            || by.bytes >= allowance.bytes / 4;
        let stuck = intended.bytes + by.bytes < self.message_cost_max;
        let given = worthwhile && !stuck && by != Amount::ZERO;
        if given {
            self.give(link, by);
        }
        if (!given || by != allowance.saturating_sub(intended))
            && let Some(line) = self.lines.get_mut(&link)
        {
            line.in_low = true;
            self.low.push_back(link);
        }
    }

    fn give(&mut self, link: LinkId, by: Amount) {
        self.mark_due(link);
        if let Some(line) = self.lines.get_mut(&link) {
            let before = line.granter.outstanding();
            line.granter.raise(by);
            self.outstanding = self.outstanding + line.granter.outstanding() - before;
        }
    }

    /// Takes from every link what somebody else needs more; if there is less room than was given away, from all.
    fn take_back(&mut self) {
        let (room, links) = (self.room(), (self.lines.len() as u64).max(1));
        let left = room.saturating_sub(self.queued);
        let over = !(self.queued + self.outstanding).fits(room);
        let even = Amount::new(left.messages / links, left.bytes / links);
        let ids: Vec<LinkId> = self.lines.keys().copied().collect();
        for link in ids {
            match self.spared(link) {
                _ if over => self.lower(link, self.allowance().min(even)),
                Some(keep) => self.lower(link, keep),
                None => {}
            }
        }
    }

    /// Takes from a link what it does not need, if somebody waits for room.
    fn spare(&mut self, link: LinkId) {
        if !self.hungry.is_empty()
            && let Some(keep) = self.spared(link)
        {
            self.lower(link, keep);
            self.share_out();
        }
    }

    /// What a link may keep while another waits for room; `None`: all that it has, because it is about to use it.
    ///
    /// A link that waits itself, and perhaps has too few bytes for its next message, gives them back until it is its
    /// turn: several such links could hold all bytes between them and wait for ever.
    fn spared(&self, link: LinkId) -> Option<Amount> {
        let line = self.lines.get(&link)?;
        if line.demand == 0 {
            return (line.fed == 0).then(|| self.allowance());
        }
        let stuck = line.granter.intended().bytes < self.message_cost_max;
        (stuck && self.hungry.front() != Some(&link)).then_some(Amount::ZERO)
    }

    fn lower(&mut self, link: LinkId, keep: Amount) {
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        let was_due = line.granter.is_due();
        let before = line.granter.outstanding();
        if !line.granter.intended().fits(keep) && line.granter.lower(keep) {
            self.outstanding = self.outstanding + line.granter.outstanding() - before;
            // What it was given because it waits, it waits for again.
            let unfed = line.fed.saturating_sub(keep.messages);
            line.fed -= unfed;
            line.demand = line.demand.saturating_add(unfed);
            if line.demand > 0 && !std::mem::replace(&mut line.in_hungry, true) {
                self.hungry.push_back(link);
            }
            if !was_due {
                self.due.push_back(link);
            }
        }
    }
}

/// Whether a link is at half of its allowance or less, or could not send one large message.
fn runs_low(intended: Amount, allowance: Amount, message_cost_max: u64) -> bool {
    allowance.messages > 0
        && (intended.messages <= allowance.messages / 2
            || intended.bytes < allowance.bytes / 2
            || intended.bytes < message_cost_max)
        && !allowance.fits(intended)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST_MAX: u64 = 100;
    const A: LinkId = LinkId(1);
    const B: LinkId = LinkId(2);

    fn pool(messages: u64) -> Pool {
        Pool::new(Amount::new(messages, 1_000_000), COST_MAX)
    }

    fn granted(pool: &mut Pool, link: LinkId) -> u64 {
        pool.poll_grant(link).expect("a grant is due").messages
    }

    #[test]
    fn one_sender_gets_exactly_the_room() {
        let mut pool = pool(7);
        pool.attach(A);
        assert_eq!(pool.poll_due(), Some(A));
        assert_eq!(granted(&mut pool, A), 7);
        assert!(pool.receive(A, Amount::new(7, 70)));
        assert!(!pool.receive(A, Amount::new(1, 10)), "beyond the window");
    }

    #[test]
    fn a_window_of_one_goes_to_the_sender_with_work() {
        let mut pool = pool(1);
        pool.attach(A);
        assert_eq!(granted(&mut pool, A), 1);
        pool.attach(B);
        pool.demand(B, 3);
        let lowered = pool.poll_grant(A).unwrap();
        assert_eq!(lowered.messages, 0, "A is idle and sits on the only room");
        assert_eq!(pool.outstanding_on(B), Amount::ZERO, "not before A has echoed");
        assert!(pool.echo(A, Echo { serial: lowered.serial, messages: 0, bytes: 0 }));
        assert_eq!(granted(&mut pool, B), 1);
    }

    #[test]
    fn a_window_of_zero_has_the_room_of_the_calls_that_wait() {
        let mut pool = pool(0);
        pool.attach(A);
        assert!(pool.poll_grant(A).is_none());
        pool.set_waiting(1);
        assert_eq!(granted(&mut pool, A), 1);
        pool.set_waiting(0);
        assert_eq!(granted(&mut pool, A), 0, "a cancelled call takes its credit back");
        assert!(pool.receive(A, Amount::new(1, 10)), "it raced the cancellation");
        pool.set_waiting(1);
        assert!(pool.poll_grant(A).is_none(), "the one that waits is for this call");
        pool.set_waiting(0);
        pool.release(Amount::new(1, 10));
        assert!(pool.poll_grant(A).is_none());
    }

    #[test]
    fn pausing_takes_everything_back_and_resuming_gives_it_again() {
        let mut pool = pool(10);
        pool.attach(A);
        assert_eq!(granted(&mut pool, A), 10);
        pool.set_paused(true);
        let lowered = pool.poll_grant(A).unwrap();
        assert_eq!(lowered.messages, 0);
        assert!(pool.echo(A, Echo { serial: lowered.serial, messages: 0, bytes: 0 }));
        pool.set_paused(false);
        assert_eq!(granted(&mut pool, A), 10);
    }

    #[test]
    fn credit_of_a_lost_link_goes_to_the_others() {
        let mut pool = pool(8);
        pool.attach(A);
        pool.attach(B);
        assert!(pool.receive(A, Amount::new(3, 30)));
        pool.detach(A);
        assert_eq!(pool.outstanding_on(B).messages + pool.queued().messages, 8);
    }

    #[test]
    fn a_window_filled_by_messages_taken_one_by_one_is_granted_in_batches() {
        let mut pool = pool(100);
        pool.attach(A);
        granted(&mut pool, A);
        assert!(pool.receive(A, Amount::new(100, 1_000)));
        let grants = (0..100).filter(|_| {
            pool.release(Amount::new(1, 10));
            pool.poll_grant(A).is_some()
        });
        assert!(grants.count() <= 5);
        assert_eq!(pool.outstanding_on(A).messages, 100, "all of it in the end");
    }
}
