//! A call in the application's hands.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use drawdown_protocol::wire::Reason;
use drawdown_protocol::{BegunCall, CallId, CallKey, CallRun, Identity, Message, TakenCall};

use crate::core::Core;

use super::error::{ReplyError, ReplyErrorKind};
use super::state::ReplyState;

/// Replies that go out under one lock.
const REPLIES_MAX: usize = 256;

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
    taken: TakenCall<Ties>,
    is_open: bool,
    /// The application was told that its caller has cancelled it.
    was_told: AtomicBool,
}

/// What a call belongs to.
enum Ties {
    Own(Tied),
    /// As those that were handed out with it.
    Shared(Arc<Tied>),
}

/// A socket, and calls that came to it side by side.
struct Tied {
    core: Arc<Core<ReplyState>>,
    run: Arc<CallRun>,
}

impl Ties {
    fn get(&self) -> &Tied {
        match self {
            Self::Own(tied) => tied,
            Self::Shared(tied) => tied,
        }
    }
}

impl AsRef<CallRun> for Ties {
    fn as_ref(&self) -> &CallRun {
        &self.get().run
    }
}

/// Calls that are handed out together: those of one run share what they belong to.
pub(super) struct Together<'a> {
    core: &'a Arc<Core<ReplyState>>,
    last: Option<Arc<Tied>>,
}

impl<'a> Together<'a> {
    pub(super) const fn new(core: &'a Arc<Core<ReplyState>>) -> Self {
        Self { core, last: None }
    }

    /// The next one.
    #[inline]
    pub(super) fn call(&mut self, begun: BegunCall<'_>) -> Call {
        let run = begun.run();
        let tied = match &self.last {
            Some(tied) if Arc::ptr_eq(&tied.run, run) => tied,
            _ => self.last.insert(Arc::new(Tied::new(self.core, Arc::clone(run)))),
        };
        Call::open(begun.taken_with(Ties::Shared(Arc::clone(tied))))
    }
}

impl Tied {
    fn new(core: &Arc<Core<ReplyState>>, run: Arc<CallRun>) -> Self {
        Self { core: Arc::clone(core), run }
    }
}

impl Call {
    pub(super) fn new(core: &Arc<Core<ReplyState>>, taken: TakenCall) -> Self {
        Self::open(taken.with(|run| Ties::Own(Tied::new(core, run))))
    }

    const fn open(taken: TakenCall<Ties>) -> Self {
        Self { taken, is_open: true, was_told: AtomicBool::new(false) }
    }

    fn core(&self) -> &Arc<Core<ReplyState>> {
        &self.taken.run.get().core
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
        self.taken.deadline.map(|deadline| self.core().clock.instant(deadline).into_std())
    }

    /// How long the caller still waits: zero once it does not, `None` if it did not say.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.taken.deadline.map(|deadline| deadline.since(self.core().clock.time()))
    }

    /// Whether the caller has given up: it has cancelled the call, or its deadline has passed. What is worked on for it is
    /// for nobody.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
            || self.note_cancelled(&self.core().lock().socket)
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
    pub fn reply<'a>(mut self, payload: impl Into<Message<'a>>) -> Result<(), ReplyError> {
        let (key, payload, now) = (self.taken.key, payload.into(), self.core().clock.time());
        // Dropping it takes the lock as long as it is open.
        self.is_open = false;
        let answer =
            |socket: &mut ReplyState| socket.settle(|engine| engine.answer(key, payload, now));
        self.core().with(answer).map_err(|kind| self.fail(kind))
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
        let (key, now) = (self.taken.key, self.core().clock.time());
        let reason = Reason::from(reason);
        self.core().with(|socket| {
            socket.settle(|engine| match self.was_told.load(Ordering::Relaxed) {
                true => engine.put_down(key, reason, now),
                false => engine.reject(key, reason, now),
            })
        })
    }
}

/// Replies to calls of one socket, to be given together.
pub(super) struct Replies<'s, 'a> {
    core: &'s Arc<Core<ReplyState>>,
    replies: Vec<(CallKey, Message<'a>)>,
    errors: Vec<ReplyError>,
}

impl<'s, 'a> Replies<'s, 'a> {
    pub(super) fn new(core: &'s Arc<Core<ReplyState>>, count: usize) -> Self {
        let replies = Vec::with_capacity(count.min(REPLIES_MAX));
        Self { core, replies, errors: Vec::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, mut call: Call, payload: impl Into<Message<'a>>) {
        let key = call.taken.key;
        // Made where it is to stand: pushed, it would be made elsewhere, and copied before its parts have arrived there.
        self.replies.extend(std::iter::once_with(|| (key, payload.into())));
        let bytes = self.replies.last().map_or(0, |(_, payload)| payload.payload().len());
        // A call whose reply is too long goes along with the error.
        let is_fit = bytes <= self.core.message_bytes_max;
        if !is_fit || !Arc::ptr_eq(call.core(), self.core) {
            return self.give_alone(call);
        }
        // Dropping it takes the lock as long as it is open.
        call.is_open = false;
        if self.replies.len() >= REPLIES_MAX {
            self.give();
        }
    }

    /// The last one is the reply to a call that has to be replied to by itself.
    #[cold]
    fn give_alone(&mut self, call: Call) {
        if let Some((_, payload)) = self.replies.pop() {
            self.errors.extend(call.reply(payload).err());
        }
    }

    /// Gives the replies under one lock.
    fn give(&mut self) {
        let now = self.core.clock.time();
        let Self { core, replies, errors } = self;
        let failed = |kind| errors.push(ReplyError::new(kind));
        core.with(|socket| socket.settle_many(replies, now, failed));
        replies.clear();
    }

    /// Gives what is left, and says which replies are not sent.
    pub(super) fn end(mut self) -> Vec<ReplyError> {
        if !self.replies.is_empty() {
            self.give();
        }
        std::mem::take(&mut self.errors)
    }
}

impl Drop for Replies<'_, '_> {
    fn drop(&mut self) {
        // What gave them has panicked: nobody else knows of their calls any more.
        if !self.replies.is_empty() {
            self.give();
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
        let mut state = self.call.core().lock();
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
            self.call.core().lock().socket.stop_watching(place);
        }
    }
}
