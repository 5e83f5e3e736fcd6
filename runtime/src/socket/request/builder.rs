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
