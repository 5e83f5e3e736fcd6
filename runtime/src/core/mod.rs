//! What every socket stands on: one engine under one lock, and those who wait for it.
//!
//! Whoever changes the engine does it through [`Core::with`], which afterwards wakes those for whom something changed:
//! link drivers, waiting calls, the timer. Waking happens after unlocking.

mod bell;
mod engine;
mod signal;
mod waiters;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drawdown_protocol::{Event, Identity, LinkId, LinkState, Now, Time};
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub(crate) use bell::Bell;
pub(crate) use engine::Engine;
pub(crate) use signal::Signal;
pub(crate) use waiters::{Keyed, WaitList, Waiting, Wakes};

use crate::auth::Access;
use crate::busy_poll;
use crate::clock::Clock;

/// Events that a slow reader may fall behind by.
const EVENTS_MAX: usize = 4_096;

/// An engine and what belongs to it: all that is under a socket's lock.
pub(crate) trait Socket: Send + 'static {
    type Engine: Engine;

    fn engine(&self) -> &Self::Engine;
    fn engine_mut(&mut self) -> &mut Self::Engine;
    fn poll_timeout(&self, clock: &Clock) -> Option<Time>;
    fn handle_timeout(&mut self, now: Now);
    /// Whether surely nobody has to be woken or told: the common case of a message that is only taken in.
    fn is_quiet(&self) -> bool {
        false
    }
    /// It has so many more endpoints than before on this side, or fewer.
    fn note_endpoints(&mut self, _side: Side<Self>, _more: isize)
    where
        Self: Sized,
    {
    }
    /// Nothing more comes or goes, from now on: those who wait are told so.
    fn end(&mut self) {}
    /// Gathers those who wait for something that has come.
    fn gather_wakes(&mut self, wakes: &mut Wakes);
    /// How many calls were woken and are about to come back, each perhaps with something for a link.
    fn crowd(&self) -> usize {
        0
    }
}

/// What every socket is told that its engine need not know.
#[derive(Clone, Debug)]
pub(crate) struct CoreOptions {
    pub(crate) access: Access,
    /// For how long a link that has run dry is polled, and a store's thread stays awake.
    pub(crate) busy_poll: Duration,
}

impl Default for CoreOptions {
    fn default() -> Self {
        Self { access: Access::default(), busy_poll: busy_poll::default_time() }
    }
}

/// Which side of its socket a link is on.
pub(crate) type Side<S> = <<S as Socket>::Engine as Engine>::Side;

/// One socket, shared by its handles and its tasks.
pub(crate) struct Core<S> {
    state: Mutex<State<S>>,
    pub(crate) clock: Clock,
    pub(crate) access: Access,
    /// For how long a link that has run dry is polled, and a store's thread stays awake.
    pub(crate) busy_poll: Duration,
    pub(crate) message_bytes_max: usize,
    pub(crate) tasks: TaskTracker,
    /// What the socket was made on, and where all that it does in the background is done, whoever asks for it.
    runtime: Handle,
    /// Ends the tasks at once.
    pub(crate) stop: CancellationToken,
    /// Ends those tasks that bring new links.
    pub(crate) closing: CancellationToken,
    pub(crate) timer: Notify,
    /// What [`Socket::crowd`] said last.
    crowd: AtomicUsize,
    events: Mutex<Feed>,
    /// How many there are that may still have something to tell; see [`Core::live`].
    lives: AtomicUsize,
}

/// What carries events to those who listen.
enum Feed {
    /// Nobody has listened yet: its buffer is larger than the rest of a socket.
    Unheard,
    Open(broadcast::Sender<Event>),
    /// Nothing happens any more.
    Over,
}

/// Whoever holds this may have events to tell: those who listen wait on.
pub(crate) struct Life<S: Socket>(Arc<Core<S>>);

impl<S: Socket> Drop for Life<S> {
    fn drop(&mut self) {
        if self.0.lives.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.0.feed() = Feed::Over;
        }
    }
}

