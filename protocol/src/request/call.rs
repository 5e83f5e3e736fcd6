//! One call, from the moment when it is made to that when its caller is told.

use bytes::Bytes;

use crate::credit::Amount;
use crate::ids::{Delivery, LinkId, PeerId};
use crate::message::{Attributes, cost_bytes};
use crate::time::{Now, Time, WallTime};

use super::{CallNumber, CallOptions, RequestEngine, Timer};

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) payload: Bytes,
    pub(super) options: CallOptions,
    pub(super) deadline: Time,
    pub(super) state: State,
    /// Where it is: one server, two if it is hedged.
    pub(super) copies: Vec<Copy>,
    /// Attempts that failed.
    pub(super) failed: u32,
    /// What a server did with it that had it before is not known: it is gone, or took too long.
    pub(super) was_lost: bool,
    /// A server may have begun with it.
    pub(super) may_have_run: bool,
    /// The server that it was at last, which alone may have it again if it is to run at most once.
    pub(super) bound_to: Option<PeerId>,
    /// Whether better servers are asked for room before it goes to a worse one.
    pub(super) asking: Asking,
    /// Timers that are set, to be taken out when it is over.
    pub(super) timers: Vec<(Time, Timer)>,
}

/// How far a call has come in asking better servers than one that has room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Asking {
    /// It did not have to.
    NotYet,
    /// It waits for their answers.
    Waits,
    /// They did not answer in time.
    InVain,
}

/// Where a call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// For a server with room.
    Waiting,
    /// For an answer.
    Dispatched,
    /// For some time to pass.
    BackingOff,
}

/// A call at a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Copy {
    pub(super) link: LinkId,
    /// Its place on the link, once it is written.
    pub(super) delivery: Option<Delivery>,
}

impl Call {
    pub(super) fn new(payload: Bytes, options: CallOptions, deadline: Time) -> Self {
        Self {
            payload,
            options,
            deadline,
            state: State::Waiting,
            copies: Vec::new(),
            failed: 0,
            was_lost: false,
            may_have_run: false,
            bound_to: None,
            asking: Asking::NotYet,
            timers: vec![(deadline, Timer::Deadline)],
        }
    }

    /// What it costs in bytes of credit.
    pub(super) fn cost(&self) -> u64 {
        cost_bytes(1, (HEAD_BYTES + self.payload.len()) as u64)
    }

    pub(super) fn is_at(&self, link: LinkId) -> bool {
        self.copies.iter().any(|copy| copy.link == link)
    }
}

/// The head of a request's record: length, attributes' length, deadline, name.
const HEAD_BYTES: usize = 4 + 2 + 10 + 18;

impl RequestEngine {
    /// The attributes of a call's record.
    pub(super) fn attributes(
        &self,
        number: CallNumber,
        deadline: Time,
        now: Now,
    ) -> Attributes<'static> {
        let left = deadline.since(now.time);
        let expires: WallTime = now.wall + left;
        Attributes {
            expires: Some(expires),
            call: Some(self.id_of(number)),
            ..Attributes::default()
        }
    }

    pub(super) fn set_timer(&mut self, number: CallNumber, at: Time, timer: Timer) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.timers.retain(|(before, other)| {
                let same = *other == timer;
                if same {
                    self.timers.remove(&(*before, number, timer));
                }
                !same
            });
            call.timers.push((at, timer));
            self.timers.insert((at, number, timer));
        }
    }

    pub(super) fn clear_timer(&mut self, number: CallNumber, timer: Timer) {
        if let Some(call) = self.calls.get_mut(&number) {
            call.timers.retain(|(at, other)| {
                let same = *other == timer;
                if same {
                    self.timers.remove(&(*at, number, timer));
                }
                !same
            });
        }
    }

    /// Takes a call out of everything, and tells its servers that nobody waits for it.
    pub(super) fn forget(&mut self, number: CallNumber) -> Option<Call> {
        let call = self.calls.remove(&number)?;
        self.waiting.remove(&number);
        self.hedges.remove(&number);
        for (at, timer) in &call.timers {
            self.timers.remove(&(*at, number, *timer));
        }
        for copy in &call.copies {
            self.take_from(number, *copy, call.cost());
        }
        Some(call)
    }

    /// Takes a call from a server: unwritten, it was never there, and its room is free; written, the server is told.
    pub(super) fn take_from(&mut self, number: CallNumber, copy: Copy, cost: u64) {
        let Some(link) = self.links.get_mut(&copy.link) else {
            return;
        };
        match copy.delivery {
            None => {
                if let Some(at) = link.outbox.iter().position(|other| *other == number) {
                    link.outbox.remove(at);
                    link.spender.refund(Amount::new(1, cost));
                    self.regained.push(copy.link);
                }
            }
            Some(delivery) => {
                if link.flights.remove(&delivery).is_some() {
                    link.cancels.insert(delivery..delivery + 1);
                    self.wakes.push_back(copy.link);
                }
            }
        }
    }
}
