//! Waiting for what becomes of a message.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use drawdown_protocol::Seq;

use crate::core::Core;
use crate::error::{SendError, SendErrorKind};

use super::state::{Sending, SendingEngine};

/// Waits until a message is accepted.
pub(crate) async fn accepted<S: Sending>(core: &Core<S>, seq: Seq) -> Result<(), SendError> {
    Progress::new(core, seq, |engine: &S::Engine, seq, is_over| {
        if engine.is_accepted(seq) {
            return Some(Ok(()));
        }
        let kind = match engine.store_failure() {
            Some(reason) => {
                let taken_in = S::Engine::SENDS_UNSTORED;
                SendErrorKind::StoreFailed { reason: reason.to_owned(), taken_in }
            }
            None if is_over => SendErrorKind::Closed,
            None => return None,
        };
        Some(Err(SendError::new(kind)))
    })
    .await
}

/// Waits until messages with consecutive numbers are accepted.
pub(crate) async fn all_accepted<S: Sending>(
    core: &Core<S>,
    mut seqs: Range<Seq>,
) -> Result<(), SendError> {
    loop {
        let missing = core.lock().socket.engine().first_unaccepted(seqs.clone());
        let Some(seq) = missing else {
            return Ok(());
        };
        accepted(core, seq).await?;
        seqs.start = seq + 1;
    }
}

/// Asks `question` about a message each time its standing changes, until there is an answer; it is told whether that was
/// the last time, since its socket is at its end.
pub(crate) struct Progress<'a, S: Sending, F> {
    core: &'a Core<S>,
    seq: Seq,
    place: Option<u64>,
    question: F,
}

impl<'a, S: Sending, F> Progress<'a, S, F> {
    pub(crate) const fn new(core: &'a Core<S>, seq: Seq, question: F) -> Self {
        Self { core, seq, place: None, question }
    }
}

impl<T, S: Sending, F> Future for Progress<'_, S, F>
where
    F: FnMut(&S::Engine, Seq, bool) -> Option<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { core, seq, place, question } = &mut *self;
        let mut state = core.lock();
        let (engine, waits) = state.socket.parts();
        if let Some(answer) = question(engine, *seq, waits.is_over()) {
            waits.progress.leave(*seq, place);
            engine.watch(waits.progress.end());
            return Poll::Ready(answer);
        }
        waits.progress.wait(*seq, place, cx.waker());
        engine.watch(waits.progress.end());
        Poll::Pending
    }
}

impl<S: Sending, F> Drop for Progress<'_, S, F> {
    fn drop(&mut self) {
        if self.place.is_some() {
            let mut state = self.core.lock();
            let (engine, waits) = state.socket.parts();
            waits.progress.leave(self.seq, &mut self.place);
            engine.watch(waits.progress.end());
        }
    }
}
