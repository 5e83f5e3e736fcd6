//! Calls that are not answered: what those that came side by side have in common is kept once.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::collections::Rising;
use crate::credit::Amount;
use crate::ids::{CallId, LinkId, PeerId};
use crate::link::Identity;
use crate::message::cost_bytes;
use crate::time::Time;

use super::{CallKey, ClientKey, Place};

/// Calls of one run at the most: they leave together.
const RUN_CALLS: u64 = 64;

/// All calls of an engine that are not answered.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// By their keys, those too that are over, as long as another one of their run is not.
    calls: Rising<Call>,
    len: usize,
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
    /// As long as somebody is to begin with one.
    handed: Option<Arc<CallRun>>,
}

/// What those who work on calls that came side by side need of these in common.
#[derive(Debug)]
pub struct CallRun {
    identity: Identity,
    /// The first one's name and key.
    id: CallId,
    first: u64,
    /// What they came in.
    records: Bytes,
}

/// A call that somebody begins with, among others: as little as is moved in registers.
#[derive(Clone, Copy, Debug)]
pub struct BegunCall<'a> {
    key: CallKey,
    deadline: Option<Time>,
    payload: (u32, u32),
    run: &'a Arc<CallRun>,
}

impl<'a> BegunCall<'a> {
    /// What it has in common with those beside it.
    #[must_use]
    pub const fn run(self) -> &'a Arc<CallRun> {
        self.run
    }

    /// It belongs to the application from now on.
    #[inline]
    #[must_use]
    pub fn taken(self) -> TakenCall {
        self.taken_with(Arc::clone(self.run))
    }

    /// The same, for who has what holds its [run](Self::run).
    #[inline]
    #[must_use]
    pub const fn taken_with<R>(self, run: R) -> TakenCall<R> {
        let Self { key, deadline, payload, .. } = self;
        TakenCall { key, deadline, payload, run }
    }
}

/// A call in the hands of the application, with what holds its run.
#[derive(Clone, Debug)]
pub struct TakenCall<R = Arc<CallRun>> {
    /// What it is answered by.
    pub key: CallKey,
    /// When its caller stops waiting.
    pub deadline: Option<Time>,
    /// Where its payload is among the records of its run.
    payload: (u32, u32),
    /// What holds its run.
    pub run: R,
}

impl<R: AsRef<CallRun>> TakenCall<R> {
    /// Its name, the same over all its attempts.
    #[must_use]
    pub fn id(&self) -> CallId {
        let run = self.run.as_ref();
        run.id.later(self.key.0 - run.first)
    }

    /// Who called.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.run.as_ref().identity
    }

    fn place(&self) -> Range<usize> {
        let (start, bytes) = self.payload;
        start as usize..start as usize + bytes as usize
    }

    /// The request.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.run.as_ref().records.get(self.place()).unwrap_or_default()
    }

    /// The request as shared bytes: no copy, but they keep all in memory that it was read with.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.run.as_ref().records.slice(self.place())
    }
}

impl TakenCall {
    /// The same, with something else that holds its run.
    #[inline]
    #[must_use]
    pub fn with<R>(self, hold: impl FnOnce(Arc<CallRun>) -> R) -> TakenCall<R> {
        let Self { key, deadline, payload, run } = self;
        TakenCall { key, deadline, payload, run: hold(run) }
    }
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

/// Calls of a run that comes, and that are not in their places yet.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) client: ClientKey,
    /// The first one's name and place.
    pub(super) id: CallId,
    pub(super) place: Place,
    /// They may run again, and have passed no router.
    is_plain: bool,
    /// Nothing is known of any call behind the first one.
    pub(super) is_new: bool,
    pub(super) first: u64,
    pub(super) count: u64,
}

impl Arrived {
    /// The number that the client's next call has, if that may be one of the run, without anything that is said of it.
    #[inline]
    pub(super) fn next_number(&self) -> Option<u64> {
        let number = self.id.halves().1.checked_add(self.count);
        number.filter(|_| self.is_plain && self.count < RUN_CALLS)
    }

