//! Keeping a link to an endpoint: connecting, and connecting again.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use drawdown_protocol::targets::{Absence, Standing, look_again_after};
use drawdown_protocol::{Backoff, Event};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::core::{Core, Side, Socket};
use crate::names::Names;
use crate::transport::{Endpoint, Host, PeerAddr, TransportError, TransportErrorKind, connect};

use super::link::LinkDriver;
use super::way::Way;

/// The shortest wait before a lost link is made again.
const BACKOFF_MIN: Duration = Duration::from_millis(1);

/// How a socket reconnects.
#[derive(Clone, Debug)]
pub(crate) struct ConnectOptions {
    /// How long one attempt may take.
    pub(crate) timeout: Duration,
    /// The first wait after a failure; doubles from one to the next.
    pub(crate) backoff_min: Duration,
    /// The longest wait.
    pub(crate) backoff_max: Duration,
    /// Who says where hosts and services are.
    pub(crate) names: Names,
}

impl ConnectOptions {
    /// Sets the first wait and the longest, which is no shorter.
    pub(crate) fn set_backoff(&mut self, first: Duration, longest: Duration) {
        self.backoff_min = first.max(BACKOFF_MIN);
        self.backoff_max = longest.max(self.backoff_min);
    }

    pub(super) const fn backoff(&self) -> Backoff {
        Backoff::new(self.backoff_min, self.backoff_max)
    }

    /// How long one look-up may take: there must be time left to connect.
    pub(super) fn look_up_timeout(&self) -> Duration {
        self.timeout / 2
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(1),
            names: Names::default(),
        }
    }
}

/// Who wants to know how it stands with an endpoint.
pub(super) type Standings = mpsc::Sender<(Endpoint, Standing)>;

/// Keeps a link to one endpoint.
pub(super) struct Connector<S: Socket> {
    pub(super) core: Arc<Core<S>>,
    pub(super) side: Side<S>,
    pub(super) endpoint: Endpoint,
    pub(super) options: ConnectOptions,
    /// The endpoint is not wanted any more.
    pub(super) left: CancellationToken,
    pub(super) standings: Option<Standings>,
    /// How long a link that is left may take to settle what was handed out on it.
    pub(super) linger: Duration,
}

/// How a link ended.
enum End {
    /// The handshake was never done.
    Refused,
    /// It was a member of the socket, for so long.
    Lost(Duration),
    /// Its peer is to be looked for elsewhere.
    Moved,
    /// The endpoint is not wanted any more.
    Left,
}

