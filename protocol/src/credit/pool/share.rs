//! Who gets what is free, and who has to give back.

use std::ops::Add;

use crate::credit::Amount;
use crate::ids::LinkId;
use crate::time::Time;

use super::Pool;

impl Pool {
    /// Gives what is free to those who wait, then to those who ran low.
    pub(super) fn share_out(&mut self) {
        for _ in 0..self.hungry.len() {
            let Some(link) = self.hungry.front().copied() else {
                break;
            };
            if !self.feed(link) {
                break;
            }
        }
        for _ in 0..self.low.len() {
            let free = self.free().messages;
            let is_spare = self.hungry.is_empty()
                || (free > self.share().messages && self.allowance() != Amount::ZERO);
            if !is_spare || free == 0 {
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
        // More bytes than its messages can take are of no use to it, and others may need them.
        let bytes_max = (intended.messages + messages).saturating_mul(self.message_cost_max);
        let bytes = share.bytes.min(bytes_max.saturating_sub(intended.bytes));
        let mut by = Amount::new(messages, bytes).min(free);
        if let Some(left) = line.left() {
            by = by.min(left);
            let has_no_more = (messages > 0 && left.messages == 0)
                || intended.bytes + left.bytes < self.message_cost_max;
            if wanted > 0 && has_no_more {
                // There is no more for it; others need not wait for it.
                self.hungry.rotate_left(1);
                return true;
            }
        }
        let stuck = intended.bytes + by.bytes < self.message_cost_max;
        let least = if self.answers || line.asks.is_some() { 0 } else { messages / 4 };
        if wanted > 0 && (stuck || by.messages < least.max(messages.min(1))) {
            return false;
        }
        self.hungry.pop_front();
        line.demand -= by.messages;
        line.fed += by.messages;
        line.in_hungry = false;
        let waits_on = line.demand > 0;
        if wanted > 0 {
            // One that wants more has its answer once nothing comes back any more.
            line.asks = line.asks.filter(|_| waits_on);
            self.give(link, by);
        }
        self.count_want(link);
        if waits_on {
            self.line_up(link);
        }
        true
    }

    /// Puts a link among those that wait, behind all of its level.
    pub(super) fn line_up(&mut self, link: LinkId) {
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        if line.is_held || std::mem::replace(&mut line.in_hungry, true) {
            return;
        }
        let own = line.priority;
        let level = |link: &LinkId| self.lines.get(link).map_or(own, |line| line.priority);
        let at = match self.hungry.back() {
            Some(last) if level(last) > own => self.hungry.partition_point(|l| level(l) <= own),
            _ => self.hungry.len(),
        };
        self.hungry.insert(at, link);
    }

    /// Fills a link up to what it may sit on if there is enough free to bother, and remembers it if that was not enough.
    fn top_up(&mut self, link: LinkId) {
        let (free, allowance) = (self.free(), self.ease_of(link));
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
        self.change_credit(link, |line| line.granter.raise(by));
    }

    /// Takes from links what somebody else needs more; if there is less room than was given away, from all.
    pub(super) fn take_back(&mut self) {
        let (room, links) = (self.room(), (self.lines.len() as u64).max(1));
        let left = room.saturating_sub(self.queued);
        let over = !(self.queued + self.outstanding).fits(room);
        let even = Amount::new(left.messages / links, left.bytes / links);
        // Where none may sit on anything, no more than is needed: the rest would be given back to them right after.
        let needed = (!over && self.allowance() == Amount::ZERO).then(|| self.needed());
        let mut coming = self.free() + self.coming();
        let ids: Vec<LinkId> = self.holders.iter().copied().collect();
        for link in ids {
            if needed.is_some_and(|needed| needed.fits(coming)) {
                break;
            }
            let before = self.intended(link);
            match self.spared(link) {
                _ if over => self.lower(link, self.allowance().min(even)),
                Some(keep) => self.lower(link, keep),
                None => {}
            }
            coming += before.saturating_sub(self.intended(link));
        }
    }

    /// Takes from links what somebody else needs more, and gives what that sets free to those who wait.
    pub(super) fn relieve(&mut self) {
        self.take_back();
        self.share_out();
    }

    /// Takes from all who sit on more than others could have.
    pub(super) fn even_out(&mut self) {
        let ease = self.ease();
        let idle = self.holding().filter(|(_, line)| line.demand == 0 && line.fed == 0);
        let ids: Vec<LinkId> = idle.map(|(id, _)| id).collect();
        ids.into_iter().for_each(|link| self.lower(link, ease));
        self.share_out();
    }

    /// Whether a link has nothing although it should have something.
    pub(super) fn is_starved(&self, link: LinkId) -> bool {
        let intended = self.intended(link);
        let has_none = intended.messages == 0 || intended.bytes < self.message_cost_max;
        has_none && self.hungry.is_empty() && self.ease() != Amount::ZERO && self.room_is_given()
    }

    /// Whether there is too little free for a message although the queue leaves room for one.
    fn room_is_given(&self) -> bool {
        let one = Amount::new(1, self.message_cost_max);
        !one.fits(self.free()) && one.fits(self.room().saturating_sub(self.queued))
    }

    fn intended(&self, link: LinkId) -> Amount {
        self.lines.get(&link).map_or(Amount::ZERO, |line| line.granter.intended())
    }

    /// What those who wait want, at the least: what all want who are not held back.
    fn needed(&self) -> Amount {
        let bytes = self.message_cost_max.saturating_mul(self.hungry.len() as u64);
        Amount::new(self.want().waiting, bytes)
    }

    /// What was taken away from links that have not said so yet.
    fn coming(&self) -> Amount {
        let intended = self.holding().map(|(_, line)| line.granter.intended());
        self.outstanding.saturating_sub(intended.fold(Amount::ZERO, Amount::add))
    }

    /// Whether somebody waits for room, and what was taken back for that did not suffice.
    pub(super) fn is_short_of_what_comes(&self) -> bool {
        self.allowance() == Amount::ZERO
            && !self.hungry.is_empty()
            && self.coming().messages == 0
            && self.free().messages == 0
    }

    /// Whether somebody waits for room while all of it is granted, and nothing of that is on its way back: where the room has
    /// become less, what others sit on may be more than they may now.
    pub(super) fn sits_idle(&self) -> bool {
        let one = Amount::new(1, self.message_cost_max);
        !self.hungry.is_empty() && !one.fits(self.free()) && self.coming() == Amount::ZERO
    }

    /// A sender says that messages wait: where it has others to turn to, it waits for an answer.
    pub(super) fn note_question(&mut self, link: LinkId, now: Time) {
        let Some(line) = self.lines.get_mut(&link) else {
            return;
        };
        if line.asks.is_none() {
            line.asks = Some(now);
            // It may have taken back a question that was not answered yet.
            if !std::mem::replace(&mut line.in_askers, true) {
                self.askers.push_back(link);
            }
        }
        if std::mem::take(&mut line.gave_up) {
            // Nobody waits twice for what does not come.
            for line in self.lines.values_mut() {
                line.slow |= line.granter.is_returning();
            }
        }
    }

    /// Tells those who ask that there is nothing for them, unless something comes back from others.
    pub(super) fn answer(&mut self) {
        if self.askers.is_empty()
            || self.holding().any(|(_, line)| line.granter.is_returning() && !line.slow)
        {
            return;
        }
        while let Some(link) = self.askers.pop_front() {
            let Some(line) = self.lines.get_mut(&link) else {
                continue;
            };
            line.in_askers = false;
            if line.asks.take().is_some() {
                self.mark_due(link);
            }
        }
    }

    /// Takes from a link what it does not need, if somebody waits for room.
    pub(super) fn spare(&mut self, link: LinkId) {
        if !self.hungry.is_empty()
            && let Some(keep) = self.spared(link)
        {
            self.lower(link, keep);
            self.share_out();
        }
    }

    /// What a link may keep while another waits for room: what it may sit on, and what it needs for messages that it told
    /// of; `None`: all that it has.
    ///
    /// A link that waits itself, and perhaps has too few bytes for its next message, gives them back until it is its
    /// turn: several such links could hold all bytes between them and wait for ever.
    fn spared(&self, link: LinkId) -> Option<Amount> {
        let line = self.lines.get(&link)?;
        let stuck = line.granter.intended().bytes < self.message_cost_max;
        if line.demand > 0 && stuck {
            return (self.hungry.front() != Some(&link)).then_some(Amount::ZERO);
        }
        let messages = line.demand.saturating_add(line.fed);
        let bytes = messages.saturating_mul(self.message_cost_max);
        Some(self.allowance().max(Amount::new(messages, bytes)))
    }

    pub(super) fn lower(&mut self, link: LinkId, keep: Amount) {
        let was_due = self.lines.get(&link).is_some_and(|line| line.granter.is_due());
        let lowered = self.change_credit(link, |line| {
            if line.granter.intended().fits(keep) || !line.granter.lower(keep) {
                return None;
            }
            // What it was given because it waits, it waits for again.
            let unfed = line.fed.saturating_sub(keep.messages);
            line.fed -= unfed;
            line.demand = line.demand.saturating_add(unfed);
            Some(line.demand > 0)
        });
        let Some(waits) = lowered.flatten() else {
            return;
        };
        if !was_due {
            self.due.push_back(link);
        }
        self.count_want(link);
        if waits {
            self.line_up(link);
        }
        self.note_low(link);
    }
}
