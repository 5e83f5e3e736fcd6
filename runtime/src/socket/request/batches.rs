//! Batches of requests whose callers wait, under their socket's lock.

use std::collections::BTreeMap;
use std::ops::Range;
use std::task::Waker;

use drawdown_protocol::{Answers, CallError, CallNumber, Refusal, Rising};

use super::call::{Outcome, Reply};
use super::error::RequestError;

/// Names a batch at its socket; never used again.
pub(super) type BatchKey = u64;

/// Batches whose callers wait.
///
/// Calls that a batch made one after the other have numbers one after the other, and their results stand so too.
#[derive(Default)]
pub(super) struct Batches {
    open: Rising<Waits>,
    next: BatchKey,
    /// Which calls are of a batch, by the first number of each span.
    spans: BTreeMap<CallNumber, Span>,
    /// The span that was looked at last: the next call is mostly of the same.
    last: Span,
}

/// Calls that a batch made one after the other.
#[derive(Clone, Default)]
struct Span {
    numbers: Range<CallNumber>,
    batch: BatchKey,
    /// Where the result of the first stands.
    at: usize,
}

/// What the caller of a batch waits for.
#[derive(Default)]
struct Waits {
    /// Of those that were made or refused; one that is under way has none so far, as if its turn had not come.
    results: Vec<Outcome>,
    under_way: usize,
    /// By the first number of each.
    spans: Vec<CallNumber>,
    waker: Option<Waker>,
    is_woken: bool,
}

impl Batches {
    /// A batch of so many requests begins.
    pub(super) fn open(&mut self, requests: usize) -> BatchKey {
        let key = self.next;
        self.next += 1;
        self.open.insert(key, Waits { results: Vec::with_capacity(requests), ..Waits::default() });
        key
    }

    /// Some requests of a batch are about to become calls.
    pub(super) fn add(&mut self, batch: BatchKey) -> Added<'_> {
        let span = Span { batch, ..Span::default() };
        Added { waits: self.open.get_mut(&batch), spans: &mut self.spans, span }
    }

    /// A call has failed: who is to be woken. Gives back why if it is of no batch.
    pub(super) fn fail(
        &mut self,
        number: CallNumber,
        error: CallError,
    ) -> Result<Option<Waker>, CallError> {
        if !self.find(number) {
            return Err(error);
        }
        let failed = std::iter::once_with(|| Err(error.into()));
        Ok(self.settle(number, 1, failed))
    }

    /// The first of these calls, all that one batch made, are answered: who is to be woken. `None` if the first is of no batch.
    pub(super) fn answer(&mut self, answers: &mut Answers<'_>) -> Option<Option<Waker>> {
        let Range { start, end } = answers.numbers();
        if !self.find(start) {
            return None;
        }
        let count = (end.min(self.last.numbers.end) - start) as usize;
        Some(self.settle(start, count, answers.map(|payload| Ok(Reply::new(payload)))))
    }

    /// Looks for the span of a call; false if it is of no batch.
    fn find(&mut self, number: CallNumber) -> bool {
        if !self.last.numbers.contains(&number) {
            let before = self.spans.range(..=number).next_back().map(|(_, span)| span);
            let Some(span) = before.filter(|span| span.numbers.contains(&number)) else {
                return false;
            };
            self.last = span.clone();
        }
        true
    }

    /// So many calls of the span at hand are over, from this one on: who is to be woken.
    fn settle(
        &mut self,
        first: CallNumber,
        count: usize,
        outcomes: impl Iterator<Item = Outcome>,
    ) -> Option<Waker> {
        let Span { numbers, batch, at } = &self.last;
        let start = at + (first - numbers.start) as usize;
        let Some(waits) = self.open.get_mut(batch) else {
            // Nobody waits for them any more.
            outcomes.take(count).for_each(drop);
            return None;
        };
        let places = waits.results.get_mut(start..).unwrap_or_default();
        outcomes.take(count).zip(places).for_each(|(outcome, place)| *place = outcome);
        waits.under_way = waits.under_way.saturating_sub(count);
        if waits.under_way > 0 {
            return None;
        }
        let waker = waits.waker.take();
        waits.is_woken |= waker.is_some();
        waker
    }

    /// Its caller is here; says whether it was woken.
    pub(super) fn visit(&mut self, key: BatchKey) -> bool {
        self.open.get_mut(&key).is_some_and(|waits| std::mem::take(&mut waits.is_woken))
    }

    /// Its caller waits until none of its calls is under way. False if there is none.
    pub(super) fn wait(&mut self, key: BatchKey, waker: &Waker) -> bool {
        let waits = self.open.get_mut(&key).filter(|waits| waits.under_way > 0);
        waits.map(|waits| waits.waker = Some(waker.clone())).is_some()
    }

    /// Ends a batch, and gives its results.
    pub(super) fn close(&mut self, key: BatchKey) -> Vec<Outcome> {
        let Some(waits) = self.open.remove(&key) else {
            return Vec::new();
        };
        for first in waits.spans {
            self.spans.remove(&first);
        }
        waits.results
    }

    /// The calls that a batch has made.
    pub(super) fn calls(&self, key: BatchKey) -> Vec<Range<CallNumber>> {
        let spans = self.open.get(&key).into_iter().flat_map(|waits| &waits.spans);
        spans.filter_map(|first| Some(self.spans.get(first)?.numbers.clone())).collect()
    }
}

/// What becomes of requests of a batch, one after the other.
pub(super) struct Added<'a> {
    waits: Option<&'a mut Waits>,
    spans: &'a mut BTreeMap<CallNumber, Span>,
    /// The last calls.
    span: Span,
}

impl Added<'_> {
    /// The next one is a call, or was refused.
    #[inline]
    pub(super) fn push(&mut self, made: Result<CallNumber, Refusal>) {
        match made {
            Ok(number) => self.note(number),
            Err(why) => self.refuse(RequestError::from_refusal(&why)),
        }
    }

    #[inline]
    fn note(&mut self, number: CallNumber) {
        if self.span.numbers.end != number || self.span.numbers.is_empty() {
            self.end_span();
            self.span.at = self.waits.as_ref().map_or(0, |waits| waits.results.len());
            self.span.numbers = number..number;
        }
        self.span.numbers.end += 1;
    }

    pub(super) fn refuse(&mut self, error: RequestError) {
        self.end_span();
        if let Some(waits) = &mut self.waits {
            waits.results.push(Err(error));
        }
    }

    /// There are no more for now.
    pub(super) fn end(mut self) {
        self.end_span();
    }

    fn end_span(&mut self) {
        let numbers = std::mem::take(&mut self.span.numbers);
        if let Some(waits) = &mut self.waits
            && !numbers.is_empty()
        {
            let count = (numbers.end - numbers.start) as usize;
            waits.under_way += count;
            waits.results.resize_with(self.span.at + count, || Err(RequestError::no_turn()));
            waits.spans.push(numbers.start);
            let Span { batch, at, .. } = self.span;
            self.spans.insert(numbers.start, Span { numbers, batch, at });
        }
    }
}
