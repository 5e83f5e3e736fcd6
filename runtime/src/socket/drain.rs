//! Waiting until a socket has nothing left to do.

use std::future::poll_fn;
use std::task::Poll;

use crate::core::{Core, Socket, WaitList, Waiting};

/// A socket that can be waited for until it is drained.
pub(crate) trait Draining: Socket {
    fn is_drained(&mut self) -> bool;
    /// Those who wait for it.
    fn drains(&mut self) -> &mut WaitList;
}

/// Waits until the socket is drained. Dropping the future changes nothing.
pub(crate) async fn drained<S: Draining>(core: &Core<S>) {
    let mut drain = Drain { core, place: None };
    poll_fn(|cx| {
        let mut state = core.lock();
        let done = state.socket.is_drained();
        if !done {
            state.socket.drains().wait(&mut drain.place, cx.waker());
        }
        core.release(state);
        if done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// A place among those who wait.
struct Drain<'a, S: Draining> {
    core: &'a Core<S>,
    place: Option<Waiting>,
}

impl<S: Draining> Drop for Drain<'_, S> {
    fn drop(&mut self) {
        if self.place.is_some() {
            self.core.with(|socket| socket.drains().leave(&mut self.place));
        }
    }
}
