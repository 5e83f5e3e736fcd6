//! Where blocks stand: slots that are laid out so that sled writes each block about once.
//!
//! sled writes a page anew, with all that is in it, when it splits (over 16 entries) and at every change after the
//! tenth since it was last written. Blocks under rising keys of their own would be written three times: once as they
//! come, and twice as the page at the edge splits and splits. So the entries come first, empty, in slots that rise,
//! and are filled later, when the edge has moved on: then only empty entries are ever split. Rising keys leave pages
//! of nine entries. Of any nine slots that follow each other only two are used. Two fillings and two removals are four
//! changes, so a page is not written anew while anything is in it; a block that stays keeps one other on disk at the
//! most; and the 256 pages that sled keeps in its cache at the least are 32 MiB.
//!
//! All of this is about speed and space only. Whatever pages sled makes of the slots, nothing else depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use drawdown_protocol::Seq;

/// Slots in a page that grew at the edge.
const PAGE_SLOTS: u64 = 9;
/// How many of them are used.
const USED_SLOTS: u64 = 2;
/// Empty slots between the last that is filled and the edge: more than a page holds before it splits.
const AHEAD_SLOTS: u64 = 18;
/// So many are prepared at a time, beyond those: of blocks that are written one by one, few wait for that.
const PREPARED_SLOTS: u64 = 10 * PAGE_SLOTS;

/// Which slots hold what.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// The slots of each block, by its first number; its part 0 is in the last of them.
    places: BTreeMap<Seq, Vec<u64>>,
    filled: BTreeSet<u64>,
    /// The next used slot to be filled.
    next: u64,
    /// Slots from here on have no entry yet.
    prepared: u64,
    /// Empty slots with an entry that nobody needs any more.
    surplus: Vec<u64>,
}

impl Shelf {
    /// What was found: the blocks with their slots, and the slots with an empty entry.
    pub(super) fn found(blocks: impl Iterator<Item = (Seq, Vec<u64>)>, empty: &[u64]) -> Self {
        let mut shelf =
            Self { next: empty.first().map_or(0, |slot| used_from(*slot)), ..Self::default() };
        for (first, slots) in blocks {
            shelf.fill(first, slots);
        }
        shelf.prepared = empty.last().map_or(0, |slot| slot + 1).max(shelf.next);
        shelf.surplus =
            empty.iter().copied().filter(|slot| shelf.is_spent(slot / PAGE_SLOTS)).collect();
        shelf
    }

    /// The slots of a block; none if it is not here.
    pub(super) fn place(&self, first: Seq) -> &[u64] {
        self.places.get(&first).map_or(&[], Vec::as_slice)
    }

    /// Slots for so many parts, to be filled in this order.
    pub(super) fn take(&mut self, first: Seq, parts: u16) -> Vec<u64> {
        let from = self.next;
        let mut slots = Vec::with_capacity(usize::from(parts));
        while slots.len() < usize::from(parts) {
            let next = slots.last().map_or(from, |last| used_from(last + 1));
            slots.push(next);
        }
        self.fill(first, slots.clone());
        self.give_up(from / PAGE_SLOTS..self.next / PAGE_SLOTS);
        slots
    }

    /// The slots that need an empty entry before anything more is filled.
    pub(super) fn prepare(&mut self) -> Range<u64> {
        let from = self.prepared;
        let wanted = self.next + AHEAD_SLOTS;
        if from < wanted {
            self.prepared = wanted + PREPARED_SLOTS;
        }
        from..self.prepared
    }

    /// Forgets a block; gives its slots, to be emptied in this order.
    pub(super) fn remove(&mut self, first: Seq) -> Vec<u64> {
        let mut slots = self.places.remove(&first).unwrap_or_default();
        for slot in &slots {
            self.filled.remove(slot);
        }
        if let (Some(low), Some(high)) = (slots.first(), slots.last()) {
            let pages = low / PAGE_SLOTS..high / PAGE_SLOTS + 1;
            self.give_up(pages);
        }
        slots.reverse();
        slots
    }

