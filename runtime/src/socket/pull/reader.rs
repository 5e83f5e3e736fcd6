//! The place between the engine's queue and receive calls: messages are fetched in batches and handed out one by one.

use std::sync::Arc;

use drawdown_protocol::wire::Outcome;
use drawdown_protocol::{Cursor, Item};

use super::delivery::{Delivery, DeliveryBatch, Source};
use super::shared::PullShared;
use super::state::PullState;

/// Messages that one fetch takes from the engine.
const FETCH_MAX: u32 = 4_096;

/// All receive calls of a socket share one.
#[derive(Default)]
pub(super) struct Reader {
    current: Option<(Arc<Source>, Cursor)>,
}

impl Reader {
    /// The next message, if one is there.
    #[inline]
    pub(super) fn next(&mut self, shared: &Arc<PullShared>) -> Option<Delivery> {
        loop {
            let Some((source, cursor)) = &mut self.current else {
                match self.fetch(1, shared) {
                    true => continue,
                    false => return None,
                }
            };
            let item = cursor.next(|| shared.core.clock.time());
            let live = item.filter(|item| !item.expired);
            let delivery = live.map(|item| Delivery::new(Arc::clone(source), &item));
            if let Some(item) = item.filter(|item| item.expired) {
                expire(source, &item);
            }
            if cursor.is_empty() || cursor.unreported() >= shared.report_after.messages() {
                self.report(shared);
            }
            if delivery.is_some() {
                return delivery;
            }
        }
    }

    /// The next messages of one run, at least one and at most `count`, if any are there.
    pub(super) fn next_batch(
        &mut self,
        count: usize,
        shared: &Arc<PullShared>,
    ) -> Option<DeliveryBatch> {
        loop {
            let Some((source, cursor)) = &mut self.current else {
                match self.fetch(count, shared) {
                    true => continue,
                    false => return None,
                }
            };
            let mut items = Vec::with_capacity(count.min(cursor.len()));
            while items.len() < count
                && let Some(item) = cursor.next(|| shared.core.clock.time())
            {
                if item.expired {
                    expire(source, &item);
                } else {
                    items.push(item);
                }
            }
            let source = Arc::clone(source);
            if cursor.is_empty() || cursor.unreported() >= shared.report_after.messages() {
                self.report(shared);
            }
            if !items.is_empty() {
                return Some(DeliveryBatch::new(source, items));
            }
        }
    }

    /// Takes the next batch from the engine, for `count` messages that are asked for. False if there is none.
    fn fetch(&mut self, count: usize, shared: &Arc<PullShared>) -> bool {
        let batch = shared.core.with(|socket| fetch(count, socket, shared));
        self.current = batch;
        self.current.is_some()
    }

    /// Tells the engine how far the reader has come. The next batch is fetched only when it is asked for: until then the
    /// application has not taken it.
    fn report(&mut self, shared: &Arc<PullShared>) {
        let Some((_, cursor)) = &mut self.current else {
            return;
        };
        let left = cursor.len() as u64;
        if let Some(consumed) = cursor.report() {
            shared.core.with(|socket| {
                socket.receiving.in_reader = left;
                socket.engine.handle_consumed(&consumed);
            });
        }
        if left == 0 {
            self.current = None;
        }
    }

    /// Gives back what no receive call has taken.
    pub(super) fn release(&mut self, shared: &Arc<PullShared>) {
        if let Some((source, cursor)) = &mut self.current {
            while let Some(item) = cursor.next(|| shared.core.clock.time()) {
                // Closing is what this is for.
                let _ = shared.settle(&source.run, item.index, &Outcome::Released);
            }
        }
        self.report(shared);
    }
}

fn fetch(
    count: usize,
    socket: &mut PullState,
    shared: &Arc<PullShared>,
) -> Option<(Arc<Source>, Cursor)> {
    socket.collect();
    let count = match socket.engine.is_taken_as_asked() {
        true => u32::try_from(count).unwrap_or(FETCH_MAX).min(FETCH_MAX),
        false => FETCH_MAX,
    };
    let batch = socket.engine.take(count)?;
    socket.receiving.in_reader = batch.len() as u64;
    let source = Arc::new(Source { run: Arc::clone(batch.run()), shared: Arc::clone(shared) });
    Some((source, Cursor::new(batch)))
}

/// A message whose shelf life ended while it waited here.
#[cold]
fn expire(source: &Source, item: &Item) {
    // A closed socket has told its sender already.
    let _ = source.shared.settle(&source.run, item.index, &Outcome::Expired);
}
