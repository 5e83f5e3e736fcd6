//! What a SUB socket shares with the messages that it hands out.

use std::sync::Arc;

use drawdown_protocol::Session;
use drawdown_protocol::wire::Fingerprint;

use crate::core::Core;
use crate::error::Closed;
use crate::socket::receiving::ReportAfter;

use super::acks::Acks;
use super::publication::Publication;
use super::state::SubscribeState;

/// The engine, and what was acknowledged.
pub(crate) struct SubShared {
    pub(super) core: Arc<Core<SubscribeState>>,
    pub(super) acks: Arc<Acks>,
    /// Whether a thread saves the position.
    pub(super) is_kept: bool,
    pub(super) report_after: ReportAfter,
    /// Messages that one fetch takes from the engine.
    pub(super) fetch_max: u32,
}

impl SubShared {
    /// The application is done with a message and all before it, if that still counts.
    #[inline]
    pub(super) fn note(&self, publication: Publication) -> Result<(), Closed> {
        // Where nobody looks at them, no more than one is kept: it keeps its buffer.
        if self.acks.note(publication)? > 1 && !self.is_kept {
            self.collect();
        }
        Ok(())
    }

    /// Lets the engine know what was acknowledged.
    pub(super) fn collect(&self) {
        self.acknowledge(&self.acks.take());
    }

    pub(super) fn acknowledge(&self, acked: &[Publication]) {
        // Before the lock is taken: a checksum takes its time.
        let done: Vec<(Session, Fingerprint)> =
            acked.iter().map(|acked| (acked.session(), acked.fingerprint())).collect();
        self.core.with(|socket| {
            for (session, last) in done {
                socket.engine.acknowledge(session, last);
            }
        });
    }
}
