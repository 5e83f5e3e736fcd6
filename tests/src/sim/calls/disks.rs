//! The store of a REP node.

use drawdown_protocol::store::{Commit, StoreNeed};
use drawdown_protocol::{Now, ReplyEngine, Time};

use crate::sim::pubsub::Stored;

impl Stored for ReplyEngine {
    fn store_need(&self) -> StoreNeed {
        self.store_need()
    }

    fn poll_store(&mut self, now: Time) -> Option<Commit> {
        self.poll_store(now)
    }

    fn handle_stored(&mut self, result: Result<(), String>, _now: Now) {
        self.handle_stored(result);
    }

    fn has_failed(&self) -> bool {
        self.store_failure().is_some()
    }
}
