//! Many requests at once, from their caller's side.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use drawdown_protocol::{CallNumber, CallOptions, Message, Rising, Time};

use crate::core::Core;

use super::call::{Reply, outcome};
use super::error::RequestError;
use super::state::{Goes, RequestState, Standing, Turn};

/// Requests that are made under one lock.
const MAKE_MAX: usize = 256;

/// Borrowed payloads are copied side by side into pieces of this size.
const PIECE_BYTES: usize = 16 << 10;

/// Names a batch at its socket.
pub(super) type BatchKey = u64;

/// Batches whose callers wait.
#[derive(Default)]
pub(super) struct Batches {
    open: Rising<Waits>,
    next: BatchKey,
}

/// What the caller of a batch waits for.
#[derive(Default)]
struct Waits {
    /// Calls that are under way.
    calls: usize,
    waker: Option<Waker>,
    is_woken: bool,
}

impl Batches {
    fn open(&mut self) -> BatchKey {
        let key = self.next;
        self.next += 1;
        self.open.insert(key, Waits::default());
        key
    }

    /// One of its calls is settled: who is to be woken.
    pub(super) fn settle_one(&mut self, key: BatchKey) -> Option<Waker> {
        let waits = self.open.get_mut(&key)?;
        waits.calls = waits.calls.saturating_sub(1);
        let waker = waits.waker.take_if(|_| waits.calls == 0);
        waits.is_woken |= waker.is_some();
        waker
    }

    /// Another of its calls is under way.
    fn add_call(&mut self, key: BatchKey) {
        if let Some(waits) = self.open.get_mut(&key) {
            waits.calls += 1;
        }
    }

    /// Its caller is here; says whether it was woken.
    pub(super) fn visit(&mut self, key: BatchKey) -> bool {
        self.open.get_mut(&key).is_some_and(|waits| std::mem::take(&mut waits.is_woken))
    }

    /// Its caller waits until none of its calls is under way.
    fn wait(&mut self, key: BatchKey, waker: &Waker) {
        if let Some(waits) = self.open.get_mut(&key) {
            waits.waker = Some(waker.clone());
        }
    }

    fn close(&mut self, key: BatchKey) {
        self.open.remove(&key);
    }

    /// Whether none of its calls is under way.
    fn is_settled(&self, key: BatchKey) -> bool {
        self.open.get(&key).is_none_or(|waits| waits.calls == 0)
    }
}

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
    unmade: std::vec::IntoIter<Message<'static>>,
    turn: Turn,
    made: Vec<Made>,
    /// Once it has begun, and until it is over.
    key: Option<BatchKey>,
}

enum Made {
    UnderWay(CallNumber),
    Over(Result<Reply, RequestError>),
}

/// What a visit under the lock came to.
enum Visit {
    /// There is more to be made, but others have the lock first.
    Again,
    Waits,
    Over,
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
        let mut piece = BytesMut::with_capacity(PIECE_BYTES);
        let messages = messages.into_iter().map(|message| message.into().into_owned_in(&mut piece));
        let unmade: Vec<_> = messages.collect();
        let made = Vec::with_capacity(unmade.len());
        let unmade = unmade.into_iter();
        let work = Work { options, unmade, turn: Turn::default(), made, key: None };
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
                Visit::Over => break,
            }
        }
        let made = std::mem::take(&mut work.made).into_iter();
        Poll::Ready(made.filter_map(Made::outcome).collect())
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
            .field("made", &self.work.made.len())
            .finish_non_exhaustive()
    }
}

impl Made {
    fn outcome(self) -> Option<Result<Reply, RequestError>> {
        match self {
            Self::Over(outcome) => Some(outcome),
            Self::UnderWay(_) => None,
        }
    }
}

impl Work {
    /// Makes what may be made, and sees whether all is over.
    fn visit(&mut self, socket: &mut RequestState, now: Time, waker: &Waker) -> Visit {
        let key = *self.key.get_or_insert_with(|| socket.batches.open());
        socket.come_back_to(key);
        match self.make(key, socket, now, waker) {
            Visit::Over => {}
            other => return other,
        }
        socket.leave(&mut self.turn);
        if !socket.batches.is_settled(key) {
            socket.batches.wait(key, waker);
            return Visit::Waits;
        }
        self.collect(socket);
        socket.batches.close(key);
        self.key = None;
        Visit::Over
    }

    /// Makes calls of those whose turn has come.
    fn make(
        &mut self,
        key: BatchKey,
        socket: &mut RequestState,
        now: Time,
        waker: &Waker,
    ) -> Visit {
        for _ in 0..MAKE_MAX {
            if self.unmade.as_slice().is_empty() {
                return Visit::Over;
            }
            let deadline = match socket.goes(&mut self.turn, self.options.timeout, now) {
                Goes::Now(deadline) => Some(deadline),
                Goes::Never => None,
                Goes::Later => {
                    socket.wait(&mut self.turn, waker);
                    return Visit::Waits;
                }
            };
            let made = self.unmade.next().zip(deadline).map(|(message, deadline)| {
                socket.call(message, &self.options, deadline, now, Standing::InBatch(key))
            });
            self.made.push(match made {
                Some(Ok(number)) => {
                    socket.batches.add_call(key);
                    Made::UnderWay(number)
                }
                Some(Err(error)) => Made::Over(Err(error)),
                None => Made::Over(Err(RequestError::no_turn())),
            });
        }
        Visit::Again
    }

    /// Takes what became of its calls, all of which are settled.
    fn collect(&mut self, socket: &mut RequestState) {
        for made in &mut self.made {
            if let Made::UnderWay(number) = made
                && let Some(settled) = socket.take_settled(*number)
            {
                *made = Made::Over(outcome(settled));
            }
        }
    }

    /// Nobody waits for it any more.
    fn give_up(&mut self, socket: &mut RequestState, now: Time) {
        for made in self.made.drain(..) {
            if let Made::UnderWay(number) = made {
                socket.withdraw(number, now);
            }
        }
        socket.leave(&mut self.turn);
        if let Some(key) = self.key.take() {
            socket.come_back_to(key);
            socket.batches.close(key);
        }
    }
}
