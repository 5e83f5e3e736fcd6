//! One connection of two sockets: handshake, heartbeats, and an end with a reason.

mod hello;
mod transmit;
mod vocabulary;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use hello::{Peer, Speaker};
pub use transmit::Transmit;
pub(crate) use vocabulary::link_vocabulary;

use hello::{check_sizes, check_words};

use crate::event::Event;
use crate::ids::{LinkId, SocketType};
use crate::limits::{HANDSHAKE_TIMEOUT, HEARTBEAT_MIN, IDENTITY_BYTES_MAX, MESSAGE_BYTES_DEFAULT};
use crate::time::Time;
use crate::wire::{
    Close, CloseCode, Control, Frame, Hello, Preface, VERSION_MAX, VERSION_MIN, WireError,
};

/// Who a peer is, as the transport or an authorizer says; never as the peer says of itself.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Identity(Arc<str>);

impl Identity {
    /// An identity by this name, of [`IDENTITY_BYTES_MAX`] bytes at most: sockets turn a peer with a longer one away
    /// ([`Identity::check`]).
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Identity(name.into())
    }

    /// Whether an engine may be told of a peer by this name.
    ///
    /// # Errors
    /// A sentence, if it is too long: on disk it would be cut, and then be the name of somebody else.
    pub fn check(&self) -> Result<(), String> {
        let bytes = self.0.len();
        if bytes <= IDENTITY_BYTES_MAX {
            return Ok(());
        }
        Err(format!(
            "its identity has {bytes} bytes, the limit is {IDENTITY_BYTES_MAX}; let the authorizer give a shorter one \
             that is still of this peer alone, such as a hash of the long one"
        ))
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a socket wants of each of its links.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// The largest payload that is sent or taken, in bytes.
    pub message_bytes_max: usize,
    /// Something is sent at least this often; zero: no heartbeats are sent.
    pub heartbeat: Duration,
    /// A peer that was silent for so many of its own heartbeats is dead.
    pub heartbeat_misses: u32,
    /// Links at one time; more are turned away.
    pub links_max: usize,
}

impl LinkConfig {
    /// Whether a socket with these settings can go on with others: links that are there keep theirs.
    ///
    /// # Errors
    /// A sentence that says why not.
    pub fn check_change(&self, to: &Self) -> Result<(), String> {
        let (bytes, other) = (self.message_bytes_max, to.message_bytes_max);
        if bytes != other {
            return Err(format!(
                "max_message is {bytes} for as long as this socket runs, and cannot become {other}: it may hold messages as \
                 large, and its peers were told of it; make another socket"
            ));
        }
        if !to.heartbeat.is_zero() && to.heartbeat < HEARTBEAT_MIN {
            return Err(format!(
                "a heartbeat each {:?} is more than anybody keeps up with; the shortest is {HEARTBEAT_MIN:?}, and zero is none",
                to.heartbeat
            ));
        }
        Ok(())
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: MESSAGE_BYTES_DEFAULT,
            heartbeat: Duration::from_secs(1),
            heartbeat_misses: 3,
            links_max: 65_536,
        }
    }
}

/// How far a link has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkState {
    /// The handshake is under way; the link is not a member of its socket yet.
    Handshake,
    /// Messages may pass.
    Open,
    /// What is left to send is a last word; then hang up.
    Closing,
    /// It is no longer known.
    Gone,
}

/// The part of a link that is the same for all sockets.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) identity: Identity,
    state: LinkState,
    preface: Option<Preface>,
    peer: Option<Peer>,
    hello: Option<Hello>,
    last_word: Option<Close>,
    heard: Time,
    sent: Time,
    heartbeat: Option<Duration>,
    heartbeat_due: bool,
    misses: u32,
}

