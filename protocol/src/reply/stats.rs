//! How many calls wait, and what is remembered.

use std::time::Duration;

use crate::credit::Amount;
use crate::ids::{LinkId, PeerId, Priority};
use crate::link::Identity;
use crate::time::Time;

use super::ReplyEngine;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) received: u64,
    pub(super) taken: u64,
    pub(super) answered: u64,
    pub(super) rejected: u64,
    pub(super) released: u64,
    pub(super) expired: u64,
    pub(super) cancelled: u64,
    pub(super) repeated: u64,
    pub(super) late: u64,
}

/// A REP socket in numbers. Counts are calls unless they say otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ReplyStats {
    /// Waiting for the application.
    pub queued: u64,
    /// Being worked on.
    pub working: u64,
    /// The window.
    pub window: Amount,
    /// Granted to clients and not arrived.
    pub granted: Amount,
    /// Arrived since the socket was made, each time counted.
    pub received: u64,
    /// Taken by the application since then.
    pub taken: u64,
    /// Answered since then, rejections included.
    pub answered: u64,
    /// Rejected since then.
    pub rejected: u64,
    /// Given back to their callers since then.
    pub released: u64,
    /// Too late for the application since then.
    pub expired: u64,
    /// Cancelled by their callers since then, while they were being worked on.
    pub cancelled: u64,
    /// That came again since then, and were not worked on again.
    pub repeated: u64,
    /// Answered when nobody waited any more.
    pub late: u64,
    /// Answers that are remembered.
    pub remembered: u64,
    /// Each of its links.
    pub links: Vec<ReplyLinkStats>,
}

/// A client in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ReplyLinkStats {
    /// The link.
    pub link: LinkId,
    /// The peer, once its handshake is done.
    pub peer: Option<PeerId>,
    /// Who it is.
    pub identity: Identity,
    /// The level of its endpoint.
    pub priority: Priority,
    /// Its calls that are here and not answered.
    pub unanswered: u64,
    /// Answers that it has not confirmed.
    pub unconfirmed: u64,
    /// Granted and not arrived.
    pub granted: Amount,
    /// Arrived.
    pub received: u64,
    /// For how long there has been this link.
    pub age: Duration,
}

impl ReplyEngine {
    /// The socket in numbers. Costs as much as there are links and calls.
    #[must_use]
    pub fn stats(&self, now: Time) -> ReplyStats {
        let counters = &self.counters;
        let unanswered = self.calls.by_link();
        let links = self.links.iter().map(|(&id, link)| ReplyLinkStats {
            link: id,
            peer: link.link.peer().map(|peer| peer.id),
            identity: link.link.identity.clone(),
            priority: link.priority,
            unanswered: unanswered.get(&id).copied().unwrap_or_default(),
            unconfirmed: link.unconfirmed.len() as u64,
            granted: self.pool.outstanding_on(id),
            received: link.received,
            age: now.since(link.opened),
        });
        ReplyStats {
            queued: self.queued() as u64,
            working: (self.calls.len() - self.queued()) as u64,
            window: self.pool.window(),
            granted: self.pool.outstanding(),
            received: counters.received,
            taken: counters.taken,
            answered: counters.answered,
            rejected: counters.rejected,
            released: counters.released,
            expired: counters.expired,
            cancelled: counters.cancelled,
            repeated: counters.repeated,
            late: counters.late,
            remembered: self.memory.len(),
            links: links.collect(),
        }
    }
}