impl<S: Socket> Connector<S> {
    /// Starts a task that keeps the link until the socket closes or the endpoint is left.
    pub(super) fn spawn(self) {
        self.core.with(|socket| socket.note_endpoints(self.side, 1));
        let span = tracing::debug_span!("connect", endpoint = %self.endpoint);
        let (core, stop) = (Arc::clone(&self.core), self.core.stop.clone());
        let task = self.run().instrument(span);
        core.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = task => {}
            }
        });
    }

    async fn run(self) {
        let mut backoff = self.options.backoff();
        let mut failure = None;
        // In a row.
        let mut refusals = 0;
        while !self.core.closing.is_cancelled() {
            let end = self.hold_link(refusals).await;
            let standing = match &end {
                Ok(End::Left) => break,
                Ok(End::Moved) => {
                    failure = None;
                    refusals = 0;
                    continue;
                }
                Ok(End::Lost(lasted)) => {
                    backoff.note_worked(*lasted);
                    refusals = 0;
                    Standing::Hopeful
                }
                Ok(End::Refused) => {
                    tracing::debug!("the peer did not finish the handshake");
                    refusals += 1;
                    Standing::Failed
                }
                Err(error) => {
                    tracing::debug!(%error, "could not connect; trying again");
                    Standing::Failed
                }
            };
            self.tell_failure(end.err(), &mut failure);
            let pause = async {
                self.say(standing).await;
                tokio::time::sleep(backoff.next(Uuid::new_v4().as_u64_pair().0)).await;
            };
            tokio::select! {
                biased;
                () = self.over() => {}
                () = pause => {}
            }
            if self.left.is_cancelled() {
                break;
            }
        }
        if self.left.is_cancelled() {
            self.core.with(|socket| socket.note_endpoints(self.side, -1));
        }
    }

    /// Connects once and serves the link to its end. After so many refusals in a row it is the turn of another address, if the
    /// endpoint has several.
    async fn hold_link(&self, refusals: usize) -> Result<End, TransportError> {
        let ConnectOptions { names, timeout, .. } = &self.options;
        let stream = tokio::select! {
            stream = connect(&self.endpoint, names, refusals, *timeout) => stream?,
            () = self.over() => return Ok(End::Left),
        };
        let identity = match self.core.access.identify(stream.peer()) {
            Ok(identity) => identity,
            Err(reason) => {
                tracing::info!(peer = %stream.peer(), %reason, "turned a peer away");
                return Ok(End::Refused);
            }
        };
        let address = match stream.peer() {
            PeerAddr::Tcp(address) => Some(*address),
            _ => None,
        };
        let way = Way::Connected(&self.endpoint);
        let mut driver = LinkDriver::new(&self.core, self.side, stream, identity, way);
        let (end, reason) = tokio::select! {
            biased;
            end = self.serve(&mut driver) => return Ok(end),
            () = self.left.cancelled() => (End::Left, "this endpoint is not connected to any more"),
            () = self.moved(address) => (End::Moved, "the name stands for other addresses now"),
        };
        if matches!(end, End::Moved) || driver.settle(self.linger).await {
            driver.say_goodbye(reason).await;
        }
        Ok(end)
    }

    async fn serve(&self, driver: &mut LinkDriver<S>) -> End {
        if !driver.until_open().await {
            return End::Refused;
        }
        let opened = self.core.clock.time();
        // The link goes on while this is told: only one that is read seldom makes it wait.
        let (_, ()) = tokio::join!(&mut *driver, self.say(Standing::Up));
        End::Lost(self.core.clock.time().since(opened))
    }

    async fn say(&self, standing: Standing) {
        if let Some(standings) = &self.standings {
            // Nobody listens any more: then it does not matter.
            let _ = standings.send((self.endpoint.clone(), standing)).await;
        }
    }

    /// Waits until the socket closes or the endpoint is left.
    async fn over(&self) {
        tokio::select! {
            () = self.core.closing.cancelled() => {}
            () = self.left.cancelled() => {}
        }
    }

    /// Waits until the host name does not stand for this address any more; for ever if it is no name.
    async fn moved(&self, address: Option<SocketAddr>) {
        let (Some(Host::Name(host)), Some(address)) = (self.endpoint.host(), address) else {
            return std::future::pending().await;
        };
        let names = &self.options.names;
        if names.refresh.is_zero() {
            return std::future::pending().await;
        }
        let mut absence = Absence::default();
        let mut valid_for = None;
        loop {
            tokio::time::sleep(look_again_after(valid_for, names.refresh)).await;
            // What cannot be found out is no reason to give up a link.
            let Ok(answer) = names.addresses(host, self.options.look_up_timeout()).await else {
                continue;
            };
            valid_for = answer.valid_for;
            let is_it = |ip: &IpAddr| ip.to_canonical() == address.ip().to_canonical();
            if absence.note(answer.found.iter().any(is_it)) {
                self.core.tell(Event::NameMoved { endpoint: self.endpoint.to_string() });
                return;
            }
        }
    }

    /// Tells of a name that cannot be looked up, once for each reason.
    fn tell_failure(&self, error: Option<TransportError>, told: &mut Option<String>) {
        let unknown = error.filter(|error| error.kind() == TransportErrorKind::NameNotFound);
        let reason = unknown.map(|error| error.to_string());
        if let Some(reason) = reason.clone().filter(|_| reason != *told) {
            self.core.tell(Event::NameFailed { endpoint: self.endpoint.to_string(), reason });
        }
        *told = reason;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_never_so_short_that_connecting_keeps_a_thread_busy() {
        let mut options = ConnectOptions::default();
        for (first, longest) in [(Duration::ZERO, Duration::ZERO), (Duration::MAX, Duration::ZERO)]
        {
            options.set_backoff(first, longest);
            let mut backoff = options.backoff();
            assert!((0..10).all(|_| backoff.next(0) >= BACKOFF_MIN / 2));
        }
    }
}
