//! The thread that owns the disk.

use std::sync::{Arc, Condvar, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use drawdown_protocol::limits::AGE_GATE;
use drawdown_protocol::{PushEngine, StoreNeed};

use crate::core::Core;
use crate::store::Store;

use super::state::PushState;

/// Rounds without work after which the thread sleeps until it is called.
const IDLE_ROUNDS: u32 = 64;

/// How the thread is called.
pub(super) struct Committer {
    bell: Arc<Condvar>,
    asleep: Asleep,
    stop: bool,
    /// The store is closed.
    pub(super) ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asleep {
    No,
    /// It will look again within the age gate.
    ForAMoment,
    UntilCalled,
}

impl Committer {
    /// Calls the thread if there is something for it that should not wait until it looks by itself.
    pub(super) fn call_if_wanted(&mut self, engine: &PushEngine) {
        let call = match (self.asleep, engine.store_need()) {
            (Asleep::No, _) | (_, StoreNeed::Nothing) => false,
            (Asleep::ForAMoment, need) => need == StoreNeed::Now,
            (Asleep::UntilCalled, _) => true,
        };
        if call || (self.stop && self.asleep != Asleep::No) {
            self.asleep = Asleep::No;
            self.bell.notify_one();
        }
    }

    /// Lets the thread write what is left and close the store.
    pub(super) fn stop(&mut self) {
        self.stop = true;
    }
}

/// Starts the thread; it ends after [`Committer::stop`].
pub(super) fn spawn(
    core: &Arc<Core<PushState>>,
    store: Box<dyn Store>,
) -> std::io::Result<JoinHandle<()>> {
    let bell = Arc::new(Condvar::new());
    let committer =
        Committer { bell: Arc::clone(&bell), asleep: Asleep::No, stop: false, ended: false };
    core.with(|socket| socket.committer = Some(committer));
    let core = Arc::clone(core);
    std::thread::Builder::new()
        .name("drawdown-store".to_owned())
        .spawn(move || run(&core, store, &bell))
}

fn run(core: &Core<PushState>, mut store: Box<dyn Store>, bell: &Condvar) {
    let mut idle = 0;
    let mut state = core.lock();
    loop {
        let stopping = state.socket.committer.as_ref().is_none_or(|committer| committer.stop);
        // What is left when it stops is written without waiting for its time.
        let now = if stopping {
            core.clock.time() + Duration::from_secs(3600)
        } else {
            core.clock.time()
        };
        if let Some(commit) = state.socket.engine.poll_store(now) {
            core.release(state);
            let result = store.commit(&commit).map_err(|error| error.to_string());
            drop(commit);
            state = core.lock();
            state.socket.engine.handle_stored(result);
            idle = 0;
            continue;
        }
        if stopping {
            break;
        }
        idle += 1;
        let wait = if idle > IDLE_ROUNDS { None } else { Some(AGE_GATE) };
        if let Some(committer) = &mut state.socket.committer {
            committer.asleep =
                if wait.is_some() { Asleep::ForAMoment } else { Asleep::UntilCalled };
        }
        // What was done since the lock was taken may concern others.
        core.release(state);
        state = core.lock();
        while state
            .socket
            .committer
            .as_ref()
            .is_some_and(|committer| committer.asleep != Asleep::No)
        {
            match wait {
                None => state = bell.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) => {
                    (state, _) =
                        bell.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
                    break;
                }
            }
        }
        if let Some(committer) = &mut state.socket.committer {
            if committer.asleep == Asleep::No {
                idle = 0;
            }
            committer.asleep = Asleep::No;
        }
    }
    core.release(state);
    if let Err(error) = store.close() {
        tracing::error!(%error, "the store could not be closed in good order");
    }
    core.with(|socket| {
        if let Some(committer) = &mut socket.committer {
            committer.ended = true;
        }
    });
}
