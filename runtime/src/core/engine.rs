//! What drivers ask of every engine.

use drawdown_protocol::wire::{Close, Frame};
use drawdown_protocol::{
    Event, Identity, LinkId, LinkState, Now, Priority, ProxyEngine, PublishEngine, PullEngine,
    PushEngine, ReplyEngine, RequestEngine, RouterEngine, Side, StreamerEngine, SubscribeEngine,
    Time, Transmit,
};

/// A protocol engine with many links.
pub(crate) trait Engine: Send + 'static {
    /// What the engine is told of a link's endpoint: which side of the engine it is on, or how it is ranked; `()` where
    /// all links are alike.
    type Side: Copy + Send + Sync + 'static;

    /// Whether it hands out by levels: then those of a service's targets that are worse are of worse levels, and do not
    /// stand by.
    const HANDS_OUT_BY_LEVEL: bool = false;

    fn open_link(&mut self, identity: Identity, side: Self::Side, now: Time) -> LinkId;
    fn handle_bytes(&mut self, link: LinkId, now: Time);
    fn handle_frame(&mut self, link: LinkId, frame: Frame, now: Now);
    fn handle_link_timeout(&mut self, link: LinkId, now: Time);
    fn fail_link(&mut self, link: LinkId, close: Close, now: Time);
    fn link_lost(&mut self, link: LinkId, reason: &str, now: Time);
    fn remove_link(&mut self, link: LinkId);
    fn close_links(&mut self, now: Time);
    /// Hands out nothing more on a link that is to be ended, where this side hands out.
    fn leave_link(&mut self, _link: LinkId, _now: Time) {}
    /// What was written for a link is still in its way: it can take no more now.
    fn handle_blocked(&mut self, _link: LinkId, _now: Time) {}
    /// Whether nothing that was handed out on a link is under way.
    fn is_settled(&self, _link: LinkId) -> bool {
        true
    }
    fn poll_transmit(&mut self, link: LinkId, now: Now, out: &mut Transmit);
    fn link_state(&self, link: LinkId) -> LinkState;
    fn poll_link_timeout(&self, link: LinkId) -> Option<Time>;
    fn poll_wake(&mut self) -> Option<LinkId>;
    fn poll_event(&mut self) -> Option<Event>;
}

/// Every engine has these as methods of its own; `open_link` takes a side where there are several.
macro_rules! engine {
    ($engine:ty $(, { $($more:tt)+ })?) => {
        engine!($engine, (), |self, identity, (), now| self.open_link(identity, now) $(, { $($more)+ })?);
    };
    ($engine:ty, $side:ty $(, { $($more:tt)+ })?) => {
        engine!($engine, $side, |self, identity, side, now| self.open_link(identity, side, now) $(, { $($more)+ })?);
    };
    ($engine:ty, $side:ty, |$self:ident, $identity:ident, $its_side:pat_param, $now:ident| $open:expr $(, { $($more:tt)+ })?) => {
        impl Engine for $engine {
            type Side = $side;

            $($($more)+)?

            fn open_link(&mut $self, $identity: Identity, $its_side: $side, $now: Time) -> LinkId {
                $open
            }

            fn handle_bytes(&mut self, link: LinkId, now: Time) {
                self.handle_bytes(link, now);
            }

            fn handle_frame(&mut self, link: LinkId, frame: Frame, now: Now) {
                self.handle_frame(link, frame, now);
            }

            fn handle_link_timeout(&mut self, link: LinkId, now: Time) {
                self.handle_link_timeout(link, now);
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

            fn close_links(&mut self, now: Time) {
                self.close_links(now);
            }

            fn poll_transmit(&mut self, link: LinkId, now: Now, out: &mut Transmit) {
                self.poll_transmit(link, now, out);
            }

            fn link_state(&self, link: LinkId) -> LinkState {
                self.link_state(link)
            }

            fn poll_link_timeout(&self, link: LinkId) -> Option<Time> {
                self.poll_link_timeout(link)
            }

            #[inline]
            fn poll_wake(&mut self) -> Option<LinkId> {
                self.poll_wake()
            }

            #[inline]
            fn poll_event(&mut self) -> Option<Event> {
                self.poll_event()
            }
        }
    };
}

engine!(ProxyEngine, Side, {
    fn handle_blocked(&mut self, link: LinkId, now: Time) {
        self.handle_blocked(link, now);
    }
});
engine!(PublishEngine);
engine!(
    PushEngine,
    Priority,
    |self, identity, level, now| self.open_link_at(identity, level, now),
    {
        const HANDS_OUT_BY_LEVEL: bool = true;

        fn leave_link(&mut self, link: LinkId, _now: Time) {
            self.leave_link(link);
        }

        fn handle_blocked(&mut self, link: LinkId, now: Time) {
            self.handle_blocked(link, now);
        }

        fn is_settled(&self, link: LinkId) -> bool {
            self.is_settled(link)
        }
    }
);
engine!(StreamerEngine, Side, {
    fn leave_link(&mut self, link: LinkId, now: Time) {
        self.leave_link(link, now);
    }

    fn handle_blocked(&mut self, link: LinkId, now: Time) {
        self.handle_blocked(link, now);
    }

    fn is_settled(&self, link: LinkId) -> bool {
        self.is_settled(link)
    }
});
engine!(
    RouterEngine,
    (Side, Priority),
    |self, identity, (side, priority), now| self.open_link(identity, side, priority, now),
    {
        const HANDS_OUT_BY_LEVEL: bool = true;

        fn leave_link(&mut self, link: LinkId, now: Time) {
            self.leave_link(link, now);
        }

        fn is_settled(&self, link: LinkId) -> bool {
            self.is_settled(link)
        }
    }
);
engine!(SubscribeEngine);
engine!(PullEngine, Priority, |self, identity, level, now| self.open_link_at(identity, level, now));
engine!(RequestEngine, Priority, {
    const HANDS_OUT_BY_LEVEL: bool = true;

    fn leave_link(&mut self, link: LinkId, now: Time) {
        self.leave_link(link, now);
    }

    fn is_settled(&self, link: LinkId) -> bool {
        self.is_settled(link)
    }
});
engine!(ReplyEngine, Priority, |self, identity, level, now| self
    .open_link_at(identity, level, now));
