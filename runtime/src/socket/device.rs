//! What all sockets with two sides do alike.

use drawdown_protocol::{Now, Priority, RouterEngine, Side, StreamerEngine, Time};

use crate::clock::Clock;
use crate::core::{Engine, Socket, WaitList, Wakes};
use crate::socket::OfEndpoint;
use crate::socket::drain::Draining;
use crate::transport::{Endpoint, EndpointError};

/// What a device's engine is told of a link: on which side it is, and where these are ranked, how.
pub(crate) trait OnSide: Sized {
    fn on(side: Side, endpoint: &Endpoint) -> Result<Self, EndpointError>;
}

impl OnSide for Side {
    fn on(side: Side, endpoint: &Endpoint) -> Result<Self, EndpointError> {
        <()>::of(endpoint).map(|()| side)
    }
}

/// Only those are ranked to whom something is handed out.
impl OnSide for (Side, Priority) {
    fn on(side: Side, endpoint: &Endpoint) -> Result<Self, EndpointError> {
        match side {
            Side::Upstream => <()>::of(endpoint).map(|()| (side, Priority::BEST)),
            Side::Downstream => Priority::of(endpoint).map(|priority| (side, priority)),
        }
    }
}

/// The engine of a device that keeps nothing on disk.
pub(crate) trait Device: Engine {
    fn poll_timeout(&self, now: Now) -> Option<Time>;
    fn handle_timeout(&mut self, now: Now);
    fn is_drained(&self) -> bool;
}

impl Device for StreamerEngine {
    fn poll_timeout(&self, now: Now) -> Option<Time> {
        self.poll_timeout(now)
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now);
    }

    fn is_drained(&self) -> bool {
        self.is_drained()
    }
}

impl Device for RouterEngine {
    fn poll_timeout(&self, _now: Now) -> Option<Time> {
        self.poll_timeout()
    }

    fn handle_timeout(&mut self, now: Now) {
        self.handle_timeout(now.time);
    }

    fn is_drained(&self) -> bool {
        self.is_drained()
    }
}

/// What is under the lock of a device that keeps nothing on disk.
pub(crate) struct DeviceState<E> {
    pub(crate) engine: E,
    drains: WaitList,
}

impl<E> DeviceState<E> {
    pub(crate) fn new(engine: E) -> Self {
        Self { engine, drains: WaitList::default() }
    }
}

impl<E: Device> Socket for DeviceState<E> {
    type Engine = E;

    fn engine(&self) -> &E {
        &self.engine
    }

    fn engine_mut(&mut self) -> &mut E {
        &mut self.engine
    }

    fn poll_timeout(&self, clock: &Clock) -> Option<Time> {
        self.engine.poll_timeout(clock.now())
    }

    fn handle_timeout(&mut self, now: Now) {
        self.engine.handle_timeout(now);
    }

    fn gather_wakes(&mut self, wakes: &mut Wakes) {
        if !self.drains.is_awake() && self.engine.is_drained() {
            self.drains.wake_all(wakes);
        }
    }
}

impl<E: Device> Draining for DeviceState<E> {
    fn is_drained(&mut self) -> bool {
        self.engine.is_drained()
    }

    fn drains(&mut self) -> &mut WaitList {
        &mut self.drains
    }
}

/// The UUID that a name stands for: its FNV-1a hash of 128 bits. Nobody is to be kept from guessing it.
pub(crate) fn named(name: &str) -> uuid::Uuid {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash =
        name.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    uuid::Uuid::from_u128(hash)
}

/// The methods of a device that concern its links, and what happens when it is dropped. It needs the fields `core` and
/// `options`; `$up` and `$down` are who its peers are on either side, and `$stats` its numbers.
macro_rules! device_ends {
    ($socket:ident, $stats:ty, $up:literal, $down:literal) => {
        impl $socket {
            #[doc = concat!("Binds an endpoint to which ", $up, " connect; gives it as it was bound, with the port that")]
            /// the system chose if it was 0.
            ///
            /// # Errors
            /// If the endpoint is none, is in use, or may be reached by other machines without anyone checking who
            /// connects.
            pub async fn bind_upstream(
                &self,
                endpoint: impl $crate::transport::IntoEndpoint,
            ) -> Result<$crate::transport::Endpoint, $crate::error::Error> {
                self.bind_on(drawdown_protocol::Side::Upstream, endpoint).await
            }

            #[doc = concat!("Connects to one of ", $up, ", in the background, and again whenever the link is lost.")]
            ///
            /// # Errors
            /// If the endpoint is none.
            pub fn connect_upstream(
                &self,
                endpoint: impl $crate::transport::IntoEndpoint,
            ) -> Result<(), $crate::error::Error> {
                self.connect_on(drawdown_protocol::Side::Upstream, endpoint)
            }

            #[doc = concat!("Binds an endpoint to which ", $down, " connect; gives it as it was bound.")]
            ///
            /// # Errors
            /// As for [`bind_upstream`](Self::bind_upstream).
            pub async fn bind_downstream(
                &self,
                endpoint: impl $crate::transport::IntoEndpoint,
            ) -> Result<$crate::transport::Endpoint, $crate::error::Error> {
                self.bind_on(drawdown_protocol::Side::Downstream, endpoint).await
            }

            #[doc = concat!("Connects to one of ", $down, ", in the background, and again whenever the link is lost.")]
            ///
            /// # Errors
            /// If the endpoint is none.
            pub fn connect_downstream(
                &self,
                endpoint: impl $crate::transport::IntoEndpoint,
            ) -> Result<(), $crate::error::Error> {
                self.connect_on(drawdown_protocol::Side::Downstream, endpoint)
            }

            async fn bind_on(
                &self,
                side: drawdown_protocol::Side,
                endpoint: impl $crate::transport::IntoEndpoint,
            ) -> Result<$crate::transport::Endpoint, $crate::error::Error> {
                let endpoint = endpoint.into_endpoint()?;
                let side = $crate::socket::device::OnSide::on(side, &endpoint)?;
                $crate::socket::bind(&self.core, side, &endpoint).await
            }

            fn connect_on(
                &self,
                side: drawdown_protocol::Side,
                endpoint: impl $crate::transport::IntoEndpoint,
            ) -> Result<(), $crate::error::Error> {
                let on = move |endpoint: &$crate::transport::Endpoint| {
                    $crate::socket::device::OnSide::on(side, endpoint)
                };
                $crate::socket::connect(&self.core, on, endpoint.into_endpoint()?, &self.options)?;
                Ok(())
            }

            /// What happens in it, on either side, from now on. Numbers are those that its peers gave.
            #[must_use]
            pub fn events(&self) -> $crate::event::Events {
                $crate::event::Events::new(self.core.subscribe())
            }

            /// It in numbers. Costs as much as there are links.
            #[must_use]
            pub fn stats(&self) -> $stats {
                let now = self.core.clock.time();
                self.core.lock().socket.engine.stats(now)
            }
        }

        impl std::fmt::Debug for $socket {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let name = stringify!($socket);
                f.debug_struct(name).field("stats", &self.stats()).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use device_ends;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_always_the_same_uuid_and_no_other_name_is() {
        // The known hash of "foobar".
        assert_eq!(named("foobar").as_u128(), 0x343e_1662_793c_64bf_6f0d_3597_ba44_6f18);
        assert_ne!(named("east"), named("west"));
    }
}
