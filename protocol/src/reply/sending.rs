//! Answers that links have still to send.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use crate::ids::{CallId, LinkId, span};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::{RecordHead, Records, cost_bytes, write_call_head};

use super::memory::{AnswerKey, Memory};

/// Answers of one block that are to be sent.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) count: u64,
    pub(super) records: Bytes,
    /// The payload of the only record, where that is not in it.
    pub(super) large: Option<Bytes>,
    /// What they take, as credit is counted.
    pub(super) bytes: u64,
}

impl Memory {
    /// A link is to send an answer: it is there until it has, even if it is not to be remembered. Gives what it takes, as
    /// credit is counted; `None` if it waits there already.
    pub(super) fn hold(&mut self, key: AnswerKey, link: LinkId) -> Option<u64> {
        let place = self.answers.get(&key)?;
        let block = self.blocks.get_mut(&place.block)?;
        let bit = block.bits(&(key..key + 1));
        let is_new = block.unsent.hold(link, key, bit);
        is_new.then(|| cost_bytes(1, u64::from(place.payload_bytes)))
    }

    /// The first of these, all of one block, for a client that knows what names mean which are left out, or for any. They are
    /// not to be in the block that grows.
    pub(super) fn part(&self, keys: &Range<AnswerKey>, knows_naming: bool) -> Option<Part> {
        let block = self.block_of(keys.start)?;
        let place = |key: AnswerKey| self.answers.get(&key).map_or(0, |place| place.at as usize);
        let keys = keys.start..keys.end.min(block.keys.end);
        let (start, end) = match keys.end < block.keys.end {
            true => (place(keys.start), place(keys.end)),
            false => (place(keys.start), block.records.len()),
        };
        let mut records = block.records.slice(start..end);
        let head = RecordHead::read(&records, MESSAGE_BYTES_MAX).ok().flatten();
        let is_named = head.is_some_and(|head| !head.is_bare());
        if !is_named || !knows_naming && block.has_bare {
            let numbers = self.answers.range(keys.clone()).map(|(_, place)| place.number);
            let named = if knows_naming { 1 } else { usize::MAX };
            records = spelled_out(&records, numbers.map(|number| block.id(number)), named);
        }
        let large = block.large.as_deref().cloned();
        let bytes = cost_bytes(span(&keys), self.payload_bytes(keys.clone()));
        Some(Part { count: span(&keys), records, large, bytes })
    }

    /// A link does not have to send these any more.
    pub(super) fn release(&mut self, keys: Range<AnswerKey>, link: LinkId) {
        let mut next = keys.start;
        while next < keys.end {
            let Some(number) = self.answers.get(&next).map(|place| place.block) else {
                return;
            };
            let Some(block) = self.blocks.get_mut(&number) else {
                return;
            };
            let part = next..keys.end.min(block.keys.end);
            next = part.end;
            let bits = block.bits(&part);
            block.unsent.release(link, part, bits);
            self.drop_over(number);
        }
    }
}

/// The records of answers to these calls, with the names of so many of the first ones.
fn spelled_out(records: &[u8], calls: impl Iterator<Item = CallId>, named: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(records.len());
    for (place, (id, (at, head))) in calls.zip(Records::new(records)).enumerate() {
        let is_named = place < named && head.is_bare();
        if is_named {
            write_call_head(&mut out, head.payload_bytes, id);
        }
        let start = at + if is_named { head.head_bytes } else { 0 };
        out.put_slice(records.get(start..at + head.record_bytes()).unwrap_or_default());
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::super::memory::Answer;
    use super::super::memory::tests::{answer, keep_some, put};
    use super::*;
    use crate::limits::BY_REFERENCE_BYTES;
    use crate::message::Naming;

    #[test]
    fn what_is_to_be_sent_is_there_although_it_is_forgotten() {
        let mut memory = Memory::default();
        let (one, two, three) = (LinkId(1), LinkId(2), LinkId(3));
        for payload in [vec![1; 10], vec![2; BY_REFERENCE_BYTES]] {
            let key =
                put(&mut memory, &Answer { to: Some(one), ..answer() }, payload.clone().into());
            memory.seal();
            let bytes = Some(cost_bytes(1, payload.len() as u64));
            assert_eq!(memory.hold(key, one), None, "it waits there already");
            assert_eq!(memory.hold(key, two), bytes);
            assert_eq!(memory.hold(key, two), None, "there it does, too");
            memory.forget(key..key + 1);
            assert!(memory.get(key).is_none() && memory.len() == 0);
            memory.release(key..key + 1, one);
            assert_eq!(memory.hold(key, three), bytes, "the second one still has it");
            memory.release(key..key + 1, three);
            let part = memory.part(&(key..key + 1), true).unwrap();
            let sent = part.large.unwrap_or_else(|| part.records.slice(24..));
            assert_eq!((sent, part.count), (payload.into(), 1));
            memory.release(key..key + 1, two);
            assert_eq!((memory.answers.len(), memory.blocks.len()), (0, 0));
            assert!(
                memory.part(&(key..key + 1), true).is_none() && memory.hold(key, one).is_none()
            );
        }
    }

    /// The numbers of the calls that these answers are for, as their client reads them.
    fn numbers(part: &Part, knows_naming: bool) -> Vec<u64> {
        let mut naming = Naming::default();
        let calls = Records::new(&part.records).map(|(_, head)| match knows_naming {
            true => naming.read(&head).map(|(call, _)| call),
            false => head.call,
        });
        calls.map(|call| call.unwrap().halves().1).collect()
    }

    #[test]
    fn what_is_given_one_after_the_other_is_sent_as_it_stands() {
        let mut memory = Memory::default();
        keep_some(&mut memory, 100);
        memory.seal();
        assert_eq!(memory.blocks.len(), 2);
        let first = memory.part(&(0..100), true).unwrap();
        assert_eq!((first.count, first.bytes), (64, cost_bytes(64, 64 * 60)));
        let block = memory.block_of(0).unwrap();
        assert_eq!(first.records.as_ptr(), block.records.as_ptr(), "not copied");
        assert_eq!(first.records.len(), 84 + 63 * 64, "one name for all");
        for (keys, knows_naming) in [(0..64, true), (0..64, false), (10..20, true), (10..20, false)]
        {
            let part = memory.part(&keys, knows_naming).unwrap();
            assert_eq!((part.count, numbers(&part, knows_naming)), (span(&keys), keys.collect()));
        }
        assert_eq!(memory.part(&(90..100), true).map(|part| part.count), Some(10));
        assert_eq!(memory.numbers(3..64).collect::<Vec<_>>(), [(3, 3..64)]);
        let number = |key: AnswerKey| memory.get(key).map(|kept| kept.id.halves().1);
        assert_eq!((number(63), number(64), number(100)), (Some(63), Some(64), None));
    }
}
