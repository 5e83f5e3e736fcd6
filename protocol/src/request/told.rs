//! How calls ended, until their callers are told.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::CallNumber;
use super::answer::{CallError, Settled};

/// In the order in which they ended. What an answer came in is kept once for all that came in it.
#[derive(Debug, Default)]
pub(super) struct Told {
    ends: VecDeque<End>,
    /// How many answers there are to each, one after the other.
    records: VecDeque<(Bytes, usize)>,
    failures: VecDeque<CallError>,
}

/// How one ended: as little as is moved in registers.
#[derive(Clone, Copy, Debug)]
struct End {
    number: CallNumber,
    /// Where its answer is; none if it failed.
    answer: Option<(u32, u32)>,
}

impl Told {
    /// A call was answered: its payload stands among these records.
    #[inline]
    pub(super) fn answered(&mut self, number: CallNumber, records: &Bytes, payload: Range<usize>) {
        match self.records.back_mut() {
            Some((last, count)) if is_same(last, records) => *count += 1,
            _ => self.records.push_back((records.clone(), 1)),
        }
        let answer = Some((payload.start as u32, payload.end as u32));
        self.ends.push_back(End { number, answer });
    }

    pub(super) fn failed(&mut self, number: CallNumber, error: CallError) {
        self.failures.push_back(error);
        self.ends.push_back(End { number, answer: None });
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<(CallNumber, Settled)> {
        let End { number, answer } = self.ends.pop_front()?;
        let Some((start, end)) = answer else {
            return Some((number, Settled::Failed(self.failures.pop_front()?)));
        };
        let (records, count) = self.records.front_mut()?;
        let payload = records.slice(start as usize..end as usize);
        *count -= 1;
        if *count == 0 {
            self.records.pop_front();
        }
        Some((number, Settled::Answered(payload)))
    }
}

/// Whether both are the same piece of memory.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    one.as_ptr() == other.as_ptr() && one.len() == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_is_told_of_its_own_end_and_nothing_is_kept_then() {
        let mut told = Told::default();
        let (one, other) = (Bytes::from_static(b"abcd"), Bytes::from_static(b"efgh"));
        let answer = |bytes: &'static [u8]| Settled::Answered(Bytes::from_static(bytes));
        told.answered(7, &one, 0..2);
        told.answered(8, &one, 2..4);
        told.failed(3, CallError::TimedOut);
        told.answered(4, &Bytes::from_static(b"x"), 0..1);
        told.answered(9, &one, 1..3);
        told.answered(1, &other, 4..4);
        told.failed(2, CallError::NoService);
        let ends: Vec<_> = std::iter::from_fn(|| told.pop()).collect();
        let wanted = [
            (7, answer(b"ab")),
            (8, answer(b"cd")),
            (3, Settled::Failed(CallError::TimedOut)),
            (4, answer(b"x")),
            (9, answer(b"bc")),
            (1, answer(b"")),
            (2, Settled::Failed(CallError::NoService)),
        ];
        assert_eq!(ends, wanted);
        assert!(told.records.is_empty() && told.failures.is_empty());
    }
}
