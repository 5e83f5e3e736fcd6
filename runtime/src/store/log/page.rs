//! What a message of sled's log says of its page.

use std::ops::Range;

use super::message::{Cursor, Kind, Message};

/// Where a key and its value stand in the body of a message. The key is without what all of its page begin with.
pub(super) type Entry = (Range<usize>, Range<usize>);

/// What becomes of a page.
#[derive(Debug)]
pub(super) enum Change<'a> {
    /// It has these entries, and no others.
    Leaf(Leaf<'a>),
    Set(Entry),
    Remove(Range<usize>),
    /// It has no entries any more, only other pages below it; or it is gone.
    Gone,
    /// None of its entries changes.
    None,
}

/// A page of entries.
#[derive(Debug)]
pub(super) struct Leaf<'a> {
    /// What all of its keys begin with.
    pub(super) prefix: &'a [u8],
    /// No key is below this.
    pub(super) low: &'a [u8],
    /// All keys are below this; there is no end if it is empty.
    pub(super) high: &'a [u8],
    pub(super) entries: Vec<Entry>,
}

impl<'a> Change<'a> {
    /// None if that does not stand in the message, or the message is not one that sled writes.
    pub(super) fn of(message: &Message<'a>) -> Option<Self> {
        match message.kind {
            Kind::Page => page(message.body),
            Kind::Link => link(message.body),
            Kind::PageOutside | Kind::LinkOutside => None,
            Kind::Free => Some(Change::Gone),
            Kind::Note | Kind::Nothing | Kind::Cap => Some(Change::None),
        }
    }

    /// The entries that it says something of.
    pub(super) fn entries(self) -> Vec<Entry> {
        match self {
            Change::Leaf(leaf) => leaf.entries,
            Change::Set(entry) => vec![entry],
            Change::Remove(_) | Change::Gone | Change::None => Vec::new(),
        }
    }
}

fn link(body: &[u8]) -> Option<Change<'_>> {
    let mut cursor = Cursor { bytes: body, at: 0 };
    match cursor.byte()? {
        0 => Some(Change::Set((cursor.bytes()?, cursor.bytes()?))),
        1 => Some(Change::Remove(cursor.bytes()?)),
        // Pages that are joined: it is said once more, in whole, when they are.
        2..=4 => Some(Change::None),
        _ => None,
    }
}

fn page(body: &[u8]) -> Option<Change<'_>> {
    let mut cursor = Cursor { bytes: body, at: 0 };
    let (_next, _merging_child, _merging) = (cursor.number()?, cursor.number()?, cursor.byte()?);
    let prefix_bytes = usize::from(cursor.byte()?);
    let (low, high) = (body.get(cursor.bytes()?)?, body.get(cursor.bytes()?)?);
    let is_leaf = cursor.byte()? == 0;
    let count = cursor.number()?;
    if !is_leaf {
        return Some(Change::Gone);
    }
    // Not allocated by what is claimed: each takes a byte at the least.
    let keys = (0..count).map(|_| cursor.bytes()).collect::<Option<Vec<_>>>()?;
    let values = (0..count).map(|_| cursor.bytes()).collect::<Option<Vec<_>>>()?;
    let entries = keys.into_iter().zip(values).collect();
    Some(Change::Leaf(Leaf { prefix: low.get(..prefix_bytes)?, low, high, entries }))
}
