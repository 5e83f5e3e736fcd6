//! What sockets have in common that messages are received from.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use crate::clock::Clock;
use crate::core::{Core, Socket, WaitList, Waiting, Wakes};

/// A socket whose engine queues messages for receive calls.
pub(crate) trait Receiving: Socket {
    fn receiving(&mut self) -> &mut ReceivingState;
    fn has_queued(&self) -> bool;
    /// Tells the engine how many receive calls wait.
    fn set_waiting(&mut self, calls: u64, clock: &Clock);
    /// A receive call found nothing to do.
    fn rest(&mut self) {}
}

/// Those who wait for messages.
#[derive(Debug, Default)]
pub(crate) struct ReceivingState {
    receivers: WaitList,
    /// Messages in the hands of the reader: as many receive calls need not wait.
    pub(crate) in_reader: u64,
    /// Nothing will come any more.
    pub(crate) closed: bool,
}

impl ReceivingState {
    pub(crate) fn gather_wakes(&mut self, has_queued: bool, wakes: &mut Wakes) {
        if self.receivers.is_awake() {
            return;
        }
        match self.closed {
            true => self.receivers.wake_all(wakes),
            false => self.receivers.wake(self.in_reader + u64::from(has_queued), wakes),
        }
    }
}

/// Waits until `take` gives something; `None` once the socket is closed.
pub(crate) async fn wait_for<S: Receiving, T>(
    core: &Core<S>,
    take: impl Fn() -> Option<T>,
) -> Option<T> {
    let mut call = Call { core, place: None };
    poll_fn(|cx| {
        loop {
            std::task::ready!(call.come_back(cx));
            let taken = take();
            if taken.is_some() {
                return Poll::Ready(taken);
            }
            match call.wait(cx) {
                Poll::Ready(Go::Again) => {}
                Poll::Ready(Go::Closed) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// A receive call and its place among those that wait.
struct Call<'a, S: Receiving> {
    core: &'a Core<S>,
    place: Option<Waiting>,
}

enum Go {
    Again,
    Closed,
}

impl<S: Receiving> Call<'_, S> {
    fn wait(&mut self, cx: &Context<'_>) -> Poll<Go> {
        let mut state = self.core.lock();
        let socket = &mut state.socket;
        if socket.receiving().closed {
            return Poll::Ready(Go::Closed);
        }
        if socket.has_queued() {
            return Poll::Ready(Go::Again);
        }
        socket.receiving().receivers.wait(&mut self.place, cx.waker());
        self.tell_waiting(socket);
        socket.rest();
        self.core.release(state);
        Poll::Pending
    }

    /// Gives its place up when something may have come: a call that is served waits no longer, and must not earn another
    /// message. One whose task was woken for another reason keeps its turn, and with a window of 0 its credit.
    fn come_back(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.place.is_none() {
            return Poll::Ready(());
        }
        let mut state = self.core.lock();
        let socket = &mut state.socket;
        let has_queued = socket.has_queued();
        let receiving = socket.receiving();
        if !has_queued && receiving.in_reader == 0 && !receiving.closed {
            receiving.receivers.wait(&mut self.place, cx.waker());
            return Poll::Pending;
        }
        receiving.receivers.leave(&mut self.place);
        self.tell_waiting(socket);
        self.core.release(state);
        Poll::Ready(())
    }

    fn leave(&mut self) {
        if self.place.is_some() {
            self.core.with(|socket| {
                socket.receiving().receivers.leave(&mut self.place);
                self.tell_waiting(socket);
            });
        }
    }

    fn tell_waiting(&self, socket: &mut S) {
        let calls = socket.receiving().receivers.len() as u64;
        socket.set_waiting(calls, &self.core.clock);
    }
}

impl<S: Receiving> Drop for Call<'_, S> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// After how many messages taken a reader tells its engine: often enough that a sender need not wait for their room.
#[derive(Debug)]
pub(crate) struct ReportAfter(AtomicU64);

impl ReportAfter {
    pub(crate) fn new(window: u64) -> Self {
        Self(AtomicU64::new(Self::of(window)))
    }

    #[inline]
    pub(crate) fn messages(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The window is another one from now on.
    pub(crate) fn set_window(&self, window: u64) {
        self.0.store(Self::of(window), Ordering::Relaxed);
    }

    fn of(window: u64) -> u64 {
        (window / 4).max(1)
    }
}
