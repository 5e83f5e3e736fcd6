//! Calls that are not answered: what those that came side by side have in common is kept once.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::collections::Rising;
use crate::credit::Amount;
use crate::ids::{CallId, PeerId};
use crate::message::cost_bytes;
use crate::time::Time;

use super::{CallKey, ClientKey, Place};

/// All calls of an engine that are not answered.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// By their keys.
    calls: Rising<Call>,
    /// By the order in which they came.
    runs: Rising<Run>,
    next: u64,
    next_run: u64,
    /// Where those come from that came again, or whose link has ended.
    moved: BTreeMap<u64, Places>,
}

/// Calls that came one behind the other in one frame, with names one behind the other, none of which was known.
#[derive(Debug)]
struct Run {
    came: Came,
    /// The key of its first call.
    first: u64,
    /// How many there were.
    len: u64,
    /// How many are left, and how many of these nobody has begun with.
    left: u64,
    waiting: u64,
    /// What they came in, as long as somebody is to begin with one.
    records: Bytes,
}

/// How a call came; in a run, its first call.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) id: CallId,
    pub(super) client: ClientKey,
    pub(super) place: Place,
    pub(super) at_most_once: bool,
    /// The routers that it has passed.
    pub(super) routers: Box<[PeerId]>,
}

/// What each call has of its own.
#[derive(Debug)]
pub(super) struct Call {
    run: u64,
    pub(super) deadline: Option<Time>,
    /// Where its payload is among the records of its run.
    pub(super) payload: (u32, u32),
    /// What it takes of the room, as far as it still takes any.
    record_bytes: Option<u32>,
    pub(super) begun: bool,
    /// Its caller does not wait any more.
    pub(super) cancelled: bool,
    has_moved: bool,
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Where it came from last.
    pub(super) at: Option<Place>,
    /// Where it came from before, over another link that waits for its answer, too.
    pub(super) before: Option<Place>,
}

/// A call that somebody begins with.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) id: CallId,
    pub(super) client: ClientKey,
    pub(super) payload: Bytes,
    pub(super) deadline: Option<Time>,
    pub(super) at_most_once: bool,
    pub(super) routers: Box<[PeerId]>,
}

/// What is to be known of a call that is over here.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: CallId,
    pub(super) client: ClientKey,
    pub(super) places: Places,
    pub(super) deadline: Option<Time>,
    pub(super) cost: Amount,
    pub(super) cancelled: bool,
    pub(super) at_most_once: bool,
}

impl Run {
    /// Whether a call that came in the same frame stands right behind its last one, with nothing that is its own.
    fn continues(&self, came: &Came) -> bool {
        let (link, delivery) = self.came.place;
        came.client == self.came.client
            && came.place == (link, delivery + self.len)
            && came.id == self.id(self.first + self.len)
            && came.at_most_once == self.came.at_most_once
            && came.routers.is_empty()
            && self.came.routers.is_empty()
    }

    fn id(&self, key: u64) -> CallId {
        let (half, number) = self.came.id.halves();
        CallId::new(half, number.wrapping_add(key - self.first))
    }

    fn places(&self, key: u64) -> Places {
        let (link, delivery) = self.came.place;
        Places { at: Some((link, delivery + (key - self.first))), before: None }
    }

    /// Somebody has begun with one of its calls, or nobody will.
    fn note_begun(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.records = Bytes::new();
        }
    }
}

impl Call {
    pub(super) const fn new(
        payload: (u32, u32),
        record_bytes: u32,
        deadline: Option<Time>,
    ) -> Self {
        let record_bytes = Some(record_bytes);
        let (begun, cancelled, has_moved) = (false, false, false);
        Self { run: 0, deadline, payload, record_bytes, begun, cancelled, has_moved }
    }

