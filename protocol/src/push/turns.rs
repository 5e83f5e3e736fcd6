//! Whose turn it is: which links look when work has come.
//!
//! Links with credit that found nothing rest in a queue, and those without credit in another. One that is woken is expected to
//! take as much as it has turns for, one for each receiver behind it, so what comes before it looks wakes nobody else until
//! that is used up.

use crate::ids::{LinkId, Seq};
use crate::time::Time;

use super::PushEngine;

/// Links with credit that looked, and of which what came next takes more bytes than they have: they need not look again
/// before something else comes next, or they have more.
#[derive(Debug, Default)]
pub(super) struct Cramped {
    links: Vec<LinkId>,
    /// What came next.
    by: Option<Seq>,
}

impl PushEngine {
    pub(super) fn wake(&mut self, link: LinkId) {
        self.wakes.push_back(link);
    }

    /// Somebody else may have something to do.
    pub(super) fn wake_idle_if_work(&mut self) {
        self.review_cramped();
        if self.wants_hands() && self.dispatchable() {
            self.wake_idle();
        }
        self.wake_to_place();
    }

    /// Whether links rest, and more waits than those will take that were woken.
    #[inline]
    pub(super) fn wants_hands(&self) -> bool {
        let rests_any = !self.idle.is_empty() || !self.silent.is_empty();
        rests_any
            && !self.levels.is_settled()
            && self.queued.len() + self.chunks.open_len() > self.called
    }

    /// Work has come: the link with credit that has waited longest for it should look; if there is none, those without
    /// should ask for credit, one after the other.
    #[inline]
    pub(super) fn wake_idle(&mut self) {
        if self.levels.are_several() || self.has_decliners() {
            self.wake_ranked();
        } else if let Some(id) = self.idle.pop_front() {
            self.call(id);
        } else {
            self.wake_silent();
        }
    }

    /// A link that rested with credit should look.
    pub(super) fn call(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.in_idle = false;
            let turns = link.receivers().saturating_sub(link.turn);
            // One whose credit is gone meanwhile looks all the same, and others after it.
            let takes = turns.min(link.spender.room().messages).max(1);
            self.called = self.called - link.called + takes;
            link.called = takes;
        }
        self.wake(id);
    }

    /// The link without credit that has kept silent for longest is to ask for some. False if there is none.
    pub(super) fn wake_silent(&mut self) -> bool {
        let Some(id) = self.silent.pop_front() else {
            return false;
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.in_silent = false;
        }
        self.wake(id);
        true
    }

    /// A link looks for work.
    pub(super) fn note_looks(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.blocked = false;
            self.called -= std::mem::take(&mut link.called);
        }
        self.cramped.links.retain(|other| *other != id);
    }

    /// A link with credit has too few bytes of it for what comes next.
    pub(super) fn note_cramped(&mut self, id: LinkId) {
        self.review_cramped();
        self.cramped.by = self.queued.first();
        self.cramped.links.push(id);
    }

    fn can_cramped_go_on(&self) -> bool {
        !self.cramped.links.is_empty() && self.queued.first() != self.cramped.by
    }

    /// Links that had too few bytes rest like others once something else comes next.
    pub(super) fn review_cramped(&mut self) {
        if self.can_cramped_go_on() {
            std::mem::take(&mut self.cramped.links).into_iter().for_each(|id| self.rest(id));
        }
    }

    /// What was written for a link is still in its way, so that it can take no more, whatever its credit: others are woken in
    /// its place. It is looked after again with the next [`PushEngine::poll_transmit`]. Nor can it be asked now whether it has
    /// room: who waits for its word does not wait for longer than for that of others.
    pub fn handle_blocked(&mut self, id: LinkId, now: Time) {
        self.note_looks(id);
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.blocked = true;
        if std::mem::take(&mut link.in_idle) {
            self.idle.retain(|other| *other != id);
        }
        self.wake_idle_if_work();
        self.note_asked(id, self.dispatchable(), now);
    }

    /// Whether something waits that a link with credit would take, and nobody was woken for it: never, once all who were woken
    /// have looked. What a simulation is to find out.
    #[must_use]
    pub fn forgets_work(&self) -> bool {
        let one_kind = !self.levels.are_several() && !self.has_decliners();
        let is_for_it =
            |id| self.next_given_back_by(id).is_none_or(|seq| !self.is_at_work_for(seq));
        // It may have lost its credit while it rested.
        let has_room = |id| self.links.get(&id).is_some_and(|link| link.room().messages > 0);
        let could_take = self.idle.front().copied().filter(|id| has_room(*id) && is_for_it(*id));
        let is_one_left = could_take.is_some() || self.can_cramped_go_on();
        one_kind && self.called == 0 && is_one_left && self.dispatchable()
    }

    /// Whether a link that does not rest, and is to look again, has room for this message.
    fn is_at_work_for(&self, seq: Seq) -> bool {
        self.with_room_for(seq).any(|(_, link)| !link.in_idle && !link.blocked)
    }

    /// Notes a link that found nothing to dispatch. One with several receivers behind it has a turn for each of them.
    pub(super) fn rest(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !link.attached || !link.link.is_open() || link.blocked {
            return;
        }
        self.levels.unsettle();
        if link.spender.room().messages > 0 {
            if std::mem::replace(&mut link.in_idle, true) {
                return;
            }
            if link.turn > 0 && link.turn < link.receivers() {
                self.idle.push_front(id);
            } else {
                link.turn = 0;
                self.idle.push_back(id);
            }
        } else if link.spender.is_contended() && !std::mem::replace(&mut link.in_silent, true) {
            self.silent.push_back(id);
        }
    }

    /// The same, behind all others.
    pub(super) fn rest_last(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id) {
            link.turn = 0;
        }
        self.rest(id);
    }

    /// A link has ended.
    pub(super) fn forget_turn(&mut self, id: LinkId) {
        self.note_looks(id);
        self.idle.retain(|other| *other != id);
        self.silent.retain(|other| *other != id);
    }
}
