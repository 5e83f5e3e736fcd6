//! One request, from its caller's side.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use drawdown_protocol::{CallNumber, CallOptions, Message, Settled};

use crate::core::Core;

use super::call_options;
use super::error::RequestError;
use super::state::{Made, RequestState, Unmade};

/// A request with settings of its own; what is not set is as its socket has it. Make it with [`send`](Self::send).
#[must_use = "a request is made when its future is awaited"]
pub struct CallBuilder {
    request: Request,
}

impl CallBuilder {
    pub(super) const fn new(request: Request) -> Self {
        Self { request }
    }

    call_options!(request.options);

    /// The request itself, to be awaited.
    pub fn send(self) -> Request {
        self.request
    }
}

impl std::fmt::Debug for CallBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallBuilder")
            .field("options", &self.request.options)
            .finish_non_exhaustive()
    }
}

/// A request, which is made when it is first polled, and gives the reply.
///
/// It waits for its turn, for a server with room, and for the reply, all within its timeout. If it is dropped before the
/// reply has come, the request is withdrawn: it is not sent any more, or its server is told that nobody waits for it. It
/// borrows nothing, so it may be awaited in a task of its own.
#[must_use = "a request is made when it is awaited"]
pub struct Request {
    core: Arc<Core<RequestState>>,
    options: CallOptions,
    stage: Stage,
}

enum Stage {
    Unmade(Unmade),
    UnderWay(CallNumber),
    Over,
}

impl Request {
    pub(super) fn new(
        core: &Arc<Core<RequestState>>,
        message: Message<'_>,
        options: CallOptions,
    ) -> Self {
        let stage = Stage::Unmade(Unmade::new(message.into_owned()));
        Self { core: Arc::clone(core), options, stage }
    }

    /// Whether a server may have begun with the request by now. False before it is first polled, and once its reply was taken.
    #[must_use]
    pub fn may_have_run(&self) -> bool {
        match self.stage {
            Stage::UnderWay(number) => self.core.lock().socket.engine.may_have_run(number),
            Stage::Unmade(_) | Stage::Over => false,
        }
    }

    fn make(&mut self, unmade: Unmade, cx: &Context<'_>) -> Poll<Result<Reply, RequestError>> {
        let (options, now) = (&self.options, self.core.clock.time());
        let made = self.core.with(|socket| socket.make(unmade, options, now, cx.waker()));
        self.stage = match made {
            Made::Refused(error) => return Poll::Ready(Err(error)),
            Made::Call(number) => Stage::UnderWay(number),
            Made::Waits(unmade) => Stage::Unmade(unmade),
        };
        Poll::Pending
    }
}

impl Future for Request {
    type Output = Result<Reply, RequestError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let number = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Unmade(unmade) => return self.make(unmade, cx),
            Stage::UnderWay(number) => number,
            Stage::Over => return Poll::Pending,
        };
        // Nobody else waits for this, so nobody is to be woken.
        let settled = self.core.lock().socket.poll_call(number, cx.waker());
        if settled.is_pending() {
            self.stage = Stage::UnderWay(number);
        }
        settled.map(outcome)
    }
}

/// What a caller is told.
pub(super) type Outcome = Result<Reply, RequestError>;

fn outcome(settled: Settled) -> Outcome {
    match settled {
        Settled::Answered(payload) => Ok(Reply(payload)),
        Settled::Failed(error) => Err(error.into()),
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        match &mut self.stage {
            Stage::Unmade(unmade) => {
                if unmade.turn().has_place() {
                    self.core.with(|socket| socket.leave(unmade.turn()));
                }
            }
            Stage::UnderWay(number) => {
                let now = self.core.clock.time();
                self.core.with(|socket| socket.abandon(*number, now));
            }
            Stage::Over => {}
        }
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What a server replied.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply(Bytes);

impl Reply {
    pub(super) const fn new(payload: Bytes) -> Self {
        Self(payload)
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0
    }

    /// The payload as shared bytes: no copy, but it keeps the buffer alive that it was read into.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("bytes", &self.0.len()).finish()
    }
}
