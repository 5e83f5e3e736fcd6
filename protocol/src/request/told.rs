//! How calls ended, until their callers are told.

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;
use std::ops::Range;

use bytes::Bytes;

use super::CallNumber;
use super::answer::{CallError, Settled};

/// In the order in which they ended.
#[derive(Debug, Default)]
pub(super) struct Told {
    ends: VecDeque<End>,
    /// Where the payloads of all answers begin and end.
    places: VecDeque<(u32, u32)>,
}

#[derive(Debug)]
enum End {
    Answered(Row),
    Failed(CallNumber, CallError),
}

/// The answers to calls that have numbers one behind the other, and that came together: what they came in is kept once.
#[derive(Debug)]
struct Row {
    /// The number of the first one's call.
    first: CallNumber,
    count: usize,
    records: Bytes,
}

/// Calls that have come to an end.
#[derive(Debug)]
pub enum Ends<'a> {
    /// These were answered.
    Answered(Answers<'a>),
    /// This one was not.
    Failed(CallNumber, CallError),
}

/// The answers to calls that have numbers one behind the other, and that came together.
#[derive(Debug)]
pub struct Answers<'a> {
    first: CallNumber,
    records: Bytes,
    places: Drain<'a, (u32, u32)>,
}

impl Answers<'_> {
    /// The calls whose answers are left.
    #[must_use]
    pub fn numbers(&self) -> Range<CallNumber> {
        self.first..self.first + self.places.len() as u64
    }
}

/// The payloads of the answers.
impl Iterator for Answers<'_> {
    type Item = Bytes;

    #[inline]
    fn next(&mut self) -> Option<Bytes> {
        let (start, end) = self.places.next()?;
        self.first += 1;
        Some(self.records.slice(start as usize..end as usize))
    }
}

impl Told {
    /// A call was answered: its payload stands among these records.
    #[inline]
    pub(super) fn answered(&mut self, number: CallNumber, records: &Bytes, payload: &Range<usize>) {
        self.places.push_back((payload.start as u32, payload.end as u32));
        match self.ends.back_mut() {
            Some(End::Answered(row)) if row.goes_on(number, records) => row.count += 1,
            _ => self.begin(number, records),
        }
    }

    #[cold]
    fn begin(&mut self, first: CallNumber, records: &Bytes) {
        let row = Row { first, count: 1, records: records.clone() };
        self.ends.push_back(End::Answered(row));
    }

    pub(super) fn failed(&mut self, number: CallNumber, error: CallError) {
        self.ends.push_back(End::Failed(number, error));
    }

    /// The next ones.
    pub(super) fn pop(&mut self) -> Option<Ends<'_>> {
        Some(match self.ends.pop_front()? {
            End::Answered(Row { first, count, records }) => {
                Ends::Answered(Answers { first, records, places: self.places.drain(..count) })
            }
            End::Failed(number, error) => Ends::Failed(number, error),
        })
    }

    /// The next one alone.
    pub(super) fn pop_one(&mut self) -> Option<(CallNumber, Settled)> {
        if let Some(End::Answered(row)) = self.ends.front_mut()
            && row.count > 1
        {
            let (number, (start, end)) = (row.first, self.places.pop_front()?);
            row.first += 1;
            row.count -= 1;
            return Some((
                number,
                Settled::Answered(row.records.slice(start as usize..end as usize)),
            ));
        }
        match self.pop()? {
            Ends::Answered(mut answers) => {
                Some((answers.first, Settled::Answered(answers.next()?)))
            }
            Ends::Failed(number, error) => Some((number, Settled::Failed(error))),
        }
    }
}

impl Row {
    /// Whether the answer to this call, among these records, stands right behind the last.
    #[inline]
    fn goes_on(&self, number: CallNumber, records: &Bytes) -> bool {
        number == self.first + self.count as u64 && is_same(&self.records, records)
    }
}

/// Whether both are the same piece of memory.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some ends, in their order, the first two of calls beside each other.
    fn some() -> (Told, [(CallNumber, Settled); 7]) {
        let mut told = Told::default();
        let (one, other) = (Bytes::from_static(b"abcd"), Bytes::from_static(b"efgh"));
        let answer = |bytes: &'static [u8]| Settled::Answered(Bytes::from_static(bytes));
        told.answered(7, &one, &(0..2));
        told.answered(8, &one, &(2..4));
        told.failed(3, CallError::TimedOut);
        told.answered(4, &Bytes::from_static(b"x"), &(0..1));
        told.answered(9, &one, &(1..3));
        told.answered(10, &other, &(4..4));
        told.failed(2, CallError::NoService);
        let wanted = [
            (7, answer(b"ab")),
            (8, answer(b"cd")),
            (3, Settled::Failed(CallError::TimedOut)),
            (4, answer(b"x")),
            (9, answer(b"bc")),
            (10, answer(b"")),
            (2, Settled::Failed(CallError::NoService)),
        ];
        (told, wanted)
    }

    #[test]
    fn each_caller_is_told_of_its_own_end_and_nothing_is_kept_then() {
        let (mut told, wanted) = some();
        let ends: Vec<_> = std::iter::from_fn(|| told.pop_one()).collect();
        assert_eq!(ends, wanted);
        assert!(told.ends.is_empty() && told.places.is_empty());
    }

    #[test]
    fn those_beside_each_other_that_came_together_are_told_together() {
        let (mut told, wanted) = some();
        let (mut ends, mut rows) = (Vec::new(), Vec::new());
        // One alone, and what is left of its row then.
        ends.extend(told.pop_one());
        while let Some(next) = told.pop() {
            match next {
                Ends::Answered(answers) => {
                    rows.push(answers.numbers());
                    ends.extend(answers.numbers().zip(answers.map(Settled::Answered)));
                }
                Ends::Failed(number, error) => ends.push((number, Settled::Failed(error))),
            }
        }
        assert!(told.places.is_empty());
        assert_eq!(ends, wanted);
        assert_eq!(rows, [8..9, 4..5, 9..10, 10..11]);
    }
}
