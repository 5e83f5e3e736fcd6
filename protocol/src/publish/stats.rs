//! How much is retained, and how far each subscriber has come.

use std::time::Duration;

use crate::credit::Amount;
use crate::ids::{Lineage, LinkId, PeerId, Seq};
use crate::link::Identity;
use crate::time::Time;

use super::PublishEngine;
use super::reader::Reader;

/// A PUB socket, or the downstream side of a proxy, in numbers. Counts are messages unless they say otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PublishStats {
    /// Published since the socket was made.
    pub published: u64,
    /// Each session that it serves: one, but for a proxy.
    pub rings: Vec<RingStats>,
    /// Each of its links.
    pub links: Vec<PublishLinkStats>,
}

/// What is retained of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RingStats {
    /// The session and its incarnation.
    pub lineage: Lineage,
    /// The lowest number that is retained.
    pub oldest: Seq,
    /// The number after the highest.
    pub next_seq: Seq,
    /// How many are retained.
    pub messages: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

/// A subscriber in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PublishLinkStats {
    /// The link.
    pub link: LinkId,
    /// The peer, once its handshake is done.
    pub peer: Option<PeerId>,
    /// Who it is.
    pub identity: Identity,
    /// How many prefixes it has.
    pub filters: usize,
    /// The number that it goes on from, if it has asked for anything: of several sessions, in the one in which it is furthest
    /// behind. The next two are of the same.
    pub position: Option<Seq>,
    /// How many numbers it is behind the newest.
    pub behind: u64,
    /// What it may still be sent.
    pub credit: Amount,
    /// Sent to it.
    pub sent: u64,
    /// For how long there has been this link.
    pub age: Duration,
}

/// How far a subscriber has come in one session.
struct Place {
    position: Seq,
    behind: u64,
    room: Amount,
}

impl PublishEngine {
    /// The socket in numbers. Costs as much as there are links.
    #[must_use]
    pub fn stats(&self, now: Time) -> PublishStats {
        let rings = self.channels.values().map(|channel| RingStats {
            lineage: channel.lineage,
            oldest: channel.ring.oldest(),
            next_seq: channel.ring.next_seq(),
            messages: channel.ring.len(),
            bytes: channel.ring.bytes(),
        });
        let links = self.links.iter().map(|(&id, link)| {
            let places = link.readers.iter().filter_map(|reader| self.place_of(reader));
            let place = places.max_by_key(|place| place.behind);
            PublishLinkStats {
                link: id,
                peer: link.link.peer().map(|peer| peer.id),
                identity: link.link.identity.clone(),
                filters: link.filters.len(),
                position: place.as_ref().map(|place| place.position),
                behind: place.as_ref().map_or(0, |place| place.behind),
                credit: place.map_or(Amount::ZERO, |place| place.room),
                sent: link.sent,
                age: now.since(link.opened),
            }
        });
        PublishStats { published: self.published, rings: rings.collect(), links: links.collect() }
    }

    fn place_of(&self, reader: &Reader) -> Option<Place> {
        let channel = self.channels.get(&reader.session)?;
        let position = reader.reached(channel);
        let behind = channel.ring.next_seq().saturating_sub(position);
        Some(Place { position, behind, room: reader.room() })
    }
}
