//! Writes and removes entries, in the order on which [`super::format`] relies.

use std::ops::Range;

use bytes::Bytes;
use drawdown_protocol::Seq;
use drawdown_protocol::store::Attempts;
use serde::Serialize;
use sled::IVec;

use super::engine::Engine;
use super::error::{StoreError, StoreErrorKind};
use super::format::{self, DoneNote, PartHead, Prefix, TooLarge};
use super::shelf::{self, Shelf};

/// sled looks for pages to drop from its cache once for so many accesses to pages of one of its 256 shards. A page here
/// has 128 KiB in it: left to itself, sled keeps hundreds of megabytes, whatever its cache may hold.
const CACHE_ACCESSES: usize = 64;

/// Pages with less in them may be left to sled: as many as it keeps unseen are a few megabytes.
const LET_GO_BYTES: usize = 8 << 10;

/// The entries of an open store.
///
/// Single inserts and removes, never sled's `apply_batch`: that costs a second write, and buys nothing that the order
/// of single ones does not.
pub(super) struct Entries {
    pub(super) engine: Engine,
    shelves: Shelves,
    value: Vec<u8>,
    /// What was put into pages, of either kind, since the last one was full.
    page_bytes: usize,
}

/// Where the blocks and the records of dead letters stand.
#[derive(Debug, Default)]
pub(super) struct Shelves {
    pub(super) blocks: Shelf,
    pub(super) dead: Shelf,
}

impl Shelves {
    /// The slots of a block, its part 0 in the last of them.
    pub(super) fn slots(&self, kind: Kind, first: Seq) -> &[u64] {
        match kind {
            Kind::Block => self.blocks.place(first),
            Kind::Dead => self.dead.place(first),
        }
    }
}

/// What stands on a shelf.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Block,
    Dead,
}

impl Kind {
    pub(super) fn key(self, slot: u64) -> [u8; 9] {
        format::key(self.prefix(), slot)
    }

    pub(super) fn prefix(self) -> Prefix {
        match self {
            Kind::Block => Prefix::Block,
            Kind::Dead => Prefix::Dead,
        }
    }
}

impl Entries {
    pub(super) fn new(engine: Engine, shelves: Shelves) -> Self {
        Self { engine, shelves, value: Vec::with_capacity(format::VALUE_BYTES_MAX), page_bytes: 0 }
    }

    /// Writes a block, its part 0 last. One of the same first number is removed after that.
    pub(super) fn put_block(
        &mut self,
        kind: Kind,
        seqs: &Range<Seq>,
        pieces: &[Bytes],
    ) -> Result<(), StoreError> {
        let bytes = pieces.iter().map(Bytes::len).sum();
        let parts = format::parts_for(bytes).map_err(|error| self.too_large(error))?;
        let replaced = self.shelf(kind).remove(seqs.start);
        let slots = self.shelf(kind).take(seqs.start, parts);
        for slot in self.shelf(kind).prepare() {
            self.engine.insert(&kind.key(slot), &[])?;
        }
        for (part, slot) in (0..parts).rev().zip(slots) {
            let messages = seqs.end.saturating_sub(seqs.start);
            let head = PartHead { first: seqs.start, messages, part, parts };
            let key = kind.key(slot);
            format::write_part(&key, head, pieces, &mut self.value);
            self.engine.insert(&key, &self.value)?;
            self.page_bytes += self.value.len();
            if shelf::is_last_of_page(slot) && std::mem::take(&mut self.page_bytes) >= LET_GO_BYTES
            {
                self.let_go_of_page(&key)?;
            }
        }
        self.empty(kind, &replaced)
    }

    /// Makes sled see that its cache holds more than it should.
    fn let_go_of_page(&self, key: &[u8]) -> Result<(), StoreError> {
        (0..CACHE_ACCESSES).try_for_each(|_| self.engine.touch(key))
    }

    /// Removes a block, its part 0 first.
    pub(super) fn remove_block(&mut self, kind: Kind, first: Seq) -> Result<(), StoreError> {
        let slots = self.shelf(kind).remove(first);
        self.empty(kind, &slots)
    }

    fn empty(&mut self, kind: Kind, slots: &[u64]) -> Result<(), StoreError> {
        let surplus = self.shelf(kind).take_surplus();
        slots.iter().chain(&surplus).try_for_each(|slot| self.remove(&kind.key(*slot)))
    }

    /// Notes which messages of a block are done.
    pub(super) fn put_done(&mut self, block: Seq, done: &[Range<Seq>]) -> Result<(), StoreError> {
        let note = DoneNote::new(block, done).map_err(|error| self.too_large(error))?;
        self.put_note(&format::key(Prefix::Done, block), &note)
    }

    /// Keeps a dead letter: how it died first, so that a whole record always has it.
    pub(super) fn put_dead(
        &mut self,
        seq: Seq,
        attempts: &Attempts,
        record: &Bytes,
    ) -> Result<(), StoreError> {
        self.put_note(&format::key(Prefix::DeadAttempts, seq), attempts)?;
        self.put_block(Kind::Dead, &(seq..seq.saturating_add(1)), std::slice::from_ref(record))
    }

    pub(super) fn remove_dead(&mut self, seq: Seq) -> Result<(), StoreError> {
        self.remove_block(Kind::Dead, seq)?;
        self.remove(&format::key(Prefix::DeadAttempts, seq))
    }

    pub(super) fn put_note(&mut self, key: &[u8], note: &impl Serialize) -> Result<(), StoreError> {
        format::write_note(key, note, &mut self.value).map_err(|error| self.too_large(error))?;
        self.engine.insert(key, &self.value)
    }

    pub(super) fn remove(&self, key: &[u8]) -> Result<(), StoreError> {
        self.engine.remove(key)
    }

    /// Removes what a crash cut off. That comes before anything is written: its slots are not empty and yet are filled
    /// next, and its notes would be about what is put under their number.
    pub(super) fn clear(&self, leftovers: &mut Vec<IVec>) -> Result<(), StoreError> {
        leftovers.iter().try_for_each(|key| self.remove(key))?;
        leftovers.clear();
        Ok(())
    }

    pub(super) fn slots(&self, kind: Kind, first: Seq) -> &[u64] {
        self.shelves.slots(kind, first)
    }

    fn shelf(&mut self, kind: Kind) -> &mut Shelf {
        match kind {
            Kind::Block => &mut self.shelves.blocks,
            Kind::Dead => &mut self.shelves.dead,
        }
    }

    fn too_large(&self, _: TooLarge) -> StoreError {
        let what = "a block or a note is larger than its format can hold";
        StoreError::new(StoreErrorKind::TooLarge, &self.engine.path, what)
    }
}
