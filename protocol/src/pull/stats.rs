//! How much waits, how much room is left, and who sends what.

use std::time::Duration;

use crate::credit::Amount;
use crate::ids::{LinkId, PeerId, Priority, Session};
use crate::link::Identity;
use crate::time::Time;

use super::PullEngine;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) received: u64,
    pub(super) taken: u64,
    pub(super) confirmed: u64,
    pub(super) released: u64,
    pub(super) expired: u64,
}

/// A PULL socket in numbers. Counts are messages unless they say otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PullStats {
    /// Waiting for the application.
    pub queued: Amount,
    /// The window.
    pub window: Amount,
    /// Granted to senders and not arrived.
    pub granted: Amount,
    /// Runs of messages of which something is not settled.
    pub held_runs: u64,
    /// Arrived since the socket was made.
    pub received: u64,
    /// Taken by the application since then.
    pub taken: u64,
    /// Confirmed since then.
    pub confirmed: u64,
    /// Given back to a sender that asked for them.
    pub released: u64,
    /// Expired here.
    pub expired: u64,
    /// Copies of messages that wait at their senders, those included whose senders are gone and may want them back.
    pub copies: Amount,
    /// Each of its links.
    pub links: Vec<PullLinkStats>,
}

/// A link of a PULL socket in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PullLinkStats {
    /// The link.
    pub link: LinkId,
    /// The peer, once its handshake is done.
    pub peer: Option<PeerId>,
    /// Who it is.
    pub identity: Identity,
    /// The level of its endpoint.
    pub priority: Priority,
    /// The session that it carries.
    pub session: Option<Session>,
    /// Granted and not arrived.
    pub granted: Amount,
    /// Arrived.
    pub received: u64,
    /// For how long there has been this link.
    pub age: Duration,
}

impl PullEngine {
    /// The socket in numbers. Costs as much as there are links.
    #[must_use]
    pub fn stats(&self, now: Time) -> PullStats {
        let counters = &self.counters;
        PullStats {
            queued: self.pool.queued(),
            window: self.pool.window(),
            granted: self.pool.outstanding(),
            held_runs: self.held.len() as u64,
            received: counters.received,
            taken: counters.taken,
            confirmed: counters.confirmed,
            released: counters.released,
            expired: counters.expired,
            copies: self.copies(),
            links: self
                .links
                .iter()
                .map(|(&id, link)| PullLinkStats {
                    link: id,
                    peer: link.link.peer().map(|peer| peer.id),
                    identity: link.link.identity.clone(),
                    priority: link.priority,
                    session: link.session,
                    granted: self.pool.outstanding_on(id),
                    received: link.received,
                    age: now.since(link.opened),
                })
                .collect(),
        }
    }
}
