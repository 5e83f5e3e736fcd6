//! Receivers that are away, and may come back for what they hold.

use std::collections::{BTreeMap, BTreeSet};

use crate::collections::RangeSet;
use crate::event::Redelivery;
use crate::ids::{Delivery, LinkId, PeerId, span};
use crate::limits::ABSENT_PEERS_MAX;
use crate::link::{Identity, refusal};
use crate::queue::{Flight, Numbered};
use crate::time::Time;
use crate::wire::{Close, CloseCode};

use super::attach::split;
use super::{PushEngine, PushLink};

/// A receiver that went away, and what it may still hold.
#[derive(Debug)]
struct Absent {
    identity: Identity,
    flights: Numbered,
    /// The end of its grace time.
    until: Time,
}

/// Receivers that went away, by the links that they lost.
#[derive(Debug, Default)]
pub(super) struct Absentees {
    by_link: BTreeMap<(PeerId, LinkId), Absent>,
    /// The ends of their grace times.
    ends: BTreeSet<(Time, PeerId, LinkId)>,
}

impl Absentees {
    /// When the next of them is given up.
    pub(super) fn next_end(&self) -> Option<Time> {
        self.ends.first().map(|(until, ..)| *until)
    }

    /// Adds what a receiver may come back for, which it now may until then.
    fn put(&mut self, key: (PeerId, LinkId), identity: Identity, flights: Numbered, until: Time) {
        let (peer, id) = key;
        let before = self.remove(key).map(|absent| absent.flights).unwrap_or_default();
        let flights = before.followed_by(flights);
        self.by_link.insert(key, Absent { identity, flights, until });
        self.ends.insert((until, peer, id));
    }

    /// What a receiver held on links that are gone; an error if it is not that receiver who asks.
    pub(super) fn take_of(&mut self, peer: PeerId, identity: &Identity) -> Result<Numbered, Close> {
        let keys: Vec<_> = self
            .by_link
            .range((peer, LinkId(0))..=(peer, LinkId(u64::MAX)))
            .map(|(key, absent)| (*key, absent.identity == *identity))
            .collect();
        if keys.iter().any(|(_, same)| !same) {
            return Err(refusal(
                CloseCode::NotAuthorized,
                "this receiver belongs to somebody else",
            ));
        }
        let back = keys.into_iter().filter_map(|(key, _)| self.remove(key));
        let flights = back.map(|absent| absent.flights);
        Ok(flights.reduce(Numbered::followed_by).unwrap_or_default())
    }

    /// The next one whose grace time is over.
    fn pop_ended(&mut self, now: Time) -> Option<(PeerId, Absent)> {
        let (until, peer, id) = self.ends.first().copied()?;
        if until > now {
            return None;
        }
        Some((peer, self.remove((peer, id))?))
    }

    /// Messages are wanted back: whoever holds them is asked for them when it comes.
    pub(super) fn note_asked_back(&mut self, seqs: &RangeSet) {
        self.by_link.values_mut().for_each(|absent| absent.flights.note_asked_back(seqs));
    }

    fn remove(&mut self, key: (PeerId, LinkId)) -> Option<Absent> {
        let absent = self.by_link.remove(&key)?;
        self.ends.remove(&(absent.until, key.0, key.1));
        Some(absent)
    }
}

impl PushEngine {
    /// Keeps what a receiver may come back for.
    pub(super) fn put_absent(
        &mut self,
        peer: PeerId,
        id: LinkId,
        identity: Identity,
        flights: Numbered,
        now: Time,
    ) {
        if flights.is_empty() {
            return;
        }
        if self.absent.by_link.len() >= ABSENT_PEERS_MAX {
            self.give_up(flights.into_flights(), false, now);
            return;
        }
        self.absent.put((peer, id), identity, flights, now + self.config.grace);
    }

    /// Whether a receiver that lost a link has another one: then it has not crashed.
    pub(super) fn is_here(&self, peer: PeerId, identity: &Identity) -> bool {
        let counts = self.config.attempts_max.is_some() || self.passing.is_some();
        counts && self.links_of(peer, identity).next().is_some()
    }

    fn links_of(&self, peer: PeerId, identity: &Identity) -> impl Iterator<Item = LinkId> {
        let is_its = move |link: &PushLink| {
            let name = link.link.peer().map(|peer| peer.id);
            link.attached && name == Some(peer) && link.link.identity == *identity
        };
        let open = self.links.iter().filter(|(_, link)| link.link.is_open());
        open.filter(move |(_, link)| is_its(link)).map(|(id, _)| *id)
    }

    /// A receiver may be back before it was missed here. What it names on its new link is on none of its others: it has
    /// given up the link that this side takes to be alive.
    pub(super) fn take_from_dying(
        &mut self,
        id: LinkId,
        peer: PeerId,
        identity: &Identity,
        named: &RangeSet,
    ) -> Vec<Flight> {
        let mut flights = Vec::new();
        if named.is_empty() {
            return flights;
        }
        for other in self.other_links(id, peer, identity) {
            let Some(link) = self.links.get_mut(&other) else {
                continue;
            };
            let found: Vec<(Delivery, Flight)> =
                named.iter().flat_map(|seqs| link.flights.take_seqs(&seqs)).collect();
            for (first, flight) in found {
                self.forget_deadline(other, first, &flight);
                flights.push(flight);
            }
        }
        flights
    }

    /// A receiver has named all that it holds: nothing more is looked for on its other links.
    pub(super) fn spare_dying(&mut self, id: LinkId, peer: PeerId, identity: &Identity) {
        for other in self.other_links(id, peer, identity) {
            if let Some(link) = self.links.get_mut(&other) {
                link.flights.forget_places();
            }
        }
    }

    fn other_links(&self, id: LinkId, peer: PeerId, identity: &Identity) -> Vec<LinkId> {
        self.links_of(peer, identity).filter(|other| *other != id).collect()
    }

    /// Gives up on receivers whose grace time is over.
    pub(super) fn give_up_absent(&mut self, now: Time) {
        while let Some((peer, absent)) = self.absent.pop_ended(now) {
            let crashed = !self.is_here(peer, &absent.identity);
            self.give_up(absent.flights.into_flights(), crashed, now);
        }
    }

    /// Puts back in the queue what a receiver held that is gone. If it may have crashed over them, the messages that its
    /// application had count a failed attempt: those that were reported taken, or else the one it was to take next.
    pub(super) fn give_up(&mut self, flights: Vec<Flight>, crashed: bool, now: Time) {
        if self.passing.is_some() {
            return self.give_up_passing(flights, crashed);
        }
        let none_taken = flights.iter().all(|flight| flight.taken.is_none());
        for (index, flight) in flights.into_iter().enumerate() {
            self.pending -= span(&flight.seqs);
            let suspects = match flight.taken {
                _ if !crashed || self.config.attempts_max.is_none() => 0,
                Some(_) => span(&flight.seqs),
                None => u64::from(none_taken && index == 0),
            };
            let (suspect, innocent) = split(flight.seqs, suspects);
            for seq in suspect {
                self.fail(seq, "the receiver went away", Redelivery::ReceiverGone, now);
            }
            self.requeue(innocent, Redelivery::ReceiverGone);
        }
        self.wake_idle_if_work();
    }
}
