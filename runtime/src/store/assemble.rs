//! Puts blocks together from their parts, which come in the order of their slots.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use drawdown_protocol::Seq;
use sled::IVec;

use super::entries::Kind;
use super::format::{self, PartHead};
use super::scan::{Damage, Keep};

/// A block that was found whole.
#[derive(Clone, Default, Debug)]
pub(super) struct FoundBlock {
    pub(super) seqs: Range<Seq>,
    pub(super) done: Vec<Range<Seq>>,
    pub(super) bytes: u64,
    /// Empty if the scan keeps sizes only.
    pub(super) records: Bytes,
    /// Its part 0 is in the last of them. Empty once its shelf has them.
    pub(super) slots: Vec<u64>,
}

impl FoundBlock {
    /// Whether this message of the block waits to be delivered.
    pub(super) fn holds_pending(&self, seq: Seq) -> bool {
        self.seqs.contains(&seq) && !self.done.iter().any(|done| done.contains(&seq))
    }
}

/// What it makes of a run of slots.
pub(super) struct Assembler {
    kind: Kind,
    keep: Keep,
    open: Option<OpenBlock>,
    /// Some parts were damaged: those that follow without a beginning are no news.
    broken: bool,
    pub(super) whole: Vec<FoundBlock>,
    /// Slots of blocks without a part 0.
    pub(super) leftovers: Vec<u64>,
    pub(super) damages: Vec<Damage>,
}

struct OpenBlock {
    /// Of the part that was read last.
    head: PartHead,
    slots: Vec<u64>,
    bytes: u64,
    /// Last part first.
    pieces: Vec<Bytes>,
}

impl OpenBlock {
    fn continues_with(&self, head: PartHead) -> bool {
        self.head.part.checked_sub(1).is_some_and(|part| head == PartHead { part, ..self.head })
    }

    fn into_block(self) -> FoundBlock {
        let PartHead { first, messages, .. } = self.head;
        FoundBlock {
            seqs: first..first + messages,
            done: Vec::new(),
            bytes: self.bytes,
            records: join(self.pieces),
            slots: self.slots,
        }
    }
}

/// Joins the parts of a block; the bytes of a single one are not copied.
fn join(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() <= 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    // Each is freed once it is copied: a large message is never there twice.
    while let Some(piece) = pieces.pop() {
        joined.extend_from_slice(&piece);
    }
    joined.freeze()
}

impl Assembler {
    pub(super) fn new(kind: Kind, keep: Keep) -> Self {
        Self {
            kind,
            keep,
            open: None,
            broken: false,
            whole: Vec::new(),
            leftovers: Vec::new(),
            damages: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, slot: u64, value: IVec) {
        let (head, place) = match format::read_part(&self.kind.key(slot), &value) {
            Ok(read) => read,
            Err(fault) => {
                self.damages.push(Damage::in_slot(self.kind, slot, fault));
                return self.break_off();
            }
        };
        let open = match self.open.take() {
            Some(mut open) if open.continues_with(head) => {
                open.head = head;
                self.open.insert(open)
            }
            cut_off => {
                self.leave(cut_off);
                if head.part + 1 != head.parts {
                    if !self.broken {
                        let what = "a part of a block is missing";
                        self.damages.push(Damage::new(Some(head.first), what));
                    }
                    return self.break_off();
                }
                self.broken = false;
                self.open.insert(OpenBlock {
                    head,
                    slots: Vec::new(),
                    bytes: 0,
                    pieces: Vec::new(),
                })
            }
        };
        open.slots.push(slot);
        open.bytes += place.len() as u64;
        if self.keep == Keep::Records {
            open.pieces.push(Bytes::from_owner(value).slice(place));
        }
        if head.part == 0 {
            self.whole.extend(self.open.take().map(OpenBlock::into_block));
        }
    }

    /// Nothing follows.
    pub(super) fn finish(&mut self) {
        let cut_off = self.open.take();
        self.leave(cut_off);
    }

    fn leave(&mut self, cut_off: Option<OpenBlock>) {
        self.leftovers.extend(cut_off.into_iter().flat_map(|open| open.slots));
    }

    fn break_off(&mut self) {
        self.open = None;
        self.broken = true;
    }
}
