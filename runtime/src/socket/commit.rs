//! The thread that owns the disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use drawdown_protocol::limits::AGE_GATE;
use drawdown_protocol::store::{Commit, StoreNeed};
use drawdown_protocol::{Now, ProxyEngine, PublishEngine, PushEngine, ReplyEngine, Time};

use crate::busy_poll::BusyPoll;
use crate::core::{Bell, Core, Engine, Socket, StateGuard, Wakes};
use crate::error::Error;
use crate::store::Store;

/// An engine that may have a store.
pub(crate) trait StoredEngine: Engine {
    fn store_need(&self) -> StoreNeed;
    fn poll_store(&mut self, now: Time) -> Option<Commit>;
    fn hurry_store(&mut self);
    fn handle_stored(&mut self, result: Result<(), String>, now: Now);
}

/// Engines with a store have these as methods of their own; some ask for the time when the store answers.
macro_rules! stored_engine {
    ($engine:ty, |$self:ident, $result:ident, $now:pat_param| $handle:expr) => {
        impl StoredEngine for $engine {
            #[inline]
            fn store_need(&self) -> StoreNeed {
                self.store_need()
            }

            fn poll_store(&mut self, now: Time) -> Option<Commit> {
                self.poll_store(now)
            }

            fn hurry_store(&mut self) {
                self.hurry_store();
            }

            fn handle_stored(&mut $self, $result: Result<(), String>, $now: Now) {
                $handle;
            }
        }
    };
}

stored_engine!(PushEngine, |self, result, _| self.handle_stored(result));
stored_engine!(PublishEngine, |self, result, now| self.handle_stored(result, now));
stored_engine!(ProxyEngine, |self, result, now| self.handle_stored(result, now));
stored_engine!(ReplyEngine, |self, result, _| self.handle_stored(result));

/// A socket with such an engine.
pub(crate) trait Stored: Socket<Engine: StoredEngine> {
    /// How the thread is called; none without a store, or once it is closed.
    fn committer(&mut self) -> &mut Option<Committer>;
}

/// Rounds without work after which the thread sleeps until it is called.
const IDLE_ROUNDS: u32 = 64;

/// How the thread is called.
#[derive(Debug)]
pub(crate) struct Committer {
    bell: Arc<Bell>,
    asleep: Asleep,
    stop: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asleep {
    No,
    /// It will look again within the age gate, or when it has watched its bell for long enough.
    ForAMoment,
    UntilCalled,
}

impl Committer {
    /// Lets the thread write what is left and close the store.
    pub(crate) const fn stop(&mut self) {
        self.stop = true;
    }

    /// Calls the thread if there is something for it that should not wait until it looks by itself.
    pub(super) fn call_if_wanted(&mut self, engine: &impl StoredEngine, wakes: &mut Wakes) {
        let call = match (self.asleep, engine.store_need()) {
            (Asleep::No, _) | (_, StoreNeed::Nothing) => false,
            (Asleep::ForAMoment, need) => need == StoreNeed::Now,
            (Asleep::UntilCalled, _) => true,
        };
        if call || (self.stop && self.asleep != Asleep::No) {
            self.asleep = Asleep::No;
            wakes.bell(&self.bell);
        }
    }
}

/// A socket's hold on its thread, if it has one.
pub(crate) struct CommitThread(Mutex<Option<JoinHandle<()>>>);

impl CommitThread {
    /// Starts the thread, if there is a store.
    pub(crate) fn start<S: Stored>(
        core: &Arc<Core<S>>,
        store: Option<Box<dyn Store>>,
    ) -> Result<Self, Error> {
        let thread = store
            .map(|store| spawn(core, store))
            .transpose()
            .map_err(|error| Error::system("the store's thread could not be started", error))?;
        Ok(Self(Mutex::new(thread)))
    }

    /// Lets the thread write what is left and close the store.
    fn stop<S: Stored>(core: &Core<S>) {
        core.with(|socket| {
            socket.committer().iter_mut().for_each(Committer::stop);
        });
    }

