//! How many calls wait, and who answers them.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::credit::Amount;
use crate::ids::{LinkId, PeerId, Priority};
use crate::link::Identity;
use crate::time::Time;

use super::RequestEngine;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) made: u64,
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) cancelled: u64,
    pub(super) dispatched: u64,
    pub(super) retried: u64,
    pub(super) hedged: u64,
    pub(super) late: u64,
}

/// A REQ socket in numbers. Counts are calls unless they say otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RequestStats {
    /// Under way: waiting for a server, or for an answer.
    pub pending: u64,
    /// Of those, waiting for a server with room.
    pub waiting: u64,
    /// Made since the socket was.
    pub made: u64,
    /// Answered since then.
    pub answered: u64,
    /// Ended in an error since then.
    pub failed: u64,
    /// Given up by their callers since then.
    pub cancelled: u64,
    /// Sent to a server since then, each attempt counted.
    pub dispatched: u64,
    /// Tried again since then.
    pub retried: u64,
    /// Asked of a second server since then.
    pub hedged: u64,
    /// Answers that came when nobody waited for them any more.
    pub late: u64,
    /// Each of its links.
    pub links: Vec<RequestLinkStats>,
}

/// A server in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RequestLinkStats {
    /// The link.
    pub link: LinkId,
    /// The peer, once its handshake is done.
    pub peer: Option<PeerId>,
    /// Who it is.
    pub identity: Identity,
    /// The level of its endpoint.
    pub priority: Priority,
    /// Calls that it has.
    pub in_flight: u64,
    /// What it may still be sent.
    pub room: Amount,
    /// Whether it is left out because it did not answer in time.
    pub silent: bool,
    /// Answers that came from it.
    pub answered: u64,
    /// For how long there has been this link.
    pub age: Duration,
}

impl RequestEngine {
    /// The socket in numbers. Costs as much as there are links.
    #[must_use]
    pub fn stats(&self, now: Time) -> RequestStats {
        let counters = &self.counters;
        let links = self.links.iter().map(|(&id, link)| RequestLinkStats {
            link: id,
            peer: link.link.peer().map(|peer| peer.id),
            identity: link.link.identity.clone(),
            priority: link.priority,
            in_flight: (link.flights.len() + link.outbox.len()) as u64,
            room: link.spender.room(),
            silent: link.silent_until.is_some_and(|until| until > now),
            answered: link.answered,
            age: now.since(link.opened),
        });
        RequestStats {
            pending: self.pending(),
            waiting: (self.waiting.len() + self.bound.values().map(BTreeSet::len).sum::<usize>())
                as u64,
            made: counters.made,
            answered: counters.answered,
            failed: counters.failed,
            cancelled: counters.cancelled,
            dispatched: counters.dispatched,
            retried: counters.retried,
            hedged: counters.hedged,
            late: counters.late,
            links: links.collect(),
        }
    }
}
