//! An end of a router's link in the hands of a test.

use bytes::BytesMut;
use drawdown_protocol::wire::{CloseCode, Control, Decoder, Frame, Hello};
use drawdown_protocol::{
    Identity, LinkId, LinkState, Now, Priority, RouterEngine, Session, Side, SocketType, Time,
    Transmit, close_for,
};

use crate::common::{WALL, handshake, hello, peer};

pub(crate) const NOW: Now = Now { time: Time::ZERO, wall: WALL };

pub(crate) struct Raw {
    pub(crate) link: LinkId,
    to_engine: (Decoder, BytesMut),
    from_engine: (Decoder, BytesMut),
}

impl Raw {
    pub(crate) fn connect(router: &mut RouterEngine, side: Side, hello: &Hello) -> Self {
        Self::connect_named(router, side, hello, "raw")
    }

    /// With another peer id.
    pub(crate) fn connect_as(router: &mut RouterEngine, side: Side, hello: &Hello, id: u8) -> Self {
        Self::connect(router, side, &Hello { peer: peer(id), ..hello.clone() })
    }

    pub(crate) fn connect_named(
        router: &mut RouterEngine,
        side: Side,
        hello: &Hello,
        name: &str,
    ) -> Self {
        let direction = || (Decoder::new(1 << 20), BytesMut::new());
        let link = router.open_link(Identity::new(name), side, Priority::BEST, NOW.time);
        let mut raw = Self { link, to_engine: direction(), from_engine: direction() };
        raw.says(router, &handshake(hello), NOW);
        raw
    }

    pub(crate) fn says(&mut self, router: &mut RouterEngine, bytes: &[u8], now: Now) {
        let (decoder, input) = &mut self.to_engine;
        input.extend_from_slice(bytes);
        loop {
            match decoder.decode(input) {
                Ok(Some(frame)) => router.handle_frame(self.link, frame, now),
                Ok(None) => return,
                Err(error) => return router.fail_link(self.link, close_for(&error), now.time),
            }
        }
    }

    pub(crate) fn hears(&mut self, router: &mut RouterEngine, now: Now) -> Vec<Frame> {
        let mut out = Transmit::new();
        router.poll_transmit(self.link, now, &mut out);
        let (decoder, input) = &mut self.from_engine;
        out.pieces().for_each(|piece| input.extend_from_slice(piece));
        std::iter::from_fn(|| decoder.decode(input).unwrap()).collect()
    }

    pub(crate) fn is_ended_with(&mut self, router: &mut RouterEngine) -> Option<CloseCode> {
        if router.link_state(self.link) != LinkState::Closing {
            return None;
        }
        match self.hears(router, NOW).pop() {
            Some(Frame::Control(Control::Close(close))) => Some(close.code),
            _ => None,
        }
    }
}

/// The messages of the last grant.
pub(crate) fn granted(frames: &[Frame]) -> Option<u64> {
    let grants = frames.iter().filter_map(|frame| match frame {
        Frame::Control(Control::Grant(grant)) => Some(grant.messages),
        _ => None,
    });
    grants.last()
}

pub(crate) fn client() -> Hello {
    Hello { features: Hello::KNOWS_ROUTERS, ..hello(SocketType::Req, peer(0x20)) }
}

pub(crate) fn server() -> Hello {
    hello(SocketType::Rep, peer(0x30))
}

/// The HELLO of a router of this name, on this side of the one under test.
pub(crate) fn router_hello(name: u8, side: Side) -> Hello {
    let socket_type = match side {
        Side::Upstream => SocketType::Req,
        Side::Downstream => SocketType::Rep,
    };
    Hello {
        features: Hello::KNOWS_ROUTERS | Hello::ROUTER,
        session: Some(Session::from_uuid(*peer(name).as_uuid())),
        ..hello(socket_type, peer(name.wrapping_add(0x80)))
    }
}
