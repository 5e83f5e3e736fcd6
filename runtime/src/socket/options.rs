//! What all builders have in common.

use std::time::Duration;

use crate::auth::Access;
use crate::driver::ConnectOptions;

/// What a socket is told that its engine need not know.
#[derive(Clone, Debug, Default)]
pub(crate) struct SocketOptions {
    pub(crate) access: Access,
    pub(crate) connect: ConnectOptions,
}

/// The smallest heartbeat interval: below that, a heartbeat costs more than it tells.
pub(crate) const HEARTBEAT_MIN: Duration = Duration::from_millis(1);

/// The methods that every builder has; it needs the fields `options` and `config.link`.
macro_rules! builder_options {
    () => {
        /// The largest payload, in bytes: 1 MiB unless set, at most 1 GiB less one byte. Both ends of a link must
        /// agree: a receiver takes at least what its senders may send.
        pub fn max_message(mut self, bytes: usize) -> Self {
            self.config.link.message_bytes_max =
                bytes.min(drawdown_protocol::limits::MESSAGE_BYTES_MAX);
            self
        }

        /// How often this side says that it is alive when there is nothing else to say: 1 s unless set, at least
        /// 1 ms. A peer that misses three of them calls the link dead.
        pub fn heartbeat(mut self, interval: std::time::Duration) -> Self {
            self.config.link.heartbeat = interval.max($crate::socket::options::HEARTBEAT_MIN);
            self
        }

        /// After how many missed heartbeats a peer is dead: 3 unless set, at least 1.
        pub fn heartbeat_misses(mut self, misses: u32) -> Self {
            self.config.link.heartbeat_misses = misses.max(1);
            self
        }

        /// Links at one time: 65,536 unless set. More are turned away with a reason.
        pub fn max_links(mut self, links: usize) -> Self {
            self.config.link.links_max = links;
            self
        }

        /// Decides who may connect and as whom. With one, the socket may bind to any address.
        pub fn authorizer(mut self, authorizer: impl $crate::Authorizer) -> Self {
            self.options.access = $crate::auth::Access::Authorized(std::sync::Arc::new(authorizer));
            self
        }

        /// Lets the socket bind to any address although nobody checks who connects: whoever reaches the port can
        /// send and take messages.
        pub fn dangerously_allow_anonymous(mut self) -> Self {
            self.options.access = $crate::auth::Access::Anonymous;
            self
        }

        /// How a lost link is made again: the first wait, and the longest. 10 ms and 1 s unless set; the waits double
        /// and are shortened by chance.
        pub fn reconnect(
            mut self,
            first: std::time::Duration,
            longest: std::time::Duration,
        ) -> Self {
            self.options.connect.backoff_min = first.max($crate::socket::options::HEARTBEAT_MIN);
            self.options.connect.backoff_max = longest.max(first);
            self
        }

        /// How long one attempt to connect may take: 5 s unless set.
        pub fn connect_timeout(mut self, timeout: std::time::Duration) -> Self {
            self.options.connect.timeout = timeout;
            self
        }
    };
}
pub(crate) use builder_options;
