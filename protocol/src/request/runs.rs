//! Calls that have no state of their own, as long as nothing unusual befalls them.
//!
//! Most calls are given to a server when they are made, and answered by it. Those that one server was given one after the
//! other, in the same manner, stand in a run: side by side on the link, with one record of what they have in common. Whatever
//! else befalls one takes it out of its run first, and makes a [`Call`](super::Call) of it.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::collections::{Abreast, Rising};
use crate::ids::{Delivery, LinkId, PeerId, span};
use crate::time::Time;

use super::call::{Call, CallWriter, Copy};
use super::{CallNumber, CallOptions};

/// Calls of one run.
const PLACES: usize = 64;

/// A run takes no more payloads after so many bytes.
const RUN_BYTES: usize = 16 << 10;

/// Runs that may be there whatever is left in them; beyond, so many calls must be left in each on average.
const FEW_RUNS: usize = 64;
const LEFT_IN_EACH: usize = 8;

/// Empty runs that are kept to be used again.
const SPARE_RUNS: usize = 32;

/// Names a run; never used again.
pub(super) type RunKey = u64;

/// All runs, and where each call stands in them.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Rising<Run>,
    next: RunKey,
    /// Calls, and the place of each: [`PLACES`] for each run. Those that are not there any more are known until their run
    /// ends.
    places: Abreast,
    /// Calls that are there.
    len: usize,
    /// Where the call behind the last one stands that was answered: mostly it is the next one.
    next_answer: (RunKey, usize),
    spare: Vec<Run>,
}

/// Calls that were taken out of a run.
pub(super) type Taken = Vec<(CallNumber, Call)>;

/// Calls that one server was given one after the other.
#[derive(Debug)]
struct Run {
    link: LinkId,
    server: Option<PeerId>,
    options: Arc<CallOptions>,
    /// The place on the link of the first, once that is written.
    first_delivery: Delivery,
    calls: Vec<Folded>,
    payloads: Vec<u8>,
    /// Those that are written: the first ones.
    written: usize,
    /// A bit for each that is there: neither answered nor taken out.
    left: u64,
}

/// What a call in a run has for itself.
#[derive(Clone, Copy, Debug)]
struct Folded {
    number: CallNumber,
    deadline: Time,
    given: Time,
    /// Where its payload ends.
    end: usize,
}

/// A call that is about to be put into a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh<'a> {
    pub(super) number: CallNumber,
    pub(super) payload: &'a [u8],
    pub(super) deadline: Time,
    pub(super) given: Time,
}

impl Run {
    fn is_written(&self) -> bool {
        self.written == self.calls.len()
    }

    /// The place on the link of what comes next, if all is written.
    fn end_delivery(&self) -> Delivery {
        self.first_delivery + self.calls.len() as u64
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.calls.len() < PLACES && self.payloads.len() + bytes <= RUN_BYTES
    }

    #[inline]
    fn push(&mut self, fresh: Fresh<'_>) {
        let Fresh { number, payload, deadline, given } = fresh;
        self.payloads.extend_from_slice(payload);
        self.left |= 1 << self.calls.len();
        self.calls.push(Folded { number, deadline, given, end: self.payloads.len() });
    }

    /// Whether a call stands in this place.
    #[inline]
    fn has(&self, place: usize, number: CallNumber) -> bool {
        let is_it = self.calls.get(place).is_some_and(|call| call.number == number);
        is_it && self.left >> place & 1 != 0
    }

    /// The numbers of calls from a place on, also of those that are not there any more, as far as they rise by one.
    fn numbers(&self, from: usize) -> impl Iterator<Item = Range<CallNumber>> {
        let calls = self.calls.get(from..).unwrap_or_default();
        let spans = calls.chunk_by(|call, next| call.number + 1 == next.number);
        spans.filter_map(|span| Some(span.first()?.number..span.last()?.number + 1))
    }

    /// Where the payload of a call begins, or that of the one behind the last.
    fn start(&self, place: usize) -> usize {
        let before = place.checked_sub(1).and_then(|before| self.calls.get(before));
        before.map_or(0, |call| call.end)
    }

    /// A call of its own, as it is after all that has befallen it.
    fn call(&self, place: usize) -> Option<(CallNumber, Call)> {
        let Folded { number, deadline, given, end } = *self.calls.get(place)?;
        let payload = Bytes::copy_from_slice(self.payloads.get(self.start(place)..end)?);
        let mut call = Call::new(payload, Arc::clone(&self.options), deadline, None);
        let delivery = (place < self.written).then(|| self.first_delivery + place as u64);
        call.go_to(Copy { link: self.link, delivery, given }, self.server);
        Some((number, call))
    }
}

