//! Waiting for what becomes of a message.

use std::sync::Arc;

use drawdown_protocol::{Fate, PushEngine, Seq};

use crate::core::Core;
use crate::error::SendError;
use crate::socket::sending::{self, Progress};

use super::error::{ConfirmError, ConfirmErrorKind};
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
        sending::accepted(&self.core, self.seq).await
    }

    /// Waits until the message is done: confirmed, expired, or a dead letter.
    ///
    /// Dropping the future changes nothing; it can be called again. How messages ended other than by confirmation is
    /// remembered for the last 65,536 of them.
    ///
    /// # Errors
    /// If its socket is closed or dropped before the message is done, or its store fails: says whether the store has the
    /// message. After a failure of the store the message may still be delivered while the socket is open.
    pub async fn confirmed(&self) -> Result<Fate, ConfirmError> {
        Progress::new(&self.core, self.seq, |engine: &PushEngine, seq, is_over| {
            if let Some(fate) = engine.fate(seq) {
                return Some(Ok(fate));
            }
            let kind = match engine.store_failure() {
                Some(reason) => ConfirmErrorKind::StoreFailed { reason: reason.to_owned() },
                None if is_over => ConfirmErrorKind::Closed,
                None => return None,
            };
            Some(Err(ConfirmError::new(kind, engine.is_stored(seq))))
        })
        .await
    }
}

impl std::fmt::Debug for Receipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receipt").field("seq", &self.seq).finish_non_exhaustive()
    }
}