impl Link {
    /// A link of a socket that has `others` of them already.
    pub(crate) fn new(
        identity: Identity,
        speaker: Speaker,
        config: &LinkConfig,
        others: usize,
        now: Time,
    ) -> Self {
        let mut link = Self {
            identity,
            state: LinkState::Handshake,
            preface: None,
            peer: None,
            hello: Some(config.hello(speaker)),
            last_word: None,
            heard: now,
            sent: now,
            heartbeat: (!config.heartbeat.is_zero()).then_some(config.heartbeat),
            heartbeat_due: false,
            misses: config.heartbeat_misses.max(1),
        };
        if others >= config.links_max {
            let reason = "the socket has as many links as it may have";
            link.end(refusal(CloseCode::TooMany, reason), true);
        }
        link
    }

    /// What there is to tell of a new link: that it is turned away, if it is.
    pub(crate) fn turned_away(&self, id: LinkId) -> Option<Event> {
        self.last_word.clone().map(|reason| self.disconnected(id, reason, true))
    }

    pub(crate) const fn state(&self) -> LinkState {
        self.state
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == LinkState::Open
    }

    /// Whether this side has ended it, and has not said so yet.
    pub(crate) const fn is_parting(&self) -> bool {
        self.last_word.is_some()
    }

    /// What the peer said, once the handshake is done.
    pub(crate) const fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// Bytes came, perhaps not yet a whole frame: the peer is not silent. A handshake has to be done in time all the same.
    pub(crate) fn heard_bytes(&mut self, now: Time) {
        if self.is_open() {
            self.heard = now;
        }
    }

    /// Whether a frame is to be handled: the peer may say it now, and this side still listens.
    pub(crate) fn listens_to(&mut self, frame: &Frame, now: Time) -> Result<bool, Close> {
        if self.state == LinkState::Closing {
            return Ok(false);
        }
        self.heard = now;
        let early = matches!(
            frame,
            Frame::Preface(_) | Frame::Control(Control::Hello(_) | Control::Close(_))
        );
        if self.is_open() || early { Ok(true) } else { Err(violation("a frame before HELLO")) }
    }

    /// Takes the peer's first bytes.
    pub(crate) fn handle_preface(&mut self, preface: Preface) -> Result<(), Close> {
        if self.preface.replace(preface).is_some() {
            return Err(violation("a second preface"));
        }
        match Preface::OURS.agree(preface) {
            Some(_) => Ok(()),
            None => Err(refusal(
                CloseCode::VersionMismatch,
                format!(
                    "this side speaks versions {VERSION_MIN} to {VERSION_MAX} of the wire, the peer {} to {}",
                    preface.version_min, preface.version_max
                ),
            )),
        }
    }

    /// Takes the peer's HELLO; the link is open afterwards. Gives what there is to tell of it.
    pub(crate) fn handle_hello(
        &mut self,
        id: LinkId,
        ours: SocketType,
        config: &LinkConfig,
        hello: &Hello,
    ) -> Result<Event, Close> {
        if self.state != LinkState::Handshake || self.preface.is_none() {
            return Err(violation("a HELLO at the wrong time"));
        }
        if !ours.accepts(hello.socket_type) {
            return Err(refusal(
                CloseCode::SocketTypeMismatch,
                format!("a {ours} socket does not talk to a {} socket", hello.socket_type),
            ));
        }
        check_words(hello)?;
        // One that is refused was never there.
        check_sizes(ours, config.message_bytes_max as u64, hello.message_bytes_max)?;
        self.peer = Some(Peer::of(hello));
        self.state = LinkState::Open;
        Ok(Event::Connected { link: id, peer: hello.peer, identity: self.identity.clone() })
    }

    /// Ends the link: with a last word to the peer if this side ends it. False if it was ended before.
    pub(crate) fn end(&mut self, close: Close, by_us: bool) -> bool {
        if self.state == LinkState::Closing {
            return false;
        }
        self.state = LinkState::Closing;
        self.last_word = by_us.then_some(close);
        true
    }

