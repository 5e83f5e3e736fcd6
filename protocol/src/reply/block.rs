//! Answers that were given one after the other to one client, side by side as they go on the wire.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;

use crate::ids::{CallId, LinkId, span};
use crate::limits::MESSAGE_BYTES_MAX;
use crate::message::RecordHead;
use crate::time::Time;

use super::ClientKey;
use super::memory::AnswerKey;

/// Answers of one block at the most: a word has a bit for each.
pub(super) const BLOCK_ANSWERS: u64 = 64;

/// What answers of one block have in common. It goes with the last of them.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) keys: Range<AnswerKey>,
    pub(super) client: ClientKey,
    /// The first half of its calls' names.
    pub(super) half: [u8; 8],
    /// The number of the first one's call, as long as those of the others follow it one by one.
    pub(super) row: Option<u64>,
    /// The records of some leave their calls' names out.
    pub(super) has_bare: bool,
    /// When the first was given, and the last.
    pub(super) begun: Time,
    pub(super) given: Time,
    /// Until when it is known however old it is: of a block of one.
    pub(super) awaited: Option<Time>,
    /// One record after the other.
    pub(super) records: Bytes,
    /// The payload of its only record, where that is too large to be copied.
    pub(super) large: Option<Box<Bytes>>,
    pub(super) payload_bytes: u64,
    /// A bit for each that whoever asks again gets.
    pub(super) known: u64,
    pub(super) unsent: Unsent,
}

/// Which answers of a block have still to be sent, and by whom.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// By one link: a bit for each.
    pub(super) by: Option<LinkId>,
    pub(super) bits: u64,
    /// By others.
    others: BTreeSet<(LinkId, AnswerKey)>,
}

impl Block {
    /// Without answers.
    pub(super) fn new(first: AnswerKey, client: ClientKey, half: [u8; 8], begun: Time) -> Self {
        Self {
            keys: first..first,
            client,
            half,
            row: None,
            has_bare: false,
            begun,
            given: begun,
            awaited: None,
            records: Bytes::new(),
            large: None,
            payload_bytes: 0,
            known: 0,
            unsent: Unsent::default(),
        }
    }

    /// The bits of these, as far as they are in it.
    pub(super) fn bits(&self, keys: &Range<AnswerKey>) -> u64 {
        let start = keys.start.max(self.keys.start);
        let end = keys.end.min(self.keys.end);
        match end.saturating_sub(start) {
            0 => 0,
            count => u64::MAX >> (BLOCK_ANSWERS - count) << (start - self.keys.start),
        }
    }

    /// Whether nobody needs any of it.
    pub(super) fn is_over(&self) -> bool {
        self.known == 0 && self.unsent.bits == 0 && self.unsent.others.is_empty()
    }

    pub(super) fn len(&self) -> u64 {
        span(&self.keys)
    }

    /// The name of the call that has this number at its client.
    pub(super) const fn id(&self, number: u64) -> CallId {
        CallId::new(self.half, number)
    }

    /// What was answered to the call that has this number at its client, in the record that begins at `at`.
    pub(super) fn kept(&self, number: u64, at: u32) -> Option<Kept<'_>> {
        let record = self.records.get(at as usize..)?;
        let head = RecordHead::read(record, MESSAGE_BYTES_MAX).ok().flatten()?;
        let copied = record.get(head.payload());
        let large = self.large.as_deref().map(|large| &large[..]);
        let id = self.id(number);
        let payload = copied.or(large).unwrap_or_default();
        Some(Kept { client: self.client, id, rejected: head.rejected, payload })
    }
}

/// An answer that is remembered.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Kept<'a> {
    pub(super) client: ClientKey,
    pub(super) id: CallId,
    pub(super) rejected: bool,
    pub(super) payload: &'a [u8],
}

impl Unsent {
    /// A link is to send the answer with this bit; false if it waits there already.
    pub(super) fn hold(&mut self, link: LinkId, key: AnswerKey, bit: u64) -> bool {
        if self.others.contains(&(link, key)) {
            return false;
        }
        if self.bits == 0 || self.by == Some(link) {
            let waits = self.bits & bit != 0;
            self.by = Some(link);
            self.bits |= bit;
            return !waits;
        }
        self.others.insert((link, key))
    }

    /// A link does not have to send these any more. What it has among the others has no bit.
    pub(super) fn release(&mut self, link: LinkId, keys: Range<AnswerKey>, bits: u64) {
        if self.by == Some(link) {
            self.bits &= !bits;
        }
        if !self.others.is_empty() {
            keys.for_each(|key| {
                self.others.remove(&(link, key));
            });
        }
    }
}
