//! One link's task: read, handle, transmit, write, in that order, with one lock for handling and transmitting.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use drawdown_protocol::limits::TAKE_BYTES;
use drawdown_protocol::wire::{Close, CloseCode, Decoder, Frame};
use drawdown_protocol::{Identity, LinkId, LinkState, Time, Transmit, close_for};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::time::Sleep;

use crate::busy_poll::BusyPoll;
use crate::core::{Core, Engine, Side, Signal, Socket};
use crate::transport::Stream;

use super::buffers::ReadBuffers;
use super::parting::{LAST_WORD, Parting};
use super::way::Way;

/// Pieces that one system call writes.
const PIECES_MAX: usize = 64;

/// Frames that are handled under one lock: what one read brings may be tens of thousands of the smallest ones.
const FRAMES_MAX: usize = 256;

/// Bytes that a polled link reads at a time, and at the most before it handles them.
const POLLED_BYTES: usize = 16 << 10;
const POLLED_BYTES_MAX: usize = 64 << 10;

/// Serves a link until it ends; says whether its handshake was ever done. Dropping it closes the connection.
pub(crate) struct LinkDriver<S: Socket> {
    core: Arc<Core<S>>,
    link: LinkId,
    signal: Arc<Signal>,
    stream: Stream,
    decoder: Decoder,
    buffers: ReadBuffers,
    frames: Vec<Frame>,
    /// What was read may hold more of them.
    is_uncut: bool,
    /// Bytes from the peer that made no sense: its last ones.
    failure: Option<Close>,
    out: Transmit,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Time>,
    state: LinkState,
    was_open: bool,
    /// It ended because nobody spoke.
    was_silent: bool,
    /// Writing has failed: what the peer said before it hung up is still to be read.
    broken: Option<io::Error>,
    /// Once it has ended, or is broken.
    parting: Option<Parting>,
    gone: bool,
    /// It was rung, and lets others run before it looks.
    gave_way: Option<GaveWay>,
    busy_poll: BusyPoll,
}

/// How often a link lets others run before it looks, and how many tasks tokio runs each time.
const WAYS_MAX: u32 = 8;
const TASKS_IN_TURN: usize = 61;

/// How a link lets others run.
struct GaveWay {
    /// How many there were at first.
    crowd: usize,
    times: u32,
}

/// What one round came to.
enum Round {
    Progress,
    Idle,
    Over,
}

impl<S: Socket> LinkDriver<S> {
    pub(crate) fn new(
        core: &Arc<Core<S>>,
        side: Side<S>,
        stream: Stream,
        identity: Identity,
        way: Way<'_>,
    ) -> Self {
        let (link, signal) = core.open_link(identity, side, |link| way.opened(link, &stream));
        signal.ring();
        Self {
            core: Arc::clone(core),
            link,
            signal,
            stream,
            decoder: Decoder::new(core.message_bytes_max),
            buffers: ReadBuffers::new(),
            frames: Vec::new(),
            is_uncut: false,
            failure: None,
            out: Transmit::new(),
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            timer_at: None,
            state: LinkState::Handshake,
            was_open: false,
            was_silent: false,
            broken: None,
            parting: None,
            gone: false,
            gave_way: None,
            busy_poll: BusyPoll::new(core.busy_poll),
        }
    }

