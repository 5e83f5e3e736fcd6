//! Making a PULL socket.

use drawdown_protocol::{ConfirmOn, PeerId, PullConfig, PullEngine};
use uuid::Uuid;

use crate::error::Error;
use crate::socket::options::fitting_window;
use crate::socket::{SocketOptions, builder_options};
use crate::transport::IntoEndpoint;

use super::PullSocket;

/// Settings of a [`PullSocket`]; end with [`bind`](Self::bind), [`connect`](Self::connect) or [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct PullBuilder {
    pub(super) config: PullConfig,
    pub(super) options: SocketOptions,
    /// As the user has set it.
    window_bytes: Option<u64>,
}

impl PullBuilder {
    builder_options!();

    /// Messages that may wait here or be on their way, over all senders: 1,000 unless set. What the application has in its
    /// hands does not count: with 1 one message waits here behind the one that is worked on.
    ///
    /// With 0 there is credit only while a receive call waits, so that all other work stays where others can take it: right
    /// for jobs that take longer than a round trip. Shorter ones are worth a window of 1 or more, or
    /// [copies](Self::future) beside one of 0, so that the next is at hand when one is done.
    pub fn window(mut self, messages: u64) -> Self {
        self.config.window_messages = messages;
        self
    }

    /// Bytes of the same: 32 MiB unless set, and never less than one message of the largest size. What is under way
    /// should fit a processor's cache: more is slower.
    pub fn window_bytes(mut self, bytes: u64) -> Self {
        self.window_bytes = Some(bytes);
        self
    }

    /// Copies of messages that still wait at their senders, kept beside the window, over all senders; and their bytes. None
    /// unless set. A message that nobody has credit for is placed at the receiver that is likely to ask next, while it stays
    /// its sender's: if this one asks first it need not travel any more, if another does that one gets it. A window of 0 with
    /// copies is as fair as one of 0 and as quick as one with messages in it.
    pub fn future(mut self, messages: u64, bytes: u64) -> Self {
        self.config.future_messages = messages;
        self.config.future_bytes = bytes;
        self
    }

    /// What confirms a message to its sender: that it was processed (unless set), or that it was taken.
    pub fn confirm_on(mut self, confirm_on: ConfirmOn) -> Self {
        self.config.confirm_on = confirm_on;
        self
    }

    /// Makes the socket and binds it. For further endpoints see [`PullSocket::bind`] and [`PullSocket::connect`].
    ///
    /// # Errors
    /// If the endpoint is none or cannot be bound.
    pub async fn bind(self, endpoint: impl IntoEndpoint) -> Result<PullSocket, Error> {
        let endpoint = endpoint.into_endpoint()?;
        let socket = self.build()?;
        socket.bind(endpoint).await?;
        Ok(socket)
    }

    /// Makes the socket and connects it; the link is made in the background, and made again whenever it is lost.
    ///
    /// # Errors
    /// If the endpoint is none, or settings contradict each other.
    #[allow(clippy::unused_async)]
    pub async fn connect(self, endpoint: impl IntoEndpoint) -> Result<PullSocket, Error> {
        let endpoint = endpoint.into_endpoint()?;
        let socket = self.build()?;
        socket.connect(endpoint)?;
        Ok(socket)
    }

    /// Makes the socket without any link. Like everything here it needs a tokio runtime around it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Errors
    /// If settings contradict each other.
    pub fn build(mut self) -> Result<PullSocket, Error> {
        if let Some(bytes) = self.window_bytes {
            self.config.window_bytes = fitting_window(bytes, &self.config.link, "message")?;
        }
        let peer = PeerId::from_uuid(Uuid::new_v4());
        Ok(PullSocket::start(PullEngine::new(self.config, peer), self.options))
    }
}