    /// Takes the room that it has from it.
    pub(super) fn take_cost(&mut self) -> Amount {
        let cost = |bytes| Amount::new(1, cost_bytes(1, u64::from(bytes)));
        self.record_bytes.take().map_or(Amount::ZERO, cost)
    }
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn get(&self, key: CallKey) -> Option<&Call> {
        self.calls.get(&key.0)
    }

    pub(super) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(&key.0)
    }

    fn run(&self, key: CallKey) -> Option<&Run> {
        self.runs.get(&self.calls.get(&key.0)?.run)
    }

    /// A call that must run at most once.
    pub(super) fn is_at_most_once(&self, key: CallKey) -> bool {
        self.run(key).is_some_and(|run| run.came.at_most_once)
    }

    pub(super) fn id(&self, key: CallKey) -> Option<CallId> {
        self.run(key).map(|run| run.id(key.0))
    }

    /// Puts a call in that came in these records, behind the one before where it continues its run.
    pub(super) fn push(&mut self, came: Came, mut call: Call, records: &Bytes) -> CallKey {
        let key = self.next;
        self.next += 1;
        let is_here = |run: &&mut Run| {
            run.first + run.len == key
                && std::ptr::eq(run.records.as_ptr(), records.as_ptr())
                && run.continues(&came)
        };
        let last = self.next_run.wrapping_sub(1);
        match self.runs.get_mut(&last).filter(is_here) {
            Some(run) => {
                call.run = last;
                run.len += 1;
                run.left += 1;
                run.waiting += 1;
            }
            None => {
                call.run = self.next_run;
                let (records, first) = (records.clone(), key);
                let run = Run { came, first, len: 1, left: 1, waiting: 1, records };
                self.runs.insert(self.next_run, run);
                self.next_run += 1;
            }
        }
        self.calls.insert(key, call);
        CallKey(key)
    }

    /// Somebody begins with a call.
    pub(super) fn begin(&mut self, key: CallKey) -> Option<Begun> {
        let call = self.calls.get_mut(&key.0).filter(|call| !call.begun)?;
        let run = self.runs.get_mut(&call.run)?;
        let (start, bytes) = (call.payload.0 as usize, call.payload.1 as usize);
        let begun = Begun {
            id: run.id(key.0),
            client: run.came.client,
            payload: run.records.slice(start..start + bytes),
            deadline: call.deadline,
            at_most_once: run.came.at_most_once,
            // One that has passed any is the only one of its run.
            routers: std::mem::take(&mut run.came.routers),
        };
        call.begun = true;
        run.note_begun();
        Some(begun)
    }

    /// Where a call comes from.
    pub(super) fn places(&self, key: CallKey) -> Option<Places> {
        let call = self.calls.get(&key.0)?;
        match call.has_moved {
            true => self.moved.get(&key.0).copied(),
            false => self.runs.get(&call.run).map(|run| run.places(key.0)),
        }
    }

    /// It comes from somewhere else now.
    pub(super) fn set_places(&mut self, key: CallKey, places: Places) {
        if let Some(call) = self.calls.get_mut(&key.0) {
            call.has_moved = true;
            self.moved.insert(key.0, places);
        }
    }

    /// Takes a call out.
    #[inline]
    pub(super) fn remove(&mut self, key: CallKey) -> Option<Ended> {
        let mut call = self.calls.remove(&key.0)?;
        let run = self.runs.get_mut(&call.run)?;
        let places = if call.has_moved { self.moved.remove(&key.0) } else { None };
        let ended = Ended {
            id: run.id(key.0),
            client: run.came.client,
            places: places.unwrap_or_else(|| run.places(key.0)),
            deadline: call.deadline,
            cost: call.take_cost(),
            cancelled: call.cancelled,
            at_most_once: run.came.at_most_once,
        };
        if !call.begun {
            run.note_begun();
        }
        run.left -= 1;
        if run.left == 0 {
            self.runs.remove_with(&call.run, |_| ());
        }
        Some(ended)
    }
}
