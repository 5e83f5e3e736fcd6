//! Calls come into runs, and out of them.

use std::sync::Arc;

use crate::credit::Amount;
use crate::ids::LinkId;
use crate::limits::BY_REFERENCE_BYTES;
use crate::message::Message;
use crate::time::Time;

use super::call::{Call, call_cost};
use super::runs::{Fresh, RunKey};
use super::{CallNumber, RequestEngine};

/// Calls that are made one after the other and go to the same server: they are noted there when no more follow.
#[derive(Debug)]
pub(super) struct Group {
    link: LinkId,
    run: RunKey,
    /// The place there of the first of them.
    from: usize,
    given: Amount,
    /// What the server may be given in all before one is looked for anew; not known of the first call.
    room: Option<Amount>,
}

impl RequestEngine {
    /// Makes a call of the options that are shared now. If it can be given to a server at once, it is in the group then.
    #[inline]
    pub(super) fn take_in(
        &mut self,
        message: Message<'_>,
        (deadline, now): (Time, Time),
        group: &mut Option<Group>,
    ) -> CallNumber {
        let payload = message.payload();
        let cost = Amount::new(1, call_cost(payload.len(), &self.options, None));
        let is_small = payload.len() < BY_REFERENCE_BYTES;
        let fresh = Fresh { number: self.next_call, payload, deadline, given: now };
        if let Some(open) = group {
            if is_small && self.joins(open, fresh, cost) {
                return self.next_number();
            }
            self.give_group(group.take(), now);
        }
        let server = self.server_at_once(cost.bytes, None);
        if is_small && let Some(link) = server {
            *group = self.open_group(link, fresh, cost);
            if group.is_some() {
                return self.next_number();
            }
        }
        let options = Arc::clone(&self.options);
        self.make(Call::new(message.into_bytes(), options, deadline, None), server, now)
    }

    #[inline]
    fn joins(&mut self, group: &mut Group, fresh: Fresh<'_>, cost: Amount) -> bool {
        let room = match group.room {
            Some(room) => room,
            None => *group.room.insert(self.room_of(group.link)),
        };
        let given = group.given + cost;
        let joins = given.fits(room) && self.runs.push(group.run, fresh);
        if joins {
            group.given = given;
        }
        joins
    }

    /// What a server that was chosen has room for before there may be a better one.
    fn room_of(&self, id: LinkId) -> Amount {
        let room = self.links.get(&id).map_or(Amount::ZERO, |link| link.spender.room());
        room.min(Amount::new(self.lead_of(id), u64::MAX))
    }

    /// A server gets a new call, and those behind it if there are any.
    fn open_group(&mut self, id: LinkId, fresh: Fresh<'_>, cost: Amount) -> Option<Group> {
        let run = self.open_run(id, fresh)?;
        self.agenda.hurry(fresh.deadline);
        let from = self.runs.calls_in(run);
        let group = Group { link: id, run, from, given: cost, room: None };
        self.runs.push(run, fresh).then_some(group)
    }

    /// No more calls follow: the server has them.
    pub(super) fn give_group(&mut self, group: Option<Group>, now: Time) {
        let Some(Group { link: id, run, from, given, .. }) = group else {
            return;
        };
        self.runs.note(run, from);
        if let Some(link) = self.links.get_mut(&id) {
            link.outbox.push_of_run(run, usize::try_from(given.messages).unwrap_or(usize::MAX));
        }
        self.draw_down(id, given, now);
    }

    /// The run that takes the next call on a link.
    fn open_run(&mut self, id: LinkId, fresh: Fresh<'_>) -> Option<RunKey> {
        let Self { links, runs, options, .. } = self;
        let link = links.get_mut(&id)?;
        let goes_on = |key: &RunKey| {
            let follows = link.outbox.ends_with(*key)
                || link.outbox.is_empty() && runs.ends_at(*key, link.next_delivery);
            follows && runs.takes(*key, options, fresh.payload.len())
        };
        if let Some(key) = link.run.filter(goes_on) {
            return Some(key);
        }
        let key = runs.begin(id, link.link.peer().map(|peer| peer.id), options);
        link.run = Some(key);
        // Nothing is due sooner for those that come later, but for what is said of each.
        let first = options.hedge_after.into_iter().fold(options.attempt_timeout, Ord::min);
        self.agenda.hurry(fresh.given + first);
        while let Some(key) = self.runs.superfluous() {
            self.unfold_run(key);
        }
        Some(key)
    }

    /// Something befalls a call: if it is in a run, it leaves that.
    pub(super) fn unfold(&mut self, number: CallNumber) {
        if let Some(key) = self.runs.unwritten(number) {
            self.unfold_unwritten(key);
        } else if let Some(call) = self.runs.take(number) {
            self.stand_alone(number, call);
        }
    }

    /// The same for what is not written of a run.
    pub(super) fn unfold_unwritten(&mut self, key: RunKey) {
        let Some((id, calls)) = self.runs.take_unwritten(key) else {
            return;
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.outbox.unfold(key, calls.iter().map(|(number, _)| *number));
        }
        calls.into_iter().for_each(|(number, call)| self.stand_alone(number, call));
    }

    /// The same for a whole run.
    fn unfold_run(&mut self, key: RunKey) {
        self.unfold_unwritten(key);
        let written = self.runs.take_all(key);
        written.into_iter().for_each(|(number, call)| self.stand_alone(number, call));
    }

    /// The same for all on a link.
    pub(super) fn unfold_on(&mut self, id: LinkId) {
        self.runs.on(id).into_iter().for_each(|key| self.unfold_run(key));
    }

    /// The same for all.
    pub(super) fn unfold_all(&mut self) {
        self.runs.keys().into_iter().for_each(|key| self.unfold_run(key));
    }

    fn stand_alone(&mut self, number: CallNumber, call: Call) {
        let due = call.times.next();
        self.calls.insert(number, call);
        self.agenda.add(number, due, &self.calls);
    }
}
