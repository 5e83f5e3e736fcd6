//! Making a REQ socket.

use drawdown_protocol::{PeerId, RequestConfig, RequestEngine};
use uuid::Uuid;

use crate::error::Error;
use crate::socket::{SocketOptions, builder_ends, builder_options};

use super::{ReqSocket, call_options};

/// Settings of a [`ReqSocket`]; end with [`bind`](Self::bind), [`connect`](Self::connect) or [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct ReqBuilder {
    config: RequestConfig,
    options: SocketOptions,
}

impl ReqBuilder {
    builder_options!();
    call_options!(config.call);

    /// Requests that may be under way at a time: 1 unless set. More wait for their turn, in the order in which they came.
    pub fn pending(mut self, requests: u64) -> Self {
        self.config.pending_calls = requests.max(1);
        self
    }

    /// How long a request waits, before it goes to a server of a worse priority, for those of better ones to say whether they
    /// have room: 200 ms unless set. They say so within a round trip or two, unless they hang.
    pub fn ask_patience(mut self, time: std::time::Duration) -> Self {
        self.config.ask_patience = time;
        self
    }

    /// For how long a server that failed must have been well before it is used again: zero unless set, which is at once.
    /// Until then it is asked only if no other server has room. It failed if its link was lost, or if it let the time of an
    /// attempt run out; [`Event::ServerOnTrial`](crate::Event::ServerOnTrial) and
    /// [`Event::ServerTrusted`](crate::Event::ServerTrusted) tell of it.
    pub fn fail_back_after(mut self, time: std::time::Duration) -> Self {
        self.config.fail_back_after = time;
        self
    }

    builder_ends!(ReqSocket);

    /// Makes the socket without any link.
    ///
    /// # Errors
    /// None today.
    #[allow(clippy::unused_async)]
    pub async fn build(self) -> Result<ReqSocket, Error> {
        let peer = PeerId::from_uuid(Uuid::new_v4());
        let (entropy, _) = Uuid::new_v4().as_u64_pair();
        Ok(ReqSocket::start(RequestEngine::new(self.config, peer, entropy), self.options))
    }
}
