//! The place between the engine's queue and receive calls: messages are fetched in batches and handed out one by one.

use std::sync::Arc;

use drawdown_protocol::{SubCursor, Taken};

use super::publication::{Incoming, Publication, Source};
use super::shared::SubShared;

/// All receive calls of a socket share one.
#[derive(Default)]
pub(super) struct Reader {
    current: Option<(Arc<Source>, SubCursor)>,
}

/// What a fetch came to.
enum Fetched {
    Messages,
    Word(Incoming),
    Nothing,
}

impl Reader {
    /// The next message of those that were fetched.
    #[inline]
    pub(super) fn next_at_hand(&mut self, shared: &SubShared) -> Option<Publication> {
        let (source, cursor) = self.current.as_mut()?;
        let item = cursor.next(|| shared.core.clock.time());
        let publication = item.map(|item| Publication::new(Arc::clone(source), &item));
        if cursor.is_empty() || cursor.unreported() >= shared.report_after.messages() {
            self.report(shared);
        }
        publication
    }

    /// The next message, gap or session, if one is there.
    pub(super) fn next(&mut self, shared: &Arc<SubShared>) -> Option<Incoming> {
        loop {
            if let Some(publication) = self.next_at_hand(shared) {
                return Some(Incoming::Message(publication));
            }
            match self.fetch(shared) {
                Fetched::Messages => {}
                Fetched::Word(incoming) => return Some(incoming),
                Fetched::Nothing => return None,
            }
        }
    }

    /// As many as are there, at least one and at most `count`, if any is.
    pub(super) fn next_batch(
        &mut self,
        count: usize,
        shared: &Arc<SubShared>,
    ) -> Option<Vec<Incoming>> {
        let first = self.next(shared)?;
        let at_hand = self.current.as_ref().map_or(0, |(_, cursor)| cursor.len());
        let mut batch = Vec::with_capacity(count.min(at_hand + 1));
        batch.push(first);
        while batch.len() < count
            && let Some(incoming) = self.next(shared)
        {
            batch.push(incoming);
        }
        Some(batch)
    }

    /// Takes the oldest of what waits from the engine.
    fn fetch(&mut self, shared: &Arc<SubShared>) -> Fetched {
        let taken = shared.core.with(|socket| {
            let taken = socket.engine.take(shared.fetch_max);
            if let Some(Taken::Batch(batch)) = &taken {
                socket.receiving.in_reader = batch.len() as u64;
            }
            taken
        });
        match taken {
            None => Fetched::Nothing,
            Some(Taken::Gap(gap)) => Fetched::Word(Incoming::Gap(gap)),
            Some(Taken::NewSession(session)) => Fetched::Word(Incoming::NewSession(session)),
            Some(Taken::Batch(batch)) => {
                let run = Arc::clone(batch.run());
                let source = Arc::new(Source { run, shared: Arc::clone(shared) });
                self.current = Some((source, SubCursor::new(batch)));
                Fetched::Messages
            }
        }
    }

    /// Tells the engine how far the reader has come.
    fn report(&mut self, shared: &SubShared) {
        let Some((_, cursor)) = &mut self.current else {
            return;
        };
        let left = cursor.len() as u64;
        if let Some(consumed) = cursor.report() {
            let now = shared.core.clock.time();
            shared.core.with(|socket| {
                socket.receiving.in_reader = left;
                socket.engine.handle_consumed(&consumed, now);
            });
        }
        if left == 0 {
            self.current = None;
        }
    }

    /// Drops what no receive call has taken.
    pub(super) fn clear(&mut self) {
        self.current = None;
    }
}
