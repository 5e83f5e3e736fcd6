//! Servers that failed and are back: they have to be well for a while before they are used like others.

use crate::event::Event;
use crate::ids::LinkId;
use crate::time::Time;

use super::RequestEngine;

impl RequestEngine {
    /// A server's link has ended.
    pub(super) fn note_lost(&mut self, id: LinkId) {
        if let Some(link) = self.links.get(&id)
            && !self.config.fail_back_after.is_zero()
        {
            self.trials.note_lost(link.priority);
        }
    }

    /// A server has come: who it was cannot be known, but where one was lost, one is back.
    pub(super) fn note_back(&mut self, id: LinkId, now: Time) {
        let level = self.links.get(&id).map(|link| link.priority);
        if level.is_some_and(|level| self.trials.note_back(level)) {
            self.start_trial(id, now);
        }
    }

    /// A server that failed is well, from now on.
    pub(super) fn start_trial(&mut self, id: LinkId, now: Time) {
        let time = self.config.fail_back_after;
        if let Some(link) = self.links.get_mut(&id)
            && !time.is_zero()
        {
            let until = now + time;
            if let Some(before) = link.trial_until.replace(until) {
                self.trials.forget(id, before);
            }
            self.trials.start(id, until);
            self.events.push(Event::ServerOnTrial { link: id, time });
        }
    }

    /// Servers that were well for long enough are used like all others.
    pub(super) fn end_trials(&mut self, now: Time) {
        while let Some(id) = self.trials.pop_due(now) {
            if let Some(link) = self.links.get_mut(&id).filter(|link| link.link.is_open()) {
                link.trial_until = None;
                self.events.push(Event::ServerTrusted { link: id });
                self.recount(id, now);
            }
        }
    }
}
