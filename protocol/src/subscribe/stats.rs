//! How much waits, how far each session has come, and who sends what.

use std::time::Duration;

use crate::credit::Amount;
use crate::ids::{LinkId, PeerId, Seq, Session};
use crate::link::Identity;
use crate::time::Time;

use super::SubscribeEngine;

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) received: u64,
    pub(super) taken: u64,
    pub(super) expired: u64,
    pub(super) missed: u64,
}

/// A SUB socket in numbers. Counts are messages unless they say otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SubscribeStats {
    /// Waiting for the application, or in its reader.
    pub queued: Amount,
    /// The window.
    pub window: Amount,
    /// Granted to sources and not arrived.
    pub granted: Amount,
    /// Arrived since the socket was made.
    pub received: u64,
    /// Taken by the application since then.
    pub taken: u64,
    /// Passed over since then, as their shelf life had ended.
    pub expired: u64,
    /// Numbers that are gone for good, as far as that is known: gaps.
    pub missed: u64,
    /// Prefixes.
    pub filters: usize,
    /// Each session, and the first number of it that has not arrived.
    pub sessions: Vec<(Session, Option<Seq>)>,
    /// Each of its links.
    pub links: Vec<SubscribeLinkStats>,
}

/// A source in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SubscribeLinkStats {
    /// The link.
    pub link: LinkId,
    /// The peer, once its handshake is done.
    pub peer: Option<PeerId>,
    /// Who it is.
    pub identity: Identity,
    /// The sessions that it serves.
    pub sessions: Vec<Session>,
    /// Whether it is asked for any of them.
    pub asked: bool,
    /// Arrived from it.
    pub received: u64,
    /// For how long there has been this link.
    pub age: Duration,
}

impl SubscribeEngine {
    /// The socket in numbers. Costs as much as there are links and sessions.
    #[must_use]
    pub fn stats(&self, now: Time) -> SubscribeStats {
        let counters = &self.counters;
        let links = self.links.iter().map(|(&id, link)| SubscribeLinkStats {
            link: id,
            peer: link.link.peer().map(|peer| peer.id),
            identity: link.link.identity.clone(),
            sessions: link.sources.keys().copied().collect(),
            asked: self
                .streams
                .values()
                .any(|stream| stream.active.as_ref().is_some_and(|active| active.link == id)),
            received: link.received,
            age: now.since(link.opened),
        });
        SubscribeStats {
            queued: self.queued,
            window: self.window(),
            granted: self.outstanding(),
            received: counters.received,
            taken: counters.taken,
            expired: counters.expired,
            missed: counters.missed,
            filters: self.filters.len(),
            sessions: self.streams.values().map(|stream| (stream.session, stream.next)).collect(),
            links: links.collect(),
        }
    }
}
