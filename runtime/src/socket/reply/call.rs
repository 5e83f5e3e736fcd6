//! A call in the application's hands.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use drawdown_protocol::wire::Reason;
use drawdown_protocol::{CallId, Identity, TakenCall};

use crate::core::Core;

use super::error::{ReplyError, ReplyErrorKind};
use super::state::ReplyState;

/// What its caller is told of a call that was dropped.
const DROPPED: &str = "the call was dropped by its server";

/// A request, and the duty to answer it: with [`reply`](Self::reply) or [`reject`](Self::reject).
///
/// A call that is dropped is rejected with "the call was dropped by its server". One that is dropped or rejected after
/// [`cancelled`](Self::cancelled) or [`is_cancelled`](Self::is_cancelled) has said that its caller cancelled it is put down:
/// should its caller have asked again meanwhile, it is worked on anew. It borrows nothing, and may be answered from any
/// task, in any order.
#[must_use = "a call that is dropped is rejected"]
pub struct Call {
    core: Arc<Core<ReplyState>>,
    taken: TakenCall,
    is_open: bool,
    /// The application was told that its caller has cancelled it.
    was_told: AtomicBool,
}

impl Call {
    pub(super) fn new(core: &Arc<Core<ReplyState>>, taken: TakenCall) -> Self {
        Self { core: Arc::clone(core), taken, is_open: true, was_told: AtomicBool::new(false) }
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.taken.payload()
    }

    /// The payload as shared bytes: no copy, but it keeps the buffer alive that it was read into.
    #[must_use]
    pub fn payload_bytes(&self) -> Bytes {
        self.taken.payload_bytes()
    }

    /// The call's id: the same over all its attempts and all servers.
    #[must_use]
    pub fn id(&self) -> CallId {
        self.taken.id()
    }

    /// Who called, as the transport or an authorizer says.
    #[must_use]
    pub fn peer(&self) -> &Identity {
        self.taken.identity()
    }

    /// When the caller stops waiting, by this machine's clock; `None` if it did not say.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.taken.deadline.map(|deadline| self.core.clock.instant(deadline).into_std())
    }

    /// How long the caller still waits: zero once it does not, `None` if it did not say.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.taken.deadline.map(|deadline| deadline.since(self.core.clock.time()))
    }

    /// Whether the caller has given up: it has cancelled the call, or its deadline has passed. What is worked on for it is
    /// for nobody.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
            || self.note_cancelled(&self.core.lock().socket)
    }

    /// Whether its caller has cancelled it, which the application is told now.
    fn note_cancelled(&self, socket: &ReplyState) -> bool {
        let is_cancelled = socket.engine.is_cancelled(self.taken.key);
        self.was_told.fetch_or(is_cancelled, Ordering::Relaxed);
        is_cancelled
    }

    /// Waits until the caller gives up: cancels the call, or lets its deadline pass; or until this socket is closed. A
    /// caller whose link is lost has not given up: it may come back for the reply.
    ///
    /// Dropping the future changes nothing.
    pub async fn cancelled(&self) {
        let mut watch = Watch { call: self, place: None };
        let told = poll_fn(|cx| watch.poll(cx));
        match self.deadline() {
            None => told.await,
            Some(deadline) => {
                // Either way it is over.
                let _ = tokio::time::timeout_at(deadline.into(), told).await;
            }
        }
    }

    /// Replies. The reply is remembered, and given again if the same call comes again. With a store it is sent once it is
    /// on disk; this does not wait for that.
    ///
    /// If the caller's link is lost, the reply waits for it to come back.
    ///
    /// # Errors
    /// If nobody would get the reply: its caller has given up, which is normal and leaves the socket as it is, or the socket is
    /// closed. Or if the reply is over the limit: then the call is in the error, to be answered otherwise.
    pub fn reply(mut self, payload: impl Into<Bytes>) -> Result<(), ReplyError> {
        let (key, payload, now) = (self.taken.key, payload.into(), self.core.clock.time());
        // Dropping it takes the lock as long as it is open.
        self.is_open = false;
        let answer =
            |socket: &mut ReplyState| socket.settle(|engine| engine.answer(key, payload, now));
        self.core.with(answer).map_err(|kind| self.fail(kind))
    }

    /// Why it has no reply. One that can still be answered goes along.
    fn fail(mut self, kind: ReplyErrorKind) -> ReplyError {
        match kind {
            ReplyErrorKind::TooLong { bytes, bytes_max } => {
                self.is_open = true;
                ReplyError::too_long(bytes, bytes_max, self)
            }
            kind => ReplyError::new(kind),
        }
    }

    /// Whether it is a call to this socket.
    pub(super) fn is_to(&self, core: &Arc<Core<ReplyState>>) -> bool {
        Arc::ptr_eq(&self.core, core)
    }

    /// Refuses the call. Its caller is told why, and does not ask elsewhere. Of the reason 512 bytes are sent. It is
    /// remembered like a reply.
    ///
    /// # Errors
    /// If nobody would hear of it.
    pub fn reject(mut self, reason: impl AsRef<str>) -> Result<(), ReplyError> {
        self.is_open = false;
        self.reject_in_place(reason.as_ref()).map_err(ReplyError::new)
    }

    fn reject_in_place(&self, reason: &str) -> Result<(), ReplyErrorKind> {
        let (key, now) = (self.taken.key, self.core.clock.time());
        let reason = Reason::from(reason);
        self.core.with(|socket| {
            socket.settle(|engine| match self.was_told.load(Ordering::Relaxed) {
                true => engine.put_down(key, reason, now),
                false => engine.reject(key, reason, now),
            })
        })
    }
}

/// Calls of one socket, and the replies to them.
pub(super) struct Replies {
    calls: Vec<Call>,
    payloads: Vec<Bytes>,
}

impl Replies {
    pub(super) fn new(count: usize) -> Self {
        Self { calls: Vec::with_capacity(count), payloads: Vec::with_capacity(count) }
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn push(&mut self, call: Call, payload: Bytes) {
        self.calls.push(call);
        self.payloads.push(payload);
    }

    /// Replies to them under one lock, and gives the errors. It is empty then.
    pub(super) fn give(&mut self, core: &Core<ReplyState>, errors: &mut Vec<ReplyError>) {
        let now = core.clock.time();
        let keys = self.calls.iter().map(|call| call.taken.key);
        let answers = keys.zip(self.payloads.drain(..));
        let mut failed = Vec::new();
        core.with(|socket| socket.settle_many(answers, now, |at, kind| failed.push((at, kind))));
        let mut failed = failed.into_iter().peekable();
        for (at, mut call) in self.calls.drain(..).enumerate() {
            // Dropping it takes the lock as long as it is open.
            call.is_open = false;
            if let Some((_, kind)) = failed.next_if(|failed| failed.0 == at) {
                errors.push(call.fail(kind));
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_open {
            // A caller that has given up, or whose server is gone, need not be told.
            let _ = self.reject_in_place(DROPPED);
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.taken.id())
            .field("bytes", &self.taken.payload().len())
            .finish_non_exhaustive()
    }
}

/// A place among those who wait for callers to give up.
struct Watch<'a> {
    call: &'a Call,
    place: Option<u64>,
}

impl Watch<'_> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.call.core.lock();
        let told = state.socket.poll_cancelled(self.call.taken.key, &mut self.place, cx.waker());
        if told.is_ready() {
            self.call.note_cancelled(&state.socket);
        }
        told
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.call.core.lock().socket.stop_watching(place);
        }
    }
}
