//! Messages that arrived together, shared by the engine and the applications that work on them.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::ids::{Priority, Seq, Session};
use crate::message::payload_at;
use crate::time::{Time, WallTime};

/// Names a run inside one engine: by the level of the link that it came on, and in each level by its arrival.
pub(crate) type RunKey = u64;

/// Keys of one level: more than there are runs in a lifetime.
pub(super) const KEYS: RunKey = 1 << 59;

/// The key of a run that is the `number`th to arrive, on a link of this level.
pub(super) const fn key(level: Priority, number: u64) -> RunKey {
    (level.level() as u64 - 1) * KEYS + number
}

/// Messages that arrived together. A confirmation is one bit here; the engine collects the bits in batches.
#[derive(Debug)]
pub struct Run {
    pub(crate) key: RunKey,
    pub(super) session: Session,
    pub(crate) first_seq: Seq,
    pub(crate) count: u32,
    pub(super) attempt: u32,
    pub(super) records: Bytes,
    pub(crate) sent_at: WallTime,
    pub(crate) arrived: Time,
    /// A bit for each message: the application is done with it.
    settled: Box<[AtomicU64]>,
    /// Words of `settled` that are not full.
    words_left: AtomicU32,
    /// There are bits that the engine has not collected.
    dirty: AtomicBool,
}

/// What a confirmation asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Confirmed {
    /// Nothing: the engine is to look at this run already, or the message was settled before.
    Noted,
    /// The engine should look at this run some time soon.
    First,
}

impl Run {
    pub(crate) fn new(
        key: RunKey,
        session: Session,
        header: &crate::wire::DataHeader,
        records: Bytes,
        arrived: Time,
    ) -> Self {
        let words = header.count.div_ceil(64);
        Self {
            key,
            session,
            first_seq: header.first_seq,
            count: header.count,
            attempt: header.attempt,
            records,
            sent_at: header.sent_at,
            arrived,
            settled: (0..words).map(|_| AtomicU64::new(0)).collect(),
            words_left: AtomicU32::new(words),
            dirty: AtomicBool::new(false),
        }
    }

    /// The session that the numbers belong to.
    #[must_use]
    pub const fn session(&self) -> Session {
        self.session
    }

    /// The number of the message at `index`.
    #[must_use]
    pub const fn seq(&self, index: u32) -> Seq {
        self.first_seq + index as u64
    }

    /// How often these messages have been tried before without success.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The records of all its messages.
    #[must_use]
    pub const fn records(&self) -> &Bytes {
        &self.records
    }

    /// The payload, among the records, of the message whose record begins at `at`: an [`Item`](super::Item) says where that is.
    #[inline]
    #[must_use]
    pub fn payload(&self, at: u32) -> Range<usize> {
        payload_at(&self.records, at)
    }

    /// Confirms the message at `index`, from any thread. The engine has to be told by
    /// [`super::PullEngine::handle_confirmed`] if the answer is [`Confirmed::First`].
    #[inline]
    pub fn confirm(&self, index: u32) -> Confirmed {
        self.mark(index);
        self.ask()
    }

    #[inline]
    fn ask(&self) -> Confirmed {
        // Either this sees that the run was cleaned, or who cleans it sees the mark: both sides write one and read the other,
        // so all four have one order.
        if self.dirty.load(Ordering::SeqCst) || self.dirty.swap(true, Ordering::SeqCst) {
            Confirmed::Noted
        } else {
            Confirmed::First
        }
    }

    /// Confirms all messages of `indices`; otherwise like [`Run::confirm`].
    pub fn confirm_all(&self, indices: Range<u32>) -> Confirmed {
        let mut next = indices.start;
        while next < indices.end {
            let end = indices.end.min((next / 64 + 1) * 64);
            self.mark_bits(next / 64, mask(end - next) << (next % 64));
            next = end;
        }
        self.ask()
    }

    /// Whether the message at `index` is settled, as far as the application goes.
    #[must_use]
    pub fn is_settled(&self, index: u32) -> bool {
        let word = self.settled.get(index as usize / 64);
        word.is_some_and(|word| word.load(Ordering::Acquire) & (1 << (index % 64)) != 0)
    }