/// The lock, held.
pub(crate) type StateGuard<'a, S> = MutexGuard<'a, State<S>>;

/// What is under the lock.
pub(crate) struct State<S> {
    pub(crate) socket: S,
    signals: BTreeMap<LinkId, Arc<Signal>>,
    /// When the timer task will look.
    pub(crate) timer_at: Option<Time>,
}

impl<S: Socket> Core<S> {
    pub(crate) fn new(
        socket: S,
        clock: Clock,
        options: &CoreOptions,
        message_bytes_max: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State { socket, signals: BTreeMap::new(), timer_at: None }),
            clock,
            access: options.access.clone(),
            busy_poll: options.busy_poll,
            message_bytes_max,
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            stop: CancellationToken::new(),
            closing: CancellationToken::new(),
            timer: Notify::new(),
            crowd: AtomicUsize::new(0),
            events: Mutex::new(Feed::Unheard),
            lives: AtomicUsize::new(0),
        })
    }

    /// Changes the socket, then wakes those for whom something changed.
    #[inline]
    pub(crate) fn with<R>(&self, change: impl FnOnce(&mut S) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.socket);
        self.release(state);
        result
    }

    /// The lock itself, for those who wait on it; give it back by [`Core::release`].
    pub(crate) fn lock(&self) -> StateGuard<'_, S> {
        // An engine is consistent between calls, and a panic inside one is a bug that its caller has met already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unlocks, and wakes those for whom something changed.
    #[inline]
    pub(crate) fn release(&self, state: StateGuard<'_, S>) {
        if !state.socket.is_quiet() {
            self.release_and_wake(state);
        }
    }

    fn release_and_wake(&self, mut state: StateGuard<'_, S>) {
        let mut wakes = Wakes::default();
        state.after_change(self, &mut wakes);
        drop(state);
        wakes.wake();
    }

    /// Starts a task of the socket.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Does something with its result where the tasks run: what listens there goes on when who asked for it is gone.
    /// Dropping the future gives it up.
    ///
    /// # Errors
    /// If what the socket was made on is gone.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        deed: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        AbortOnDropHandle::new(self.runtime.spawn(deed)).await
    }

    /// Ends the socket at once: its handle is gone, or its timer.
    pub(crate) fn abandon(&self) {
        self.closing.cancel();
        self.stop.cancel();
        self.with(S::end);
    }

    /// How many are about to come, perhaps each with something for a link, whose driver does well to let them run first.
    pub(crate) fn crowd(&self) -> usize {
        self.crowd.load(Ordering::Relaxed)
    }

    /// Takes a connection in, and tells of it before all else that happens on it.
    pub(crate) fn open_link(
        &self,
        identity: Identity,
        side: Side<S>,
        opened: impl FnOnce(LinkId) -> Event,
    ) -> (LinkId, Arc<Signal>) {
        let signal = Arc::new(Signal::default());
        let now = self.clock.time();
        let mut state = self.lock();
        let link = state.socket.engine_mut().open_link(identity, side, now);
        self.tell(opened(link));
        state.signals.insert(link, Arc::clone(&signal));
        if self.closing.is_cancelled() {
            // All others were told so, or are about to be.
            state.socket.engine_mut().close_links(now);
        }
        self.release(state);
        (link, signal)
    }

    /// Forgets a link whose connection is closed.
    pub(crate) fn close_link(&self, link: LinkId, lost: Option<&str>) {
        let now = self.clock.time();
        let mut state = self.lock();
        match lost {
            Some(reason) => state.socket.engine_mut().link_lost(link, reason, now),
            None => state.socket.engine_mut().remove_link(link),
        }
        state.signals.remove(&link);
        self.release(state);
    }

    /// How many connections there are, those included that are about to be closed.
    pub(crate) fn links(&self) -> usize {
        self.lock().signals.len()
    }

    /// Waits until there are none.
    pub(crate) async fn unlinked(&self) {
        while self.links() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The links whose handshake is done.
    pub(crate) fn members(&self) -> Vec<LinkId> {
        let state = self.lock();
        let is_open = |link: &LinkId| state.socket.engine().link_state(*link) == LinkState::Open;
        state.signals.keys().copied().filter(is_open).collect()
    }

    /// How many of these have a connection.
    pub(crate) fn linked_of(&self, links: &[LinkId]) -> usize {
        let state = self.lock();
        links.iter().filter(|link| state.signals.contains_key(link)).count()
    }

    /// Waits until none of these has one.
    pub(crate) async fn unlinked_of(&self, links: &[LinkId]) {
        while self.linked_of(links) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Tells those who listen what happened.
    pub(crate) fn tell(&self, event: Event) {
        log(&event);
        if let Feed::Open(events) = &*self.feed() {
            // Nobody listens any more: that is no error.
            let _ = events.send(event);
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        let mut feed = self.feed();
        match &*feed {
            Feed::Open(events) => events.subscribe(),
            Feed::Unheard => {
                let (events, receiver) = broadcast::channel(EVENTS_MAX);
                *feed = Feed::Open(events);
                receiver
            }
            Feed::Over => broadcast::channel(1).1,
        }
    }

    /// For what outlives the socket's handle and may have events to tell: the last one to go ends them.
    pub(crate) fn live(self: &Arc<Self>) -> Life<S> {
        self.lives.fetch_add(1, Ordering::AcqRel);
        Life(Arc::clone(self))
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Socket> State<S> {
    fn after_change(&mut self, core: &Core<S>, wakes: &mut Wakes) {
        let mut last = None;
        while let Some(link) = self.socket.engine_mut().poll_wake() {
            if last.replace(link) != Some(link)
                && let Some(signal) = self.signals.get(&link)
            {
                wakes.signal(signal);
            }
        }
        while let Some(event) = self.socket.engine_mut().poll_event() {
            core.tell(event);
        }
        self.socket.gather_wakes(wakes);
        core.crowd.store(self.socket.crowd(), Ordering::Relaxed);
        if let Some(next) = self.socket.poll_timeout(&core.clock)
            && self.timer_at.is_none_or(|at| next < at)
        {
            self.timer_at = Some(next);
            core.timer.notify_one();
        }
    }
}

fn log(event: &Event) {
    match event {
        Event::Disconnected { link, reason, by_us: true, .. } => {
            tracing::info!(%link, %reason, "ended a link");
        }
        Event::StoreFailed { reason } => tracing::error!(%reason, "the store has failed"),
        Event::ServerSilent { link } => tracing::warn!(%link, "a server did not answer in time"),
        Event::ServerAnswers { link } => tracing::info!(%link, "a server answers again"),
        Event::LevelChanged { from, to } => {
            tracing::info!(from = from.level(), to = to.level(), "another priority serves");
        }
        Event::LoopRefused { link, call } => {
            tracing::warn!(%link, %call, "a call came back to a router that it had passed");
        }
        Event::HopLimit { link, call } => {
            tracing::warn!(%link, %call, "a call has passed as many routers as it may");
        }
        Event::StoreSlow { waited } => {
            tracing::warn!(?waited, "the store does not answer; what is not accepted yet waits");
        }
        Event::Fenced { reason, .. } => {
            tracing::warn!(%reason, "a newer incarnation of this publisher is at work");
        }
        Event::NameFailed { reason, .. } => {
            tracing::warn!(%reason, "cannot find out what to connect to");
        }
        Event::TargetsChanged { endpoint, connected, left } => {
            tracing::info!(%endpoint, ?connected, ?left, "stands for other peers");
        }
        Event::NameMoved { endpoint } => tracing::info!(%endpoint, "has moved"),
        Event::Conflict { session, link, reason } => {
            tracing::warn!(%session, %link, %reason, "a source is not listened to any more");
        }
        event => tracing::debug!(?event),
    }
}
