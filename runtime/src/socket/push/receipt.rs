//! Waiting for what becomes of a message.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use drawdown_protocol::{Fate, PushEngine, Seq};

use crate::core::Core;
use crate::error::{SendError, SendErrorKind};

use super::state::PushState;

/// A message that was taken in, and what becomes of it. Dropping it changes nothing for the message.
#[derive(Clone)]
pub struct Receipt {
    core: Arc<Core<PushState>>,
    seq: Seq,
}

impl Receipt {
    pub(super) const fn new(core: Arc<Core<PushState>>, seq: Seq) -> Self {
        Self { core, seq }
    }

    /// The message's number in the socket's session.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        self.seq
    }

    /// Waits until the message is accepted: on disk as the socket's durability says, or already confirmed. In memory
    /// that is at once.
    ///
    /// Dropping the future changes nothing; it can be called again.
    ///
    /// # Errors
    /// If the store fails before it has the message.
    pub async fn accepted(&self) -> Result<(), SendError> {
        accepted(&self.core, self.seq).await
    }

    /// Waits until the message is done: confirmed, expired, or a dead letter.
    ///
    /// Dropping the future changes nothing; it can be called again. How messages ended other than by confirmation is
    /// remembered for the last 65,536 of them.
    pub async fn confirmed(&self) -> Fate {
        Progress::new(&self.core, self.seq, PushEngine::fate).await
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("seq", &self.seq).finish_non_exhaustive()
    }
}

/// Waits until a message is accepted.
pub(super) async fn accepted(core: &Arc<Core<PushState>>, seq: Seq) -> Result<(), SendError> {
    Progress::new(core, seq, |engine: &PushEngine, seq| {
        if engine.is_accepted(seq) {
            return Some(Ok(()));
        }
        let reason = engine.store_failure()?.to_owned();
        Some(Err(SendError::new(SendErrorKind::StoreFailed { reason, taken_in: true })))
    })
    .await
}

/// Waits until messages with consecutive numbers are accepted.
pub(super) async fn all_accepted(
    core: &Arc<Core<PushState>>,
    mut seqs: Range<Seq>,
) -> Result<(), SendError> {
    loop {
        let missing = core.lock().socket.engine.first_unaccepted(seqs.clone());
        let Some(seq) = missing else {
            return Ok(());
        };
        accepted(core, seq).await?;
        seqs.start = seq + 1;
    }
}

/// Asks `question` about a message each time its standing changes, until there is an answer.
struct Progress<'a, F> {
    core: &'a Core<PushState>,
    seq: Seq,
    place: Option<u64>,
    question: F,
}

impl<'a, F> Progress<'a, F> {
    fn new(core: &'a Core<PushState>, seq: Seq, question: F) -> Self {
        Self { core, seq, place: None, question }
    }
}

impl<T, F> Future for Progress<'_, F>
where
    F: FnMut(&PushEngine, Seq) -> Option<T> + Unpin,
{
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Self { core, seq, place, question } = &mut *self;
        let mut state = core.lock();
        let socket = &mut state.socket;
        if let Some(answer) = question(&socket.engine, *seq) {
            socket.progress.leave(*seq, place);
            socket.engine.watch(!socket.progress.is_empty());
            return Poll::Ready(answer);
        }
        socket.progress.wait(*seq, place, cx.waker());
        socket.engine.watch(true);
        Poll::Pending
    }
}

impl<F> Drop for Progress<'_, F> {
    fn drop(&mut self) {
        if self.place.is_some() {
            let mut state = self.core.lock();
            state.socket.progress.leave(self.seq, &mut self.place);
        }
    }
}