    /// Whether a plain call of this name, at this place of the same frame, stands right behind its last one.
    pub(super) fn is_next(&self, name: CallId, (_, delivery): Place) -> bool {
        let (half, number) = name.halves();
        self.id.halves().0 == half
            && self.next_number() == Some(number)
            && delivery == self.place.1 + self.count
    }
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
    is_over: bool,
}

/// Where a call comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Where it came from last.
    pub(super) at: Option<Place>,
    /// Where it came from before, over another link that waits for its answer, too.
    pub(super) before: Option<Place>,
}

/// Calls of one run that are answered one after the other: what they have in common, and what they leave behind.
#[derive(Debug)]
pub(super) struct Row {
    run: u64,
    first: u64,
    /// The first one's name in the run.
    id: CallId,
    pub(super) client: ClientKey,
    pub(super) link: LinkId,
    /// How many were ended.
    pub(super) count: u64,
    /// The room that these had.
    pub(super) cost: Amount,
}

impl Row {
    pub(super) fn id(&self, key: CallKey) -> CallId {
        self.id.later(key.0 - self.first)
    }

    /// Ends a call that is of the row, and that its caller waits for where it first came from. False if it is none of these.
    #[inline]
    pub(super) fn end(&mut self, call: &mut Call, now: Time) -> bool {
        let is_worked_on = call.begun && !call.is_over && !call.has_moved;
        if call.run != self.run || !is_worked_on || call.cancelled || !call.has_time(now) {
            return false;
        }
        call.is_over = true;
        self.cost += call.take_cost();
        self.count += 1;
        true
    }
}

/// What is to be known of a call that is over here.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) id: CallId,
    pub(super) client: ClientKey,
    pub(super) places: Places,
    /// It does not come from where it first came from any more, or not only from there.
    pub(super) has_moved: bool,
    /// If it was the last of its run: where the first one first came from, and how many there were.
    pub(super) run: Option<(Place, u64)>,
    pub(super) deadline: Option<Time>,
    pub(super) cost: Amount,
    pub(super) cancelled: bool,
    pub(super) at_most_once: bool,
}

impl Run {
    fn id(&self, key: u64) -> CallId {
        self.came.id.later(key - self.first)
    }

    fn places(&self, key: u64) -> Places {
        let (link, delivery) = self.came.place;
        Places { at: Some((link, delivery + (key - self.first))), before: None }
    }

    /// Somebody has begun with so many of its calls, or nobody will.
    fn note_begun(&mut self, calls: u64) {
        self.waiting -= calls;
        if self.waiting == 0 {
            self.handed = None;
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
        let (begun, cancelled, has_moved, is_over) = (false, false, false, false);
        Self { run: 0, deadline, payload, record_bytes, begun, cancelled, has_moved, is_over }
    }

    /// Whether its caller waits for it still, as far as it has said.
    #[inline]
    fn has_time(&self, now: Time) -> bool {
        self.deadline.is_none_or(|deadline| deadline > now)
    }

    /// Takes the room that it has from it.
    pub(super) fn take_cost(&mut self) -> Amount {
        let cost = |bytes| Amount::new(1, cost_bytes(1, u64::from(bytes)));
        self.record_bytes.take().map_or(Amount::ZERO, cost)
    }
}

impl Calls {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn get(&self, key: CallKey) -> Option<&Call> {
        self.calls.get(&key.0).filter(|call| !call.is_over)
    }

    pub(super) fn get_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.get_mut(&key.0).filter(|call| !call.is_over)
    }

    fn run(&self, key: CallKey) -> Option<&Run> {
        self.runs.get(&self.get(key)?.run)
    }

    /// How many come from each link.
    pub(super) fn by_link(&self) -> BTreeMap<LinkId, u64> {
        let mut counts = BTreeMap::new();
        let places = self.calls.iter().filter_map(|(key, _)| self.places(CallKey(key)));
        for (link, _) in places.flat_map(|places| [places.at, places.before]).flatten() {
            *counts.entry(link).or_default() += 1;
        }
        counts
    }