    /// The same, and waits until that is done.
    pub(crate) async fn end<S: Stored>(&self, core: &Core<S>) {
        Self::stop(core);
        let thread = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It is past its last commit or about to do it; a panic in there was reported when it happened.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn spawn<S: Stored>(core: &Arc<Core<S>>, store: Box<dyn Store>) -> std::io::Result<JoinHandle<()>> {
    let bell = Arc::new(Bell::default());
    let committer = Committer { bell: Arc::clone(&bell), asleep: Asleep::No, stop: false };
    core.with(|socket| *socket.committer() = Some(committer));
    let (core, life) = (Arc::clone(core), core.live());
    std::thread::Builder::new().name("drawdown-store".to_owned()).spawn(move || {
        run(&core, store, &bell);
        drop(life);
    })
}

fn run<S: Stored>(core: &Core<S>, mut store: Box<dyn Store>, bell: &Bell) {
    let mut idle = 0;
    // A lone message is often followed by the next one as soon as its sender has heard of it.
    let mut busy_poll = BusyPoll::new(core.busy_poll);
    let mut state = core.lock();
    loop {
        let stopping = state.socket.committer().as_ref().is_none_or(|committer| committer.stop);
        let engine = state.socket.engine_mut();
        if stopping {
            engine.hurry_store();
        }
        if let Some(commit) = engine.poll_store(core.clock.time()) {
            busy_poll.note_read();
            core.release(state);
            let result = store.commit(&commit).map_err(|error| error.to_string());
            drop(commit);
            state = core.lock();
            state.socket.engine_mut().handle_stored(result, core.clock.now());
            busy_poll.note_written();
            idle = 0;
        } else if stopping {
            break;
        } else {
            idle += 1;
            let mut was_called;
            (state, was_called) = watch(core, state, bell, &mut busy_poll);
            if !was_called {
                (state, was_called) = rest(core, state, bell, idle);
            }
            if was_called {
                idle = 0;
            }
        }
    }
    core.release(state);
    if let Err(error) = store.close() {
        tracing::error!(%error, "the store could not be closed in good order");
    }
    core.with(|socket| *socket.committer() = None);
}

/// Stays awake until it is called, as long as that may pay; says whether it was called.
fn watch<'a, S: Stored>(
    core: &'a Core<S>,
    mut state: StateGuard<'a, S>,
    bell: &Bell,
    busy_poll: &mut BusyPoll,
) -> (StateGuard<'a, S>, bool) {
    let now = || core.clock.time();
    let mut was_called = false;
    while !was_called && busy_poll.polls_again(now) {
        set_asleep(&mut state.socket, Asleep::ForAMoment);
        bell.watch();
        core.release(state);
        while bell.is_watched() && busy_poll.polls_again(now) {
            std::thread::yield_now();
        }
        state = core.lock();
        bell.stop_watching();
        was_called = !is_asleep(&mut state.socket);
        set_asleep(&mut state.socket, Asleep::No);
    }
    (state, was_called)
}

/// Sleeps for a moment, or until it is called if there was nothing to do for so many rounds; says whether it was called.
fn rest<'a, S: Stored>(
    core: &'a Core<S>,
    mut state: StateGuard<'a, S>,
    bell: &Bell,
    idle: u32,
) -> (StateGuard<'a, S>, bool) {
    let asleep = if idle > IDLE_ROUNDS { Asleep::UntilCalled } else { Asleep::ForAMoment };
    set_asleep(&mut state.socket, asleep);
    // What was done since the lock was taken may concern others.
    core.release(state);
    state = core.lock();
    while is_asleep(&mut state.socket) {
        if asleep == Asleep::ForAMoment {
            state = bell.wait(state, Some(AGE_GATE));
            break;
        }
        state = bell.wait(state, None);
    }
    let was_called = !is_asleep(&mut state.socket);
    set_asleep(&mut state.socket, Asleep::No);
    (state, was_called)
}

fn is_asleep(socket: &mut impl Stored) -> bool {
    socket.committer().as_ref().is_some_and(|committer| committer.asleep != Asleep::No)
}

fn set_asleep(socket: &mut impl Stored, asleep: Asleep) {
    if let Some(committer) = socket.committer() {
        committer.asleep = asleep;
    }
}
