//! Every message that was ever sent, and what is known of it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use drawdown_protocol::{Fate, Seq, Session, Time};

use super::{Verdict, ensure};

/// Where a message stands with the present life of its sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// The sender has it.
    Live,
    /// The sender knows that it is done.
    Done(Fate),
    /// The sender died with it.
    Lost,
}

/// One message.
pub(crate) struct Entry {
    /// What its payload is made from.
    pub(crate) pattern: u64,
    pub(crate) bytes: usize,
    pub(crate) sent: Time,
    pub(crate) ttl: Option<Duration>,
    pub(crate) accepted: bool,
    pub(crate) standing: Standing,
    /// Times that an application said it is done, or took it where that is the same.
    pub(crate) acks: u32,
    pub(crate) nacks: u32,
    /// Times that it was with a receiver that went away and did not come back in time.
    pub(crate) gone: u32,
    /// Failed attempts that the sender is known to know of.
    pub(crate) known_failures: u32,
    /// Times that an application got it.
    pub(crate) delivered: u32,
    /// Times that the present life of the sender has dispatched it.
    pub(crate) dispatched: u32,
    /// Some life of the sender has dispatched it.
    pub(crate) has_left: bool,
    /// The dead letter that it was before.
    pub(crate) replay_of: Option<Seq>,
    /// As a dead letter, it was replayed or purged.
    pub(crate) letter_gone: bool,
}

impl Entry {
    /// As it is sent.
    pub(crate) const fn new(pattern: u64, bytes: usize, sent: Time, ttl: Option<Duration>) -> Self {
        Self {
            pattern,
            bytes,
            sent,
            ttl,
            accepted: false,
            standing: Standing::Live,
            acks: 0,
            nacks: 0,
            gone: 0,
            known_failures: 0,
            delivered: 0,
            dispatched: 0,
            has_left: false,
            replay_of: None,
            letter_gone: false,
        }
    }

    /// A payload is what was sent.
    pub(crate) fn check_payload(&self, found: &[u8]) -> Verdict {
        ensure(found == payload(self.pattern, self.bytes), || {
            format!("another payload than the {} bytes that were sent", self.bytes)
        })
    }

    /// The number of failed attempts that a sender claims is no more than there were, and no less than it must know of.
    pub(crate) fn check_attempts(&self, claimed: u32) -> Verdict {
        let real = self.nacks + self.gone;
        ensure((self.known_failures..=real).contains(&claimed), || {
            format!(
                "{claimed} failed attempts are counted; {} are known and there were at most {real} ({} rejections)",
                self.known_failures, self.nacks
            )
        })
    }

    /// The number of failed attempts that a streamer passes on is no more than there were; it may be an old one.
    pub(crate) fn check_passed_attempts(&self, claimed: u32) -> Verdict {
        let real = self.nacks + self.gone;
        ensure(claimed <= real, || {
            format!("{claimed} failed attempts are passed on, there were at most {real}")
        })
    }

    /// It is dispatched while somebody may still want it.
    pub(crate) fn check_shelf_life(&self, now: Time) -> Verdict {
        let over = self.ttl.is_some_and(|ttl| self.sent + ttl + Duration::from_millis(1) < now);
        ensure(!over, || {
            format!("dispatched at {now:?}, sent at {:?} for {:?}", self.sent, self.ttl)
        })
    }

    /// The sender ends it.
    pub(crate) fn finish(&mut self, fate: Fate, now: Time) -> Verdict {
        self.standing = Standing::Done(fate);
        match fate {
            Fate::Confirmed => {
                ensure(self.acks > 0, || "confirmed, but no application has said so".to_owned())
            }
            // The shelf life and the moment of sending are both cut to whole milliseconds.
            Fate::Expired => ensure(
                self.ttl.is_some_and(|ttl| self.sent + ttl <= now + Duration::from_millis(2)),
                || format!("expired at {now:?}, sent at {:?} for {:?}", self.sent, self.ttl),
            ),
            Fate::DeadLettered => {
                ensure(self.nacks + self.gone > 0, || "a dead letter without a failure".to_owned())
            }
            other => Err(format!("an end that is not known here: {other:?}")),
        }
    }
}

/// All messages of all sessions.
#[derive(Default)]
pub(crate) struct Ledger {
    entries: BTreeMap<(Session, Seq), Entry>,
}

impl Ledger {
    /// A message was taken in. Its number must be new.
    pub(crate) fn send(&mut self, session: Session, seq: Seq, entry: Entry) -> Verdict {
        // A number that never left a process which died may be used by the next one.
        let before = self.entries.insert((session, seq), entry);
        let used =
            before.is_some_and(|before| before.has_left || before.standing == Standing::Live);
        ensure(!used, || format!("message {seq}: its number was used before"))
    }

    pub(crate) fn get(&mut self, session: Session, seq: Seq) -> Result<&mut Entry, String> {
        let entry = self.entries.get_mut(&(session, seq));
        entry.ok_or_else(|| format!("message {seq} of {session:?} was never sent"))
    }

    /// Any message may have been with a receiver that went away.
    pub(crate) fn all_may_have_failed(&mut self) {
        self.entries.values_mut().for_each(|entry| entry.gone += 1);
    }

    /// The messages of a session with these numbers.
    pub(crate) fn of(
        &mut self,
        session: Session,
        seqs: Range<Seq>,
    ) -> impl Iterator<Item = (Seq, &mut Entry)> {
        let range = (session, seqs.start)..(session, seqs.end);
        self.entries.range_mut(range).map(|((_, seq), entry)| (*seq, entry))
    }
}

/// The payload that a pattern stands for.
pub(crate) fn payload(pattern: u64, bytes: usize) -> Vec<u8> {
    let word = pattern.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..bytes).map(|at| word[at % 8] ^ (at / 8) as u8).collect()
}
