//! Gets out what is left of a log that sled must not see.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::{Bound, Range};

use sled::IVec;

use super::message::{Kind, Message};
use super::page::{Change, Entry, Leaf};
use super::{Found, Log};
use crate::store::format::{self, Prefix, SYNCS_KEY};
use crate::store::scan::Values;

/// The entries of a log, as far as they can be read.
///
/// Pages are put together like sled does it, but for what cannot be read: a page keeps what it had before that. So there may be
/// entries among them that were removed.
pub(in crate::store) struct Rescue {
    log: Log,
    entries: BTreeMap<Vec<u8>, Place>,
}

/// Where a value stands in the file.
#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    bytes: usize,
}

impl Place {
    /// Of a value in a message whose body stands there.
    fn of(value: &Range<usize>, body_at: u64) -> Self {
        Self { at: body_at + value.start as u64, bytes: value.len() }
    }
}

/// A page with entries in it.
#[derive(Default)]
struct Page {
    /// When it was written whole.
    lsn: u64,
    prefix: Vec<u8>,
    low: Vec<u8>,
    high: Vec<u8>,
    entries: BTreeMap<Vec<u8>, Place>,
}

impl Page {
    fn new(leaf: &Leaf<'_>, body: &[u8], at: u64, lsn: u64) -> Self {
        let mut page = Self {
            lsn,
            prefix: leaf.prefix.to_vec(),
            low: leaf.low.to_vec(),
            high: leaf.high.to_vec(),
            entries: BTreeMap::new(),
        };
        leaf.entries.iter().for_each(|entry| page.set(entry, body, at));
        page
    }

    fn key(&self, suffix: &[u8]) -> Vec<u8> {
        [&self.prefix[..], suffix].concat()
    }

    fn set(&mut self, (key, value): &Entry, body: &[u8], at: u64) {
        self.entries.insert(self.key(&body[key.clone()]), Place::of(value, at));
    }

    /// What is known of its keys from before is outdated.
    fn add_to(self, entries: &mut BTreeMap<Vec<u8>, Place>) {
        let end = match self.high.is_empty() {
            true => Bound::Unbounded,
            false => Bound::Excluded(self.high.clone()),
        };
        // A page of all keys is one of another tree, or the only one.
        let is_one_of_several = !(self.low.is_empty() && self.high.is_empty());
        let is_sound = self.high.is_empty() || self.low < self.high;
        if is_one_of_several && is_sound {
            let its_own = (Bound::Included(self.low), end);
            // That one is no key of this tree.
            entries.extract_if(its_own, |key, _| *key != SYNCS_KEY).for_each(drop);
        }
        entries.extend(self.entries);
    }
}

impl Rescue {
    pub(in crate::store) fn of(mut log: Log) -> io::Result<Self> {
        let mut pages = HashMap::new();
        // Entries of pages that are not there.
        let mut strays = BTreeMap::new();
        log.visit(|_, found| {
            if let Found::Message { message, at, lsn } = found {
                apply(&mut pages, &mut strays, &message, at, lsn);
            }
        })?;
        let mut pages: Vec<Page> = pages.into_values().collect();
        pages.sort_by_key(|page| page.lsn);
        let mut entries = strays;
        for page in pages {
            page.add_to(&mut entries);
        }
        Ok(Self { log, entries })
    }

    fn value(&self, place: Place) -> Result<IVec, String> {
        let bytes = self.log.bytes_at(place.at, place.bytes);
        bytes.map(IVec::from).map_err(|error| error.to_string())
    }

    /// The number of the last sync that can be told of.
    pub(in crate::store) fn syncs(&self) -> u64 {
        let value = Values::get(self, &SYNCS_KEY).ok().flatten();
        value.and_then(|value| format::read_note(&SYNCS_KEY, &value).ok()).unwrap_or(0)
    }
}

/// Does to the pages what a message says.
fn apply(
    pages: &mut HashMap<u64, Page>,
    strays: &mut BTreeMap<Vec<u8>, Place>,
    message: &Message<'_>,
    at: u64,
    lsn: u64,
) {
    let body = message.body;
    let page = pages.get_mut(&message.page);
    match (Change::of(message), page) {
        (Some(Change::Leaf(leaf)), _) => {
            pages.insert(message.page, Page::new(&leaf, body, at, lsn));
        }
        (Some(Change::Gone), _) => {
            pages.remove(&message.page);
        }
        (Some(Change::Set(entry)), Some(page)) => page.set(&entry, body, at),
        (Some(Change::Remove(key)), Some(page)) => {
            let key = page.key(&body[key]);
            page.entries.remove(&key);
        }
        (Some(Change::Set((key, value))), None) => {
            // What its page's keys begin with is lost, and is mostly this.
            if let Some(key) = format::completed(&body[key], &body[value.clone()]) {
                strays.insert(key, Place::of(&value, at));
            }
        }
        (Some(Change::Remove(_)), None) | (Some(Change::None) | None, _) => {}
    }
}

impl Values for Rescue {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, String> {
        self.entries.get(key).map(|place| self.value(*place)).transpose()
    }

    fn entries(
        &self,
        prefix: Prefix,
        from: u64,
    ) -> impl Iterator<Item = Result<(IVec, IVec), String>> {
        let keys =
            (Bound::Included(&format::key(prefix, from)[..]), Bound::Excluded(&prefix.end()[..]));
        let entries = self.entries.range::<[u8], _>(keys);
        entries.map(|(key, place)| Ok((IVec::from(&key[..]), self.value(*place)?)))
    }
}

/// The entries that a message says something of, their keys as far as they stand in it.
pub(super) fn entries_of<'a>(
    message: &Message<'a>,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
    let body = message.body;
    let entries = match message.kind {
        Kind::Page | Kind::Link => Change::of(message).map(Change::entries).unwrap_or_default(),
        _ => Vec::new(),
    };
    entries.into_iter().map(|(key, value)| (&body[key], &body[value]))
}
