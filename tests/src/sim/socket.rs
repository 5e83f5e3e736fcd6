//! What a driver needs of an engine, whichever it is.

use drawdown_protocol::wire::{Close, Frame};
use drawdown_protocol::{
    Event, Identity, LinkId, LinkState, Now, Priority, ProxyEngine, PublishEngine, PullEngine,
    PushEngine, ReplyEngine, RequestEngine, RouterEngine, StreamerEngine, SubscribeEngine, Time,
    Transmit,
};

use super::agenda::Side;

/// Where a link of a socket leads.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) side: Side,
    pub(crate) priority: Priority,
}

pub(crate) trait Socket {
    fn open_link(&mut self, identity: Identity, way: Way, now: Time) -> LinkId;
    fn handle_bytes(&mut self, link: LinkId, now: Time);
    fn handle_frame(&mut self, link: LinkId, frame: Frame, now: Now);
    fn handle_timeout(&mut self, now: Now);
    fn handle_link_timeout(&mut self, link: LinkId, now: Time);
    fn poll_wake(&mut self) -> Option<LinkId>;
    fn poll_event(&mut self) -> Option<Event>;
    fn poll_link_timeout(&self, link: LinkId) -> Option<Time>;
    fn poll_transmit(&mut self, link: LinkId, now: Now, out: &mut Transmit);
    fn handle_blocked(&mut self, _link: LinkId, _now: Time) {}
    fn link_state(&self, link: LinkId) -> LinkState;
    fn fail_link(&mut self, link: LinkId, close: Close, now: Time);
    fn link_lost(&mut self, link: LinkId, reason: &str, now: Time);
    fn remove_link(&mut self, link: LinkId);
}

macro_rules! socket {
    (
        $engine:ty,
        |$self:ident, $identity:ident, $way:ident, $now:ident| $open:expr,
        |$clock:ident| $moment:expr
        $(, { $($more:tt)+ })?
    ) => {
        impl Socket for $engine {
            $($($more)+)?

            fn open_link(&mut $self, $identity: Identity, $way: Way, $now: Time) -> LinkId {
                $open
            }
            fn handle_bytes(&mut self, link: LinkId, now: Time) {
                self.handle_bytes(link, now);
            }
            fn handle_frame(&mut self, link: LinkId, frame: Frame, now: Now) {
                self.handle_frame(link, frame, now);
            }
            fn handle_timeout(&mut self, $clock: Now) {
                self.handle_timeout($moment);
            }
            fn poll_wake(&mut self) -> Option<LinkId> {
                self.poll_wake()
            }
            fn poll_event(&mut self) -> Option<Event> {
                self.poll_event()
            }
            fn handle_link_timeout(&mut self, link: LinkId, now: Time) {
                self.handle_link_timeout(link, now);
            }
            fn poll_link_timeout(&self, link: LinkId) -> Option<Time> {
                self.poll_link_timeout(link)
            }
            fn poll_transmit(&mut self, link: LinkId, now: Now, out: &mut Transmit) {
                self.poll_transmit(link, now, out);
            }
            fn link_state(&self, link: LinkId) -> LinkState {
                self.link_state(link)
            }
            fn fail_link(&mut self, link: LinkId, close: Close, now: Time) {
                self.fail_link(link, close, now);
            }
            fn link_lost(&mut self, link: LinkId, reason: &str, now: Time) {
                self.link_lost(link, reason, now);
            }
            fn remove_link(&mut self, link: LinkId) {
                self.remove_link(link);
            }
        }
    };
}

socket!(
    PushEngine,
    |self, identity, way, now| self.open_link_at(identity, way.priority, now),
    |now| now,
    {
        fn handle_blocked(&mut self, link: LinkId, now: Time) {
            self.handle_blocked(link, now);
        }
    }
);
socket!(
    PullEngine,
    |self, identity, way, now| self.open_link_at(identity, way.priority, now),
    |now| now.time
);
socket!(PublishEngine, |self, identity, _way, now| self.open_link(identity, now), |now| now);
socket!(SubscribeEngine, |self, identity, _way, now| self.open_link(identity, now), |now| now.time);
socket!(
    ProxyEngine,
    |self, identity, way, now| self.open_link(identity, way.side.leads(), now),
    |now| now,
    {
        fn handle_blocked(&mut self, link: LinkId, now: Time) {
            self.handle_blocked(link, now);
        }
    }
);
socket!(
    StreamerEngine,
    |self, identity, way, now| self.open_link(identity, way.side.leads(), now),
    |now| now,
    {
        fn handle_blocked(&mut self, link: LinkId, now: Time) {
            self.handle_blocked(link, now);
        }
    }
);
socket!(
    RouterEngine,
    |self, identity, way, now| self.open_link(identity, way.side.leads(), way.priority, now),
    |now| now.time
);
socket!(
    RequestEngine,
    |self, identity, way, now| self.open_link(identity, way.priority, now),
    |now| now.time
);
socket!(
    ReplyEngine,
    |self, identity, way, now| self.open_link_at(identity, way.priority, now),
    |now| now.time
);
