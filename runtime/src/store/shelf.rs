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
        let mut shelf = Self { next: used_from(edge_of(empty)), ..Self::default() };
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

/// Where the slots begin that are ready for what comes next: the run of empty ones that ends with the last. Others are
/// further back, beside each block that has stayed; what stood between those and this run is gone, and so are its entries.
fn edge_of(empty: &[u64]) -> u64 {
    let run = empty.iter().rev().copied();
    run.reduce(|from, slot| if slot + 1 == from { slot } else { from }).unwrap_or(0)
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
            self.prepare(shelf.prepare());
            for slot in slots {
                self.fill(slot);
            }
            self.clear(shelf);
        }

        /// A crash after so many writes of a block that would be put, the last of which is never done.
        fn put_cut_off(&mut self, shelf: &mut Shelf, first: Seq, parts: u16, writes: usize) {
            let blocks = shelf.places.clone();
            let slots = shelf.take(first, parts);
            let prepared = shelf.prepare();
            let filled = writes.saturating_sub(prepared.clone().count());
            self.prepare(prepared.take(writes));
            let filled = &slots[..filled.min(slots.len() - 1)];
            filled.iter().for_each(|slot| self.fill(*slot));
            *shelf = self.found(&blocks);
            // They are removed before anything is written.
            for slot in filled {
                self.0.remove(slot);
            }
            self.clear(shelf);
        }

        fn prepare(&mut self, slots: impl Iterator<Item = u64>) {
            for slot in slots {
                assert!(self.0.insert(slot, false).is_none(), "slot {slot} prepared twice");
            }
        }

        fn fill(&mut self, slot: u64) {
            assert_eq!(self.0.insert(slot, true), Some(false), "slot {slot} was not empty");
            let edge = self.0.keys().next_back().copied().unwrap();
            assert!(edge >= slot + AHEAD_SLOTS, "slot {slot} is filled at the edge {edge}");
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

        fn reopen(&mut self, shelf: &mut Shelf) {
            let found = self.found(&shelf.places);
            assert_eq!((found.next, found.prepared), (shelf.next, shelf.prepared));
            *shelf = found;
            self.clear(shelf);
        }

        fn found(&self, blocks: &BTreeMap<Seq, Vec<u64>>) -> Shelf {
            let empty: Vec<u64> =
                self.0.iter().filter(|(_, filled)| !**filled).map(|(slot, _)| *slot).collect();
            Shelf::found(blocks.clone().into_iter(), &empty)
        }

        /// Any nine entries that follow each other may come to stand in one leaf.
        fn check_leaves(&self) {
            let entries: Vec<(u64, bool)> = self.0.iter().map(|(s, f)| (*s, *f)).collect();
            for nine in entries.windows(9) {
                let filled = nine.iter().filter(|(_, filled)| *filled).count();
                assert!(filled <= 2, "{filled} of nine are filled: {nine:?}");
            }
        }
    }

    #[test]
    fn one_pinned_block_does_not_hold_the_entries_of_others() {
        let (mut shelf, mut tree) = (Shelf::default(), Tree::default());
        tree.put(&mut shelf, 0, 1);
        for first in 1..2_000 {
            tree.put(&mut shelf, first, 1 + (first % 3) as u16);
            if first % 7 == 0 {
                tree.reopen(&mut shelf);
            }
            if first > 4 {
                tree.remove(&mut shelf, first - 4);
            }
            assert!(tree.0.len() < 200, "{} entries after {first} blocks", tree.0.len());
        }
    }

    #[test]
    fn one_pinned_block_is_not_where_a_reopened_shelf_goes_on() {
        let (mut shelf, mut tree) = (Shelf::default(), Tree::default());
        (0..1_000).for_each(|first| tree.put(&mut shelf, first, 1));
        (1..1_000).for_each(|first| tree.remove(&mut shelf, first));
        tree.reopen(&mut shelf);
        (1_000..1_100).for_each(|first| tree.put(&mut shelf, first, 1));
        tree.check_leaves();
    }

    #[test]
    fn a_shelf_that_was_laid_too_close_goes_on_at_its_edge() {
        // As former versions left it: blocks one behind the other, far from the slots that were ready.
        let blocks = (0..20).map(|first| (first, vec![first / 2 * PAGE_SLOTS + first % 2]));
        let empty: Vec<u64> = (2..9).chain(1_400..1_490).collect();
        let mut shelf = Shelf::found(blocks, &empty);
        assert_eq!(shelf.take(20, 3), [1_404, 1_405, 1_413]);
        assert_eq!(shelf.prepare(), 1_490..1_490);
    }

    /// Numbers that differ from those of every other seed.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % end
        }
    }

    #[test]
    fn no_leaf_holds_more_than_two_of_nine_whatever_is_put_removed_and_reopened() {
        for seed in 1..=200u64 {
            let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let (mut shelf, mut tree) = (Shelf::default(), Tree::default());
            for first in 0..300 {
                tree.put(&mut shelf, first, 1 + dice.below(4) as u16);
                let one_of_all = dice.below(first + 1);
                match dice.below(20) {
                    0 => {
                        let blocks: Vec<Seq> = shelf.places.keys().copied().collect();
                        let newer = blocks.into_iter().filter(|block| *block > one_of_all);
                        newer.for_each(|block| tree.remove(&mut shelf, block));
                        tree.reopen(&mut shelf);
                    }
                    1 => {
                        let (parts, writes) = (1 + dice.below(30), dice.below(150));
                        tree.put_cut_off(&mut shelf, first + 1, parts as u16, writes as usize);
                    }
                    2 | 3 => tree.reopen(&mut shelf),
                    4..13 => tree.remove(&mut shelf, one_of_all),
                    _ => {}
                }
                tree.check_leaves();
            }
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
