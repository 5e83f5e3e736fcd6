//! Many requests at once, from their caller's side.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use drawdown_protocol::{CallOptions, Message, Time};

use crate::core::Core;

use super::batches::BatchKey;
use super::call::{Outcome, Reply};
use super::error::RequestError;
use super::state::{Goes, RequestState, Turn};
use super::unmade::Unmade;

/// Requests that are made under one lock.
const MAKE_MAX: usize = 256;

/// Requests that are made together when this is first polled; gives their replies in the order of the requests.
///
/// It waits until each has its reply or its error. They take their turns among other requests, and as many are under way as
/// [`ReqBuilder::pending`](super::ReqBuilder::pending) allows. If it is dropped before that, those under way are withdrawn.
/// It borrows nothing, so it may be awaited in a task of its own.
#[must_use = "requests are made when they are awaited"]
pub struct RequestBatch {
    core: Arc<Core<RequestState>>,
    work: Work,
}

struct Work {
    options: CallOptions,
    unmade: Unmade,
    turn: Turn,
    /// Once it has begun, and until it is over.
    key: Option<BatchKey>,
}

/// What a visit under the lock came to.
enum Visit {
    /// There is more to be made, but others have the lock first.
    Again,
    Waits,
    Over(Vec<Outcome>),
}

impl RequestBatch {
    pub(super) fn new<'a, M>(
        core: &Arc<Core<RequestState>>,
        messages: impl IntoIterator<Item = M>,
        options: CallOptions,
    ) -> Self
    where
        M: Into<Message<'a>>,
    {
        let unmade = messages.into_iter().collect();
        let work = Work { options, unmade, turn: Turn::default(), key: None };
        Self { core: Arc::clone(core), work }
    }
}

impl Future for RequestBatch {
    type Output = Vec<Result<Reply, RequestError>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { core, work } = &mut *self;
        loop {
            let now = core.clock.time();
            match core.with(|socket| work.visit(socket, now, cx.waker())) {
                Visit::Again => {}
                Visit::Waits => return Poll::Pending,
                Visit::Over(results) => return Poll::Ready(results),
            }
        }
    }
}

impl Drop for RequestBatch {
    fn drop(&mut self) {
        if self.work.key.is_some() {
            let Self { core, work } = self;
            let now = core.clock.time();
            core.with(|socket| work.give_up(socket, now));
        }
    }
}

impl std::fmt::Debug for RequestBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBatch")
            .field("unmade", &self.work.unmade.len())
            .finish_non_exhaustive()
    }
}

impl Work {
    /// Makes what may be made, and sees whether all is over.
    fn visit(&mut self, socket: &mut RequestState, now: Time, waker: &Waker) -> Visit {
        let requests = self.unmade.len();
        let key = *self.key.get_or_insert_with(|| socket.batches.open(requests));
        socket.come_back_to(key);
        if requests > 0 {
            self.make(key, socket, now);
            match self.unmade.len() {
                // Its calls have their payloads.
                0 => self.unmade = Unmade::default(),
                left if requests - left >= MAKE_MAX => return Visit::Again,
                _ => {
                    socket.wait(&mut self.turn, waker);
                    return Visit::Waits;
                }
            }
        }
        socket.leave(&mut self.turn);
        if socket.batches.wait(key, waker) {
            return Visit::Waits;
        }
        self.key = None;
        Visit::Over(socket.batches.close(key))
    }

    /// Makes calls of those whose turn has come, or ends all whose turn has not come in time.
    fn make(&mut self, key: BatchKey, socket: &mut RequestState, now: Time) {
        let (most, deadline) = match socket.goes(&mut self.turn, self.options.timeout, now) {
            Goes::Now { deadline, calls } => (MAKE_MAX.min(calls), Some(deadline)),
            Goes::Never => (usize::MAX, None),
            Goes::Later => return,
        };
        let Self { options, unmade, .. } = self;
        let RequestState { engine, batches, .. } = socket;
        let mut results = batches.add(key);
        let messages = unmade.take(most);
        match deadline {
            Some(deadline) => {
                engine.call_many(messages, options, (deadline, now), |made| results.push(made));
            }
            None => messages.for_each(|_| results.refuse(RequestError::no_turn())),
        }
        results.end();
    }

    /// Nobody waits for it any more.
    fn give_up(&mut self, socket: &mut RequestState, now: Time) {
        socket.leave(&mut self.turn);
        if let Some(key) = self.key.take() {
            for number in socket.batches.calls(key).into_iter().flatten() {
                socket.engine.cancel(number, now);
            }
            socket.come_back_to(key);
            socket.batches.close(key);
        }
    }
}
