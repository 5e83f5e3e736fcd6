//! Making a router.

use std::time::Duration;

use drawdown_protocol::{PeerId, RouterConfig, RouterEngine};
use uuid::Uuid;

use crate::error::Error;
use crate::socket::device::named;
use crate::socket::{SocketOptions, builder_options};

use super::RouterSocket;

/// Settings of a [`RouterSocket`]; end with [`build`](Self::build).
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct RouterBuilder {
    config: RouterConfig,
    identity: Option<String>,
    options: SocketOptions,
}

impl RouterBuilder {
    builder_options!();

    /// The name by which other routers know this one, also after a restart: calls that it passed on before do not come back
    /// to it by way of them. Without a name it is another one after a restart. Calls that it had are tried again by their
    /// clients, as they may, in either case.
    ///
    /// No two routers that run at one time may have the same.
    pub fn identity(mut self, name: impl Into<String>) -> Self {
        self.identity = Some(name.into());
        self
    }

    /// Calls that may be passed on and not answered: 1,048,576 unless set, at least 1. No more are granted upstream.
    pub fn pending(mut self, calls: u64) -> Self {
        self.config.pending_calls = calls.max(1);
        self
    }

    /// Answers that are remembered for clients that ask again, and those that their clients have not confirmed: 65,536 of
    /// each, 64 MiB, for a minute unless set.
    pub fn remember(mut self, answers: u64, bytes: u64, age: Duration) -> Self {
        let memory = &mut self.config.memory;
        (memory.messages, memory.bytes, memory.age) = (answers, bytes, age);
        self
    }

    /// How long a call waits, before it goes to a server of a worse priority, for those of better ones to say whether they
    /// have room: 200 ms unless set. They say so within a round trip or two, unless they hang.
    pub fn ask_patience(mut self, time: Duration) -> Self {
        self.config.ask_patience = time;
        self
    }

    /// For how long a server that failed must have been well before it is used again; as
    /// [`ReqBuilder::fail_back_after`](crate::ReqBuilder::fail_back_after). Zero unless set: at once.
    pub fn fail_back_after(mut self, time: Duration) -> Self {
        self.config.fail_back_after = time;
        self
    }

    /// Makes the router without any link. Like everything here it needs a tokio runtime around it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Errors
    /// If its name is empty.
    pub fn build(self) -> Result<RouterSocket, Error> {
        let peer = PeerId::from_uuid(Uuid::new_v4());
        let name = match &self.identity {
            None => peer,
            Some(name) if name.is_empty() => {
                let what = "the identity of a router is empty; give it a name, or none";
                return Err(Error::Settings(what.to_owned()));
            }
            Some(name) => PeerId::from_uuid(named(name)),
        };
        let message_bytes_max = self.config.link.message_bytes_max;
        let engine = RouterEngine::new(self.config, peer, name);
        Ok(RouterSocket::start(engine, message_bytes_max, self.options))
    }
}
