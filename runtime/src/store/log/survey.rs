//! Whether sled may open a log: tells what a crash may have left in it from damage.

use std::collections::HashMap;
use std::io;
use std::ops::Range;

use super::message::{Kind, Message, SEGMENT_HEADER_BYTES};
use super::rescue::entries_of;
use super::{Found, LAST_MESSAGE_AT, Log, SEGMENT_BYTES, Segment};
use crate::store::format::{self, SYNCS_KEY};

/// What a log looks like.
#[derive(Debug)]
pub(in crate::store) struct Survey {
    /// By rising number.
    segments: Vec<Surveyed>,
    /// Which segments each page stands in: that of its last whole state, and those of its changes since.
    pages: HashMap<u64, Vec<usize>>,
    /// Where sled's replay begins: what was written before that it looks up by its snapshot.
    replay_from: u64,
}

#[derive(Debug)]
struct Surveyed {
    segment: Segment,
    /// The first bytes in it that are no message, and where they stand in all that was written.
    gap: Option<(Range<u64>, u64)>,
    /// The highest number of a sync in it.
    syncs: u64,
    /// The same, before the gap.
    syncs_before_gap: u64,
}

/// What is to be done with a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::store) enum Verdict {
    /// sled may open it. A crash may have left something at its end.
    Sound,
    /// These bytes of the file hold, or held, what is needed.
    Damaged(Range<u64>),
    /// sled would not see so many of the last syncs that were answered, for it would take the log to end at this byte of the
    /// file, or where the file does.
    CutOff { syncs: u64, at: Option<u64> },
}

impl Survey {
    /// Reads a log. `replay_from` is where sled's snapshot ends, 0 without one.
    pub(in crate::store) fn of(log: &mut Log, replay_from: u64) -> io::Result<Self> {
        let segments = log.segments.iter().map(Surveyed::new).collect();
        let mut survey = Self { segments, pages: HashMap::new(), replay_from };
        log.visit(|index, found| survey.note(index, found))?;
        Ok(survey)
    }

    fn note(&mut self, index: usize, found: Found<'_>) {
        match found {
            Found::Gap { bytes, lsn, page } => {
                self.segments[index].gap.get_or_insert((bytes, lsn));
                // Its page has lost what it said; or nothing, if a later message says all of the page.
                page.into_iter().for_each(|page| self.add_place(page, index));
            }
            Found::Message { message, .. } => {
                self.replay(index, &message);
                self.segments[index].note_syncs(&message);
            }
        }
    }

    /// Does to the pages what sled does.
    fn replay(&mut self, index: usize, message: &Message<'_>) {
        match message.kind {
            Kind::Page | Kind::PageOutside | Kind::Note | Kind::Free => {
                self.pages.insert(message.page, vec![index]);
            }
            Kind::Link | Kind::LinkOutside => {
                if self.pages.contains_key(&message.page) {
                    self.add_place(message.page, index);
                }
            }
            Kind::Nothing | Kind::Cap => {}
        }
    }

    fn add_place(&mut self, page: u64, index: usize) {
        let places = self.pages.entry(page).or_default();
        if places.last() != Some(&index) {
            places.push(index);
        }
    }

    /// Whether sled may open it, if so many syncs were answered; where nobody knows that, as many as there are traces of.
    pub(in crate::store) fn verdict(&self, synced: Option<u64>) -> Verdict {
        let tail = self.tail();
        if let Some(damage) = self.damage_before(tail) {
            return Verdict::Damaged(damage);
        }
        let before = self.segments.iter().take_while(|surveyed| surveyed.segment.number < tail);
        let mut seen = before.map(|surveyed| surveyed.syncs).max().unwrap_or(0);
        let mut at = None;
        for surveyed in self.contiguous_from(tail) {
            seen = seen.max(surveyed.syncs_before_gap);
            at = surveyed.gap.as_ref().map(|(bytes, _)| bytes.start);
        }
        let traces = || self.segments.iter().map(|surveyed| surveyed.syncs).max().unwrap_or(0);
        match synced.unwrap_or_else(traces).checked_sub(seen) {
            None | Some(0) => Verdict::Sound,
            Some(syncs) => Verdict::CutOff { syncs, at },
        }
    }

    /// The first segment of those near the log's end, in which sled takes what cannot be read for the end itself.
    fn tail(&self) -> u64 {
        let segments = self.segments.iter().map(|surveyed| &surveyed.segment);
        let first = self.replay_from / SEGMENT_BYTES as u64;
        let stable = segments.filter(|segment| segment.number >= first).filter_map(|s| s.stable);
        stable.fold(self.replay_from, u64::max) / SEGMENT_BYTES as u64
    }