    /// Serves the link until its handshake is done; false if it ended before.
    pub(crate) async fn until_open(&mut self) -> bool {
        poll_fn(|cx| match Pin::new(&mut *self).poll(cx) {
            Poll::Ready(_) => Poll::Ready(false),
            Poll::Pending if self.was_open => Poll::Ready(true),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Hands out nothing more on the link, and serves it for up to `time` until what was handed out is settled. False if it
    /// ended meanwhile.
    pub(crate) async fn settle(&mut self, time: Duration) -> bool {
        let now = self.core.clock.time();
        self.core.with(|socket| socket.engine_mut().leave_link(self.link, now));
        let settled = poll_fn(|cx| match Pin::new(&mut *self).poll(cx) {
            Poll::Ready(_) => Poll::Ready(false),
            // What settles comes on this link: there is no other moment to look.
            Poll::Pending if self.core.lock().socket.engine().is_settled(self.link) => {
                Poll::Ready(true)
            }
            Poll::Pending => Poll::Pending,
        });
        tokio::time::timeout(time, settled).await.unwrap_or(true)
    }

    /// Ends a link that has not ended, in good order and with this reason; waits a while until the peer has it.
    pub(crate) async fn say_goodbye(&mut self, reason: &str) {
        let close = Close { code: CloseCode::Done, reason: reason.to_owned().into() };
        let now = self.core.clock.time();
        self.core.with(|socket| socket.engine_mut().fail_link(self.link, close, now));
        // Dropping it closes the connection in any case.
        let _ = tokio::time::timeout(LAST_WORD, self).await;
    }

    fn round(&mut self, cx: &mut Context<'_>) -> io::Result<Round> {
        if self.has_ended() {
            return Ok(self.part(cx));
        }
        let read = self.read(cx)?;
        if !read && self.is_given_up(cx) {
            return self.broken.take().map_or(Ok(Round::Over), Err);
        }
        if !read && self.gives_way(cx) {
            return Ok(Round::Idle);
        }
        let rung = self.signal.take();
        let due = self.timer_at.is_some() && self.timer.as_mut().poll(cx).is_ready();
        if read || rung || due || self.failure.is_some() {
            self.exchange(read, due);
        }
        let wrote = self.write(cx);
        self.note_flow(read, wrote);
        if wrote && self.out.is_empty() && self.state == LinkState::Open {
            // There may be more for this link than one take.
            self.exchange(false, false);
        }
        Ok(if read || wrote || self.has_ended() { Round::Progress } else { Round::Idle })
    }

    fn note_flow(&mut self, read: bool, wrote: bool) {
        if read {
            self.busy_poll.note_read();
        }
        if wrote {
            self.busy_poll.note_written();
        }
    }

    /// Nothing is to be done now: perhaps it is in a moment.
    fn idle(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let was_polled = self.busy_poll.is_polled();
        if self.gave_way.is_none() && self.busy_poll.polls_again(|| self.core.clock.time()) {
            // First all that is ready in this process, then perhaps the peer, if it is to run on this processor.
            if was_polled {
                std::thread::yield_now();
            }
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
        Poll::Pending
    }

    /// Whether the engine is done with it.
    fn has_ended(&self) -> bool {
        !matches!(self.state, LinkState::Open | LinkState::Handshake)
    }

    /// Whether it has had its time to part. A socket that closes says itself how long it waits.
    fn is_given_up(&mut self, cx: &mut Context<'_>) -> bool {
        let parting = self.parting.as_mut();
        parting.is_some_and(|parting| parting.poll_over(cx).is_ready())
            && !self.core.closing.is_cancelled()
    }

    /// Writes the last word of a link that has ended, and reads over what comes until the peer hangs up.
    fn part(&mut self, cx: &mut Context<'_>) -> Round {
        self.parting.get_or_insert_with(Parting::new);
        self.write(cx);
        while self.out.is_empty() {
            // There may have been no room for its last word.
            self.exchange(false, false);
            if self.out.is_empty() {
                break;
            }
            self.write(cx);
        }
        if self.was_silent || self.is_given_up(cx) {
            return Round::Over;
        }
        if self.out.is_empty()
            && let Some(parting) = &mut self.parting
        {
            parting.shut(&mut self.stream, cx);
        }
        match Parting::poll_hung_up(&mut self.stream, cx) {
            Poll::Ready(()) => Round::Over,
            Poll::Pending => Round::Idle,
        }
    }

    /// Whether others, who are about to have something for this link too, have their turn first: then it all goes in one
    /// frame. That is once, and of very many until half of them have come: the peer works on what these had while the others
    /// come.
    fn gives_way(&mut self, cx: &mut Context<'_>) -> bool {
        let crowd = if self.signal.is_rung() { self.core.crowd() } else { 0 };
        let before = self.gave_way.take();
        let (first, times) = before.map_or((crowd, 0), |before| (before.crowd, before.times));
        let is_enough = if times == 0 { 0 } else { TASKS_IN_TURN.max(first / 2) };
        if crowd > is_enough && times < WAYS_MAX {
            self.gave_way = Some(GaveWay { crowd: first, times: times + 1 });
            // It notes the waker, to be woken when those that are ready have run.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
        }
        self.gave_way.is_some()
    }

    /// Reads what is there and cuts it into frames, or cuts on what was read. False if nothing came.
    fn read(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.failure.is_some() {
            return Ok(false);
        }
        if self.is_uncut {
            self.cut();
            return Ok(true);
        }
        let room = self.buffers.make_room(self.decoder.wanted());
        let count = match pin!(self.stream.read_buf(&mut self.buffers.input)).poll(cx) {
            Poll::Ready(count) => {
                let count = count?;
                self.buffers.note_read(count, room);
                count
            }
            Poll::Pending => match self.read_polled()? {
                Some(count) => count,
                None => return Ok(false),
            },
        };
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer closed the connection",
            ));
        }
        self.cut();
        Ok(true)
    }

    /// Cuts what was read into frames, as many as are handled together.
    fn cut(&mut self) {
        self.is_uncut = false;
        while self.frames.len() < FRAMES_MAX {
            match self.decoder.decode(&mut self.buffers.input) {
                Ok(Some(frame)) => self.frames.push(frame),
                Ok(None) => return,
                Err(error) => {
                    self.failure = Some(close_for(&error));
                    return;
                }
            }
        }
        self.is_uncut = true;
    }

    /// Reads what the runtime has not heard of yet, if the link is polled.
    fn read_polled(&mut self) -> io::Result<Option<usize>> {
        if !self.busy_poll.is_polled() {
            return Ok(None);
        }
        let mut scratch = [MaybeUninit::uninit(); POLLED_BYTES];
        let mut count = None;
        while let Some(read) = self.stream.read_now(&mut scratch) {
            let read = match read {
                Ok(read) => read,
                // What came before is heard first.
                Err(_) if count.is_some() => break,
                Err(error) => return Err(error),
            };
            self.buffers.input.extend_from_slice(read);
            let so_far = count.unwrap_or(0) + read.len();
            count = Some(so_far);
            if read.len() < POLLED_BYTES || so_far >= POLLED_BYTES_MAX {
                break;
            }
        }
        Ok(count)
    }

    /// Gives the engine what came and takes what is to go out, under one lock.
    fn exchange(&mut self, read: bool, due: bool) {
        let Self { core, link, frames, failure, out, .. } = self;
        let now = core.clock.now();
        let (state, next) = core.with(|socket| {
            let engine = socket.engine_mut();
            if read {
                engine.handle_bytes(*link, now.time);
            }
            for frame in frames.drain(..) {
                engine.handle_frame(*link, frame, now);
            }
            if let Some(close) = failure.take() {
                engine.fail_link(*link, close, now.time);
            }
            if due {
                engine.handle_link_timeout(*link, now.time);
            }
            match out.len() < TAKE_BYTES {
                true => engine.poll_transmit(*link, now, out),
                // Once it is written there is another exchange.
                false => engine.handle_blocked(*link, now.time),
            }
            (engine.link_state(*link), engine.poll_link_timeout(*link))
        });
        let opened = state != self.state;
        self.state = state;
        self.was_silent |= due && !read && self.has_ended();
        self.was_open |= state == LinkState::Open;
        // Later is found out when the timer fires: only an earlier moment needs it set anew.
        if due || opened || self.timer_at.is_none() {
            self.timer_at = next;
            if let Some(next) = next {
                self.timer.as_mut().reset(self.core.clock.instant(next));
                self.signal.ring();
            }
        }
    }

    /// Writes what waits. False if nothing could be written.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        if self.broken.is_some() {
            self.out.clear();
            return false;
        }
        self.try_write(cx).unwrap_or_else(|error| {
            self.broken = Some(error);
            self.out.clear();
            self.parting.get_or_insert_with(Parting::new);
            false
        })
    }

    fn try_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut wrote = false;
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(self.out.pieces()) {
                *slice = IoSlice::new(piece);
                count += 1;
            }
            let written = Pin::new(&mut self.stream)
                .poll_write_vectored(cx, slices.get(..count).unwrap_or(&[]));
            match written {
                Poll::Pending => break,
                Poll::Ready(written) => match written? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    written => self.out.advance(written),
                },
            }
            wrote = true;
        }
        Ok(wrote)
    }
}

