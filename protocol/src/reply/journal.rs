//! Answers on disk: so that a call is not worked on twice although its server was started anew in between.
//!
//! An answer is sent once it is on disk. A block goes when all answers in it are forgotten.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};

use crate::event::Event;
use crate::ids::{LinkId, Session};
use crate::limits::{CHUNK_BYTES, COMMIT_BYTES, RESERVE_SEQS};
use crate::link::Identity;
use crate::message::{Attributes, Records, write_head};
use crate::store::{Commit, CommitWatch, Recovered, StoreNeed, StoreOp, WriteBehind, store_times};
use crate::time::Time;

use super::block::Kept;
use super::names::Names;
use super::{Answer, AnswerKey, RepLink, ReplyEngine};

/// What is written, what is not, and what has to be.
#[derive(Debug)]
pub(super) struct Journal {
    session: Session,
    /// Blocks in the store, by their first answer: the one after the last, and how many are remembered.
    blocks: BTreeMap<AnswerKey, (AnswerKey, u64)>,
    removed: Vec<AnswerKey>,
    stored: AnswerKey,
    reserved_end: AnswerKey,
    writing: Option<Writing>,
    behind: WriteBehind,
    failure: Option<String>,
}

/// A commit that was asked for.
#[derive(Debug)]
struct Writing {
    /// How far answers are on disk when it is done.
    stored: AnswerKey,
    /// The end of the numbers that it reserves.
    reserve: Option<AnswerKey>,
    watch: CommitWatch,
}

impl Journal {
    pub(super) fn new(session: Session, next: AnswerKey) -> Self {
        Self {
            session,
            blocks: BTreeMap::new(),
            removed: Vec::new(),
            stored: next,
            reserved_end: next,
            writing: None,
            behind: WriteBehind::default(),
            failure: None,
        }
    }

    /// An answer is remembered no more.
    pub(super) fn forgotten(&mut self, key: AnswerKey) {
        let Some((&first, block)) = self.blocks.range_mut(..=key).next_back() else {
            return;
        };
        if key < block.0 {
            block.1 = block.1.saturating_sub(1);
            if block.1 == 0 {
                self.blocks.remove(&first);
                self.removed.push(first);
            }
        }
    }

    fn is_low(&self, next: AnswerKey) -> bool {
        next + RESERVE_SEQS / 2 > self.reserved_end
    }
}

store_times!(ReplyEngine);

impl ReplyEngine {
    /// Answers below this may be sent.
    pub(super) fn stored(&self) -> AnswerKey {
        self.journal.as_ref().map_or(AnswerKey::MAX, |journal| journal.stored)
    }

    /// How soon [`ReplyEngine::poll_store`] has something to do.
    #[must_use]
    pub fn store_need(&self) -> StoreNeed {
        let Some(journal) = &self.journal else {
            return StoreNeed::Nothing;
        };
        match () {
            () if journal.writing.is_some() || journal.failure.is_some() => StoreNeed::Nothing,
            () if journal.stored < self.memory.next => StoreNeed::Now,
            () if journal.is_low(self.memory.next) => StoreNeed::Now,
            () if !journal.removed.is_empty() => StoreNeed::Soon,
            () => StoreNeed::Nothing,
        }
    }

    /// What has to be written now, if anything; answer it by [`ReplyEngine::handle_stored`]. One at a time.
    pub fn poll_store(&mut self, now: Time) -> Option<Commit> {
        self.close_block();
        let next = self.memory.next;
        let journal = self.journal.as_mut()?;
        if journal.writing.is_some() || journal.failure.is_some() {
            return None;
        }
        let session = journal.session;
        let reserve = journal.is_low(next).then(|| next + RESERVE_SEQS);
        let mut ops: Vec<StoreOp> =
            reserve.map(|end| StoreOp::Reserve { session, end }).into_iter().collect();
        let reserved_end = reserve.unwrap_or(journal.reserved_end);
        let mut stored = journal.stored;
        let mut total = 0;
        while stored < next.min(reserved_end) && total < COMMIT_BYTES {
            let first = stored;
            let mut records = BytesMut::new();
            let mut live = 0;
            while stored < next.min(reserved_end)
                && (records.is_empty() || records.len() < CHUNK_BYTES / 2)
            {
                // One that is forgotten already leaves an empty record, so that numbers have no holes.
                let answer = self.memory.get(stored);
                live += u64::from(answer.is_some());
                write_answer(answer, &self.names, &mut records);
                stored += 1;
            }
            total += records.len();
            if live == 0 {
                continue;
            }
            journal.blocks.insert(first, (stored, live));
            ops.push(StoreOp::PutBlock { seqs: first..stored, parts: vec![records.freeze()] });
        }
        if ops.is_empty() {
            // What there was to write is forgotten already, and may still have to be sent.
            journal.stored = stored;
            self.wakes.extend(with_answers(&self.links));
        }
        let sync = !ops.is_empty();
        if !sync && (journal.removed.is_empty() || !journal.behind.is_due(now)) {
            return None;
        }
        ops.extend(journal.removed.drain(..).map(|block| StoreOp::RemoveBlock { block }));
        journal.behind.note_written(now);
        journal.writing = Some(Writing { stored, reserve, watch: CommitWatch::begin(now) });
        Some(Commit { ops, sync })
    }

