//! One end of a link in the hands of a test: it says any bytes to an engine, and hears what the engine says.

use bytes::BytesMut;
use drawdown_protocol::wire::{Close, Control, Decoder, Frame};
use drawdown_protocol::{
    Identity, LinkId, LinkState, Now, Priority, ProxyEngine, PublishEngine, PullEngine, PushEngine,
    ReplyEngine, RequestEngine, Side, SubscribeEngine, Time, Transmit, close_for,
};

/// What all engines can do with a link.
pub(crate) trait Socket {
    fn open(&mut self, identity: Identity, now: Time) -> LinkId;
    fn hear(&mut self, link: LinkId, frame: Frame, now: Now);
    fn fail(&mut self, link: LinkId, close: Close, now: Time);
    fn speak(&mut self, link: LinkId, now: Now, out: &mut Transmit);
    fn tick(&mut self, link: LinkId, now: Time);
    fn state(&self, link: LinkId) -> LinkState;
    fn lose(&mut self, link: LinkId, now: Time);
}

macro_rules! socket {
    ($engine:ty $(, $side:expr)?) => {
        impl Socket for $engine {
            fn open(&mut self, identity: Identity, now: Time) -> LinkId {
                self.open_link(identity, $($side,)? now)
            }
            fn hear(&mut self, link: LinkId, frame: Frame, now: Now) {
                self.handle_frame(link, frame, now);
            }
            fn fail(&mut self, link: LinkId, close: Close, now: Time) {
                self.fail_link(link, close, now);
            }
            fn speak(&mut self, link: LinkId, now: Now, out: &mut Transmit) {
                self.poll_transmit(link, now, out);
            }
            fn tick(&mut self, link: LinkId, now: Time) {
                self.handle_link_timeout(link, now);
            }
            fn state(&self, link: LinkId) -> LinkState {
                self.link_state(link)
            }
            fn lose(&mut self, link: LinkId, now: Time) {
                self.link_lost(link, "the connection broke", now);
            }
        }
    };
}

socket!(PushEngine);
socket!(PullEngine);
socket!(PublishEngine);
socket!(SubscribeEngine);
socket!(ReplyEngine);
socket!(RequestEngine, Priority::BEST);
socket!(ProxyEngine, Side::Upstream);

#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) link: LinkId,
    to_engine: (Decoder, BytesMut),
    from_engine: (Decoder, BytesMut),
}

impl Raw {
    pub(crate) fn connect(socket: &mut impl Socket, identity: &str, now: Now) -> Self {
        let link = socket.open(Identity::new(identity), now.time);
        Self::on(link)
    }

    /// At the other end of a link that is open.
    pub(crate) fn on(link: LinkId) -> Self {
        let direction = || (Decoder::new(1 << 20), BytesMut::new());
        Self { link, to_engine: direction(), from_engine: direction() }
    }

    pub(crate) fn says(&mut self, socket: &mut impl Socket, bytes: &[u8], now: Now) {
        let (decoder, input) = &mut self.to_engine;
        input.extend_from_slice(bytes);
        loop {
            match decoder.decode(input) {
                Ok(Some(frame)) => socket.hear(self.link, frame, now),
                Ok(None) => return,
                Err(error) => return socket.fail(self.link, close_for(&error), now.time),
            }
        }
    }

    /// What the engine has to say now.
    pub(crate) fn hears(&mut self, socket: &mut impl Socket, now: Now) -> Vec<Frame> {
        let mut out = Transmit::new();
        socket.speak(self.link, now, &mut out);
        let (decoder, input) = &mut self.from_engine;
        out.pieces().for_each(|piece| input.extend_from_slice(piece));
        std::iter::from_fn(|| decoder.decode(input).unwrap()).collect()
    }

    /// The engine's last word; it must be the last.
    pub(crate) fn hears_close(&mut self, socket: &mut impl Socket, now: Now) -> Option<Close> {
        assert_eq!(socket.state(self.link), LinkState::Closing);
        let close = match self.hears(socket, now).pop() {
            Some(Frame::Control(Control::Close(close))) => Some(close),
            _ => None,
        };
        assert_eq!(self.hears(socket, now), [], "it speaks after its last word");
        close
    }
}

/// Lets two engines talk until neither has anything to say.
pub(crate) fn converse(
    one: (&mut impl Socket, &mut Raw),
    other: (&mut impl Socket, &mut Raw),
    now: Now,
) {
    loop {
        let from_one = one.1.hears(one.0, now);
        let from_other = other.1.hears(other.0, now);
        if from_one.is_empty() && from_other.is_empty() {
            return;
        }
        from_one.into_iter().for_each(|frame| other.0.hear(other.1.link, frame, now));
        from_other.into_iter().for_each(|frame| one.0.hear(one.1.link, frame, now));
    }
}