    /// A call that must run at most once.
    pub(super) fn is_at_most_once(&self, key: CallKey) -> bool {
        self.run(key).is_some_and(|run| run.came.at_most_once)
    }

    pub(super) fn id(&self, key: CallKey) -> Option<CallId> {
        self.run(key).map(|run| run.id(key.0))
    }

    /// Begins a run with the call that is put in next, which stands in these records.
    pub(super) fn begin_run(&mut self, came: Came, identity: Identity, records: Bytes) -> Arrived {
        let (client, id, place, first) = (came.client, came.id, came.place, self.next);
        let is_plain = !came.at_most_once && came.routers.is_empty();
        let arrived = Arrived { client, id, place, is_plain, is_new: false, first, count: 1 };
        let handed = Some(Arc::new(CallRun { identity, id, first, records }));
        self.next_run += 1;
        self.runs.insert(self.next_run, Run { came, first, len: 0, left: 0, waiting: 0, handed });
        arrived
    }

    /// Puts a call in, the next one of the run that was begun last, and that is to be ended before anything else is done.
    #[inline]
    pub(super) fn push(&mut self, mut call: Call) -> CallKey {
        let key = self.next;
        self.next += 1;
        call.run = self.next_run;
        self.calls.insert(key, call);
        CallKey(key)
    }

    /// No more calls come into the run that was begun last.
    pub(super) fn end_run(&mut self, run: &Arrived) {
        self.len += run.count as usize;
        if let Some(begun) = self.runs.get_mut(&self.next_run) {
            (begun.len, begun.left, begun.waiting) = (run.count, run.count, run.count);
        }
    }