    /// The answer to the last [`ReplyEngine::poll_store`]. A failure is for good: no answer is sent any more, and so no
    /// call is taken.
    pub fn handle_stored(&mut self, result: Result<(), String>) {
        let Some(journal) = &mut self.journal else {
            return;
        };
        let Some(Writing { stored, reserve, .. }) = journal.writing.take() else {
            return;
        };
        if let Err(reason) = result {
            journal.failure = Some(reason.clone());
            self.events.push(Event::StoreFailed { reason });
            self.stop_taking();
            return;
        }
        journal.stored = stored;
        journal.reserved_end = reserve.unwrap_or(journal.reserved_end);
        self.wakes.extend(with_answers(&self.links));
    }

    /// Why the store takes nothing more, if it has failed.
    #[must_use]
    pub fn store_failure(&self) -> Option<&str> {
        self.journal.as_ref()?.failure.as_deref()
    }

    /// Takes in what a store kept.
    pub(super) fn restore(&mut self, recovered: Recovered, now: Time) {
        let mut journal = Journal::new(recovered.session, recovered.next_seq);
        for block in recovered.blocks {
            let mut live = 0;
            for (key, (at, head)) in (block.seqs.start..).zip(Records::new(&block.records)) {
                let Some(id) = head.call else {
                    continue;
                };
                live += 1;
                let part = |range: std::ops::Range<usize>| at + range.start..at + range.end;
                let name = block.records.get(part(head.topic())).unwrap_or_default();
                let identity = Identity::new(String::from_utf8_lossy(name).into_owned());
                let payload = block.records.slice(part(head.payload()));
                let (client, _) = self.names.find(&identity, id, &mut None);
                let rejected = head.rejected;
                // Forgotten ones left numbers without answers.
                self.memory.next = key;
                let (awaited, to) = (None, None);
                let answer = Answer { client, id, rejected, given: now, awaited, to };
                if !self.memory.continues(&answer, payload.len()) {
                    self.close_block();
                }
                self.memory.keep(&answer, &payload.into());
            }
            self.close_block();
            self.memory.confirm(block.seqs.clone());
            match live {
                0 => journal.removed.push(block.seqs.start),
                live => {
                    journal.blocks.insert(block.seqs.start, (block.seqs.end, live));
                }
            }
        }
        self.memory.next = recovered.next_seq;
        self.journal = Some(journal);
        self.forget_old_answers(now);
    }
}

/// Links on which answers wait to be sent.
fn with_answers(links: &BTreeMap<LinkId, RepLink>) -> impl Iterator<Item = LinkId> {
    links.iter().filter(|(_, link)| !link.outbox.is_empty()).map(|(id, _)| *id)
}

/// Writes an answer as a record, its client's identity as the topic, for which it is short enough ([`Identity::check`]).
fn write_answer(answer: Option<Kept<'_>>, names: &Names, out: &mut BytesMut) {
    let Some(answer) = answer else {
        return write_head(out, 0, &Attributes::default());
    };
    let name = names.identity(answer.client).map_or("", Identity::as_str);
    let attributes = Attributes {
        topic: name.as_bytes(),
        call: Some(answer.id),
        rejected: answer.rejected,
        ..Attributes::default()
    };
    write_head(out, answer.payload.len(), &attributes);
    out.put_slice(answer.payload);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::ids::PeerId;
    use crate::limits::STORE_SLOW;
    use crate::reply::ReplyConfig;

    #[test]
    fn a_store_that_does_not_answer_is_reported_once() {
        let peer = PeerId::from_uuid(Uuid::from_u128(1));
        let session = Session::from_uuid(Uuid::from_u128(2));
        let mut rep = ReplyEngine::with_store(ReplyConfig::default(), peer, session);
        assert!(rep.poll_store(Time::ZERO).is_some(), "numbers are reserved");
        let slow = Time::ZERO + STORE_SLOW;
        assert_eq!(rep.poll_timeout(), Some(slow));
        rep.handle_timeout(slow - Duration::from_micros(1));
        assert_eq!(rep.poll_event(), None);
        rep.handle_timeout(slow);
        assert_eq!(rep.poll_event(), Some(Event::StoreSlow { waited: STORE_SLOW }));
        assert_eq!((rep.poll_event(), rep.poll_timeout()), (None, None));
    }
}
