//! Which way a connection came about, and who hears of it.

use drawdown_protocol::{Event, LinkId};

use crate::transport::{Endpoint, Stream};

/// How two ends met.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// This side connected to this endpoint.
    Connected(&'a Endpoint),
    /// The other side came to this endpoint.
    Came(&'a Endpoint),
}

impl Way<'_> {
    /// What those are told who listen.
    pub(super) fn opened(self, link: LinkId, stream: &Stream) -> Event {
        let (endpoint, by_us) = match self {
            Self::Connected(endpoint) => (endpoint, true),
            Self::Came(endpoint) => (endpoint, false),
        };
        let (endpoint, peer) = (endpoint.to_string(), stream.peer().to_string());
        Event::LinkOpened { link, endpoint, peer, by_us }
    }
}