    /// How many messages are not settled.
    #[must_use]
    pub fn unsettled(&self) -> u32 {
        let settled = self.settled.iter().map(|word| word.load(Ordering::Acquire).count_ones());
        self.count - settled.sum::<u32>()
    }

    /// Whether every message is settled.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.words_left.load(Ordering::Acquire) == 0
    }

    #[inline]
    pub(super) fn mark(&self, index: u32) {
        self.mark_bits(index / 64, 1 << (index % 64));
    }

    #[inline]
    fn mark_bits(&self, word: u32, bits: u64) {
        let Some(settled) = self.settled.get(word as usize) else {
            return;
        };
        let before = settled.fetch_or(bits, Ordering::SeqCst);
        let full = self.full_word(word);
        if before != full && before | bits == full {
            self.words_left.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// The bits that the word has when all its messages are settled.
    #[inline]
    fn full_word(&self, word: u32) -> u64 {
        match self.count - word * 64 {
            left if left >= 64 => u64::MAX,
            left => (1 << left) - 1,
        }
    }

    /// Lets the next confirmation ask for a look again; to be called before the bits are read.
    pub(super) fn clean(&self) {
        self.dirty.store(false, Ordering::SeqCst);
    }

    /// Adds what is settled and not yet in `collected` to it, and calls `each` with every run of such indices.
    pub(super) fn collect(&self, collected: &mut [u64], mut each: impl FnMut(Range<u32>)) {
        let mut open: Option<Range<u32>> = None;
        for (word, (settled, collected)) in (0u32..).zip(self.settled.iter().zip(collected)) {
            let mut fresh = settled.load(Ordering::SeqCst) & !*collected;
            *collected |= fresh;
            while fresh != 0 {
                let from = fresh.trailing_zeros();
                let len = (fresh >> from).trailing_ones();
                fresh &= !(mask(len) << from);
                let found = word * 64 + from..word * 64 + from + len;
                match &mut open {
                    Some(range) if range.end == found.start => range.end = found.end,
                    _ => {
                        if let Some(range) = open.replace(found) {
                            each(range);
                        }
                    }
                }
            }
        }
        open.into_iter().for_each(each);
    }

    /// Whether a message that expires at `expires` by its sender's clock is past its shelf life.
    pub(super) fn is_expired(&self, expires: WallTime, now: Time) -> bool {
        now.since(self.arrived) >= self.shelf_life(expires)
    }

    /// What was left of a shelf life when the message was sent.
    pub(super) fn shelf_life(&self, expires: WallTime) -> Duration {
        self.sent_at.until(expires)
    }
}

const fn mask(len: u32) -> u64 {
    if len >= 64 { u64::MAX } else { (1 << len) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::DataHeader;

    fn run(count: u32) -> Run {
        let header = DataHeader {
            first_delivery: 0,
            first_seq: 10,
            sent_at: WallTime::default(),
            count,
            attempt: 0,
        };
        Run::new(1, Session::from_uuid(uuid::Uuid::nil()), &header, Bytes::new(), Time::ZERO)
    }

    #[test]
    fn bits_are_collected_once_as_ranges() {
        let run = run(200);
        let mut collected = vec![0; 4];
        for index in (3..130).chain([140, 199]) {
            run.confirm(index);
        }
        let mut ranges = Vec::new();
        run.collect(&mut collected, |range| ranges.push(range));
        assert_eq!(ranges, [3..130, 140..141, 199..200]);
        ranges.clear();
        run.confirm(130);
        run.collect(&mut collected, |range| ranges.push(range));
        assert_eq!(ranges, vec![130..131; 1]);
        assert!(!run.is_complete());
    }

    #[test]
    fn a_run_is_complete_when_its_last_message_is_settled() {
        for count in [1, 63, 64, 65, 128] {
            let run = run(count);
            for index in 0..count {
                assert!(!run.is_complete());
                run.confirm(index);
                run.confirm(index);
            }
            assert!(run.is_complete(), "{count}");
        }
    }

    #[test]
    fn only_the_first_confirmation_asks_for_a_look() {
        let run = run(10);
        assert_eq!(run.confirm(1), Confirmed::First);
        assert_eq!(run.confirm(2), Confirmed::Noted);
        run.clean();
        assert_eq!(run.confirm(3), Confirmed::First);
    }
}