impl<S: Socket> Future for LinkDriver<S> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        self.signal.register(cx.waker());
        loop {
            match self.round(cx) {
                Ok(Round::Progress) => {}
                Ok(Round::Idle) => return self.idle(cx),
                Ok(Round::Over) => {
                    self.gone = true;
                    self.core.close_link(self.link, None);
                    return Poll::Ready(self.was_open);
                }
                Err(error) => {
                    self.gone = true;
                    self.core.close_link(self.link, Some(&error.to_string()));
                    return Poll::Ready(self.was_open);
                }
            }
        }
    }
}

impl<S: Socket> Drop for LinkDriver<S> {
    fn drop(&mut self) {
        if !self.gone {
            self.core.close_link(self.link, Some("the socket was dropped"));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use drawdown_protocol::wire::{Control, Heartbeat, encode_control};
    use drawdown_protocol::{
        Now, PeerId, Priority, PullConfig, PullEngine, PushConfig, PushEngine, Session,
    };
    use tokio::io::AsyncWriteExt;
    use uuid::Uuid;

    use super::*;
    use crate::clock::Clock;
    use crate::core::{CoreOptions, Wakes};
    use crate::names::Names;
    use crate::transport::{BindPolicy, bind, connect};

    /// Longer than anything here takes, so that what hangs fails.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// A sender that nobody waits for.
    struct Bare(PushEngine);

    impl Socket for Bare {
        type Engine = PushEngine;

        fn engine(&self) -> &PushEngine {
            &self.0
        }

        fn engine_mut(&mut self) -> &mut PushEngine {
            &mut self.0
        }

        fn poll_timeout(&self, _: &Clock) -> Option<Time> {
            None
        }

        fn handle_timeout(&mut self, _: Now) {}

        fn gather_wakes(&mut self, _: &mut Wakes) {}
    }

    /// All that a receiver says who sends so many heartbeats, and ends.
    fn heartbeats(count: usize) -> BytesMut {
        let mut receiver = PullEngine::new(PullConfig::default(), peer(2));
        let (now, mut out) = (Now::default(), Transmit::new());
        let link = receiver.open_link(Identity::new("sender"), now.time);
        receiver.poll_transmit(link, now, &mut out);
        let mut bytes = BytesMut::new();
        out.pieces().for_each(|piece| bytes.extend_from_slice(piece));
        for _ in 0..count {
            encode_control(&Control::Heartbeat(Heartbeat::default()), &mut bytes);
        }
        let close = Close { code: CloseCode::Done, reason: "enough".to_owned().into() };
        encode_control(&Control::Close(close), &mut bytes);
        bytes
    }

    fn peer(name: u128) -> PeerId {
        PeerId::from_uuid(Uuid::from_u128(name))
    }

    fn sender() -> Arc<Core<Bare>> {
        let session = Session::from_uuid(Uuid::from_u128(3));
        let sender = Bare(PushEngine::new(PushConfig::default(), peer(1), session));
        Core::new(sender, Clock::start(), &CoreOptions::default(), 1 << 20)
    }

    /// A link that came, and its other end.
    async fn link(core: &Arc<Core<Bare>>) -> (LinkDriver<Bare>, Stream) {
        let any_port = "tcp://127.0.0.1:0".parse().unwrap();
        let mut listener = bind(&any_port, BindPolicy::LoopbackOnly).await.unwrap();
        let (names, endpoint) = (Names::default(), listener.local_endpoint().clone());
        let other = connect(&endpoint, &names, 0, PATIENCE).await.unwrap();
        let stream = listener.accept().await.unwrap();
        let (identity, way) = (Identity::new("receiver"), Way::Came(&endpoint));
        (LinkDriver::new(core, Priority::BEST, stream, identity, way), other)
    }

    #[tokio::test]
    async fn who_says_very_much_at_once_is_heard_in_turns() {
        let (mut driver, mut other) = link(&sender()).await;
        let said = tokio::spawn(async move {
            other.write_all(&heartbeats(100_000)).await.unwrap();
            other
        });
        let served = tokio::time::timeout(PATIENCE, &mut driver);
        assert!(served.await.expect("it ends"), "the handshake was done");
        assert!(driver.frames.capacity() <= FRAMES_MAX);
        drop(said.await.unwrap());
    }
    #[tokio::test]
    async fn who_comes_as_the_socket_closes_is_told_so_and_given_nothing() {
        let core = sender();
        core.closing.cancel();
        core.with(|socket| socket.0.close_links(Time::ZERO));
        let (driver, mut other) = link(&core).await;
        assert_eq!(core.lock().socket.0.link_state(driver.link), LinkState::Closing);
        other.shutdown().await.unwrap();
        let served = tokio::time::timeout(PATIENCE, driver);
        assert!(!served.await.expect("it ends"), "the handshake was never done");
    }
}