    /// What there is to tell of its end.
    pub(crate) fn disconnected(&self, id: LinkId, reason: Close, by_us: bool) -> Event {
        let peer = self.peer.as_ref().map(|peer| peer.id);
        Event::Disconnected { link: id, peer, identity: self.identity.clone(), reason, by_us }
    }

    /// Writes the handshake, if it has not been written.
    pub(crate) fn transmit_first(&mut self, out: &mut Transmit) {
        if let Some(hello) = self.hello.take() {
            out.preface();
            out.control(&Control::Hello(hello));
        }
    }

    /// Writes the last word, if there is one; notes when something was sent.
    pub(crate) fn transmit_last(&mut self, out: &mut Transmit, now: Time) {
        if let Some(close) = self.last_word.take() {
            out.control(&Control::Close(close));
        }
        if !out.is_empty() {
            self.sent = now;
        }
    }

    /// When [`Link::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        match self.state {
            LinkState::Handshake => Some(self.heard + HANDSHAKE_TIMEOUT),
            LinkState::Open => {
                let beat = self.heartbeat.map(|interval| self.sent + interval);
                let dead = self.silence_max().map(|silence| self.heard + silence);
                Time::first_of([beat, dead])
            }
            LinkState::Closing | LinkState::Gone => None,
        }
    }

    /// Lets time pass: a heartbeat may be due, and a peer that is silent is given up with this word.
    pub(crate) fn handle_timeout(&mut self, now: Time) -> Result<(), Close> {
        match self.state {
            LinkState::Handshake if now >= self.heard + HANDSHAKE_TIMEOUT => {
                Err(refusal(CloseCode::HandshakeTimeout, "the handshake took too long"))
            }
            LinkState::Open => match (self.silence_max(), self.heartbeat) {
                (Some(silence), _) if now >= self.heard + silence => Err(refusal(
                    CloseCode::HeartbeatTimeout,
                    format!("nothing was heard for {} ms", silence.as_millis()),
                )),
                (_, Some(interval)) if now >= self.sent + interval => {
                    self.sent = now;
                    self.heartbeat_due = true;
                    Ok(())
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Whether a heartbeat is to be sent now.
    pub(crate) const fn take_heartbeat(&mut self) -> bool {
        std::mem::replace(&mut self.heartbeat_due, false)
    }

    /// Whether the peer should have been heard by now: half a heartbeat is added for the way.
    pub(crate) fn is_late(&self, now: Time) -> bool {
        let interval = self.peer.as_ref().and_then(|peer| peer.heartbeat);
        interval.is_some_and(|interval| now >= self.heard + interval + interval / 2)
    }

    /// After how long a silence the peer is dead, by its own word on how often it would be heard. One heartbeat that is due is
    /// not missed yet: it has half of its time for the way.
    fn silence_max(&self) -> Option<Duration> {
        let interval = self.peer.as_ref()?.heartbeat?;
        Some(interval.saturating_mul(self.misses).max(interval + interval / 2))
    }
}

/// A last word.
pub(crate) fn refusal(code: CloseCode, reason: impl Into<String>) -> Close {
    Close { code, reason: reason.into().into() }
}

/// A last word to a peer that broke the rules.
pub(crate) fn violation(what: &str) -> Close {
    refusal(CloseCode::ProtocolViolation, format!("protocol violation: {what}"))
}

/// A last word to a sender that goes beyond its credit, if it does.
pub(crate) fn within_credit(is_within: bool) -> Result<(), Close> {
    let reason = "more was sent than the granted credit allows";
    is_within.then_some(()).ok_or_else(|| refusal(CloseCode::CreditExceeded, reason))
}

/// A last word to a peer whose bytes could not be read.
#[must_use]
pub fn close_for(error: &WireError) -> Close {
    let code = match error {
        WireError::FrameTooLong { .. }
        | WireError::Record(crate::message::RecordError::TooLong { .. }) => CloseCode::TooLarge,
        _ => CloseCode::ProtocolViolation,
    };
    refusal(code, error.to_string())
}
