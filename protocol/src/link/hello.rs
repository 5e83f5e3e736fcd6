//! What both sides say of themselves in HELLO, and whether it can be true and fits.

use std::cmp::Ordering;
use std::time::Duration;

use crate::ids::{PeerId, Session, SocketType};
use crate::wire::{Close, CloseCode, Hello};

use super::{LinkConfig, refusal, violation};

/// Who says HELLO, and as what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    pub(crate) socket_type: SocketType,
    pub(crate) peer: PeerId,
    /// Of a socket that sends.
    pub(crate) session: Option<Session>,
    /// The peer is to say when its application takes a message.
    pub(crate) reports_taken: bool,
    pub(crate) features: u64,
}

impl Speaker {
    /// A socket without a session of its own.
    pub(crate) const fn new(socket_type: SocketType, peer: PeerId) -> Self {
        Self { socket_type, peer, session: None, reports_taken: false, features: 0 }
    }

    /// A socket that calls.
    pub(crate) const fn client(peer: PeerId) -> Self {
        let features = Hello::KNOWS_ROUTERS | Hello::KNOWS_NAMING;
        Self { features, ..Self::new(SocketType::Req, peer) }
    }

    /// A socket that answers.
    pub(crate) const fn server(peer: PeerId) -> Self {
        Self { features: Hello::KNOWS_NAMING, ..Self::new(SocketType::Rep, peer) }
    }

    /// One side of a router of this name.
    pub(crate) fn router(socket_type: SocketType, peer: PeerId, name: PeerId) -> Self {
        // What it passes on has a name: it takes none without, or it would grow by more than is kept for that.
        let names = if socket_type == SocketType::Req { Hello::KNOWS_NAMING } else { 0 };
        let features = Hello::ROUTER | Hello::KNOWS_ROUTERS | names;
        let session = Some(Session::from_uuid(*name.as_uuid()));
        Self { session, features, ..Self::new(socket_type, peer) }
    }
}

impl LinkConfig {
    pub(super) fn hello(&self, speaker: Speaker) -> Hello {
        Hello {
            socket_type: speaker.socket_type,
            peer: speaker.peer,
            session: speaker.session,
            features: speaker.features,
            message_bytes_max: self.message_bytes_max as u64,
            heartbeat_ms: u32::try_from(self.heartbeat.as_millis()).unwrap_or(u32::MAX),
            reports_taken: speaker.reports_taken,
        }
    }
}

/// What the peer said in its handshake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) session: Option<Session>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) reports_taken: bool,
    pub(crate) features: u64,
}

impl Peer {
    pub(super) fn of(hello: &Hello) -> Self {
        let beats = hello.heartbeat_ms > 0;
        Self {
            id: hello.peer,
            session: hello.session,
            heartbeat: beats.then(|| Duration::from_millis(u64::from(hello.heartbeat_ms))),
            reports_taken: hello.reports_taken,
            features: hello.features,
        }
    }

    pub(crate) const fn knows_streamers(&self) -> bool {
        self.features & Hello::KNOWS_STREAMERS != 0
    }

    pub(crate) const fn is_streamer(&self) -> bool {
        self.features & Hello::STREAMER != 0
    }

    pub(crate) const fn knows_routers(&self) -> bool {
        self.features & Hello::KNOWS_ROUTERS != 0
    }

    pub(crate) const fn knows_naming(&self) -> bool {
        self.features & Hello::KNOWS_NAMING != 0
    }

    /// Its name, if it is a router. Unlike its peer id, that may be the same after a restart.
    pub(crate) fn router(&self) -> Option<PeerId> {
        let name = self.session.map_or(self.id, |name| PeerId::from_uuid(*name.as_uuid()));
        (self.features & Hello::ROUTER != 0).then_some(name)
    }
}

/// Whether a HELLO says of its side what can be true of it.
pub(super) fn check_words(hello: &Hello) -> Result<(), Close> {
    let has = |bits: u64| hello.features & bits == bits;
    let without = |bit: u64, its: u64| has(bit) && !has(its);
    if without(Hello::STREAMER, Hello::KNOWS_STREAMERS)
        || without(Hello::ROUTER, Hello::KNOWS_ROUTERS)
    {
        return Err(violation("a streamer or router that does not know others"));
    }
    let is_named = match hello.socket_type {
        SocketType::Push if hello.session.is_none() => {
            return Err(violation("a sending socket without a session"));
        }
        SocketType::Push => true,
        SocketType::Req | SocketType::Rep if has(Hello::ROUTER) && hello.session.is_none() => {
            return Err(violation("a router without a name"));
        }
        SocketType::Req | SocketType::Rep => has(Hello::ROUTER),
        SocketType::Pull | SocketType::Pub | SocketType::Sub => false,
    };
    if hello.session.is_some() && !is_named {
        return Err(violation("a session of a socket that has none"));
    }
    Ok(())
}

/// Whoever receives takes at least what the other side may send.
pub(super) fn check_sizes(socket_type: SocketType, ours: u64, theirs: u64) -> Result<(), Close> {
    let sends = matches!(socket_type, SocketType::Push | SocketType::Pub);
    let receives = matches!(socket_type, SocketType::Pull | SocketType::Sub);
    let what = match theirs.cmp(&ours) {
        Ordering::Less if !receives => {
            format!("this side sends messages of up to {ours} bytes, the peer takes up to {theirs}")
        }
        Ordering::Greater if !sends => {
            format!("the peer sends messages of up to {theirs} bytes, this side takes up to {ours}")
        }
        _ => return Ok(()),
    };
    Err(refusal(CloseCode::TooLarge, what))
}
