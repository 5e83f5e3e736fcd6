//! What a sender that has lost its messages is given back: those that wait here or are worked on, and copies.

use std::collections::VecDeque;
use std::ops::{Add, Range};

use bytes::Bytes;

use crate::credit::Amount;
use crate::ids::{LinkId, Session};
use crate::link::Transmit;
use crate::message::skip;
use crate::wire::{DataHeader, Hello};

use super::future::Copy;
use super::run::Run;
use super::{Place, PullEngine, PullLink};

/// Contents that are to be written on a link before it says what is held.
#[derive(Debug, Default)]
pub(super) struct Restores {
    runs: VecDeque<(DataHeader, Bytes)>,
    /// Messages so far.
    next: u64,
    /// Copies that were given back: if the link breaks before its sender has them, they are given back again.
    copies: Vec<Copy>,
}

impl Restores {
    fn push(&mut self, header: DataHeader, records: Bytes) {
        self.runs.push_back((DataHeader { first_delivery: self.next, ..header }, records));
        self.next += u64::from(header.count);
    }

    /// Gives back what stands at these places of a run, which rise, if it came with its contents.
    pub(super) fn add(&mut self, run: &Run, places: &[Place]) {
        if run.records.is_empty() {
            return;
        }
        let (mut at, mut next) = (0, 0);
        for Range { start, end } in places.iter().map(|place| place.indices.clone()) {
            let from = skip(&run.records, at, (start - next).into());
            at = skip(&run.records, from, (end - start).into());
            next = end;
            let header = DataHeader {
                first_delivery: 0,
                first_seq: run.seq(start),
                sent_at: run.sent_at,
                count: end - start,
                attempt: run.attempt,
            };
            self.push(header, run.records.slice(from..at));
        }
    }

    fn cost(&self) -> Amount {
        self.copies.iter().map(Copy::cost).fold(Amount::ZERO, Add::add)
    }

    /// The sender hands messages out on this link: so it has heard all that was given back before.
    pub(super) fn arrived(&mut self) {
        self.copies = Vec::new();
    }

    /// The link is over.
    pub(super) fn take_copies(&mut self) -> Vec<Copy> {
        std::mem::take(&mut self.copies)
    }

    pub(super) fn write(&mut self, out: &mut Transmit) {
        for (header, records) in self.runs.drain(..) {
            out.copies(header, records, None);
        }
    }
}

impl PullEngine {
    /// The copies of a session whose sender is back: it is given them back if it has lost them. If not, it places what it
    /// wants to have here anew.
    pub(super) fn return_copies(&mut self, id: LinkId, session: Session) {
        let Some(state) = self.sessions.get_mut(&session) else {
            return;
        };
        let copies = std::mem::take(&mut state.copies);
        let Some(link) = self.links.get_mut(&id).filter(|link| link.rebuilds()) else {
            return;
        };
        for copy in copies {
            let (header, record) = copy.run();
            link.restores.push(header, record);
            link.restores.copies.push(copy);
        }
    }

    /// Copies whose senders are gone, and their cost.
    pub(super) fn stray_copies(&self) -> Amount {
        let copies = self.sessions.values().flat_map(|state| &state.copies);
        let returned = self.links.values().map(|link| link.restores.cost());
        copies.map(Copy::cost).chain(returned).fold(Amount::ZERO, Add::add)
    }

    /// Senders that are here need the room of copies whose senders are gone.
    pub(super) fn drop_stray_copies(&mut self) {
        for state in self.sessions.values_mut() {
            state.copies = Vec::new();
        }
        for link in self.links.values_mut() {
            link.restores.arrived();
        }
    }
}

impl PullLink {
    /// Whether its sender has lost what it sent.
    pub(super) fn rebuilds(&self) -> bool {
        self.link.peer().is_some_and(|peer| peer.features & Hello::REBUILDS != 0)
    }
}