    /// Somebody begins with a call, unless its time is over: false then. None if there is nothing to begin with.
    #[inline]
    pub(super) fn begin(
        &mut self,
        key: CallKey,
        now: Time,
        each: impl FnOnce(BegunCall<'_>),
    ) -> Option<bool> {
        let call = self.calls.get_mut(&key.0).filter(|call| !call.begun && !call.is_over)?;
        if !call.has_time(now) {
            return Some(false);
        }
        let run = self.runs.get_mut(&call.run)?;
        let handed = run.handed.as_ref()?;
        each(BegunCall { key, deadline: call.deadline, payload: call.payload, run: handed });
        call.begun = true;
        run.note_begun(1);
        Some(true)
    }

    /// Somebody begins with the first of these calls, as far as they are of one run, wait, and have time. Gives how many.
    pub(super) fn begin_row(
        &mut self,
        keys: Range<u64>,
        now: Time,
        each: &mut impl FnMut(BegunCall<'_>),
    ) -> u64 {
        let number = self.calls.get(&keys.start).map(|call| call.run);
        let Some((number, run)) = number.and_then(|run| Some((run, self.runs.get_mut(&run)?)))
        else {
            return 0;
        };
        let mut key = keys.start;
        if let Some(handed) = &run.handed {
            for call in self.calls.row_mut(keys.clone()) {
                let waits = !call.begun && !call.is_over && call.has_time(now);
                if call.run != number || !waits {
                    break;
                }
                let (deadline, payload) = (call.deadline, call.payload);
                each(BegunCall { key: CallKey(key), deadline, payload, run: handed });
                call.begun = true;
                key += 1;
            }
        }
        let begun = key - keys.start;
        run.note_begun(begun);
        begun
    }

    /// The routers that a call has passed, once.
    pub(super) fn take_routers(&mut self, key: CallKey) -> Box<[PeerId]> {
        let run = self.get(key).map(|call| call.run).and_then(|run| self.runs.get_mut(&run));
        // One that has passed any is the only one of its run.
        run.map(|run| std::mem::take(&mut run.came.routers)).unwrap_or_default()
    }

    /// Where a call comes from.
    pub(super) fn places(&self, key: CallKey) -> Option<Places> {
        let call = self.get(key)?;
        match call.has_moved {
            true => self.moved.get(&key.0).copied(),
            false => self.runs.get(&call.run).map(|run| run.places(key.0)),
        }
    }

    /// It comes from somewhere else now.
    pub(super) fn set_places(&mut self, key: CallKey, places: Places) {
        if let Some(call) = self.get_mut(key) {
            call.has_moved = true;
            self.moved.insert(key.0, places);
        }
    }

    /// The run of a call, if its calls may run again.
    pub(super) fn row(&self, key: CallKey) -> Option<Row> {
        let number = self.get(key)?.run;
        let run = self.runs.get(&number).filter(|run| !run.came.at_most_once)?;
        let Came { id, client, place: (link, _), .. } = run.came;
        let (first, count, cost) = (run.first, 0, Amount::ZERO);
        Some(Row { run: number, first, id, client, link, count, cost })
    }

    /// Ends a call of a row that its caller waits for where it first came from. False if it is none of these.
    pub(super) fn end_in(&mut self, row: &mut Row, key: CallKey, now: Time) -> bool {
        self.calls.get_mut(&key.0).is_some_and(|call| row.end(call, now))
    }

    /// The calls right behind this one, up to so many.
    pub(super) fn behind(&mut self, key: CallKey, count: usize) -> impl Iterator<Item = &mut Call> {
        let first = key.0 + 1;
        self.calls.row_mut(first..first.saturating_add(count as u64))
    }

    /// Counts what was ended in a row. If it was the last of its run: the place of the first one, and how many there were.
    pub(super) fn close_row(&mut self, row: &Row) -> Option<(Place, u64)> {
        self.len -= row.count as usize;
        self.runs.get_mut(&row.run)?.left -= row.count;
        self.drop_over(row.run)
    }

    /// Drops a run of which nothing is left; says what it took on its link.
    fn drop_over(&mut self, number: u64) -> Option<(Place, u64)> {
        let run = self.runs.get(&number).filter(|run| run.left == 0)?;
        let (place, first, len) = (run.came.place, run.first, run.len);
        self.calls.take_range(first..first + len, |_, _| ());
        self.runs.remove_with(&number, |_| ());
        Some((place, len))
    }

    /// Takes a call out.
    #[inline]
    pub(super) fn remove(&mut self, key: CallKey) -> Option<Ended> {
        let call = self.calls.get_mut(&key.0).filter(|call| !call.is_over)?;
        let (number, has_moved) = (call.run, call.has_moved);
        let run = self.runs.get_mut(&number)?;
        let places = if has_moved { self.moved.remove(&key.0) } else { None };
        call.is_over = true;
        self.len -= 1;
        if !call.begun {
            run.note_begun(1);
        }
        run.left -= 1;
        let ended = Ended {
            id: run.id(key.0),
            client: run.came.client,
            places: places.unwrap_or_else(|| run.places(key.0)),
            has_moved,
            run: None,
            deadline: call.deadline,
            cost: call.take_cost(),
            cancelled: call.cancelled,
            at_most_once: run.came.at_most_once,
        };
        Some(Ended { run: self.drop_over(number), ..ended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(number: u64, delivery: u64) -> Came {
        let (id, place) = (CallId::new([7; 8], number), (LinkId(1), delivery));
        Came { id, client: 3, place, at_most_once: false, routers: Box::default() }
    }

    fn begin(calls: &mut Calls, came: Came, records: Bytes) -> Arrived {
        calls.begin_run(came, Identity::new("client"), records)
    }

    fn begin_with(calls: &mut Calls, key: CallKey) -> Option<TakenCall> {
        let mut taken = None;
        calls.begin(key, Time::ZERO, |begun| taken = Some(begun.taken()));
        taken
    }

    /// Calls whose records have ten bytes each, of which two are the payload.
    fn come(calls: &mut Calls, number: u64, delivery: u64, count: u32) -> Vec<CallKey> {
        let records: Bytes = (0..count as u8).flat_map(|at| [at; 10]).collect::<Vec<_>>().into();
        let mut run = begin(calls, came(number, delivery), records);
        run.count = u64::from(count);
        let call = |at| calls.push(Call::new((10 * at + 8, 2), 10, None));
        let keys = (0..count).map(call).collect();
        calls.end_run(&run);
        keys
    }

    #[test]
    fn calls_that_came_together_leave_one_by_one_and_take_nothing_then() {
        let mut calls = Calls::default();
        let keys = come(&mut calls, 100, 20, 5);
        let others = come(&mut calls, 200, 25, 1);
        let begun = begin_with(&mut calls, keys[3]).unwrap();
        assert_eq!((begun.id(), begun.payload()), (CallId::new([7; 8], 103), &[3, 3][..]));
        assert_eq!(
            (begun.identity().as_str(), &begun.payload_bytes()[..]),
            ("client", &[3, 3][..])
        );
        assert!(begin_with(&mut calls, keys[3]).is_none(), "somebody has begun with it");
        let elsewhere = Some((LinkId(2), 0));
        calls.set_places(keys[1], Places { at: elsewhere, before: None });
        assert_eq!(calls.by_link(), BTreeMap::from([(LinkId(1), 5), (LinkId(2), 1)]));
        for (at, key) in [3, 0, 4, 1, 2].into_iter().map(|at| (at as u64, keys[at])) {
            let ended = calls.remove(key).unwrap();
            assert!(calls.remove(key).is_none() && calls.get(key).is_none());
            assert!(calls.places(key).is_none() && begin_with(&mut calls, key).is_none());
            assert_eq!(ended.id, CallId::new([7; 8], 100 + at));
            let place = if at == 1 { elsewhere } else { Some((LinkId(1), 20 + at)) };
            assert_eq!((ended.places.at, ended.has_moved), (place, at == 1));
            assert_eq!(ended.cost, Amount::new(1, cost_bytes(1, 10)));
            assert_eq!(ended.run, (at == 2).then_some(((LinkId(1), 20), 5)));
        }
        assert_eq!(
            (calls.len(), calls.calls.len(), calls.runs.len(), calls.moved.len()),
            (1, 1, 1, 0)
        );
        assert!(calls.get(others[0]).is_some());
    }

    #[test]
    fn what_calls_came_in_is_kept_as_long_as_one_waits() {
        let mut calls = Calls::default();
        let keys = come(&mut calls, 0, 0, 3);
        let is_kept = |calls: &Calls| calls.runs.first().unwrap().1.handed.is_some();
        begin_with(&mut calls, keys[0]).unwrap();
        calls.remove(keys[1]).unwrap();
        assert!(is_kept(&calls));
        begin_with(&mut calls, keys[2]).unwrap();
        assert!(!is_kept(&calls));
    }

    #[test]
    fn a_run_has_names_and_places_that_follow_each_other() {
        let id = |number| CallId::new([7; 8], number);
        let mut calls = Calls::default();
        let mut run = begin(&mut calls, came(u64::MAX - 1, 5), Bytes::new());
        assert!(run.is_next(id(u64::MAX), (LinkId(1), 6)));
        assert!(!run.is_next(id(u64::MAX), (LinkId(1), 7)));
        assert!(!run.is_next(CallId::new([8; 8], u64::MAX), (LinkId(1), 6)));
        run.count += 1;
        assert!(!run.is_next(id(0), (LinkId(1), 7)), "there is nothing behind the last number");
        run = begin(&mut calls, came(0, 0), Bytes::new());
        run.count = RUN_CALLS;
        assert!(!run.is_next(id(RUN_CALLS), (LinkId(1), RUN_CALLS)));
        let once = Came { at_most_once: true, ..came(0, 0) };
        assert!(!begin(&mut calls, once, Bytes::new()).is_next(id(1), (LinkId(1), 1)));
    }
}
