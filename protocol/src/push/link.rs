//! What a PUSH socket knows of a link.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::collections::RangeSet;
use crate::credit::{Amount, Spender};
use crate::ids::{Delivery, PeerId, Priority, Session};
use crate::limits::{ABANDONED_MAX, RANGES_MAX};
use crate::link::Link;
use crate::queue::{Flight, Flights};
use crate::time::Time;
use crate::wire::{Origin, Retract};

use super::future::Copies;
use super::levels::{Declined, Standing};
use super::stats::Flow;

/// A link to a receiver.
#[derive(Debug)]
pub(super) struct PushLink {
    pub(super) link: Link,
    pub(super) spender: Spender,
    /// The receiver has said what it holds.
    pub(super) attached: bool,
    /// ATTACH frames so far.
    pub(super) attaches: usize,
    /// The sessions of those, and at a streamer what they have named as held, until the last.
    pub(super) named: BTreeMap<Session, RangeSet>,
    /// Messages whose contents it has given back.
    pub(super) restored: u64,
    /// Those of them that it may hold: nobody else is given them before it has said.
    pub(super) returned: RangeSet,
    pub(super) next_delivery: Delivery,
    pub(super) flights: Flights,
    /// Of messages that still wait.
    pub(super) copies: Copies,
    /// What was given to somebody else although this receiver may still confirm it.
    pub(super) abandoned: Flights,
    /// What it is still to be asked back.
    retracts: VecDeque<Range<Delivery>>,
    pub(super) settles: u64,
    /// Room as it is counted in the engine's `ready`, `spare` and `spare_bytes`, and what is counted in its `levels`.
    pub(super) counted: u64,
    pub(super) counted_bytes: u64,
    pub(super) standing: Standing,
    /// Its endpoint's.
    pub(super) priority: Priority,
    /// It has credit and does not take what comes next.
    pub(super) declined: Option<Declined>,
    /// It was asked whether it can have credit, and did not answer in time.
    pub(super) mute: bool,
    /// Its receiver failed, and has to be well until then.
    pub(super) trial_until: Option<Time>,
    /// Receivers that stand behind it, and streamers on the way to them.
    pub(super) receivers: u32,
    pub(super) streamers: Vec<PeerId>,
    /// Messages dispatched since it was its turn.
    pub(super) turn: u64,
    /// At a streamer: what the receiver was told of whose messages come.
    pub(super) origin: Option<Origin>,
    pub(super) in_idle: bool,
    pub(super) in_silent: bool,
    /// Messages that it is expected to take, since it was woken for them and has not looked.
    pub(super) called: u64,
    /// What it was given is not written yet: it takes nothing more until it is.
    pub(super) blocked: bool,
    pub(super) confirmed: u64,
    pub(super) opened: Time,
    pub(super) flow: Flow,
}

impl PushLink {
    /// One whose receiver has said nothing yet.
    pub(super) fn new(link: Link, priority: Priority, now: Time) -> Self {
        Self {
            link,
            spender: Spender::default(),
            attached: false,
            attaches: 0,
            named: BTreeMap::new(),
            restored: 0,
            returned: RangeSet::new(),
            next_delivery: 0,
            flights: Flights::default(),
            copies: Copies::default(),
            abandoned: Flights::default(),
            retracts: VecDeque::new(),
            settles: 0,
            counted: 0,
            counted_bytes: 0,
            standing: Standing::default(),
            priority,
            declined: None,
            mute: false,
            trial_until: None,
            receivers: 1,
            streamers: Vec::new(),
            turn: 0,
            origin: None,
            in_idle: false,
            in_silent: false,
            called: 0,
            blocked: false,
            confirmed: 0,
            opened: now,
            flow: Flow::default(),
        }
    }

    /// Remembers what was given to somebody else although this receiver may still confirm it. Of too much the oldest is
    /// forgotten: a confirmation of that comes too late, so that what is not confirmed by the other one is done once more.
    pub(super) fn abandon(&mut self, first: Delivery, flight: Flight) {
        self.abandoned.insert(first, flight);
        while self.abandoned.runs() > ABANDONED_MAX {
            self.abandoned.pop_first();
        }
    }

    /// Asks it to give messages back.
    pub(super) fn retract(&mut self, deliveries: Range<Delivery>) {
        match self.retracts.back_mut() {
            Some(last) if last.end == deliveries.start => last.end = deliveries.end,
            _ => self.retracts.push_back(deliveries),
        }
    }

    /// As much of what it is still to be asked back as one frame holds.
    pub(super) fn next_retract(&mut self) -> Option<Retract> {
        let count = self.retracts.len().min(RANGES_MAX);
        let deliveries = self.retracts.drain(..count).map(Into::into).collect();
        (count > 0).then_some(Retract { deliveries })
    }

    /// What it may be given.
    pub(super) fn room(&self) -> Amount {
        let is_here = self.attached && self.link.is_open();
        if is_here { self.spender.room() } else { Amount::ZERO }
    }

    /// By how much its share is greater than that of a link with one receiver.
    pub(super) fn receivers(&self) -> u64 {
        u64::from(self.receivers.max(1))
    }
}