    /// The segments from this number on, one behind the other, up to the first with a gap.
    fn contiguous_from(&self, tail: u64) -> impl Iterator<Item = &Surveyed> {
        let tails = self.segments.iter().skip_while(move |other| other.segment.number < tail);
        let mut goes_on = true;
        tails
            .zip(tail..)
            .take_while(|(surveyed, number)| surveyed.segment.number == *number)
            .map(|(surveyed, _)| surveyed)
            .take_while(move |surveyed| std::mem::replace(&mut goes_on, surveyed.gap.is_none()))
    }

    /// What cannot be read although something in its segment is needed, or sled has seen it whole: no crash does that, because
    /// sled writes to a segment again only once nothing in it is needed.
    fn damage_before(&self, tail: u64) -> Option<Range<u64>> {
        let mut needed = vec![false; self.segments.len()];
        self.pages.values().flatten().for_each(|index| needed[*index] = true);
        let before = self.segments.iter().zip(needed).filter(|(_, is_needed)| *is_needed);
        let mut before = before.map(|(segment, _)| segment);
        before.find_map(|surveyed| {
            let (bytes, lsn) = surveyed.gap.as_ref()?;
            let is_before = surveyed.segment.number < tail || *lsn < self.replay_from;
            // When sled opens a log that ends just there, it goes on in the next segment, and leaves this place empty.
            let is_left_empty = lsn % SEGMENT_BYTES as u64 == LAST_MESSAGE_AT as u64;
            (is_before && !is_left_empty).then(|| bytes.clone())
        })
    }
}

impl Surveyed {
    fn new(segment: &Segment) -> Self {
        let gap = segment.stable.is_none().then(|| {
            let header = segment.offset..segment.offset + SEGMENT_HEADER_BYTES as u64;
            (header, segment.lsn(0))
        });
        Self { segment: *segment, gap, syncs: 0, syncs_before_gap: 0 }
    }

    fn note_syncs(&mut self, message: &Message<'_>) {
        let number = entries_of(message).find_map(|(key, value)| {
            (key == SYNCS_KEY).then(|| format::read_note(&SYNCS_KEY, value).ok())?
        });
        self.syncs = self.syncs.max(number.unwrap_or(0));
        if self.gap.is_none() {
            self.syncs_before_gap = self.syncs;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SEGMENT: u64 = SEGMENT_BYTES as u64;
    const PAGE: u8 = 8;
    const LINK: u8 = 10;
    const CAP: u8 = 2;

    /// Of segment and page, whose numbers are small.
    fn message(segment: u8, kind: u8, page: u8, body: &[u8]) -> Vec<u8> {
        let [low, middle, high, 0] = (body.len() as u32).to_le_bytes() else { panic!("too long") };
        let head = [kind, 250, low, middle, high, segment, page];
        let crc = !crc32fast::hash(&[body, &head].concat());
        [&crc.to_le_bytes()[..], &head, body].concat()
    }

    /// A whole segment that begins with these messages.
    fn segment(number: u8, stable: u64, messages: &[Vec<u8>]) -> Vec<u8> {
        let lsn = (u64::from(number) * SEGMENT) ^ i64::MAX as u64;
        let rest = [lsn.to_le_bytes(), (stable ^ i64::MAX as u64).to_le_bytes()].concat();
        let crc = !crc32fast::hash(&rest);
        let segment = [&crc.to_le_bytes()[..], &rest, &messages.concat()].concat();
        let left = SEGMENT_BYTES - segment.len();
        let cap = message(number, CAP, 0, &vec![0; left - message(number, CAP, 0, &[]).len()]);
        [segment, cap].concat()
    }

    fn verdict(log: &[Vec<u8>]) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(super::super::NAME), log.concat()).unwrap();
        let mut log = Log::open(folder.path()).unwrap().unwrap();
        Survey::of(&mut log, 0).unwrap().verdict(Some(0))
    }

    #[test]
    fn what_cannot_be_read_is_itself_needed_unless_it_is_said_again() {
        let (page, link) = (message(0, PAGE, 5, b"first"), message(1, LINK, 5, b"more"));
        let mut wrong = link.clone();
        *wrong.last_mut().unwrap() ^= 1;
        let log = |link: &[u8], later: &[Vec<u8>]| {
            [
                segment(0, 0, std::slice::from_ref(&page)),
                segment(1, SEGMENT - 100, &[link.to_vec(), message(1, PAGE, 6, b"of before")]),
                segment(2, 2 * SEGMENT - 100, &[&[message(2, PAGE, 6, b"last")], later].concat()),
                segment(3, 3 * SEGMENT - 100, &[]),
            ]
        };
        assert_eq!(verdict(&log(&link, &[])), Verdict::Sound);
        let (from, length) = (SEGMENT + SEGMENT_HEADER_BYTES as u64, wrong.len() as u64);
        assert_eq!(verdict(&log(&wrong, &[])), Verdict::Damaged(from..from + length));
        // That segment was free, and a crash came while it was written again.
        let again = message(2, PAGE, 5, b"first and more");
        assert_eq!(verdict(&log(&wrong, &[again])), Verdict::Sound);
    }
}
