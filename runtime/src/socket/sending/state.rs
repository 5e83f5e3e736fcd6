//! What is under the lock of a socket that messages are given to, beside its engine.

use std::ops::Range;

use drawdown_protocol::{PublishEngine, PushEngine, Seq};

use crate::core::{Keyed, WaitList, Wakes};
use crate::socket::commit::{Committer, Stored, StoredEngine};
use crate::socket::drain::Draining;

/// An engine that numbers the messages that are given to it, and keeps them until it is done with them.
pub(crate) trait SendingEngine: StoredEngine {
    /// Whether a message may be delivered before the store has it.
    const SENDS_UNSTORED: bool;

    fn close_intake(&mut self);
    /// Whether a socket that closes in good order has nothing more to wait for.
    fn is_drained(&self) -> bool;
    fn is_accepted(&self, seq: Seq) -> bool;
    fn first_unaccepted(&self, seqs: Range<Seq>) -> Option<Seq>;
    fn store_failure(&self) -> Option<&str>;
    fn watch(&mut self, end: Seq);
    fn poll_progress(&mut self) -> Option<Range<Seq>>;
}

/// These are methods of the engine's own; what counts as drained has a name of its own.
macro_rules! sending_engine {
    ($engine:ty, $is_drained:ident, sends_unstored: $sends_unstored:literal) => {
        impl SendingEngine for $engine {
            const SENDS_UNSTORED: bool = $sends_unstored;

            fn close_intake(&mut self) {
                self.close_intake();
            }

            fn is_drained(&self) -> bool {
                self.$is_drained()
            }

            fn is_accepted(&self, seq: Seq) -> bool {
                self.is_accepted(seq)
            }

            fn first_unaccepted(&self, seqs: Range<Seq>) -> Option<Seq> {
                self.first_unaccepted(seqs)
            }

            fn store_failure(&self) -> Option<&str> {
                self.store_failure()
            }

            fn watch(&mut self, end: Seq) {
                self.watch(end);
            }

            #[inline]
            fn poll_progress(&mut self) -> Option<Range<Seq>> {
                self.poll_progress()
            }
        }
    };
}

sending_engine!(PushEngine, is_drained, sends_unstored: true);
sending_engine!(PublishEngine, is_caught_up, sends_unstored: false);

/// A socket with such an engine.
pub(crate) trait Sending: Stored<Engine: SendingEngine> {
    fn parts(&mut self) -> (&mut Self::Engine, &mut SendingState);
}

/// Those who wait for such an engine.
#[derive(Debug, Default)]
pub(crate) struct SendingState {
    /// Calls that wait for a message's acceptance or end.
    pub(super) progress: Keyed,
    /// Drains.
    drained: WaitList,
    /// Until the store is closed.
    pub(crate) committer: Option<Committer>,
    /// The links are at their end, or soon will be: nothing more is to be heard of messages.
    closing: bool,
}

impl SendingState {
    /// Whether nobody has to be looked for.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.drained.is_awake() && self.committer.is_none() && !self.closing
    }

    /// Nothing more is to be heard of messages but from the store.
    pub(super) const fn note_closing(&mut self) {
        self.closing = true;
    }

    /// Takes nothing more in, and nothing more is to be heard of what was taken in but from the store, which is closed.
    pub(crate) fn end(&mut self, engine: &mut impl SendingEngine) {
        engine.close_intake();
        self.note_closing();
        self.committer.iter_mut().for_each(Committer::stop);
    }

    /// Whether nothing more becomes of messages here: the links are at their end, and the store has what it could take.
    pub(super) const fn is_over(&self) -> bool {
        self.closing && self.committer.is_none()
    }

    pub(crate) fn gather_wakes(&mut self, engine: &mut impl SendingEngine, wakes: &mut Wakes) {
        while let Some(seqs) = engine.poll_progress() {
            self.progress.wake(seqs, wakes);
        }
        if self.is_over() {
            self.progress.wake(0..Seq::MAX, wakes);
        }
        if !self.drained.is_awake() && engine.is_drained() {
            self.drained.wake_all(wakes);
        }
        if let Some(committer) = &mut self.committer {
            committer.call_if_wanted(engine, wakes);
        }
    }
}

impl<S: Sending> Draining for S {
    fn is_drained(&mut self) -> bool {
        self.engine().is_drained()
    }

    fn drains(&mut self) -> &mut WaitList {
        &mut self.parts().1.drained
    }
}