    /// Empty slots whose entry nobody needs any more.
    pub(super) fn take_surplus(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.surplus)
    }

    fn fill(&mut self, first: Seq, slots: Vec<u64>) {
        self.next = slots.iter().map(|slot| used_from(slot + 1)).fold(self.next, u64::max);
        self.filled.extend(&slots);
        self.places.insert(first, slots);
    }

    /// Gives up the unused slots of those of these pages that are spent.
    fn give_up(&mut self, pages: Range<u64>) {
        for page in pages {
            if self.is_spent(page) {
                self.surplus.extend(page * PAGE_SLOTS + USED_SLOTS..(page + 1) * PAGE_SLOTS);
            }
        }
    }

    /// Whether nothing stands in a page, and nothing will.
    fn is_spent(&self, page: u64) -> bool {
        slots_of(page).end <= self.next && self.filled.range(slots_of(page)).next().is_none()
    }
}

const fn slots_of(page: u64) -> Range<u64> {
    page * PAGE_SLOTS..(page + 1) * PAGE_SLOTS
}

/// Whether this is the last slot of a page that is ever filled.
pub(super) const fn is_last_of_page(slot: u64) -> bool {
    slot % PAGE_SLOTS == USED_SLOTS - 1
}

/// The first used slot from this one on.
const fn used_from(slot: u64) -> u64 {
    if slot % PAGE_SLOTS < USED_SLOTS { slot } else { (slot / PAGE_SLOTS + 1) * PAGE_SLOTS }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries that the tree would have: whether each is filled.
    #[derive(Default)]
    struct Tree(BTreeMap<u64, bool>);

    impl Tree {
        fn put(&mut self, shelf: &mut Shelf, first: Seq, parts: u16) {
            let slots = shelf.take(first, parts);
            for slot in shelf.prepare() {
                assert!(self.0.insert(slot, false).is_none(), "slot {slot} prepared twice");
            }
            for slot in slots {
                assert_eq!(self.0.insert(slot, true), Some(false), "slot {slot} was not empty");
                let edge = self.0.keys().next_back().copied().unwrap();
                assert!(edge >= slot + AHEAD_SLOTS, "slot {slot} is filled at the edge {edge}");
            }
            self.clear(shelf);
        }

        fn remove(&mut self, shelf: &mut Shelf, first: Seq) {
            for slot in shelf.remove(first) {
                assert_eq!(self.0.remove(&slot), Some(true), "slot {slot} held nothing");
            }
            self.clear(shelf);
        }

        fn clear(&mut self, shelf: &mut Shelf) {
            for slot in shelf.take_surplus() {
                assert_eq!(self.0.remove(&slot), Some(false), "slot {slot} was no surplus");
            }
        }

        fn reopen(&self, blocks: &BTreeMap<Seq, Vec<u64>>) -> Shelf {
            let empty: Vec<u64> =
                self.0.iter().filter(|(_, filled)| !**filled).map(|(slot, _)| *slot).collect();
            Shelf::found(blocks.clone().into_iter(), &empty)
        }
    }

    #[test]
    fn one_pinned_block_does_not_hold_the_entries_of_others() {
        let (mut shelf, mut tree) = (Shelf::default(), Tree::default());
        tree.put(&mut shelf, 0, 1);
        for first in 1..2_000 {
            tree.put(&mut shelf, first, 1 + (first % 3) as u16);
            if first % 7 == 0 {
                let blocks = shelf.places.clone();
                shelf = tree.reopen(&blocks);
                tree.clear(&mut shelf);
            }
            if first > 4 {
                tree.remove(&mut shelf, first - 4);
            }
            assert!(tree.0.len() < 200, "{} entries after {first} blocks", tree.0.len());
        }
    }

    #[test]
    fn two_of_any_nine_slots_are_used_in_rising_order() {
        let mut shelf = Shelf::default();
        let slots: Vec<u64> = (0..40).flat_map(|first| shelf.take(first, 1)).collect();
        assert!(slots.windows(2).all(|pair| pair[0] < pair[1]));
        for start in 0..50 {
            let used = slots.iter().filter(|slot| (start..start + 9).contains(*slot)).count();
            assert_eq!(used, 2, "from slot {start}");
        }
    }

    #[test]
    fn parts_are_emptied_in_the_reverse_of_the_order_in_which_they_are_filled() {
        let mut shelf = Shelf::default();
        let mut filled = shelf.take(7, 12);
        filled.reverse();
        assert_eq!(shelf.remove(7), filled);
        assert!(shelf.remove(7).is_empty());
    }
}