impl Runs {
    /// How many calls there are in all of them.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty() && self.runs.is_empty() && self.len == 0
    }

    pub(super) fn contains(&self, number: CallNumber) -> bool {
        self.find(number).is_some()
    }

    /// The run of a call, and its place in it.
    #[inline]
    fn find(&self, number: CallNumber) -> Option<(RunKey, usize)> {
        let (key, place) = self.next_answer;
        if self.is_at(key, place, number) {
            return Some((key, place));
        }
        let (key, place) = split(self.places.get(number)?);
        self.is_at(key, place, number).then_some((key, place))
    }

    /// Whether a call stands in this place of a run.
    #[inline]
    fn is_at(&self, key: RunKey, place: usize, number: CallNumber) -> bool {
        self.runs.get(&key).is_some_and(|run| run.has(place, number))
    }

    /// Whether a run takes one more call of these options, whose payload has so many bytes.
    pub(super) fn takes(&self, key: RunKey, options: &Arc<CallOptions>, bytes: usize) -> bool {
        let run = self.runs.get(&key);
        run.is_some_and(|run| run.has_room(bytes) && Arc::ptr_eq(&run.options, options))
    }

    /// Whether a run ends where the next call on its link will stand.
    pub(super) fn ends_at(&self, key: RunKey, next: Delivery) -> bool {
        let run = self.runs.get(&key);
        run.is_some_and(|run| run.is_written() && run.end_delivery() == next)
    }

    /// Begins a run on a link.
    pub(super) fn begin(
        &mut self,
        link: LinkId,
        server: Option<PeerId>,
        options: &Arc<CallOptions>,
    ) -> RunKey {
        let options = Arc::clone(options);
        let run = match self.spare.pop() {
            Some(spare) => Run { link, server, options, ..spare },
            None => Run {
                link,
                server,
                options,
                first_delivery: 0,
                calls: Vec::new(),
                payloads: Vec::new(),
                written: 0,
                left: 0,
            },
        };
        let key = self.next;
        self.next += 1;
        self.runs.insert(key, run);
        key
    }

    /// Puts a call into a run, where it is to be [noted](Self::note). False if that has no room for it.
    #[inline]
    pub(super) fn push(&mut self, key: RunKey, fresh: Fresh<'_>) -> bool {
        let run = self.runs.get_mut(&key).filter(|run| run.has_room(fresh.payload.len()));
        let Some(run) = run else {
            return false;
        };
        run.push(fresh);
        self.len += 1;
        true
    }

    /// Calls that have been put into a run one after the other are there, from this place on.
    pub(super) fn note(&mut self, key: RunKey, from: usize) {
        let Some(run) = self.runs.get(&key) else {
            return;
        };
        let mut place = key * PLACES as u64 + from as u64;
        for numbers in run.numbers(from) {
            let count = span(&numbers);
            self.places.insert_run(numbers.start, place, count);
            place += count;
        }
    }

    /// How many calls a run has had so far.
    pub(super) fn calls_in(&self, key: RunKey) -> usize {
        self.runs.get(&key).map_or(0, |run| run.calls.len())
    }

    /// Writes what is not written of a run, the first of it at this place on the link. Gives the calls' numbers, as far as they
    /// rise by one.
    pub(super) fn write(
        &mut self,
        key: RunKey,
        at: Delivery,
        writer: &mut CallWriter,
        out: &mut BytesMut,
    ) -> impl Iterator<Item = Range<CallNumber>> {
        let mut from = PLACES;
        if let Some(run) = self.runs.get_mut(&key) {
            if run.written == 0 {
                run.first_delivery = at;
            }
            from = run.written;
            let mut start = run.start(from);
            for call in run.calls.get(from..).unwrap_or_default() {
                let payload = run.payloads.get(start..call.end).unwrap_or_default();
                writer.write(out, payload, (call.number, call.deadline), &run.options);
                start = call.end;
            }
            run.written = run.calls.len();
        }
        self.runs.get(&key).into_iter().flat_map(move |run| run.numbers(from))
    }

    /// The server on a link has answered a call that was written there: its place on the link, and it is over.
    #[inline]
    pub(super) fn settle(&mut self, number: CallNumber, link: LinkId) -> Option<Delivery> {
        let (key, place) = self.find(number)?;
        let run = self.runs.get_mut(&key).filter(|run| run.link == link && place < run.written)?;
        run.left &= !(1 << place);
        self.len -= 1;
        self.next_answer = (key, place + 1);
        let delivery = run.first_delivery + place as u64;
        if run.left == 0 {
            self.end(key);
        }
        Some(delivery)
    }

    /// The server that has answered a call, which was the last to be settled, answers those right behind it that were written,
    /// as long as its next answer `comes`. How many these are.
    #[inline]
    pub(super) fn settle_behind(
        &mut self,
        last: CallNumber,
        mut comes: impl FnMut(CallNumber) -> bool,
    ) -> u64 {
        let (key, start) = self.next_answer;
        let Some(run) = self.runs.get_mut(&key) else {
            return 0;
        };
        let mut place = start;
        for (number, call) in
            (last + 1..).zip(run.calls.get(start..run.written).unwrap_or_default())
        {
            let is_next = call.number == number && run.left >> place & 1 != 0;
            if !is_next || !comes(number) {
                break;
            }
            run.left &= !(1 << place);
            place += 1;
        }
        self.next_answer = (key, place);
        self.len -= place - start;
        if run.left == 0 {
            self.end(key);
        }
        (place - start) as u64
    }

    /// The run that a call stands in, if it is not written yet.
    pub(super) fn unwritten(&self, number: CallNumber) -> Option<RunKey> {
        let (key, place) = self.find(number)?;
        self.runs.get(&key).filter(|run| place >= run.written).map(|_| key)
    }

    /// Takes a call out of its run.
    pub(super) fn take(&mut self, number: CallNumber) -> Option<Call> {
        let (key, place) = self.find(number)?;
        let (_, call) = self.take_some(key, place..place + 1).pop()?;
        Some(call)
    }

    /// Takes out what is not written of a run, and says of which link.
    pub(super) fn take_unwritten(&mut self, key: RunKey) -> Option<(LinkId, Taken)> {
        let run = self.runs.get(&key)?;
        let (link, written) = (run.link, run.written);
        let taken = self.take_some(key, written..PLACES);
        if let Some(run) = self.runs.get_mut(&key) {
            forget(&mut self.places, run.numbers(written));
            run.calls.truncate(written);
            run.payloads.truncate(run.start(written));
        }
        Some((link, taken))
    }

    /// Takes out what is left of a run.
    pub(super) fn take_all(&mut self, key: RunKey) -> Taken {
        self.take_some(key, 0..PLACES)
    }

    fn take_some(&mut self, key: RunKey, places: Range<usize>) -> Taken {
        let Some(run) = self.runs.get_mut(&key) else {
            return Taken::new();
        };
        let mut taken = Taken::new();
        for place in places {
            if run.left >> place & 1 != 0 {
                taken.extend(run.call(place));
                run.left &= !(1 << place);
            }
        }
        self.len -= taken.len();
        if run.left == 0 {
            self.end(key);
        }
        taken
    }

    /// All runs.
    pub(super) fn keys(&self) -> Vec<RunKey> {
        self.runs.iter().map(|(key, _)| key).collect()
    }

    /// The runs on a link.
    pub(super) fn on(&self, link: LinkId) -> Vec<RunKey> {
        let runs = self.runs.iter().filter(|(_, run)| run.link == link);
        runs.map(|(key, _)| key).collect()
    }

    /// The oldest run, if there are more than what is left in them needs: a call that waits for long keeps the payloads of
    /// those beside it.
    pub(super) fn superfluous(&self) -> Option<RunKey> {
        let most = FEW_RUNS + self.len() / LEFT_IN_EACH;
        self.runs.first().filter(|_| self.runs.len() > most).map(|(key, _)| key)
    }

    /// Keeps no memory for runs to come.
    pub(super) fn drop_spare(&mut self) {
        self.spare = Vec::new();
    }

    /// Nothing is left in a run.
    fn end(&mut self, key: RunKey) {
        let Some(mut run) = self.runs.remove(&key) else {
            return;
        };
        forget(&mut self.places, run.numbers(0));
        if self.spare.len() < SPARE_RUNS {
            run.calls.clear();
            run.payloads.clear();
            run.written = 0;
            self.spare.push(run);
        }
    }
}

/// These calls stand nowhere any more.
fn forget(places: &mut Abreast, numbers: impl Iterator<Item = Range<CallNumber>>) {
    numbers.for_each(|numbers| places.take_range(numbers, |_, _| {}));
}

/// A run, and a place in it.
const fn split(place: u64) -> (RunKey, usize) {
    (place / PLACES as u64, (place % PLACES as u64) as usize)
}
