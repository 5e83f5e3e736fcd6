//! How much waits, how much room is left, and who is short of what.

use std::time::Duration;

use crate::credit::Amount;
use crate::ids::{LinkId, PeerId, Priority};
use crate::link::Identity;
use crate::time::Time;

use super::PushEngine;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) taken_in: u64,
    pub(super) dispatched: u64,
    pub(super) confirmed: u64,
    pub(super) redelivered: u64,
    pub(super) failed_attempts: u64,
    pub(super) expired: u64,
    pub(super) dead_lettered: u64,
    pub(super) taken_copies: u64,
    pub(super) restored: u64,
}

/// For how long a link had credit and nothing to send, and for how long messages waited without credit on it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    state: FlowState,
    since: Time,
    starved: Duration,
    blocked: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum FlowState {
    #[default]
    Flowing,
    Starved,
    Blocked,
}

impl Flow {
    pub(super) fn note(&mut self, starved: bool, blocked: bool, now: Time) {
        let state = match (starved, blocked) {
            (true, _) => FlowState::Starved,
            (_, true) => FlowState::Blocked,
            _ => FlowState::Flowing,
        };
        if state != self.state {
            (self.starved, self.blocked) = self.totals(now);
            self.state = state;
            self.since = now;
        }
    }

    fn totals(&self, now: Time) -> (Duration, Duration) {
        let so_far = now.since(self.since);
        match self.state {
            FlowState::Flowing => (self.starved, self.blocked),
            FlowState::Starved => (self.starved + so_far, self.blocked),
            FlowState::Blocked => (self.starved, self.blocked + so_far),
        }
    }
}

/// A PUSH socket in numbers. Counts are messages unless they say otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PushStats {
    /// Waiting to be dispatched.
    pub waiting: u64,
    /// How many more would be taken in now.
    pub room: u64,
    /// Dispatched and not settled.
    pub pending: u64,
    /// Of those that wait, how many have a copy at a receiver.
    pub placed: u64,
    /// What those copies cost in bytes.
    pub placed_bytes: u64,
    /// Dispatched since the socket was made by telling a receiver to take its copy.
    pub taken_copies: u64,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// Bytes of all messages that are not done.
    pub retained_bytes: u64,
    /// Taken in since the socket was made.
    pub taken_in: u64,
    /// Dispatched since then, again for each redelivery.
    pub dispatched: u64,
    /// Confirmed since then.
    pub confirmed: u64,
    /// Put back in the queue since then.
    pub redelivered: u64,
    /// Failed attempts since then.
    pub failed_attempts: u64,
    /// Expired since then.
    pub expired: u64,
    /// Made dead letters since then.
    pub dead_lettered: u64,
    /// Given back by receivers since then, to a socket that had lost them.
    pub restored: u64,
    /// How long the oldest message that is not done has been here, in this life of the socket.
    pub oldest_unconfirmed: Option<Duration>,
    /// Each of its links.
    pub links: Vec<PushLinkStats>,
}

/// A link of a PUSH socket in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PushLinkStats {
    /// The link.
    pub link: LinkId,
    /// The peer, once its handshake is done.
    pub peer: Option<PeerId>,
    /// Who it is.
    pub identity: Identity,
    /// The level of its endpoint.
    pub priority: Priority,
    /// It failed, and has to be well for a while before it is used like others.
    pub on_trial: bool,
    /// What it has granted since it was attached.
    pub granted: Amount,
    /// What of that was used.
    pub used: Amount,
    /// Messages dispatched and not settled.
    pub pending: u64,
    /// Messages confirmed.
    pub confirmed: u64,
    /// For how long the link had credit and there was nothing to send.
    pub starved: Duration,
    /// For how long messages waited and the link had no credit.
    pub blocked: Duration,
    /// For how long there has been this link.
    pub age: Duration,
}

impl PushEngine {
    /// The socket in numbers. Costs as much as there are links.
    #[must_use]
    pub fn stats(&self, now: Time) -> PushStats {
        let counters = &self.counters;
        PushStats {
            waiting: self.waiting(),
            room: self.room(),
            pending: self.pending,
            placed: self.placed.len(),
            placed_bytes: self.placed.bytes(),
            taken_copies: counters.taken_copies,
            dead_letters: self.dead.len(),
            retained_bytes: self.chunks.bytes(),
            taken_in: counters.taken_in,
            dispatched: counters.dispatched,
            confirmed: counters.confirmed,
            redelivered: counters.redelivered,
            failed_attempts: counters.failed_attempts,
            expired: counters.expired,
            dead_lettered: counters.dead_lettered,
            restored: counters.restored,
            oldest_unconfirmed: self.chunks.oldest_born().map(|born| now.since(born)),
            links: self.links.iter().map(|(&id, link)| link.stats(id, now)).collect(),
        }
    }
}

impl super::PushLink {
    fn stats(&self, link: LinkId, now: Time) -> PushLinkStats {
        let (starved, blocked) = self.flow.totals(now);
        PushLinkStats {
            link,
            peer: self.link.peer().map(|peer| peer.id),
            identity: self.link.identity.clone(),
            priority: self.priority,
            on_trial: self.trial_until.is_some(),
            granted: self.spender.limit(),
            used: self.spender.spent(),
            pending: self.flights.len(),
            confirmed: self.confirmed,
            starved,
            blocked,
            age: now.since(self.opened),
        }
    }
}
